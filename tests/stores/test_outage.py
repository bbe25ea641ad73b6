"""The small circuit in front of a store."""

from __future__ import annotations

import pytest

from agentprod.stores import StoreUnavailable
from agentprod.stores.outage import Outage
from tests.stores.conftest import Clock


def refused(outage: Outage) -> float:
    with pytest.raises(StoreUnavailable, match="is down") as caught:
        outage.check()
    return caught.value.retry_after


def test_three_failures_in_a_row_are_an_outage() -> None:
    """Until then every operation is tried; after it none is, and the error tells for how long."""
    clock = Clock()
    outage = Outage("x", now=clock)
    for _ in range(3):
        outage.check()
        outage.failed()
    assert refused(outage) == pytest.approx(0.2)


def test_failures_that_are_not_in_a_row_are_none() -> None:
    """An answer in between begins the count anew."""
    outage = Outage("x", now=Clock())
    for _ in range(5):
        outage.failed()
        outage.failed()
        outage.worked()
    outage.check()


def test_one_operation_at_a_time_looks_whether_it_is_over() -> None:
    """The others stay refused while it looks, and for longer when it fails."""
    clock = Clock()
    outage = Outage("x", now=clock)
    for _ in range(3):
        outage.failed()
    waits = []
    for _ in range(7):
        waits.append(round(refused(outage), 6))
        clock.move(waits[-1] + 1e-6)
        outage.check()
        assert refused(outage) > 0
        outage.failed()
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    clock.move(5.1)
    outage.check()
    outage.worked()
    outage.check()
    outage.check()


def test_a_look_that_never_tells_is_followed_by_another() -> None:
    """A cancelled operation says neither that it worked nor that it failed."""
    clock = Clock()
    outage = Outage("x", now=clock)
    for _ in range(3):
        outage.failed()
    clock.move(0.3)
    outage.check()
    clock.move(0.3)
    outage.check()
