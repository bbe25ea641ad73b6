"""What makes no sense is refused with a message that says what would, or does what is written down; it never hangs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import agentprod as ap
from agentprod.stores import MemoryStore
from agentprod.testing import FakeClock
from tests.callers import MODES, Caller, Script

NO_TIMES = [-1, 0, math.nan, True, "5", timedelta(seconds=-1)]


def times() -> dict[str, Callable[[Any], object]]:
    """Return every option that is a time above 0."""
    return {
        "Deadline": ap.Deadline,
        "Timeout attempt": ap.Timeout,
        "Timeout first_token": lambda value: ap.Timeout(first_token=value),
        "Timeout idle": lambda value: ap.Timeout(idle=value),
        "CircuitBreaker window": lambda value: ap.CircuitBreaker(window=value),
        "CircuitBreaker open_for": lambda value: ap.CircuitBreaker(open_for=value),
        "CircuitBreaker max_open_for": lambda value: ap.CircuitBreaker(max_open_for=value),
        "Bulkhead queue_timeout": lambda value: ap.Bulkhead(1, queue=1, queue_timeout=value),
        "Retry max_retry_after": lambda value: ap.Retry(max_retry_after=value),
        "context deadline": lambda value: ap.context(deadline=value),
        "context ttl": lambda value: ap.context(ttl=value),
    }


@pytest.mark.parametrize("value", NO_TIMES, ids=repr)
@pytest.mark.parametrize("option", times())
def test_a_time_is_a_number_of_seconds_above_0(option: str, value: Any) -> None:
    """Negative times, 0, NaN and what is no time are errors that name the option."""
    with pytest.raises(ap.ConfigError, match=re.escape(option)):
        times()[option](value)


@pytest.mark.parametrize("value", [-0.1, math.nan, "1"], ids=repr)
def test_a_wait_may_be_0_but_not_less(value: Any) -> None:
    """No wait at all is a choice; less than none is not."""
    ap.Retry(wait=0)
    ap.RateLimit(requests=1, max_wait=0)
    with pytest.raises(ap.ConfigError, match="Retry wait"):
        ap.Retry(wait=value)
    with pytest.raises(ap.ConfigError, match="RateLimit max_wait"):
        ap.RateLimit(requests=1, max_wait=value)


@pytest.mark.parametrize("count", [0, -3, 1.5, True, "3"], ids=repr)
def test_counts_are_whole_numbers_above_0(count: Any) -> None:
    """Zero attempts and zero slots would be no calls at all."""
    with pytest.raises(ap.ConfigError, match="Retry attempts must be a whole number of at least 1"):
        ap.Retry(attempts=count)
    with pytest.raises(ap.ConfigError, match="Bulkhead max_in_flight must be a whole number of at least 1"):
        ap.Bulkhead(count)
    with pytest.raises(ap.ConfigError, match="min_calls"):
        ap.CircuitBreaker(min_calls=count)


@pytest.mark.parametrize("rate", [0, -0.5, 1.1, math.nan], ids=repr)
def test_shares_lie_between_0_and_1(rate: float) -> None:
    """A breaker that opens at no failures, or at more than all, is none."""
    with pytest.raises(ap.ConfigError, match="failure_rate"):
        ap.CircuitBreaker(failure_rate=rate)


@pytest.mark.parametrize("limit", [-1, 0, math.nan], ids=repr)
def test_limits_are_above_0(limit: float) -> None:
    """A limit of nothing would let every call wait for ever."""
    with pytest.raises(ap.ConfigError, match="RateLimit requests"):
        ap.RateLimit(requests=limit)
    with pytest.raises(ap.ConfigError, match="RateLimit per"):
        ap.RateLimit(requests=1, per=limit)


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
@pytest.mark.parametrize("mode", MODES)
def test_a_cost_above_the_burst_is_served_alone(mode: str, shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits until the bucket is full, goes by itself, and leaves a debt; nobody waits for ever."""
    monkeypatch.setattr(
        "agentprod.stack.default_estimator",
        lambda request, model, text: ap.Usage(len(request.get("prompt", "")), 0, estimated=True),
    )
    clock, caller = FakeClock(), Caller(mode)
    store = MemoryStore(now=clock.monotonic) if shared else None
    limit = ap.RateLimit(input_tokens=100, by="global", store=store)
    fn = caller.decorate(ap.Stack(limit, clock=clock), Script("fine", clock=clock), name="f")
    begun = clock.monotonic()
    for prompt, waited in (("x" * 50, 0), ("x" * 250, 30), ("x" * 10, 30 + 96)):
        assert caller.ask(fn, prompt).value == "fine"
        assert clock.monotonic() - begun == pytest.approx(waited, abs=0.5)
    refusing = ap.Stack(ap.RateLimit(input_tokens=100, by="global", max_wait=0), clock=clock)
    assert caller.ask(caller.decorate(refusing, Script("fine"), name="f"), "x" * 250).value == "fine"


@pytest.mark.parametrize(
    "url", ["redus://:secret@localhost", "", "secret@localhost:6379", "memory", "redis://:secret@host:port"]
)
@pytest.mark.parametrize("layer", ["CircuitBreaker", "RateLimit", "Stack"])
def test_a_store_that_there_is_not(layer: str, url: str) -> None:
    """An unknown URL is an error when the layer is built, and the URL, which may hold a password, is not in it."""
    layers: dict[str, Callable[[], object]] = {
        "CircuitBreaker": lambda: ap.CircuitBreaker(store=url),
        "RateLimit": lambda: ap.RateLimit(requests=1, store=url),
        "Stack": lambda: ap.Stack(ap.CircuitBreaker(), store=url),
    }
    with pytest.raises(ap.ConfigError) as raised:
        layers[layer]()
    assert "secret" not in str(raised.value)


def test_what_is_nothing_of_the_kind() -> None:
    """Objects of other kinds are named by their kind."""
    with pytest.raises(ap.ConfigError, match="budget must be a RetryBudget or None, not int"):
        ap.Retry(budget=5)  # type: ignore[arg-type]
    with pytest.raises(ap.ConfigError, match="slow must be a SlowCalls"):
        ap.CircuitBreaker(slow=3)  # type: ignore[arg-type]
    with pytest.raises(ap.ConfigError, match="by="):
        ap.CircuitBreaker(by="planet")
    with pytest.raises(ap.ConfigError, match="needs a limit"):
        ap.Timeout()
    with pytest.raises(ap.ConfigError, match="Timeout thread must be True or False, not 'x'"):
        ap.Timeout(5, thread="x")  # type: ignore[arg-type]
    with pytest.raises(ap.ConfigError, match="Deadline streams must be True or False, not 'yes'"):
        ap.Deadline(5, streams="yes")  # type: ignore[arg-type]
    with pytest.raises(ap.ConfigError, match="needs a queue"):
        ap.Bulkhead(1, queue_timeout=5)
    with pytest.raises(ap.ConfigError, match="something to limit"):
        ap.RateLimit(sync_headers=False)
