"""How long accounts rest."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.errors import ConfigError
from agentprod.reliability.cooldown import Cooldowns


def test_a_hint_is_obeyed() -> None:
    """Retry-after 2 rests two seconds, then the account is free."""
    cooldowns = Cooldowns()
    assert cooldowns.hit("a", 100.0, hint=2.0) == 102.0
    assert cooldowns.remaining("a", 101.5) == 0.5
    assert cooldowns.remaining("a", 102.0) == 0.0


def test_a_shorter_hint_does_not_shorten_a_rest() -> None:
    """The later time stays."""
    cooldowns = Cooldowns()
    cooldowns.hit("a", 0.0, hint=58.0)
    assert cooldowns.hit("a", 1.0, hint=1.0) == 58.0


def test_rests_without_a_hint_double_up_to_a_cap() -> None:
    """1, 2, 4 … 60 seconds, one step per episode."""
    cooldowns, now, rests = Cooldowns(), 0.0, []
    for _ in range(9):
        until = cooldowns.hit("a", now)
        rests.append(until - now)
        now = until
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_burst_of_refusals_counts_once() -> None:
    """Thirty calls in flight are refused together, and one more that was sent before but answered after the rest."""
    cooldowns = Cooldowns()
    for index in range(30):
        cooldowns.hit("a", 10.0 + index / 100, sent_at=9.0)
    cooldowns.hit("a", 20.0, sent_at=9.5)
    assert cooldowns.remaining("a", 20.0) == 1.0
    assert cooldowns.hit("a", 22.0, sent_at=21.5) == 24.0


def test_a_success_makes_the_next_rest_short_again() -> None:
    """The rest in progress goes on all the same."""
    cooldowns = Cooldowns()
    cooldowns.hit("a", 0.0)
    cooldowns.hit("a", 10.0)
    cooldowns.success("a", 11.0, sent_at=10.5)
    assert cooldowns.remaining("a", 11.0) == 1.0
    assert cooldowns.hit("a", 20.0) == 21.0


def test_a_success_sent_before_the_refusal_says_nothing() -> None:
    """It only took longer."""
    cooldowns = Cooldowns()
    cooldowns.hit("a", 0.0)
    cooldowns.hit("a", 10.0)
    cooldowns.success("a", 12.0, sent_at=9.0)
    assert cooldowns.hit("a", 20.0) == 24.0


def test_dimensions_rest_apart() -> None:
    """Exhausted tokens do not say that requests are; whoever needs both waits for the longer rest."""
    cooldowns = Cooldowns()
    cooldowns.hit("a", 0.0, dimension="tokens", hint=58.0)
    cooldowns.hit("a", 0.0, dimension="requests", hint=1.0)
    assert cooldowns.remaining("a", 0.0) == 58.0
    assert cooldowns.remaining("a", 0.0, dimension="requests") == 1.0
    assert cooldowns.remaining("a", 0.0, dimension="images") == 0.0


def test_accounts_rest_apart() -> None:
    """One credential's limit is not another's."""
    cooldowns = Cooldowns()
    cooldowns.hit("a", 0.0, hint=5.0)
    cooldowns.success("b", 0.0)
    assert cooldowns.remaining("b", 0.0) == 0.0


def test_an_exhausted_quota_rests_for_longer() -> None:
    """From five minutes to an hour, by the same rule."""
    cooldowns, now, rests = Cooldowns(), 0.0, []
    for _ in range(5):
        until = cooldowns.hit("a", now, first=300.0, cap=3600.0)
        rests.append(until - now)
        now = until
    assert rests == [300, 600, 1200, 2400, 3600]


@pytest.mark.parametrize("hint", [0.0, -1.0, math.nan, math.inf])
def test_a_hint_that_is_no_duration_is_none(hint: float) -> None:
    """Then the usual rest applies."""
    assert Cooldowns().hit("a", 0.0, hint=hint) == 1.0


def test_accounts_are_bounded_and_those_that_rest_are_kept() -> None:
    """Ten thousand accounts that were served once do not push out the one that rests."""
    cooldowns = Cooldowns(max_accounts=8)
    cooldowns.hit("resting", 0.0, hint=1e6)
    for index in range(10_000):
        cooldowns.hit(f"a{index}", float(index), hint=0.5)
        cooldowns.success(f"a{index}", float(index))
    assert cooldowns.remaining("resting", 10_000.0) > 0


@given(
    st.lists(st.tuples(st.floats(0, 30), st.none() | st.floats(0.1, 100), st.booleans()), min_size=1, max_size=30),
)
def test_a_rest_never_ends_before_any_hint_said(events: list[tuple[float, float | None, bool]]) -> None:
    """Whatever comes in between, and no rest without a hint is longer than the cap."""
    cooldowns, now, latest = Cooldowns(), 0.0, 0.0
    for pause, hint, served in events:
        now += pause
        if served:
            cooldowns.success("a", now)
        else:
            latest = max(latest, now + (hint or 0.0))
            until = cooldowns.hit("a", now, hint=hint)
            assert until >= latest
            assert until <= max(latest, now + 60.0)
            latest = until
        assert cooldowns.remaining("a", now) == max(0.0, latest - now)


@pytest.mark.parametrize("numbers", [{"first": 0.0}, {"first": 9.0, "cap": 1.0}, {"cap": math.inf}], ids=str)
def test_numbers_out_of_range_are_refused(numbers: dict[str, Any]) -> None:
    """When it is built."""
    with pytest.raises(ConfigError, match="cooldown"):
        Cooldowns(**numbers)
