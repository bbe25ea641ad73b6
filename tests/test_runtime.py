"""Sync and async behind one interface: the driver, alarms, waiters, clocks, jobs."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import agentprod as ap
from agentprod.runtime.alarm import NEVER
from agentprod.runtime.clock import SystemClock
from agentprod.runtime.drive import drive
from agentprod.runtime.runtime import AsyncRuntime, SyncRuntime
from agentprod.testing import FakeClock
from tests.callers import Caller, Script

SOURCE = Path(__file__).parent.parent / "src"


# The driver


def in_a_notebook(fn: Any, *args: Any) -> Any:
    """Call a sync function from within a running event loop, as a notebook does."""

    async def cell() -> Any:
        return fn(*args)

    return asyncio.run(cell())


class Suspends:
    """A layer that waits for the loop."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Wait where there may be nobody to wait for."""
        try:
            await self.wait()
            return await call_next(call)
        finally:
            self.log.append("closed")

    async def wait(self) -> None:
        """Wait through asyncio."""
        await asyncio.sleep(0)


class Passes(Suspends):
    """A layer that does nothing."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Pass on."""
        return await call_next(call)


def test_a_layer_that_suspends_in_a_sync_call() -> None:
    """SuspendedError names the layer's own line, says what to use instead, and comes after its `finally`."""
    layer = Suspends()
    with pytest.raises(ap.SuspendedError) as raised:
        in_a_notebook(ap.Stack(layer).decorate(lambda: "never"))
    assert layer.log == ["closed"]
    line = Suspends.wait.__code__.co_firstlineno + 2
    assert str(raised.value).startswith(f"Suspends.wait ({__file__}:{line}) suspended inside a synchronous call")
    assert "Use call.runtime (sleep, run, waiter, timeout) instead of asyncio" in str(raised.value)
    assert isinstance(raised.value, RuntimeError)


def test_a_layer_that_suspends_without_any_loop() -> None:
    """The same where no loop runs at all."""

    class Yields:
        def __await__(self) -> Any:
            yield

    async def suspends(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        await Yields()
        return await call_next(call)

    with pytest.raises(ap.SuspendedError, match=r"suspends \(.*test_runtime.py:\d+\) suspended"):
        ap.Stack(suspends).decorate(lambda: "never")()


def test_a_layer_that_asks_asyncio_for_a_loop() -> None:
    """Without a loop asyncio itself refuses: told as the same mistake, at the layer's line."""

    async def sleeps(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        await asyncio.sleep(1)
        return await call_next(call)

    with pytest.raises(ap.SuspendedError, match=r"sleeps \(.*test_runtime.py:\d+\) suspended") as raised:
        ap.Stack(sleeps).decorate(lambda: "never")()
    assert isinstance(raised.value.__cause__, RuntimeError)


async def gathers() -> None:
    """Wait for several."""
    await asyncio.gather(asyncio.Event().wait())


async def waits_for_an_event() -> None:
    """Wait for somebody else."""
    await asyncio.Event().wait()


async def sleeps_by_anyio() -> None:
    """Wait by another library."""
    await pytest.importorskip("anyio").sleep(0)


@pytest.mark.parametrize("wait", [gathers, waits_for_an_event, sleeps_by_anyio])
@pytest.mark.filterwarnings("ignore:coroutine 'Event.wait' was never awaited")
def test_a_layer_that_asks_for_a_loop_in_other_ways(wait: Callable[[], Awaitable[None]]) -> None:
    """Whatever it is in asyncio or anyio that misses the loop: told as the same mistake, at the layer's line."""

    async def layer(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        await wait()
        return await call_next(call)

    def call_on_a_thread_without_a_loop() -> None:
        with pytest.raises(ap.SuspendedError, match=rf"{wait.__name__} \(.*test_runtime.py:\d+\) suspended"):
            ap.Stack(layer).decorate(lambda: "never")()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(call_on_a_thread_without_a_loop).result()


def test_a_layer_that_waits_in_a_library() -> None:
    """The line that is named is the layer's, where it asks the library, not one deep inside that."""
    library: dict[str, Any] = {"__name__": "somebodys_client", "sleep": asyncio.sleep}
    exec("async def get():\n    await sleep(0)", library)

    async def layer(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        await library["get"]()
        return await call_next(call)

    decorated = ap.Stack(layer, Passes()).decorate(lambda: "never")
    with pytest.raises(ap.SuspendedError, match=r"layer \(.*test_runtime.py:\d+\) suspended"):
        in_a_notebook(decorated)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("mine"), RuntimeError("no running event loop"), AttributeError(name="create_future", obj=None)],
)
def test_the_function_s_own_runtime_errors(error: Exception) -> None:
    """An error of the function is its own, whatever it says."""

    def fails() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        ap.Stack(Passes()).decorate(fails)()
    assert raised.value is error


def test_a_layer_that_suspends_in_an_async_call() -> None:
    """In an async call a layer may suspend as it likes."""
    layer = Suspends()
    told = Caller("async").ask(Caller("async").decorate(ap.Stack(layer), Script("fine")))
    assert told.value == "fine"


def test_driving_something_that_is_no_coroutine_below() -> None:
    """What suspends without a frame of its own is told as far as it can be."""

    class Odd:
        cr_await = None

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> None:
            """Suspend."""

        def close(self) -> None:
            """Close."""

    odd: Any = Odd()
    with pytest.raises(ap.SuspendedError, match="a layer suspended"):
        drive(odd)


@pytest.mark.parametrize("mode", ["sync", "generator"])
def test_sync_calls_work_inside_a_running_loop(mode: str) -> None:
    """A notebook's cell runs in a loop; a sync stack there neither needs it nor disturbs it."""
    caller = Caller(mode)
    clock = FakeClock()
    script = Script(ConnectionResetError(), "fine", clock=clock)
    stack = ap.Stack(ap.Deadline(30), ap.Retry(), ap.Timeout(20, thread=True), clock=clock)
    assert in_a_notebook(caller.ask, caller.decorate(stack, script)).value == "fine"


def test_what_a_layer_sets_in_the_context_stays_inside() -> None:
    """`helper()` and `ap.context` of a sync-driven call are taken back when it returns."""
    from agentprod.context import current_context

    async def speaks(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        with call.helper(), ap.context(user="inner"):
            return await call_next(call)

    seen: list[str | None] = []
    ap.Stack(speaks).decorate(lambda: seen.append(current_context().user))()
    assert seen == ["inner"]
    assert current_context().user is None


# What layers may use


def runtimes() -> dict[str, Any]:
    """Return what runs a coroutine of either kind, with its runtime."""

    def sync(body: Any) -> Any:
        return drive(body(SyncRuntime(SystemClock())))

    def asynchronous(body: Any) -> Any:
        return asyncio.run(body(AsyncRuntime(SystemClock())))

    return {"sync": sync, "async": asynchronous}


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Any:
    """Return what runs a coroutine in either kind of call."""
    return runtimes()[request.param]


def test_time(run: Any) -> None:
    """A runtime tells monotonic and wall time, and sleeps."""

    async def body(runtime: Any) -> tuple[float, float]:
        before = runtime.now()
        await runtime.sleep(0.001)
        return runtime.now() - before, runtime.wall() - time.time()

    passed, off = run(body)
    assert passed >= 0.001
    assert abs(off) < 5


def test_io_of_both_kinds(run: Any) -> None:
    """`run` takes the function that fits the call."""

    async def asynchronous() -> str:
        return "async"

    async def body(runtime: Any) -> tuple[str, str]:
        return runtime.kind, await runtime.run(lambda: "sync", asynchronous)

    kind, used = run(body)
    assert kind == used


def test_a_waiter_set_before_it_waits(run: Any) -> None:
    """A signal that came already is not waited for; setting it again changes nothing."""

    async def body(runtime: Any) -> tuple[bool, bool]:
        waiter = runtime.waiter()
        waiter.set()
        waiter.set()
        return await waiter.wait(), await waiter.wait(0)

    assert run(body) == (True, True)


def test_a_waiter_set_by_another_thread(run: Any) -> None:
    """Any thread may give the signal."""

    async def body(runtime: Any) -> bool:
        waiter = runtime.waiter()
        thread = threading.Thread(target=waiter.set)
        thread.start()
        came = await waiter.wait(5)
        thread.join()
        return bool(came)

    assert run(body)


def test_a_waiter_that_nobody_sets(run: Any) -> None:
    """A wait ends at its time, and says that nothing came."""

    async def body(runtime: Any) -> bool:
        return bool(await runtime.waiter().wait(0.001))

    assert run(body) is False


def test_a_waiter_that_outlives_its_loop() -> None:
    """A signal for a loop that is closed wakes nobody, and breaks nothing."""
    waiters: list[Any] = []

    async def body(runtime: Any) -> None:
        waiters.append(runtime.waiter())

    asyncio.run(body(AsyncRuntime(SystemClock())))
    waiters[0].set()


def test_a_time_limit_of_a_block() -> None:
    """`timeout` ends a block of an async call; None is no limit, and in a sync call the block runs on."""

    async def body(runtime: Any) -> str:
        async with runtime.timeout(None):
            pass
        async with runtime.timeout(runtime.now() + 0.001):
            if runtime.kind == "sync":
                time.sleep(0.002)
            else:
                await asyncio.Event().wait()
        return "ran on"

    assert runtimes()["sync"](body) == "ran on"
    with pytest.raises(TimeoutError):
        runtimes()["async"](body)


def test_a_block_within_its_time() -> None:
    """A block that ends in time is not disturbed later, nor is its error touched."""

    async def body(runtime: Any) -> None:
        async with runtime.timeout(runtime.now() + 0.001):
            pass
        await asyncio.sleep(0.005)
        with pytest.raises(KeyError):
            async with runtime.timeout(runtime.now() + 60):
                raise KeyError("x")

    runtimes()["async"](body)


def test_a_block_cancelled_by_somebody_else() -> None:
    """A cancellation of the caller's own stays one."""

    async def body(runtime: Any) -> None:
        async def block() -> None:
            async with runtime.timeout(runtime.now() + 60):
                reached.set()
                await asyncio.Event().wait()

        reached = asyncio.Event()
        task = asyncio.create_task(block())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    runtimes()["async"](body)


name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def test_work_beside_a_call(run: Any) -> None:
    """`spawn` runs work in a copy of the context, beside the call."""
    done = threading.Event()
    seen: list[str] = []

    async def body(runtime: Any) -> None:
        async def work() -> None:
            seen.append(name.get())
            done.set()

        name.set("caller")
        job = runtime.spawn(work())
        if runtime.kind == "async":
            await job
        else:
            assert done.wait(5)
            job.cancel()

    run(body)
    assert seen == ["caller"]


def test_work_beside_a_call_that_fails(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What such work raises is logged: nobody waits for it."""

    async def body(runtime: Any) -> None:
        async def work() -> None:
            raise RuntimeError("broken work")

        runtime.spawn(work())
        for _ in range(1000):
            if "broken work" in caplog.text:
                break
            await runtime.sleep(0.001)

    with caplog.at_level(logging.ERROR, "agentprod"):
        run(body)
    assert "work beside a call failed" in caplog.text


def test_where_calls_live(run: Any) -> None:
    """Async calls share a loop or do not; threads can always wait for one another."""

    async def body(runtime: Any) -> bool:
        home = runtime.home()
        return bool(home is (asyncio.get_running_loop() if runtime.kind == "async" else None))

    assert run(body)


# Alarms


def test_an_alarm_breaks_a_blocking_wait() -> None:
    """A sync alarm calls `abort` once its time has come, and claims what the wait raised then."""
    clock = FakeClock()
    alarm = SyncRuntime(clock).alarm()
    aborted: list[float] = []
    alarm.abort = lambda: aborted.append(clock.monotonic())
    alarm.enter(clock.monotonic() + 5)
    clock.advance(4)
    assert not alarm.claims(OSError())
    clock.advance(2)
    assert aborted == [1005]
    assert alarm.claims(OSError())
    assert not alarm.claims(KeyboardInterrupt())
    alarm.close()


def test_an_alarm_s_time_moves() -> None:
    """Each wait has its own time; moving it forward costs no timer, and a wait that is over is left alone."""
    clock = FakeClock()
    alarm = SyncRuntime(clock).alarm()
    aborted: list[float] = []
    alarm.abort = lambda: aborted.append(clock.monotonic())
    for _ in range(5):  # each enter moves the time on
        alarm.enter(clock.monotonic() + 5)
        clock.advance(3)
    assert aborted == []
    alarm.enter(clock.monotonic() + 1)  # and back
    alarm.when = NEVER
    clock.advance(20)
    assert aborted == []
    alarm.enter(None)
    clock.advance(20)
    assert not alarm.fired
    alarm.enter(clock.monotonic() + 1)
    alarm.close()
    clock.advance(20)
    assert not alarm.fired


def test_an_alarm_without_anything_to_abort() -> None:
    """An alarm whose wait cannot be broken is fired all the same, to be asked afterwards."""
    clock = FakeClock()
    alarm = SyncRuntime(clock).alarm()
    alarm.enter(clock.monotonic() + 1)
    clock.advance(2)
    assert alarm.fired


def test_an_async_alarm_s_time_moves() -> None:
    """The same for a task: moved on, moved back, left, closed."""

    async def body() -> None:
        clock = FakeClock()
        alarm = AsyncRuntime(clock).alarm()
        for _ in range(5):
            alarm.enter(clock.monotonic() + 5)
            clock.advance(3)
            await asyncio.sleep(0)
        alarm.enter(clock.monotonic() + 1)
        alarm.when = NEVER
        clock.advance(20)
        await asyncio.sleep(0)
        alarm.enter(None)
        assert not alarm.fired
        assert not alarm.claims(asyncio.CancelledError())
        alarm.enter(clock.monotonic() + 9)
        alarm.enter(clock.monotonic() + 1)
        alarm.close()
        alarm.close()
        clock.advance(20)
        await asyncio.sleep(0)
        assert not alarm.fired

    asyncio.run(body())


def test_an_async_alarm_rings_in_its_loop_s_time() -> None:
    """With the machine's clock the loop's own timers are used; one that rings too early is set again."""

    async def body() -> None:
        clock = SystemClock()
        alarm = AsyncRuntime(clock).alarm()
        alarm.enter(clock.monotonic() + 0.005)
        alarm.enter(clock.monotonic() + 0.02)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(5)
        assert alarm.claims(asyncio.CancelledError())
        alarm.close()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(body())


def test_an_async_alarm_that_outlives_its_loop() -> None:
    """A timer that fires after its loop was closed rings for nobody."""
    clock = FakeClock()

    async def body() -> None:
        AsyncRuntime(clock).alarm().enter(clock.monotonic() + 1)

    asyncio.run(body())
    clock.advance(2)


# The clock of the machine


def test_timers_of_the_machine_s_clock() -> None:
    """Timers fire in order of their time, from one daemon thread; cancelled ones do not."""
    clock = SystemClock()
    fired: list[str] = []
    done = threading.Event()
    threads: list[str] = []

    def note(name: str) -> Any:
        def fn() -> None:
            fired.append(name)
            threads.append(threading.current_thread().name)

        return fn

    now = clock.monotonic()
    clock.call_at(now + 0.03, done.set)
    clock.call_at(now + 0.02, note("second"))
    clock.call_at(now + 0.01, note("first"))
    clock.call_at(now + 0.015, note("cancelled")).cancel()
    assert done.wait(5)
    assert fired == ["first", "second"]
    assert set(threads) == {"agentprod-timer"}
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "agentprod-timer")


def test_a_timer_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """A timer that raises is logged; the later ones fire all the same."""
    clock = SystemClock()
    done = threading.Event()

    def broken() -> None:
        raise RuntimeError("broken timer")

    with caplog.at_level(logging.ERROR, "agentprod"):
        clock.call_at(clock.monotonic(), broken)
        clock.call_at(clock.monotonic() + 0.005, done.set)
        assert done.wait(5)
    assert "a timer failed" in caplog.text


def test_sleeps_of_the_machine_s_clock() -> None:
    """The clock sleeps, for threads and tasks."""
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.001)
    asyncio.run(clock.asleep(0.001))
    assert clock.monotonic() - before >= 0.002


# Forks

FORKS = """
import gc, os, sys, threading, time
import agentprod as ap
from agentprod.runtime.clock import SystemClock

clock, fired = SystemClock(), threading.Event()
clock.call_at(clock.monotonic(), fired.set)
assert fired.wait(5)

settled = threading.Event()

async def settling(call, call_next):
    reply = await call_next(call)
    reply.on_end(lambda end: settled.set())
    return reply

def drop():
    settled.clear()
    stream = ap.Stack(settling).decorate(lambda model, messages, stream: iter(["a", "b"]))("m", [], True)
    next(stream)
    del stream
    gc.collect()
    return settled.wait(5)

assert drop()

@ap.Retry(attempts=3, on=KeyError)
def fails():
    raise KeyError("x")

def story():
    try:
        fails()
    except KeyError as error:
        meta = ap.meta(error)
        return meta.request_id, tuple(attempt.backoff for attempt in meta.attempts)

import agentprod.reliability.retry
SystemClock.sleep = staticmethod(lambda seconds: None)
read, write = os.pipe()
child = os.fork()
if child == 0:
    again = threading.Event()
    clock.call_at(clock.monotonic() + 0.005, again.set)
    ok = again.wait(5) and drop()
    os.write(write, repr((ok, story())).encode())
    os._exit(0)
mine = story()
os.waitpid(child, 0)
ok, theirs = eval(os.read(read, 4096))
assert ok, "the child has no timer thread, or nothing that settles"
assert mine[0][12:] != theirs[0][12:], "the same call ids"
assert mine[1] != theirs[1], "the same jitter"
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_worker() -> None:
    """A forked child has timers and settling of its own, and neither its parent's ids nor its jitter."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout.strip()) == (0, "fine"), result.stderr


# What stays out of a bare import


def test_importing_starts_nothing() -> None:
    """`import agentprod` starts no thread."""
    command = [sys.executable, "-c", "import agentprod, threading; print(threading.active_count())"]
    result = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "1"


def test_a_timer_that_never_comes_keeps_no_other_waiting() -> None:
    """Threads cannot wait for ever by a number, and the thread of all timers must not die of one."""
    clock, fired = SystemClock(), threading.Event()
    far = clock.call_at(math.inf, lambda: None)
    try:
        time.sleep(0.02)  # the thread is waiting for the far one now
        clock.call_at(clock.monotonic(), fired.set)
        assert fired.wait(5)
    finally:
        far.cancel()
