"""The clock every layer reads, and the one timer thread behind it."""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Protocol

from agentprod.forks import after_fork

__all__ = ["Clock", "SystemClock", "Timer"]

_log = logging.getLogger("agentprod")


class Timer(Protocol):
    """A pending timer."""

    def cancel(self) -> None:
        """Make sure the timer never fires from now on."""
        ...


class Clock(Protocol):
    """Where layers get time from; `agentprod.testing.FakeClock` is the other implementation."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...

    def wall(self) -> float:
        """Return POSIX time, for dates only."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Block the calling thread."""
        ...

    async def asleep(self, seconds: float, /) -> None:
        """Suspend the calling task."""
        ...

    def call_at(self, when: float, fn: Callable[[], None], /) -> Timer:
        """Call `fn` once `monotonic()` has reached `when`; from any thread, so `fn` must be quick."""
        ...


class SystemClock:
    """The clock of the machine."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)
    sleep = staticmethod(time.sleep)

    async def asleep(self, seconds: float) -> None:
        """Suspend the calling task for `seconds`."""
        import asyncio

        await asyncio.sleep(seconds)

    def call_at(self, when: float, fn: Callable[[], None]) -> Timer:
        """Call `fn` on the shared timer thread at `when` (monotonic seconds)."""
        return _timers.add(when, fn)


class _Entry:
    __slots__ = ("fn",)

    def __init__(self, fn: Callable[[], None]) -> None:
        self.fn: Callable[[], None] | None = fn

    def cancel(self) -> None:
        self.fn = None


class _Timers:
    """One daemon thread for all timers of the process, started on first use.

    Cancelled entries stay in the heap until their time comes: a call that ends in time then
    neither wakes the thread nor searches the heap.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, _Entry]] = []
        self._order = itertools.count()
        self._running = False

    def add(self, when: float, fn: Callable[[], None]) -> _Entry:
        entry = _Entry(fn)
        with self._changed:
            heapq.heappush(self._heap, (when, next(self._order), entry))
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="agentprod-timer", daemon=True).start()
            elif self._heap[0][2] is entry:
                self._changed.notify()
        return entry

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._heap or self._heap[0][0] > time.monotonic():
                    left = self._heap[0][0] - time.monotonic() if self._heap else math.inf
                    self._changed.wait(min(left, threading.TIMEOUT_MAX))
                fn = heapq.heappop(self._heap)[2].fn
            if fn is not None:
                try:
                    fn()
                except Exception:  # every later timer of the process needs this thread
                    _log.exception("a timer failed")


_timers = _Timers()
# A forked child has the heap but not the thread, and perhaps a lock held for ever.
after_fork(_timers._forget)
