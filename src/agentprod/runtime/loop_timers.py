"""The timers of one event loop, behind one timer of the loop.

Nearly every limit on a wait is taken back before its time has come. A timer here is one entry of a heap, and taking it
back only marks the entry; a timer of asyncio is a handle that holds the context, and one more callback of the loop.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

if TYPE_CHECKING:
    import asyncio

__all__ = ["LoopTimers", "timers_of"]

_SPARE = 64
"""So many entries that were taken back may lie in a heap, besides as many as there are others."""


class LoopTimers:
    """Calls functions at their times. To be used in its loop's thread only.

    It holds the loop weakly, so that it can be collected.

    Args:
        loop: the loop.

        now: returns monotonic seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float] = time.monotonic) -> None:
        self.loop = ref(loop)
        self._now = now
        self.pending = 0
        """Timers that have not fired and were not taken back."""
        self._heap: list[tuple[float, int, _Entry]] = []
        self._order = itertools.count()
        self._wakes = math.inf  # when the loop calls next

    def add(self, when: float, fn: Callable[[], None]) -> _Entry:
        """Call `fn` in the loop at `when` (monotonic seconds)."""
        if len(self._heap) > 2 * self.pending + _SPARE:
            self._heap = [timer for timer in self._heap if timer[2].fn is not None]
            heapq.heapify(self._heap)
        entry = _Entry(self, fn)
        self.pending += 1
        heapq.heappush(self._heap, (when, next(self._order), entry))
        if when < self._wakes:
            self._wake(when)
        return entry

    def _wake(self, when: float) -> None:
        loop = self.loop()
        assert loop is not None  # it runs this
        self._wakes = when
        loop.call_later(when - self._now(), self._ring, when)

    def _ring(self, when: float) -> None:
        """Call what is due."""
        if when != self._wakes:
            return  # an earlier timer has come since the loop was asked for this
        loop = self.loop()
        assert loop is not None
        self._wakes = math.inf
        heap, now = self._heap, self._now()
        while heap and (heap[0][0] <= now or heap[0][2].fn is None):
            entry = heapq.heappop(heap)[2]
            if entry.fn is not None:
                loop.call_soon(entry.fire)
        if heap:
            self._wake(heap[0][0])


class _Entry:
    __slots__ = ("_timers", "fn")

    def __init__(self, timers: LoopTimers, fn: Callable[[], None]) -> None:
        self._timers = timers
        self.fn: Callable[[], None] | None = fn

    def fire(self) -> None:
        """Call the function, unless the timer was taken back since it was due."""
        fn = self.fn
        if fn is not None:
            self.cancel()
            fn()

    def cancel(self) -> None:
        """Make sure the timer never fires from now on."""
        if self.fn is not None:
            self.fn = None
            self._timers.pending -= 1


_known: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopTimers] = WeakKeyDictionary()
_latest: LoopTimers | None = None


def timers_of(loop: asyncio.AbstractEventLoop) -> LoopTimers:
    """Return the timers of a loop, made on first use."""
    global _latest  # noqa: PLW0603 - most processes have one loop, and a weak dictionary is slow
    timers = _latest
    if timers is None or timers.loop() is not loop:
        timers = _known.get(loop)
        if timers is None:
            timers = _known[loop] = LoopTimers(loop)
        _latest = timers
    return timers
