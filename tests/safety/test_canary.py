"""A mark in the system prompt shows when the prompt got out."""

from __future__ import annotations

import pytest

from agentprod.errors import ConfigError
from agentprod.safety.canary import Canary


def test_a_leaked_mark_is_seen_in_any_dress() -> None:
    """Case, width, spaces, hyphens and direction do not hide it."""
    canary = Canary("c0ffee1234567890")
    assert canary.mark in canary.hide_in("You are helpful.")
    for text in (
        "it says c0ffee1234567890",
        "C0FFEE-1234-5678-90",
        "ｃ０ｆｆｅｅ1234567890",
        "c 0 f f e e 1 2 3 4 5 6 7 8 9 0",
        "0987654321eeff0c",
    ):
        assert canary.leaked_in(text)
    assert not canary.leaked_in("c0ffee, black")


def test_each_canary_is_new_and_keeps_quiet() -> None:
    """Random by default; repr does not show it."""
    one, other = Canary(), Canary()
    assert one.mark != other.mark
    assert one.mark not in repr(one)
    assert one.leaked_in(one.hide_in("x"))
    assert not other.leaked_in(one.hide_in("x"))


def test_a_short_mark_is_refused() -> None:
    """It would turn up by chance."""
    with pytest.raises(ConfigError, match="12 letters"):
        Canary("bird")


def test_a_stream_is_watched_across_its_pieces() -> None:
    """The mark may be cut anywhere; once seen it stays seen."""
    canary = Canary("c0ffee1234567890")
    watch = canary.watch()
    assert [watch.feed(piece) for piece in ("it says c0ff", "ee12345", "67890!", " more")] == [False, False, True, True]
    assert watch.leaked
    assert not any(map(canary.watch().feed, ("c0ffee", "nothing")))
