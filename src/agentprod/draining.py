"""End a process well: take no new calls, let those under way finish, stop what does not."""

from __future__ import annotations

import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from agentprod.errors import ConfigError, ShuttingDown
from agentprod.forks import after_fork
from agentprod.runtime.clock import SystemClock
from agentprod.runtime.drive import drive
from agentprod.runtime.waiter import AsyncWaiter, SyncWaiter, Waiter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from datetime import timedelta

    from agentprod.call import Call
    from agentprod.ledger import Ledger
    from agentprod.runtime.runtime import Runtime
    from agentprod.stream import EventStream

__all__ = [
    "Drained",
    "adrain",
    "begun",
    "blocking",
    "drain",
    "left",
    "pause",
    "resume",
    "shutting_down",
    "task_reference",
    "tasks",
    "under_way",
]

GRACE = 1.0
"""Seconds that cancelled calls get to end."""

begun = False
"""Whether the process drains; read as `draining.begun`, since it changes."""

tasks: dict[Ledger, Any] = {}
"""Asynchronous calls under way, open streams included, and a reference to the task of each, no more than that: it must
not outlive its loop."""

blocking: deque[None] = deque()
"""As many as synchronous calls are under way, open streams included: they cannot be stopped, only counted, and this is
the cheapest count that threads can share."""

_lock = threading.Lock()
_sleepers: set[Waiter] = set()
_watchers: set[Waiter] = set()
_endings: set[asyncio.Task[None]] = set()


class Drained(NamedTuple):
    """How the calls that were under way ended."""

    finished: int
    """By themselves, in time."""
    cancelled: int
    """Asynchronous ones that were cancelled, and streams that were broken off."""
    running: int
    """Still under way: a synchronous call cannot be stopped."""


def drain(timeout: float | timedelta = 30.0) -> Drained:
    """Stop taking calls and wait for those under way; for the end of a process.

    From now on new calls raise `ShuttingDown`. Calls that wait for a retry raise the error they met, calls that wait in
    the line of a `Bulkhead` or a `RateLimit` raise `ShuttingDown`, both at once. All others, open streams included, may
    finish. What is left after `timeout` is stopped where that is possible: tasks are cancelled, streams of event loops
    end with `StreamInterrupted`.

    Blocks its thread; so it is not for signal handlers, which interrupt the very calls that it waits for: there, start
    a thread that calls it.

    Args:
        timeout: seconds to wait, 0 or more.

    Returns:
        How many calls finished, were cancelled, and still run.

    Raises:
        ConfigError: called on an event loop, which it would block; or `timeout` is out of range.
    """
    import asyncio

    if asyncio._get_running_loop() is not None:
        raise ConfigError("drain() would block this event loop and every call on it: write `await ap.adrain()`")
    return drive(_drain(_seconds(timeout), SyncWaiter))


async def adrain(timeout: float | timedelta = 30.0) -> Drained:
    """Like `drain`, for an event loop; the task that awaits it is not cancelled."""
    import asyncio

    return await _drain(_seconds(timeout), AsyncWaiter, asyncio.current_task())


def resume() -> None:
    """Take calls again: for tests, and for processes that change their mind."""
    global begun  # noqa: PLW0603 - one per process, by intent
    begun = False


# What the way into a stack does


def task_reference() -> Any:
    """Return a reference to the running task."""
    return ref(sys.modules["asyncio"].current_task())  # there is one, so the module is loaded


def under_way() -> int:
    """Return how many calls are under way, open streams included."""
    return len(tasks) + len(blocking)


def left() -> None:
    """Tell those who wait for the last call, when that was it."""
    if not under_way():
        _wake(_watchers)


def shutting_down(call: Call, layer: str | None = None) -> ShuttingDown:
    """Return the error of a call that is not begun, or not waited for, any more."""
    return ShuttingDown(
        "This process shuts down and takes no more calls: send them to another one.",
        layer=layer,
        target=str(call.target),
    )


# What layers do that wait


async def pause(runtime: Runtime, seconds: float, waiter: Waiter | None = None) -> None:
    """Wait; come back early when the process begins to drain, which `begun` then says.

    Args:
        runtime: of the call.

        seconds: how long.

        waiter: ends the wait, too, when somebody sets it.
    """
    if not isinstance(runtime.clock, SystemClock):  # its clock says when the time is over
        await runtime.sleep(seconds)
        return
    waiter = runtime.waiter() if waiter is None else waiter
    with sleeping(waiter):
        await waiter.wait(seconds)


class sleeping:  # noqa: N801 - reads as what the waiter does
    """A block in which the beginning of a drain sets a waiter; where it has begun, it is set at once."""

    __slots__ = ("_waiter",)

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = waiter

    def __enter__(self) -> None:
        with _lock:
            _sleepers.add(self._waiter)
        if begun:
            self._waiter.set()

    def __exit__(self, *exc_info: object) -> None:
        with _lock:
            _sleepers.discard(self._waiter)


async def _drain(timeout: float | None, make_waiter: Callable[[], Waiter], spare: Any = None) -> Drained:
    global begun  # noqa: PLW0603 - one per process, by intent
    begun = True
    there = under_way()
    _wake(_sleepers)
    left = await _emptied(timeout, make_waiter)
    if not left:
        return Drained(there, 0, 0)
    stopped = _stop(spare)
    running = await _emptied(GRACE, make_waiter)
    cancelled = len(stopped - tasks.keys())
    return Drained(max(0, there - cancelled - running), cancelled, running)


async def _emptied(timeout: float | None, make_waiter: Callable[[], Waiter]) -> int:
    """Wait until no call is under way; return how many are."""
    waiter = make_waiter()
    with _lock:
        _watchers.add(waiter)
    try:
        if under_way():
            await waiter.wait(timeout)
    finally:
        with _lock:
            _watchers.discard(waiter)
    return under_way()


def _wake(waiters: set[Waiter]) -> None:
    with _lock:
        chosen = list(waiters)
    for waiter in chosen:
        waiter.set()


def _stop(spare: Any) -> set[Ledger]:
    """Cancel the tasks of calls, and end the streams that their tasks do not read at the moment; return which calls."""
    from agentprod.stream import open_streams

    streams = {stream.ledger: stream for stream in open_streams()}
    stopped = set()
    for ledger, reference in list(tasks.items()):
        stopped.add(ledger)
        task = reference()
        if task is None or task.get_loop().is_closed():  # nothing runs there any more
            tasks.pop(ledger, None)
            continue
        try:
            task.get_loop().call_soon_threadsafe(_cancel, task, streams.get(ledger), task is spare)
        except RuntimeError:  # closed just now
            tasks.pop(ledger, None)
    return stopped


def _cancel(task: asyncio.Task[object], stream: EventStream | None, spared: bool) -> None:
    if not spared:
        task.cancel("the process shuts down")
    if stream is not None:
        ending = task.get_loop().create_task(stream.interrupt("the process shuts down"))
        _endings.add(ending)
        ending.add_done_callback(_endings.discard)


def _seconds(timeout: float | timedelta) -> float | None:
    from agentprod.identity import seconds

    return None if timeout == float("inf") else seconds(timeout, "drain timeout", zero=True)


def _forget() -> None:
    global begun, _lock
    begun, _lock = False, threading.Lock()
    tasks.clear()
    blocking.clear()
    _sleepers.clear()
    _watchers.clear()


after_fork(_forget)
