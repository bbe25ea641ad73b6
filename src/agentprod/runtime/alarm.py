"""Alarms: end a wait that takes too long, without a task or a timer per wait.

An alarm guards the waits of one attempt, one after the other: the answer, then each piece of a
stream. Moving its time forward is an assignment; the timer behind it is only set again when it
fires too early.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from agentprod.runtime.clock import Clock, SystemClock, Timer
from agentprod.runtime.loop_timers import timers_of

if TYPE_CHECKING:
    import asyncio

__all__ = ["Alarm", "AsyncAlarm", "SyncAlarm"]


class Alarm(Protocol):
    """Guards one wait at a time."""

    fired: bool
    """Whether a guarded wait was ended."""

    abort: Callable[[], None] | None
    """What ends a blocking wait of a thread, such as shutting a socket down; unused in async."""

    def enter(self, when: float | None) -> None:
        """Begin a wait that must end by `when` (monotonic seconds)."""
        ...

    def leave(self) -> None:
        """End the wait. Must be called however it ended."""
        ...

    def claims(self, error: BaseException) -> bool:
        """Whether `error` ended the wait because of this alarm, and nobody else asked for it."""
        ...

    def close(self) -> None:
        """Release the timer."""
        ...


class SyncAlarm:
    """Ends a blocking wait by calling `abort` from the timer thread."""

    __slots__ = ("_clock", "_lock", "_timer", "_timer_at", "_when", "abort", "fired")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._when: float | None = None
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self.abort: Callable[[], None] | None = None
        self.fired = False

    def enter(self, when: float | None) -> None:
        """Begin a wait that must end by `when`."""
        with self._lock:
            self._when = when
            if when is not None and (self._timer is None or when < self._timer_at):
                self._schedule(when)

    def _schedule(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._clock.call_at(when, self._ring)

    def _ring(self) -> None:
        with self._lock:
            self._timer = None
            when = self._when
            if when is None:
                return
            if when > self._clock.monotonic():
                self._schedule(when)
                return
            self.fired = True
            abort = self.abort
        if abort is not None:
            abort()

    def leave(self) -> None:
        """End the wait."""
        self._when = None

    def claims(self, error: BaseException) -> bool:
        """Whether this alarm broke the wait that `error` came out of."""
        return self.fired and isinstance(error, Exception)

    def close(self) -> None:
        """Cancel the timer."""
        with self._lock:
            self._when = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None


class AsyncAlarm:
    """Ends a wait by cancelling the waiting task, and tells its own cancellation from others'.

    The rule is that of `asyncio.timeout` (PEP 789's discussion of `Task.uncancel`): when somebody
    else asked for cancellation too, theirs wins.
    """

    __slots__ = (
        *("_cancelling", "_clock", "_current_task", "_loop", "_task", "_timer", "_timer_at", "_when"),
        *("abort", "fired"),
    )

    def __init__(self, clock: Clock) -> None:
        loaded: Any = sys.modules["asyncio"]  # a loop runs, so it is there; to import it once more takes its time
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop = loaded.get_running_loop()
        self._current_task: Callable[..., asyncio.Task[object] | None] = loaded.current_task
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._when: float | None = None
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self.abort: Callable[[], None] | None = None
        self.fired = False

    def enter(self, when: float | None) -> None:
        """Begin a wait of the current task that must end by `when`."""
        self._when = when
        if when is None:
            return
        self._task = task = self._current_task(self._loop)
        self._cancelling = task.cancelling() if task is not None else 0
        if self._timer is None or when < self._timer_at:
            self._schedule(when)

    def _schedule(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        if type(self._clock) is SystemClock:
            self._timer = timers_of(self._loop).add(when, self._ring)
        else:
            self._timer = self._clock.call_at(when, self._ring_soon)

    def _ring_soon(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ring)
        except RuntimeError:  # the loop is closed: nobody waits any more
            pass

    def _ring(self) -> None:
        self._timer = None
        when = self._when
        if when is None or self._task is None:
            return
        if when > self._clock.monotonic():
            self._schedule(when)
            return
        self._when = None
        self.fired = True
        self._task.cancel()

    def leave(self) -> None:
        """End the wait."""
        self._when = None

    def claims(self, error: BaseException) -> bool:
        """Whether `error` is this alarm's own cancellation; takes it back from the task if so."""
        import asyncio

        if not self.fired or self._task is None:
            return False
        others = self._uncancel()
        return not others and isinstance(error, asyncio.CancelledError | Exception)

    def _uncancel(self) -> bool:
        """Take this alarm's cancellation back from the task; return whether there are others."""
        assert self._task is not None
        task, self._task = self._task, None
        return task.uncancel() > self._cancelling

    def close(self) -> None:
        """Cancel the timer."""
        self._when = None
        if self.fired and self._task is not None:
            self._uncancel()  # what was cancelled went on to its end all the same
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
