"""Retry: what is repeated, after which waits, and when it gives up; by the numbered acceptance scenarios."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from email.utils import formatdate
from typing import Any

import openai
import pytest
import tenacity
from hypothesis import given, settings
from hypothesis import strategies as st

import agentprod as ap
from agentprod.testing import FakeClock
from tests.callers import MODES, STREAMS, Caller, Script, Takes, Told
from tests.sdk_errors import anthropic_error, anthropic_event_error, openai_error, openai_event_error


@pytest.fixture(params=MODES)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return a caller of each kind."""
    return Caller(request.param)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock to move by hand."""
    return FakeClock()


def ask(caller: Caller, clock: FakeClock, *steps: Any, layers: Any = (), **options: Any) -> tuple[Told, Script]:
    """Ask a function that does these steps, behind Retry with these options, once."""
    script = Script(*steps, clock=clock)
    stack = ap.Stack(ap.Retry(**options), *layers, clock=clock)
    return caller.ask(caller.decorate(stack, script, name="f")), script


def reasons(told: Told) -> list[str]:
    """Return why Retry stopped."""
    assert told.meta is not None
    return [note.data["reason"] for note in told.meta.notes if note.event == "stop"]


# The scenarios


def test_scenario_01_two_failures_then_success(caller: Caller, clock: FakeClock) -> None:
    """500, 500, 200: success in three attempts, after waits within [0, 0.5] and [0, 1]."""
    told, script = ask(caller, clock, openai_error(500), openai_error(500), "fine")
    assert (told.value, script.calls) == ("fine", 3)
    first, second = clock.slept
    assert 0 <= first <= 0.5
    assert 0 <= second <= 1


def test_scenario_02_a_failure_that_stays(caller: Caller, clock: FakeClock) -> None:
    """500 for ever: three attempts, the very exception of the provider, and a history of three."""
    error = openai_error(500)
    told, script = ask(caller, clock, error)
    assert told.error is error
    assert script.calls == 3
    assert [attempt.fault for attempt in ap.history(error)] == [ap.Fault.SERVER] * 3
    assert reasons(told) == ["attempts"]


def test_scenario_03_a_rate_limit_with_a_hint(caller: Caller, clock: FakeClock) -> None:
    """429 with retry-after 2: the wait is within [2, 2.2], the account is cool until then, and no breaker counts it."""
    boards: list[Any] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        try:
            return await call_next(call)
        finally:
            boards.append(call.board.cooling(call.target, call.runtime.now()))

    breaker = ap.CircuitBreaker(by="global")
    told, _ = ask(caller, clock, openai_error(429, headers={"retry-after": "2"}), "fine", layers=[breaker, look])
    assert told.value == "fine"
    (wait,) = clock.slept
    assert 2 <= wait <= 2.2
    assert boards == [2, 0]
    counted = breaker.snapshot()["global"]
    assert (counted["state"], counted["calls"], counted["failures"]) == ("closed", 1, 0)


@pytest.mark.parametrize("deadline", [True, False])
def test_scenario_04_a_hint_too_long(caller: Caller, clock: FakeClock, deadline: bool) -> None:
    """429 with retry-after 7200: raised at once, without any sleep, with a deadline of 30 s and without one."""
    error = anthropic_error(429, "rate_limit_error", headers={"retry-after": "7200"})
    script = Script(error, clock=clock)
    before = clock.monotonic()
    layers = [ap.Deadline(30)] if deadline else []
    told = caller.ask(caller.decorate(ap.Stack(*layers, ap.Retry(), clock=clock), script))
    assert told.error is error
    assert (script.calls, clock.slept) == (1, [])
    assert clock.monotonic() - before < 0.01
    assert reasons(told) == ["hint_too_long"]
    assert ap.history(error)[0].retry_after == 7200


def test_scenario_05_milliseconds_win(caller: Caller, clock: FakeClock) -> None:
    """retry-after-ms 150 wins over retry-after 9."""
    ask(caller, clock, openai_error(503, headers={"retry-after-ms": "150", "retry-after": "9"}), "fine")
    assert 0.15 <= clock.slept[0] <= 0.165


def test_scenario_05_a_date(caller: Caller, clock: FakeClock) -> None:
    """A date 3 seconds ahead of the wall clock, wherever that was set, is a wait of 3 seconds."""
    clock.jump_wall(-3600)
    date = formatdate(clock.wall() + 3, usegmt=True)
    ask(caller, clock, openai_error(503, headers={"retry-after": date}), "fine")
    assert 3 <= clock.slept[0] <= 3.3


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_scenario_05_a_hint_that_says_nothing(caller: Caller, clock: FakeClock, value: str) -> None:
    """Unusable hints leave the wait to the usual rule."""
    told, _ = ask(caller, clock, openai_error(500, headers={"retry-after": value}), "fine")
    assert told.value == "fine"
    assert 0 <= clock.slept[0] <= 0.5


def test_scenario_06_a_used_up_quota(caller: Caller, clock: FakeClock) -> None:
    """429 insufficient_quota: exactly one attempt, even where the provider says to retry, or the user its class."""
    error = openai_error(429, code="insufficient_quota", headers={"retry-after": "1", "x-should-retry": "true"})
    told, script = ask(caller, clock, error, on=openai.RateLimitError)
    assert told.error is error
    assert (script.calls, clock.slept, reasons(told)) == (1, [], ["not_retryable"])


def test_scenario_07_the_provider_wants_a_retry(caller: Caller, clock: FakeClock) -> None:
    """400 with `x-should-retry: true` is retried."""
    told, script = ask(caller, clock, openai_error(400, headers={"x-should-retry": "true"}), "fine")
    assert (told.value, script.calls) == ("fine", 2)


def test_scenario_07_the_provider_wants_none(caller: Caller, clock: FakeClock) -> None:
    """500 with `x-should-retry: false` is not retried."""
    told, script = ask(caller, clock, openai_error(500, headers={"x-should-retry": "false"}))
    assert (script.calls, reasons(told)) == (1, ["provider_says_no"])


def test_scenario_08_the_dimension_that_is_used_up(caller: Caller, clock: FakeClock) -> None:
    """Tokens used up for 58 s, 99 requests left for 1 s: the wait is 58 s."""
    headers = {
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "58s",
        "x-ratelimit-remaining-requests": "99",
        "x-ratelimit-reset-requests": "1s",
    }
    ask(caller, clock, openai_error(429, headers=headers), "fine")
    assert 58 <= clock.slept[0] <= 59


def test_scenario_08_milliseconds_of_a_reset(caller: Caller, clock: FakeClock) -> None:
    """`12ms` is 12 milliseconds, and Azure's -1 is nothing."""
    headers = {
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "12ms",
        "x-ratelimit-remaining-requests": "-1",
        "x-ratelimit-reset-requests": "5m",
    }
    ask(caller, clock, openai_error(429, headers=headers), "fine")
    assert 0.012 <= clock.slept[0] <= 0.0132


@pytest.mark.parametrize("mode", STREAMS)
def test_scenario_13_a_stream_without_content(mode: str, clock: FakeClock) -> None:
    """A generator that ends without an item is a success: nothing is retried."""
    told, script = ask(Caller(mode), clock, [])
    assert (told.value, told.error, script.calls) == ("", None, 1)
    assert told.meta is not None
    assert told.meta.attempts[0].outcome == "ok"


@pytest.mark.parametrize("mode", STREAMS)
def test_scenario_14_a_stream_that_dies_before_its_first_item(mode: str, clock: FakeClock) -> None:
    """A stream that fails before its first item is repeated, and the consumer sees one clean stream."""
    told, script = ask(Caller(mode), clock, [ConnectionResetError()], ["a", "b"])
    assert (told.read, script.calls) == (["a", "b"], 2)


@pytest.mark.parametrize("mode", STREAMS)
def test_scenario_10_a_stream_that_dies_after_its_first_item(mode: str, clock: FakeClock) -> None:
    """After the first item nothing is repeated: what came stays, once, and the break is StreamInterrupted."""
    error = ConnectionResetError()
    told, script = ask(Caller(mode), clock, ["a", "b", error], ["never"])
    assert (told.read, script.calls) == (["a", "b"], 1)
    assert isinstance(told.error, ap.StreamInterrupted)
    assert (told.error.partial, told.error.fault, told.error.__cause__) == ("ab", "connection", error)


@pytest.mark.parametrize("mode", ["async", "async_generator"])
@pytest.mark.parametrize("moment", ["call", "backoff"])
def test_scenario_18_a_caller_that_cancels(mode: str, moment: str) -> None:
    """Cancelled in a call or in a wait: CancelledError at once, nothing counted, no further attempt."""
    caller = Caller(mode)
    reached, budget = asyncio.Event(), ap.RetryBudget()
    calls: list[str] = []

    class Slow(FakeClock):
        async def asleep(self, seconds: float) -> None:
            reached.set()
            await asyncio.Event().wait()

    async def work() -> str:
        calls.append("call")
        if moment == "backoff":
            raise openai_error(500)
        reached.set()
        await asyncio.Event().wait()
        return "never"

    async def stream() -> Any:
        yield await work()

    heard: list[ap.Call] = []

    async def keep(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        heard.append(call)
        return await call_next(call)

    made: Any = work if mode == "async" else stream
    fn = ap.Stack(keep, ap.Retry(budget=budget), clock=Slow()).decorate(made, name="f")

    async def read() -> None:
        if caller.streams:
            async for _ in fn():
                pass
        else:
            await fn()

    async def scenario() -> None:
        task = asyncio.create_task(read())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(scenario())
    assert calls == ["call"]
    (call,) = heard
    assert call.ledger.outcome == "abandoned"
    outcomes = [attempt.outcome for attempt in call.ledger.attempts]
    assert outcomes == (["abandoned"] if moment == "call" else ["failed"])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_scenario_18_what_is_no_exception(error: BaseException, clock: FakeClock) -> None:
    """What is not an Exception passes at once, as itself."""
    script = Script(error, clock=clock)
    fn = Caller("sync").decorate(ap.Stack(ap.Retry(on=lambda error: True), clock=clock), script)
    with pytest.raises(type(error)) as raised:
        fn()
    assert raised.value is error
    assert script.calls == 1


def test_scenario_34_a_long_outage(caller: Caller, clock: FakeClock) -> None:
    """1,000 calls in an outage, 4 tries each: at most 1.2 attempts per call; the first is never refused."""
    if caller.is_async:
        pytest.skip("1,000 loops; the budget has no asynchronous part")
    script = Script(openai_error(500), clock=clock)
    fn = caller.decorate(ap.Stack(ap.Retry(attempts=4), clock=clock), script)
    told = [caller.ask(fn) for _ in range(1000)]
    assert 1000 <= script.calls <= 1200
    assert reasons(told[-1]) == ["budget"]
    assert told[-1].meta is not None
    assert len(told[-1].meta.attempts) == 1


def test_scenario_34_recovery(clock: FakeClock) -> None:
    """After the outage successes refill the budget, a fifth of a token each."""
    budget = ap.RetryBudget(20, 0.2)
    caller, down = Caller("sync"), True

    def work() -> str:
        if down:
            raise openai_error(500)
        return "fine"

    fn = ap.Stack(ap.Retry(budget=budget), clock=clock).decorate(work, name="f")
    for _ in range(50):
        assert caller.ask(fn).error is not None
    assert budget.strained
    down = False
    for _ in range(10):
        assert caller.ask(fn).value == "fine"
    down = True
    assert len(ap.history(caller.ask(fn).error or Exception())) == 3
    assert len(ap.history(caller.ask(fn).error or Exception())) == 1


# Sync and async alike

FAILURES = [
    lambda: openai_error(500),
    lambda: openai_error(503),
    lambda: openai_error(429, headers={"retry-after": "3"}),
    lambda: openai_error(429, code="insufficient_quota"),
    lambda: openai_error(400),
    lambda: openai_error(400, headers={"x-should-retry": "true"}),
    lambda: openai_error(409),
    lambda: anthropic_event_error("overloaded_error"),
    lambda: openai_event_error(None, "server_error"),
    TimeoutError,
    ConnectionResetError,
    lambda: ap.RateLimited("x", retry_after=2),
]


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(FAILURES), max_size=5),
    st.integers(1, 5),
    st.integers(0, 2**32),
    st.none() | st.floats(2, 60),
)
def test_every_mode_tells_the_same_story(
    failures: list[Callable[[], Exception]], attempts: int, seed: int, deadline: float | None
) -> None:
    """Sync, async and both streams make the same attempts, wait the same times and end the same way."""
    stories = []
    for mode in MODES:
        clock, caller = FakeClock(), Caller(mode)
        layers: list[Any] = [] if deadline is None else [ap.Deadline(deadline)]
        stack = ap.Stack(*layers, ap.Retry(attempts=attempts, seed=seed), clock=clock)
        script = Script(*(make() for make in failures), "fine", clock=clock)
        told = caller.ask(caller.decorate(stack, script, name="f"))
        stories.append((told.log, clock.slept))
    assert stories[1:] == stories[:1] * 3


@given(
    st.lists(st.sampled_from(FAILURES), min_size=1, max_size=7),
    st.integers(1, 7),
    st.floats(1, 200),
    st.lists(st.floats(0, 20), min_size=1, max_size=7),
)
def test_scenario_54_waits_stay_within_their_bounds(
    failures: list[Callable[[], Exception]], attempts: int, deadline: float, takes: list[float]
) -> None:
    """Every wait is within the rule's bounds, leaves a second for the attempt, and no attempt starts late."""
    clock = FakeClock()
    end = clock.monotonic() + deadline
    steps = [Takes(takes[n % len(takes)], make()) for n, make in enumerate(failures)]
    script = Script(*steps, "fine", clock=clock)
    stack = ap.Stack(ap.Deadline(deadline), ap.Retry(attempts=attempts), clock=clock)
    told = Caller("sync").ask(Caller("sync").decorate(stack, script))
    assert told.meta is not None
    tried = told.meta.attempts
    assert len(tried) <= attempts
    assert all(start + 1 <= end for start in script.started[1:])
    for number, (failed, after) in enumerate(itertools.pairwise(tried)):
        hint = failed.retry_after
        base, cap = (1, 30) if failed.fault in (ap.Fault.RATE_LIMIT, ap.Fault.OVERLOADED) else (0.5, 8)
        low, high = (0.0, min(cap, base * 2**number)) if hint is None else (hint, hint + min(1, hint / 10))
        assert low <= after.backoff <= high
    assert clock.slept == [attempt.backoff for attempt in tried[1:]]


@pytest.mark.parametrize(
    ("make", "base", "cap"),
    [
        (lambda: openai_error(500), 0.5, 8.0),
        (lambda: openai_error(429), 1.0, 30.0),
        (lambda: openai_error(529), 1.0, 30.0),
    ],
    ids=["server", "rate limit", "overload"],
)
def test_waits_use_their_whole_range(make: Callable[[], Exception], base: float, cap: float) -> None:
    """Full jitter: over many calls the waits before each retry spread over all of [0, min(cap, base * 2^n)]."""
    waits: list[list[float]] = [[] for _ in range(7)]
    for seed in range(200):
        clock = FakeClock()
        ask(Caller("sync"), clock, make(), attempts=8, seed=seed, budget=None)
        for kept, wait in zip(waits, clock.slept, strict=True):
            kept.append(wait)
    for number, kept in enumerate(waits):
        top = min(cap, base * 2**number)
        assert max(kept) <= top
        assert max(kept) > 0.9 * top
        assert min(kept) < 0.1 * top


def test_a_very_long_series(clock: FakeClock) -> None:
    """The wait stays at its cap however many attempts there are."""
    ask(Caller("sync"), clock, openai_error(500), attempts=1200, budget=None)
    assert len(clock.slept) == 1199
    assert max(clock.slept) <= 8


# What is repeated


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (openai_error(500), 3),
        (openai_error(429), 3),
        (openai_error(529), 3),
        (openai_error(408), 3),
        (openai_error(409), 3),
        (openai_event_error(None, "server_error"), 3),
        (anthropic_event_error("overloaded_error"), 3),
        (ConnectionResetError(), 3),
        (TimeoutError(), 3),
        (ap.CallTimeout("x"), 3),
        (ap.StreamInterrupted("x", fault="truncated"), 3),
        (openai_error(400), 1),
        (openai_error(401), 1),
        (openai_error(402), 1),
        (openai_error(404), 1),
        (openai_error(400, code="context_length_exceeded", message="too long"), 1),
        (openai_error(400, code="content_filter", message="filtered"), 1),
        (ap.CircuitOpen("x", retry_after=1), 1),
        (ap.BudgetExceeded("x"), 1),
        (ap.DeadlineExceeded("x"), 1),
        (ValueError("x"), 1),
    ],
    ids=lambda value: f"{type(value).__name__} {value}"[:90] if isinstance(value, Exception) else "",
)
def test_the_fault_table_decides(error: Exception, calls: int, clock: FakeClock) -> None:
    """What another try may cure is repeated, the rest is raised at once."""
    told, script = ask(Caller("sync"), clock, error)
    assert script.calls == calls
    assert told.error is error


class Odd(Exception):
    """An exception of the user's."""


class Odder(Odd):
    """A kind of it."""


ADDED: dict[str, Any] = {
    "its class": Odd,
    "a base of its": Exception,
    "several": [KeyError, Odd],
    "a set": {KeyError, Odd},
    "a tuple": (KeyError, Odd),
    "its kind": ap.Fault.UNKNOWN,
    "a predicate": lambda error: "odd" in str(error),
    "tenacity's type": tenacity.retry_if_exception_type(Odd),
    "tenacity's predicate": tenacity.retry_if_exception(lambda error: isinstance(error, Odd)),
    "tenacity's message": tenacity.retry_if_exception_message(match="odd"),
    "tenacity's combination": tenacity.retry_if_exception_type(KeyError) | tenacity.retry_if_exception_type(Odd),
    "tenacity's negation": tenacity.retry_if_not_exception_type(KeyError),
}


@pytest.mark.parametrize("on", ADDED.values(), ids=ADDED)
def test_on_adds_to_the_table(on: Any, caller: Caller, clock: FakeClock) -> None:
    """`on=` takes types, kinds, predicates and tenacity's conditions, one or several; the table still holds."""
    told, script = ask(caller, clock, Odder("odd"), "fine", on=on)
    assert (told.value, script.calls) == ("fine", 2)
    told, script = ask(caller, clock, openai_error(500), "fine", on=on)
    assert (told.value, script.calls) == ("fine", 2)


@pytest.mark.parametrize(
    "on",
    [KeyError, ap.Fault.AUTH, lambda error: False, tenacity.retry_if_exception_type(KeyError), tenacity.retry_never],
)
def test_on_that_does_not_match(on: Any, clock: FakeClock) -> None:
    """What `on=` does not name is as before."""
    _, script = ask(Caller("sync"), clock, ValueError("x"), on=on)
    assert script.calls == 1


def test_a_kind_of_the_stack_s_own_classifier(caller: Caller, clock: FakeClock) -> None:
    """A stack that was taught an exception retries it by its kind."""
    script = Script(Odd("x"), "fine", clock=clock)
    stack = ap.Stack(ap.Retry(), clock=clock, classify=lambda e: ap.Fault.OVERLOADED if isinstance(e, Odd) else None)
    assert caller.ask(caller.decorate(stack, script)).value == "fine"


def test_an_unknown_exception_is_told_of_once(clock: FakeClock) -> None:
    """An exception nobody knows is not retried, and a warning says how to; once per kind, at the caller's line."""
    retry = ap.Retry()
    script = Script(Odd("x"), Odd("x"), Odder("x"), clock=clock)
    fn = Caller("sync").decorate(ap.Stack(retry, clock=clock), script)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = sys._getframe().f_lineno + 3
        for _ in range(3):
            with pytest.raises(Odd):
                fn()
    assert script.calls == 3
    assert [str(warning.message) for warning in caught] == [
        "Retry does not know Odd and does not retry it; write Retry(on=Odd) if it should",
        "Retry does not know Odder and does not retry it; write Retry(on=Odder) if it should",
    ]
    assert {(warning.filename, warning.lineno) for warning in caught} == {(__file__, line)}


# Functions with effects


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (openai_error(429), 3),
        (openai_error(529), 3),
        (ConnectionRefusedError(), 3),
        (openai_error(500), 1),
        (openai_error(500, message="retry", headers={"x-should-retry": "true"}), 1),
        (ConnectionResetError(), 1),
        (TimeoutError(), 1),
        (Odd("x"), 1),
    ],
    ids=lambda value: f"{type(value).__name__} {value}"[:90] if isinstance(value, Exception) else "",
)
def test_effects_are_not_repeated(error: Exception, calls: int, clock: FakeClock) -> None:
    """With `idempotent=False` only what is known to precede the effect is repeated, whatever `on` and headers say."""
    told, script = ask(Caller("sync"), clock, error, idempotent=False, on=Exception)
    assert script.calls == calls
    if calls == 1:
        assert reasons(told) == ["not_idempotent"]


# Results


def test_on_result(caller: Caller, clock: FakeClock) -> None:
    """A reply that the predicate refuses is discarded and asked for again; the last one stays, good or bad."""
    ended: list[str] = []

    async def watch(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        reply.on_end(lambda end: ended.append(end.outcome))
        return reply

    def bad(reply: ap.Reply) -> bool:
        return reply.text.startswith("bad")

    told, script = ask(caller, clock, "bad", "bad", "good", on_result=bad, layers=[watch])
    assert (told.value, script.calls) == ("good", 3)
    assert ended == ["discarded", "discarded", "complete"]
    assert 0 <= clock.slept[0] <= 0.5
    told, script = ask(caller, clock, "bad", on_result=bad)
    assert (told.value, script.calls) == ("bad", 3)


def test_on_result_within_budget_and_deadline(caller: Caller, clock: FakeClock) -> None:
    """A refused reply is better than none: it stays when budget or deadline leave no room for another."""
    told, script = ask(caller, clock, "bad", on_result=lambda reply: True, budget=ap.RetryBudget(1))
    assert (told.value, script.calls) == ("bad", 2)
    script = Script(Takes(9.5, "bad"), clock=clock)
    stack = ap.Stack(ap.Deadline(10), ap.Retry(on_result=lambda reply: True), clock=clock)
    assert caller.ask(caller.decorate(stack, script)).value == "bad"
    assert script.calls == 1


def test_on_result_that_fails(caller: Caller, clock: FakeClock) -> None:
    """A predicate that raises does not leave the reply open: it is discarded, and the error is the caller's."""
    ended: list[str] = []

    async def watch(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        reply.on_end(lambda end: ended.append(end.outcome))
        return reply

    def broken(reply: ap.Reply) -> bool:
        raise KeyError("bug")

    told, script = ask(caller, clock, "x", on_result=broken, layers=[watch])
    assert isinstance(told.error, KeyError)
    assert (script.calls, ended) == (1, ["discarded"])


# Waits and stops of one's own


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        (2, [2, 2, 2]),
        (0, [0, 0, 0]),
        (timedelta(seconds=1.5), [1.5, 1.5, 1.5]),
        (tenacity.wait_fixed(3), [3, 3, 3]),
        (tenacity.wait_exponential(multiplier=1, max=3), [1, 2, 3]),
        (tenacity.wait_incrementing(1, 2), [1, 3, 5]),
        (tenacity.wait_chain(tenacity.wait_fixed(1), tenacity.wait_fixed(4)), [1, 4, 4]),
        (tenacity.wait_fixed(1) + tenacity.wait_fixed(2), [3, 3, 3]),
        (tenacity.wait_none(), [0, 0, 0]),
        (lambda number: 10 * number, [10, 20, 30]),
        (lambda number: -1, [0, 0, 0]),
    ],
)
def test_waits_of_one_s_own(caller: Caller, clock: FakeClock, wait: Any, expected: list[float]) -> None:
    """`wait=` takes seconds, tenacity's strategies, and callables of the attempt's number."""
    told, _ = ask(caller, clock, openai_error(500), wait=wait, attempts=4)
    assert told.error is not None
    assert clock.slept == expected


def test_a_longer_hint_wins_over_a_wait_of_one_s_own(clock: FakeClock) -> None:
    """The provider's word is a lower bound for any wait."""
    ask(Caller("sync"), clock, openai_error(429, headers={"retry-after": "7"}), "fine", wait=2)
    ask(Caller("sync"), clock, openai_error(429, headers={"retry-after": "1"}), "fine", wait=2)
    assert clock.slept == [7, 2]


def test_tenacity_reads_the_failure(clock: FakeClock) -> None:
    """A strategy sees the exception, the attempt's number and the time since the call began."""
    seen: list[Any] = []

    class Looks(tenacity.wait.wait_base):
        def __call__(self, retry_state: tenacity.RetryCallState) -> float:
            assert retry_state.outcome is not None
            error = retry_state.outcome.exception()
            seen.append(
                (type(error), retry_state.attempt_number, retry_state.seconds_since_start, retry_state.idle_for)
            )
            return 2

    ask(Caller("sync"), clock, Takes(3, openai_error(500)), Takes(4, TimeoutError()), "fine", wait=Looks())
    assert seen == [(openai.InternalServerError, 1, 3, 0), (TimeoutError, 2, 9, 2)]


@pytest.mark.parametrize(
    ("stop", "calls"),
    [
        (tenacity.stop_after_attempt(2), 2),
        (tenacity.stop_after_delay(5), 3),
        (tenacity.stop_before_delay(5), 2),
        (tenacity.stop_after_attempt(4) | tenacity.stop_after_delay(3), 2),
        (tenacity.stop_never, 9),
    ],
    ids=["attempt", "delay", "before delay", "combination", "never"],
)
def test_stops_of_tenacity(caller: Caller, clock: FakeClock, stop: Any, calls: int) -> None:
    """`stop=` may end the series earlier than `attempts`, and never later."""
    told, script = ask(caller, clock, Takes(1, openai_error(500)), wait=2, attempts=9, stop=stop)
    assert script.calls == calls
    assert reasons(told) == ["attempts" if calls == 9 else "stop"]


@pytest.mark.parametrize(("longest", "calls"), [(5, 1), (7, 2), (timedelta(seconds=6), 2)])
def test_max_retry_after(caller: Caller, clock: FakeClock, longest: Any, calls: int) -> None:
    """A provider that asks for more than `max_retry_after` is not waited for."""
    error = openai_error(429, headers={"retry-after": "6"})
    told, script = ask(caller, clock, error, "fine", max_retry_after=longest)
    assert script.calls == calls
    assert reasons(told) == (["hint_too_long"] if calls == 1 else [])


# Deadlines


def test_no_wait_past_the_deadline(caller: Caller, clock: FakeClock) -> None:
    """A wait that leaves less than a second for the attempt is not begun: the provider's error is raised now."""
    error = openai_error(429, headers={"retry-after": "9.5"})
    script = Script(error, clock=clock)
    told = caller.ask(caller.decorate(ap.Stack(ap.Deadline(10), ap.Retry(), clock=clock), script))
    assert told.error is error
    assert (script.calls, clock.slept, reasons(told)) == (1, [], ["deadline"])


# Probes


def test_wait_for_probe(caller: Caller, clock: FakeClock) -> None:
    """An open circuit is not retried; with `wait_for_probe` its next probe is waited for, where it fits."""
    opened = ap.CircuitOpen("open", retry_after=12)
    for options, calls, slept in (({}, 1, 0), ({"wait_for_probe": True}, 2, 1)):
        answers: list[Any] = [opened, None]
        clock = FakeClock()

        async def breaker(call: ap.Call, call_next: ap.CallNext, answers: list[Any] = answers) -> ap.Reply:
            answer = answers.pop(0)
            if answer is not None:
                raise answer
            return await call_next(call)

        told, script = ask(caller, clock, "fine", layers=[breaker], **options)
        assert len(answers) == 2 - calls
        assert len(clock.slept) == slept
        assert all(12 <= wait <= 13 for wait in clock.slept)
        assert script.calls == calls - 1
        assert told.error is (opened if calls == 1 else None)


@pytest.mark.parametrize(
    "error",
    [
        ap.CircuitOpen("open"),
        ap.RateLimited("full", retry_after=1),
        ap.CircuitOpen("open", retry_after=100),
    ],
    ids=["no time known", "another refusal", "too long"],
)
def test_wait_for_probe_that_does_not_help(clock: FakeClock, error: Exception) -> None:
    """Without a time to wait, for another refusal, or past the deadline there is nothing to wait for."""
    script = Script(error, clock=clock)
    stack = ap.Stack(ap.Deadline(50), ap.Retry(wait_for_probe=True), clock=clock)
    told = Caller("sync").ask(Caller("sync").decorate(stack, script))
    assert (told.error, script.calls, clock.slept) == (error, 1, [])


# Options


def test_one_attempt_is_no_retry(caller: Caller, clock: FakeClock) -> None:
    """`attempts=1` tries once."""
    told, script = ask(caller, clock, openai_error(500), attempts=1)
    assert (script.calls, reasons(told)) == (1, ["attempts"])


def test_a_seed_repeats_the_waits() -> None:
    """The same seed waits the same times; without one, two series differ."""

    def waits(**options: Any) -> list[float]:
        clock = FakeClock()
        ask(Caller("sync"), clock, openai_error(500), attempts=6, **options)
        return clock.slept

    assert waits(seed=7) == waits(seed=7)
    assert waits() != waits()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attempts": 0}, "Retry attempts must be a whole number of at least 1, not 0"),
        ({"attempts": 2.5}, "Retry attempts must be a whole number of at least 1, not 2.5"),
        ({"attempts": True}, "Retry attempts must be a whole number of at least 1, not True"),
        ({"wait": -1}, "Retry wait must be at least 0 seconds, not -1"),
        ({"wait": "2"}, "Retry wait must be seconds as a number or timedelta, not str"),
        ({"max_retry_after": 0}, "Retry max_retry_after must be more than 0 seconds, not 0"),
        ({"stop": 3}, r"Retry stop must be one of tenacity's stop_\* objects"),
        ({"on_result": 3}, r"Retry on_result must be a predicate \(reply\) -> bool"),
        ({"budget": 20}, "Retry budget must be a RetryBudget or None, not int"),
        ({"on": 429}, r"Retry on= takes exception types, ap.Fault members, predicates .* not 429"),
        ({"on": None}, "not None"),
        ({"on": [KeyError, "KeyError"]}, "not 'KeyError'"),
        ({"on": int}, "not <class 'int'>"),
        ({"on": ap.Fault.QUOTA}, "Retry never repeats quota: another try cannot help"),
        ({"on": ap.Fault.REJECTED}, "Retry never repeats rejected"),
        ({"on": ap.Fault.CANCELLED}, "Retry never repeats cancelled"),
        ({"on": KeyboardInterrupt}, "Retry never repeats KeyboardInterrupt"),
        ({"on": asyncio.CancelledError}, "Retry never repeats CancelledError"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    """A bad option is refused when the layer is built, with what is allowed."""
    with pytest.raises(ap.ConfigError, match=message):
        ap.Retry(**options)


def test_help_shows_what_the_options_are() -> None:
    """A default that is made for each layer reads as it would be written."""
    assert "budget: 'RetryBudget | None' = RetryBudget()" in str(inspect.signature(ap.Retry))


@pytest.mark.parametrize("own", [2, 0, None, True, "many"])
def test_scenario_23_an_object_that_retries_by_itself(own: Any) -> None:
    """A method of an object with `max_retries` above 0 brings one warning, once, and works all the same."""

    class Client:
        def __init__(self, max_retries: Any) -> None:
            self.max_retries = max_retries

        def ask(self, prompt: str) -> str:
            return prompt

    retry = ap.Retry()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for method in (Client(own).ask, functools.partial(Client(own).ask, "hi"), Client(own).ask):
            decorated = ap.Stack(retry).decorate(method)
            assert decorated("hi") == "hi" if method.__class__ is not functools.partial else decorated() == "hi"
        ap.Stack(ap.Retry(attempts=1)).decorate(Client(own).ask)
        ap.Stack(retry).decorate(lambda: "fine", name="f")
    told = [str(each.message) for each in caught if issubclass(each.category, ap.AgentprodWarning)]
    assert len(told) == (1 if own == 2 and own is not True else 0)
    if told:
        assert "Client" in told[0]
        assert "make it with max_retries=0" in told[0]
        assert caught[0].filename == __file__
