"""Time limits of attempts, streams and whole calls."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentprod as ap
from agentprod.testing import FakeClock
from tests.callers import MODES, STREAMS, Caller, Script, Takes, Told
from tests.sdk_errors import openai_error

ENDED = ("async", *STREAMS)
"""Kinds whose waits can be ended, or looked at when they end."""


@pytest.fixture(params=MODES)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return a caller of each kind."""
    return Caller(request.param)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock to move by hand."""
    return FakeClock()


def ask(mode: str, clock: FakeClock, layers: list[Any], *steps: Any) -> tuple[Told, Script]:
    """Ask a function that does these steps, behind these layers, once."""
    caller, script = Caller(mode), Script(*steps, clock=clock)
    return caller.ask(caller.decorate(ap.Stack(*layers, clock=clock), script, name="f")), script


# Attempts


@pytest.mark.parametrize("mode", ENDED)
def test_an_attempt_that_takes_too_long(mode: str, clock: FakeClock) -> None:
    """An attempt past its limit is CallTimeout: a timeout of its own, that names layer, limit and what to do."""
    told, _ = ask(mode, clock, [ap.Timeout(5)], Takes(9, "late"))
    error = told.error
    assert isinstance(error, ap.CallTimeout)
    assert isinstance(error, TimeoutError)
    assert (error.layer, error.target, error.limit, error.phase) == ("Timeout", "f", 5, "attempt")
    assert str(error).startswith("f did not finish within 5 s")
    assert "raise Timeout(attempt=…)" in str(error)
    assert [attempt.fault for attempt in ap.history(error)] == [ap.Fault.TIMEOUT]


@pytest.mark.parametrize("mode", ENDED)
def test_a_late_attempt_is_tried_again(mode: str, clock: FakeClock) -> None:
    """Inside Retry each attempt has the limit of its own."""
    told, script = ask(mode, clock, [ap.Retry(wait=1), ap.Timeout(5)], Takes(9, "late"), Takes(4, "fine"))
    assert (told.value, script.calls) == ("fine", 2)


def test_an_attempt_in_time(caller: Caller, clock: FakeClock) -> None:
    """Within the limit nothing is felt of it."""
    told, _ = ask(caller.mode, clock, [ap.Timeout(5, thread=True)], Takes(4.9, "fine"))
    assert told.value == "fine"


def test_an_error_in_time(caller: Caller, clock: FakeClock) -> None:
    """The function's own error is the call's."""
    error = openai_error(400)
    told, _ = ask(caller.mode, clock, [ap.Deadline(9), ap.Timeout(5, idle=3, thread=True)], error)
    assert told.error is error


@pytest.mark.parametrize("error", [TimeoutError("mine"), ap.CallTimeout("mine"), ap.DeadlineExceeded("mine")])
def test_a_timeout_of_the_function_s_own(caller: Caller, clock: FakeClock, error: Exception) -> None:
    """A TimeoutError that the function raises before any limit has passed is passed on as itself."""
    told, _ = ask(caller.mode, clock, [ap.Deadline(9), ap.Timeout(5, thread=True)], error)
    assert told.error is error


def test_of_two_limits_the_tighter_holds(clock: FakeClock) -> None:
    """Two Timeouts in a stack are one, with the tighter of each limit."""
    layers = [ap.Timeout(9, first_token=2), ap.Timeout(5, idle=3)]
    told, _ = ask("generator", clock, layers, ["a", Takes(4), "b"])
    assert told.read == ["a"]
    assert isinstance(told.error, ap.StreamInterrupted)
    told, _ = ask("generator", clock, layers, Takes(2.5, "a"))
    assert isinstance(told.error, ap.CallTimeout)
    assert told.error.phase == "first_token"


# Scenarios


@pytest.mark.parametrize("thread", [True, False])
def test_scenario_16_a_plain_function_that_never_answers(thread: bool) -> None:
    """On a thread the wait for a sync function ends at its limit, and is tried again; without one it is refused."""
    release, calls = threading.Event(), []

    def hangs() -> str:
        calls.append(1)
        if len(calls) == 1:
            release.wait()
        return "fine"

    stack = ap.Stack(ap.Retry(wait=0), ap.Timeout(0.05, thread=thread))
    if not thread:
        with pytest.raises(
            ap.ConfigError, match=r"cannot end .*hangs, a synchronous function: write Timeout\(…, thread=True\)"
        ):
            stack.decorate(hangs)
        return
    try:
        assert stack.decorate(hangs)() == "fine"
    finally:
        release.set()
    assert len(calls) == 2


@pytest.mark.parametrize("mode", ["async", "async_generator"])
@pytest.mark.parametrize("outer_first", [True, False])
def test_scenario_19_an_outer_timeout_at_the_same_tick_wins(mode: str, outer_first: bool, clock: FakeClock) -> None:
    """When somebody else cancels in the very tick our limit passes, theirs is what the caller sees."""
    tasks: list[asyncio.Task[Any]] = []

    def cancel() -> None:
        asyncio.get_running_loop().call_soon(tasks[0].cancel, "outer")

    async def work() -> str:
        if not outer_first:
            clock.call_at(clock.monotonic() + 5, cancel)
        clock.advance(5)
        await asyncio.sleep(0)
        await asyncio.Event().wait()
        return "never"

    async def stream() -> AsyncIterator[str]:
        yield await work()

    made: Any = work if mode == "async" else stream
    fn = ap.Stack(ap.Retry(), ap.Timeout(5), clock=clock).decorate(made)

    async def read() -> None:
        tasks.append(asyncio.current_task())  # type: ignore[arg-type]
        if outer_first:
            clock.call_at(clock.monotonic() + 5, cancel)
        if mode == "async":
            await fn()
        else:
            await anext(fn())

    async def scenario() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(read())

    asyncio.run(scenario())


@pytest.mark.parametrize("mode", ["async", "async_generator"])
def test_scenario_19_our_own_limit_is_a_timeout(mode: str, clock: FakeClock) -> None:
    """Our own limit alone is CallTimeout, and the task around it is not cancelled."""
    caller = Caller(mode)
    script = Script(Takes(9, "late"), clock=clock)
    fn = caller.decorate(ap.Stack(ap.Timeout(5), clock=clock), script)

    async def scenario() -> int:
        with pytest.raises(ap.CallTimeout):
            if mode == "async":
                await fn()
            else:
                await anext(fn())
        task = asyncio.current_task()
        assert task is not None
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        return task.cancelling()

    assert asyncio.run(scenario()) == 0


@pytest.mark.parametrize("mode", ENDED)
def test_scenario_20_attempts_share_a_deadline(mode: str, clock: FakeClock) -> None:
    """Deadline 10 s, attempts of 6 s: the second is ended by the deadline, chained to the first one's error."""
    error = openai_error(500)
    layers = [ap.Deadline(10), ap.Retry(wait=1)]
    told, script = ask(mode, clock, layers, Takes(6, error), Takes(6, "late"))
    assert isinstance(told.error, ap.DeadlineExceeded)
    assert isinstance(told.error, TimeoutError)
    assert told.error.__cause__ is error
    assert script.calls == 2
    assert [attempt.fault for attempt in ap.history(told.error)] == [ap.Fault.SERVER, ap.Fault.REJECTED]
    assert "Allow more time with Deadline(…)" in str(told.error)


def test_scenario_20_time_that_jumps(clock: FakeClock) -> None:
    """A loop that stood still passes attempt and deadline at once: the first real error is the cause all the same."""
    error = openai_error(500)
    errors: list[Any] = [error]

    async def work() -> str:
        if errors:
            raise errors.pop()
        clock.advance(20)
        await asyncio.Event().wait()
        return "never"

    told = Caller("async").ask(ap.Stack(ap.Deadline(10), ap.Retry(wait=1), clock=clock).decorate(work))
    assert isinstance(told.error, ap.DeadlineExceeded)
    assert told.error.__cause__ is error


def test_scenario_20_no_attempt_starts_after_the_deadline(caller: Caller, clock: FakeClock) -> None:
    """A layer that calls on after the deadline gets DeadlineExceeded, chained to the last real error."""
    errors = [openai_error(500), openai_error(503)]

    async def stubborn(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        while True:
            try:
                return await call_next(call)
            except ap.DeadlineExceeded:
                raise
            except Exception:
                clock.advance(3)

    told, script = ask(caller.mode, clock, [ap.Deadline(5), stubborn], *errors, "never")
    assert isinstance(told.error, ap.DeadlineExceeded)
    assert told.error.__cause__ is errors[1]
    assert "before an attempt could start" in str(told.error)
    assert script.calls == 2


def test_scenario_20_a_deadline_without_an_error_before_it(clock: FakeClock) -> None:
    """A first attempt that the deadline ends has no cause to name."""
    told, _ = ask("async", clock, [ap.Deadline(5)], Takes(9, "late"))
    assert isinstance(told.error, ap.DeadlineExceeded)
    assert told.error.__cause__ is None


@given(st.floats(1, 60), st.lists(st.floats(0, 30), min_size=1, max_size=5))
@settings(max_examples=50)
def test_scenario_20_any_attempts_within_any_deadline(deadline: float, takes: list[float]) -> None:
    """No attempt starts after the deadline, whatever attempts take; sync and async agree when each ends in time."""
    for mode in ("sync", "async"):
        clock = FakeClock()
        end = clock.monotonic() + deadline
        steps = [Takes(seconds, openai_error(500)) for seconds in takes]
        told, script = ask(mode, clock, [ap.Deadline(deadline), ap.Retry(attempts=5, seed=1)], *steps)
        assert all(start < end for start in script.started)
        assert told.error is not None


@pytest.mark.parametrize(("outer", "inner"), [(5, 30), (30, 5)])
def test_scenario_21_the_earlier_of_two_deadlines_holds(
    caller: Caller, clock: FakeClock, outer: int, inner: int
) -> None:
    """`Deadline(30)` inside `Deadline(5)` leaves 5 s, and the other way round; a context's counts as well."""
    left: list[float] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        assert call.deadline is not None
        left.append(call.deadline - call.runtime.now())
        return await call_next(call)

    ask(caller.mode, clock, [ap.Deadline(outer), ap.Deadline(inner), look], "x")
    with ap.context(deadline=outer):
        ask(caller.mode, clock, [ap.Deadline(inner), look], "x")
    assert left == [5, pytest.approx(5, abs=0.2)]


# Whole calls


def test_a_deadline_bounds_the_waits_of_layers(clock: FakeClock) -> None:
    """A layer that waits too long in an async call is ended by the deadline itself."""
    reached = asyncio.Event()

    async def waits(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reached.set()
        clock.advance(6)
        await asyncio.Event().wait()
        return await call_next(call)

    told, script = ask("async", clock, [ap.Deadline(5), waits], "never")
    assert isinstance(told.error, ap.DeadlineExceeded)
    assert "after 0 attempts" in str(told.error)
    assert script.calls == 0


def test_a_deadline_that_passes_while_a_layer_waits_after_an_attempt(clock: FakeClock) -> None:
    """What the deadline ends after a failed attempt names that attempt's error as its cause."""
    error = openai_error(500)

    async def waits(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        try:
            return await call_next(call)
        except Exception:
            clock.advance(6)
            await asyncio.Event().wait()
            raise

    told, _ = ask("async", clock, [ap.Deadline(5), waits], error)
    assert isinstance(told.error, ap.DeadlineExceeded)
    assert told.error.__cause__ is error
    assert "after 1 attempt." in str(told.error)


def test_a_sync_deadline_is_cooperative(clock: FakeClock) -> None:
    """A plain sync function cannot be stopped: a late answer is an answer, a late failure is raised as itself."""
    told, _ = ask("sync", clock, [ap.Deadline(5), ap.Retry()], Takes(9, "late"))
    assert told.value == "late"
    error = openai_error(500)
    told, script = ask("sync", clock, [ap.Deadline(5), ap.Retry()], Takes(9, error))
    assert (told.error, script.calls) == (error, 1)


def test_a_deadline_ends_a_sync_function_on_a_thread() -> None:
    """With `Timeout(thread=True)` inside, the deadline ends the wait for a sync function, too."""
    release = threading.Event()

    def hangs() -> None:
        release.wait()

    fn = ap.Stack(ap.Deadline(0.05), ap.Timeout(60, thread=True)).decorate(hangs)
    try:
        with pytest.raises(ap.DeadlineExceeded):
            fn()
    finally:
        release.set()


# Streams


@pytest.mark.parametrize("mode", STREAMS)
def test_the_first_token(mode: str, clock: FakeClock) -> None:
    """`first_token` bounds the wait for a stream's first item, and nothing after it."""
    told, _ = ask(mode, clock, [ap.Timeout(first_token=5)], ["a", Takes(100), "b"])
    assert told.value == "ab"
    told, script = ask(mode, clock, [ap.Retry(wait=0), ap.Timeout(first_token=5)], Takes(6, "late"), ["a"])
    assert (told.value, script.calls) == ("a", 2)
    told, _ = ask(mode, clock, [ap.Timeout(first_token=5)], Takes(6, "late"))
    assert isinstance(told.error, ap.CallTimeout)
    assert (told.error.phase, told.error.limit) == ("first_token", 5)
    assert "sent no content within 5 s" in str(told.error)


@pytest.mark.parametrize("mode", STREAMS)
def test_an_idle_stream(mode: str, clock: FakeClock) -> None:
    """`idle` bounds every wait between items: a silent stream is interrupted, a slow one is not."""
    told, _ = ask(mode, clock, [ap.Timeout(idle=5)], ["a", Takes(4), "b", Takes(4), "c"])
    assert told.value == "abc"
    told, script = ask(mode, clock, [ap.Retry(wait=0), ap.Timeout(idle=5)], ["a", Takes(6), "b"])
    assert (told.read, script.calls) == (["a"], 1)
    error = told.error
    assert isinstance(error, ap.StreamInterrupted)
    assert (error.partial, error.fault) == ("a", "idle")
    cause = error.__cause__
    assert isinstance(cause, ap.CallTimeout)
    assert (cause.phase, cause.limit) == ("idle", 5)
    assert "f sent nothing for 5 s after 1 characters of text" in str(cause)


@pytest.mark.parametrize("mode", STREAMS)
def test_scenario_15_a_minute_of_silence(mode: str, clock: FakeClock) -> None:
    """With idle=60, 61 s without a word are too many; five minutes with a sign of life every 20 s are none."""
    told, _ = ask(mode, clock, [ap.Timeout(idle=60)], ["a", Takes(59), "b", Takes(61), "c"])
    assert isinstance(told.error, ap.StreamInterrupted)
    assert (told.read, told.error.fault) == (["a", "b"], "idle")
    signs = [step for _ in range(15) for step in (Takes(20), "")]
    begun = clock.monotonic()
    told, _ = ask(mode, clock, [ap.Timeout(idle=60)], ["a", *signs, "b"])
    assert (told.value, told.error) == ("ab", None)
    assert clock.monotonic() - begun == 300


@pytest.mark.parametrize("mode", STREAMS)
def test_idle_bounds_the_first_item_where_nothing_else_does(mode: str, clock: FakeClock) -> None:
    """Without `first_token`, `idle` holds from the start, and is retried before the first item."""
    told, script = ask(mode, clock, [ap.Retry(wait=0), ap.Timeout(idle=5)], Takes(6, "late"), ["a"])
    assert (told.value, script.calls) == ("a", 2)
    told, script = ask(mode, clock, [ap.Retry(wait=0), ap.Timeout(idle=5, first_token=9)], Takes(6, "fine"))
    assert (told.value, script.calls) == ("fine", 1)


@pytest.mark.parametrize("mode", STREAMS)
def test_an_attempt_limit_of_a_stream(mode: str, clock: FakeClock) -> None:
    """`attempt` bounds the wait for a stream's first item: a stream that goes on for hours is no timeout."""
    told, _ = ask(mode, clock, [ap.Timeout(5)], ["a", Takes(3600), "b"])
    assert told.value == "ab"


@pytest.mark.parametrize("mode", STREAMS)
@pytest.mark.parametrize("streams", [True, False])
def test_a_deadline_and_a_stream(mode: str, streams: bool, clock: FakeClock) -> None:
    """A deadline bounds a stream until its first item; its whole life only with `streams=True`."""
    told, _ = ask(mode, clock, [ap.Deadline(5, streams=streams)], ["a", Takes(6), "b"])
    if not streams:
        assert told.value == "ab"
        return
    assert told.read == ["a"]
    assert isinstance(told.error, ap.StreamInterrupted)
    assert told.error.fault == "rejected"
    assert isinstance(told.error.__cause__, ap.DeadlineExceeded)


@pytest.mark.parametrize("mode", STREAMS)
def test_the_earliest_of_several_limits_is_told(mode: str, clock: FakeClock) -> None:
    """Of limits that hold at once the one that passes first is named."""
    layers = [ap.Deadline(7, streams=True), ap.Timeout(idle=5)]
    told, _ = ask(mode, clock, layers, ["a", Takes(4), "b", Takes(4), "c"])
    assert isinstance(told.error, ap.StreamInterrupted)
    assert isinstance(told.error.__cause__, ap.DeadlineExceeded)
    told, _ = ask(mode, clock, layers, ["a", Takes(6), "b"])
    assert isinstance(told.error, ap.StreamInterrupted)
    assert isinstance(told.error.__cause__, ap.CallTimeout)


def test_a_stream_s_end_before_a_limit_releases_its_timer(clock: FakeClock) -> None:
    """A stream that has ended leaves no timer that could fire."""
    told, _ = ask("generator", clock, [ap.Timeout(5, idle=5)], ["a", "b"])
    assert told.value == "ab"
    clock.advance(100)


def test_an_async_generator_is_closed_at_its_limit(clock: FakeClock) -> None:
    """The generator whose wait is ended is closed: its `finally` has run when the error is raised."""
    closed: list[str] = []

    async def stream() -> AsyncIterator[str]:
        try:
            yield "a"
            clock.advance(6)
            await asyncio.Event().wait()
        finally:
            closed.append("closed")

    async def scenario() -> None:
        with pytest.raises(ap.StreamInterrupted):
            async for _ in ap.Stack(ap.Timeout(idle=5), clock=clock).decorate(stream)():
                pass
        assert closed == ["closed"]

    asyncio.run(scenario())


# Functions that do not take a cancellation as it is meant


def test_a_function_that_swallows_its_cancellation(clock: FakeClock) -> None:
    """An answer given in spite of the limit is an answer, and the task is not left cancelled."""

    async def stubborn() -> str:
        clock.advance(6)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return "anyway"

    async def scenario() -> tuple[str, int]:
        answer = await ap.Stack(ap.Deadline(20), ap.Timeout(5), clock=clock).decorate(stubborn)()
        task = asyncio.current_task()
        assert task is not None
        return answer, task.cancelling()

    assert asyncio.run(scenario()) == ("anyway", 0)


def test_a_function_that_turns_its_cancellation_into_an_error(clock: FakeClock) -> None:
    """What a function makes of the cancellation is our timeout still, and the task is not left cancelled."""

    async def converts() -> str:
        clock.advance(6)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise KeyError("converted") from None
        return "never"

    async def scenario(stack: ap.Stack, error: type[Exception]) -> int:
        with pytest.raises(error):
            await stack.decorate(converts)()
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert asyncio.run(scenario(ap.Stack(ap.Timeout(5), clock=clock), ap.CallTimeout)) == 0


def test_a_layer_that_turns_its_cancellation_into_an_error(clock: FakeClock) -> None:
    """The same for a layer inside a deadline: its own error comes out, and the task is not left cancelled."""

    async def converts(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        clock.advance(6)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise KeyError("converted") from None
        return await call_next(call)

    async def work() -> str:
        return "never"

    async def scenario() -> int:
        with pytest.raises(KeyError):
            await ap.Stack(ap.Deadline(5), converts, clock=clock).decorate(work)()
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert asyncio.run(scenario()) == 0


# Threads


def test_a_function_on_a_thread_sees_the_context() -> None:
    """The thread runs under a copy of the caller's context."""
    from contextvars import ContextVar

    name: ContextVar[str] = ContextVar("name")
    name.set("mine")
    fn = ap.Stack(ap.Timeout(10, thread=True)).decorate(name.get)
    assert fn() == "mine"


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt(), SystemExit(2)])
def test_a_function_on_a_thread_raises(error: BaseException) -> None:
    """What the function raises on its thread is raised here."""

    def fails() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        ap.Stack(ap.Timeout(10, thread=True)).decorate(fails)()
    assert raised.value is error


def test_a_thread_without_a_time_limit() -> None:
    """`thread=True` alone, as an idle limit of streams has it, waits for as long as it takes."""
    assert ap.Stack(ap.Timeout(idle=1, thread=True)).decorate(lambda: "fine")() == "fine"


def test_zombies_keep_their_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function left behind keeps its slot until it returns: with all slots taken, a call waits, then times out."""
    from agentprod.edge import threads

    monkeypatch.setattr(threads, "_slots", threading.BoundedSemaphore(1))
    release, returned = threading.Event(), threading.Event()

    def hangs() -> None:
        release.wait()
        returned.set()

    stack = ap.Stack(ap.Timeout(0.05, thread=True))
    with pytest.raises(ap.CallTimeout):
        stack.decorate(hangs)()
    began = time.monotonic()
    with pytest.raises(ap.CallTimeout):
        stack.decorate(lambda: "no slot")()
    assert time.monotonic() - began < 5
    release.set()
    assert returned.wait(5)
    assert ap.Stack(ap.Timeout(5, thread=True)).decorate(lambda: "fine")() == "fine"


# Options


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            ap.Timeout,
            r"Timeout needs a limit: Timeout\(30\), Timeout\(first_token=10\) or Timeout\(idle=60\)",
        ),
        (lambda: ap.Timeout(0), "Timeout attempt must be more than 0 seconds, not 0"),
        (lambda: ap.Timeout(first_token=-1), "Timeout first_token must be more than 0 seconds, not -1"),
        (lambda: ap.Timeout(idle="5"), "Timeout idle must be seconds as a number or timedelta, not str"),  # type: ignore[arg-type]
        (lambda: ap.Deadline(0), "Deadline seconds must be more than 0 seconds, not 0"),
        (lambda: ap.Deadline(True), "Deadline seconds must be seconds as a number or timedelta, not bool"),
    ],
    ids=["none", "zero", "negative", "text", "deadline zero", "deadline bool"],
)
def test_bad_options(make: Any, message: str) -> None:
    """A bad option is refused when the layer is built."""
    with pytest.raises(ap.ConfigError, match=message):
        make()


def test_limits_as_timedelta() -> None:
    """Durations may be timedeltas."""
    assert repr(ap.Timeout(timedelta(minutes=1), idle=timedelta(seconds=2))) == "Timeout(attempt=60.0, idle=2.0)"
    assert repr(ap.Deadline(timedelta(minutes=1))) == "Deadline(seconds=60.0)"


def test_where_a_timeout_can_be_attached() -> None:
    """Only a plain sync function needs a thread: async functions and generators do not."""

    def plain() -> str:
        return "x"

    def generator() -> Iterator[str]:
        yield "x"

    async def coroutine() -> str:
        return "x"

    with pytest.raises(ap.ConfigError, match="cannot end"):
        ap.Timeout(5)(plain)
    assert ap.Timeout(5, thread=True)(plain)() == "x"
    assert list(ap.Timeout(5)(generator)()) == ["x"]
    assert asyncio.run(ap.Timeout(5)(coroutine)()) == "x"
    assert ap.Deadline(5)(plain)() == "x"
