"""What takes days to end: the stores whose clock a test can move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentprod.stores import Claim, Store
from tests.stores.conftest import make

DAY = 86_400.0


@pytest.fixture(params=["memory", "sqlite"])
def timed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, Callable[[float], None]]]:
    """A store and its clock."""
    store, wait = make(request.param, tmp_path, str)
    yield store, wait
    store.close()


def test_a_lapsed_reservation_can_be_corrected_for_a_day(timed: tuple[Store, Callable[[float], None]]) -> None:
    """After that its floor stays, and its name is free again."""
    store, wait = timed
    for name in ("early", "late"):
        store.reserve("g", name, [Claim("c", 100, None, floor=30)], lease=60)
    wait(61)
    assert store.usage("g", ["c"]) == [(60, 0)]
    wait(DAY - 2)
    assert store.settle("g", "early", [45]) == "late"
    wait(3)
    assert store.settle("g", "late", [45]) == "unknown"
    assert store.usage("g", ["c"]) == [(75, 0)]
    assert store.reserve("g", "late", [Claim("c", 1, None)], lease=60) is None


def test_a_counter_that_is_used_again_lives_on(timed: tuple[Store, Callable[[float], None]]) -> None:
    """For its newest lifetime, however often it would have ended before."""
    store, wait = timed
    for _ in range(5):
        store.add("g", "c", 1, ttl=60)
        wait(40)
    assert store.usage("g", ["c"]) == [(5, 0)]
    wait(21)
    assert store.usage("g", ["c"]) == [(0, 0)]


def test_a_lease_that_ends_after_its_counter_changes_nothing(timed: tuple[Store, Callable[[float], None]]) -> None:
    """The window is over, and nobody asks for it any more."""
    store, wait = timed
    store.reserve("g", "r", [Claim("c", 100, None, floor=30, ttl=10)], lease=60)
    wait(11)
    assert store.usage("g", ["c"]) == [(0, 0)]
    wait(50)
    assert store.usage("g", ["c"]) == [(0, 0)]
    assert store.settle("g", "r", [45]) == "late"
    assert store.usage("g", ["c"]) == [(0, 0)]


def test_a_renewed_lease_ends_at_its_new_time(timed: tuple[Store, Callable[[float], None]]) -> None:
    """Not at the old one, and not later."""
    store, wait = timed
    store.reserve("g", "r", [Claim("c", 100, None)], lease=60)
    wait(50)
    store.renew("g", "r", lease=60)
    wait(50)
    assert store.usage("g", ["c"]) == [(0, 100)]
    wait(11)
    assert store.usage("g", ["c"]) == [(0, 0)]
