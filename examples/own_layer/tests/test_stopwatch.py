"""The layer's own behaviour, and what agentprod asks of every layer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from agentprod_stopwatch import Stopwatch

import agentprod as ap
from agentprod.testing import FakeClock, conformance


@pytest.mark.parametrize("check", conformance.layer_checks(Stopwatch), ids=str)
def test_it_conforms(check: conformance.Check) -> None:
    """Sync, async and streams, errors, cancellation, many at once."""
    check()


def test_slow_calls_are_told() -> None:
    """By how long the caller waited, retries included."""
    clock, told = FakeClock(), list[str]()
    tries = []

    @ap.Stack(Stopwatch(over=5, tell=told.append), ap.Retry(attempts=2, wait=7), clock=clock)
    def ask() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("down")
        return "up"

    ask()
    ask()
    assert len(told) == 1
    assert told[0].endswith("took 7.0 s: complete")


def test_a_stream_is_told_when_it_ends() -> None:
    """The time to the end counts, not the time to the first item."""
    clock, told = FakeClock(), list[str]()

    @ap.Stack(Stopwatch(over=5, tell=told.append), clock=clock)
    def ask() -> Iterator[str]:
        yield "a"
        clock.advance(9)
        yield "b"

    assert list(ask()) == ["a", "b"]
    assert told[0].endswith("took 9.0 s: complete")


def test_it_says_where_it_belongs() -> None:
    """Inside Retry it would measure attempts."""
    with pytest.warns(ap.OrderWarning, match="Stopwatch belongs outside Retry"):
        ap.Stack(ap.Retry(), Stopwatch())
    with pytest.raises(ap.ConfigError, match="0 or more"):
        Stopwatch(-1)
