"""What a layer may use of time, threads and loops: the same names for sync and async calls."""

from __future__ import annotations

import contextvars
import logging
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from agentprod.runtime.alarm import Alarm, AsyncAlarm, SyncAlarm
from agentprod.runtime.clock import Clock
from agentprod.runtime.drive import drive
from agentprod.runtime.waiter import AsyncWaiter, SyncWaiter, Waiter

if TYPE_CHECKING:
    import asyncio

__all__ = ["AsyncRuntime", "Job", "Runtime", "SyncRuntime"]

T = TypeVar("T")

_log = logging.getLogger("agentprod")


class Job(Protocol):
    """Work that runs beside the call that started it."""

    def cancel(self) -> object:
        """Cancel a task, from its own loop; a thread cannot be stopped and runs on."""
        ...


class Runtime(Protocol):
    """Time, waiting and I/O for layers. `call.runtime` is one of the two kinds."""

    kind: Literal["sync", "async"]
    clock: Clock

    def now(self) -> float:
        """Return monotonic seconds."""
        ...

    def wall(self) -> float:
        """Return POSIX time, for dates only."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Wait; cancellable in async."""
        ...

    async def run(self, sync_fn: Callable[[], T], async_fn: Callable[[], Awaitable[T]], /) -> T:
        """Do I/O: `sync_fn` in a sync call, `async_fn` in an async one."""
        ...

    def waiter(self) -> Waiter:
        """Return a signal this call can wait for and any thread can give."""
        ...

    def alarm(self) -> Alarm:
        """Return a guard for waits at the edge."""
        ...

    def home(self) -> object:
        """Return what calls must share to wait for one another's jobs: the event loop, or for threads `None`."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None], /) -> Job:
        """Run `work` beside this call, in a copy of its context: as a task, or on a short daemon thread.

        What it raises is logged: nobody waits for it.
        """
        ...

    def timeout(self, when: float | None, /) -> AbstractAsyncContextManager[None]:
        """Raise `TimeoutError` in the block once `when` (monotonic) has passed.

        In a synchronous call the block runs on: a thread cannot be stopped, so the edge and every
        wait look at `call.deadline` instead.
        """
        ...


class SyncRuntime:
    """Waits by blocking the calling thread."""

    kind: Literal["sync", "async"] = "sync"
    __slots__ = ("clock", "now", "wall")

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.now = clock.monotonic
        self.wall = clock.wall

    async def sleep(self, seconds: float) -> None:
        """Block the thread for `seconds`."""
        self.clock.sleep(seconds)

    async def run(self, sync_fn: Callable[[], T], async_fn: Callable[[], Awaitable[T]]) -> T:
        """Call `sync_fn`."""
        return sync_fn()

    def waiter(self) -> Waiter:
        """Return a waiter that blocks this thread."""
        return SyncWaiter()

    def alarm(self) -> Alarm:
        """Return an alarm that breaks a blocking wait from the timer thread."""
        return SyncAlarm(self.clock)

    def home(self) -> object:
        """Return `None`: any thread can wait for any other."""
        return None

    def spawn(self, work: Coroutine[Any, Any, None]) -> Job:
        """Run `work` on a daemon thread."""
        return _Thread(work)

    def timeout(self, when: float | None) -> AbstractAsyncContextManager[None]:
        """Run the block as it is."""
        return _Unbounded()


class AsyncRuntime:
    """Waits by suspending the calling task."""

    kind: Literal["sync", "async"] = "async"
    __slots__ = ("clock", "now", "wall")

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.now = clock.monotonic
        self.wall = clock.wall

    async def sleep(self, seconds: float) -> None:
        """Suspend the task for `seconds`."""
        await self.clock.asleep(seconds)

    async def run(self, sync_fn: Callable[[], T], async_fn: Callable[[], Awaitable[T]]) -> T:
        """Await `async_fn`."""
        return await async_fn()

    def waiter(self) -> Waiter:
        """Return a waiter that suspends this task."""
        return AsyncWaiter()

    def alarm(self) -> Alarm:
        """Return an alarm that cancels the waiting task."""
        return AsyncAlarm(self.clock)

    def home(self) -> object:
        """Return the running loop."""
        return sys.modules["asyncio"].get_running_loop()  # there is one, so the module is loaded

    def spawn(self, work: Coroutine[Any, Any, None]) -> Job:
        """Run `work` as a task of the running loop, which keeps it alive."""
        import asyncio

        task = asyncio.get_running_loop().create_task(_logged(work))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
        # Cancelled before its first step, the task never awaits what it was given.
        task.add_done_callback(lambda _: work.close())
        return task

    def timeout(self, when: float | None) -> AbstractAsyncContextManager[None]:
        """Cancel the block at `when` and raise `TimeoutError`; a cancellation of the caller's own wins."""
        return _Unbounded() if when is None else _Bounded(AsyncAlarm(self.clock), when)


_tasks: set[asyncio.Task[None]] = set()


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        _log.exception("work beside a call failed; the call itself is not affected")


class _Thread:
    """Work on a thread of its own."""

    __slots__ = ()

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        context = contextvars.copy_context()
        threading.Thread(target=lambda: context.run(drive, _logged(work)), name="agentprod-beside", daemon=True).start()

    def cancel(self) -> None:
        """Let it run on."""


class _Unbounded:
    __slots__ = ()

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *exc_info: object) -> None:
        return None


class _Bounded:
    __slots__ = ("_alarm", "_when")

    def __init__(self, alarm: AsyncAlarm, when: float) -> None:
        self._alarm = alarm
        self._when = when

    async def __aenter__(self) -> None:
        self._alarm.enter(self._when)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        late = error is not None and _is_cancellation(error) and self._alarm.claims(error)
        self._alarm.close()
        if late:
            raise TimeoutError from error


def _is_cancellation(error: BaseException) -> bool:
    import asyncio

    return isinstance(error, asyncio.CancelledError)
