"""Alarms: end a wait that takes too long, without a task or a timer per wait.

An alarm guards the waits of one attempt, one after the other: the answer, then each piece of a
stream. Moving its time forward is an assignment; the timer behind it is only set again when it
fires too early. The end of a wait is an assignment, too: `alarm.when = NEVER`.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from agentprod.runtime.clock import Clock, SystemClock, Timer
from agentprod.runtime.loop_timers import timers_of

if TYPE_CHECKING:
    import asyncio

__all__ = ["NEVER", "Alarm", "AsyncAlarm", "SyncAlarm"]

NEVER = math.inf
"""When a wait must have ended that may take for ever, or that nobody waits."""


class Alarm(Protocol):
    """Guards one wait at a time."""

    when: float
    """When the wait must have ended (monotonic seconds); `NEVER` while nobody waits."""

    until: float
    """When the last of the waits that `ask` begins must have ended."""

    idle: float
    """Seconds that each of them may take."""

    fired: bool
    """Whether a guarded wait was ended."""

    abort: Callable[[], None] | None
    """What ends a blocking wait of a thread, such as shutting a socket down; unused in async."""

    def enter(self, when: float | None) -> None:
        """Begin a wait that must end by `when` (monotonic seconds)."""
        ...

    def ask(self) -> None:
        """Begin one wait of many, which must end by `until` and within `idle` seconds."""
        ...

    def claims(self, error: BaseException) -> bool:
        """Whether `error` ended the wait because of this alarm, and nobody else asked for it."""
        ...

    def close(self) -> None:
        """End the last wait and release the timer. Must be called however it ended."""
        ...


class SyncAlarm:
    """Ends a blocking wait by calling `abort` from the timer thread."""

    __slots__ = ("_clock", "_lock", "_now", "_rings", "_timer", "abort", "fired", "idle", "until", "when")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now = clock.monotonic
        self._lock = threading.Lock()
        self._timer: Timer | None = None
        self._rings = NEVER  # when the timer does
        self.when = self.until = self.idle = NEVER
        self.abort: Callable[[], None] | None = None
        self.fired = False

    def enter(self, when: float | None) -> None:
        """Begin a wait that must end by `when`."""
        self.when = when = NEVER if when is None else when
        if when < self._rings:
            self._schedule()

    def ask(self) -> None:
        """Begin one wait of many."""
        silent = self._now() + self.idle
        self.when = when = silent if silent < self.until else self.until
        if when < self._rings:
            self._schedule()

    def _schedule(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._rings = when = self.when
            self._timer = None if when == NEVER else self._clock.call_at(when, self._ring)

    def _ring(self) -> None:
        self._rings = NEVER  # before all else: a wait that begins from here on sets the timer itself
        if self.when > self._now():
            self._schedule()
            return
        self.fired = True
        if self.abort is not None:
            self.abort()

    def claims(self, error: BaseException) -> bool:
        """Whether this alarm broke the wait that `error` came out of."""
        return self.fired and isinstance(error, Exception)

    def close(self) -> None:
        """Cancel the timer."""
        self.when = NEVER
        if self._timer is not None:
            self._schedule()


class AsyncAlarm:
    """Ends a wait by cancelling the waiting task, and tells its own cancellation from others'.

    The rule is that of `asyncio.timeout` (PEP 789's discussion of `Task.uncancel`): when somebody
    else asked for cancellation too, theirs wins.
    """

    # One is made for every call that has a limit, so that what it begins with stands here and is not assigned.
    when = until = idle = NEVER
    fired = False
    abort: Callable[[], None] | None = None
    _task: asyncio.Task[object] | None = None
    _cancelling = 0
    _timer: Timer | None = None
    _rings = NEVER  # when the timer does

    def __init__(self, clock: Clock) -> None:
        loaded: Any = sys.modules["asyncio"]  # a loop runs, so it is there; to import it once more takes its time
        self._clock = clock
        self._now = clock.monotonic
        self._loop: asyncio.AbstractEventLoop = loaded.get_running_loop()
        self._current_task: Callable[..., asyncio.Task[object] | None] = loaded.current_task

    def enter(self, when: float | None) -> None:
        """Begin a wait of the current task that must end by `when`."""
        self.when = when = NEVER if when is None else when
        self._task = task = self._current_task(self._loop)
        if task is not None:
            self._cancelling = task.cancelling()
        if when < self._rings:
            self._schedule()

    def ask(self) -> None:
        """Begin one wait of many; it may be another task's than the last one was."""
        silent = self._now() + self.idle
        self.when = when = silent if silent < self.until else self.until
        self._task = task = self._current_task(self._loop)
        if task is not None:
            self._cancelling = task.cancelling()
        if when < self._rings:
            self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings = when = self.when
        if when == NEVER:
            self._timer = None
        elif type(self._clock) is SystemClock:
            self._timer = timers_of(self._loop).add(when, self._ring)
        else:
            self._timer = self._clock.call_at(when, self._ring_soon)

    def _ring_soon(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ring)
        except RuntimeError:  # the loop is closed: nobody waits any more
            pass

    def _ring(self) -> None:
        self._timer, self._rings = None, NEVER
        if self.when > self._now():
            self._schedule()
        elif self._task is not None:
            self.fired = True
            self._task.cancel()

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
        self.when = NEVER
        if self.fired and self._task is not None:
            self._uncancel()  # what was cancelled went on to its end all the same
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._rings = None, NEVER
