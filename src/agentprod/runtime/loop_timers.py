"""The timers of one event loop, behind one timer of the loop.

Nearly every limit on a wait is taken back before its time has come. A timer that was taken back stays in the heap and
serves the next wait, which is mostly of the same length and so ends later: nothing is sorted and nothing is asked of
the loop then, and at its time the timer finds out that it has to ring again.
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

__all__ = ["LoopTimer", "LoopTimers", "timers_of"]

_SPARE = 64
"""So many entries of timers that were moved may lie in a heap, besides as many as there are timers."""


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
        self.spare: dict[LoopTimer, None] = {}
        """Those that were taken back and stand in the heap still."""
        self._heap: list[tuple[float, int, LoopTimer]] = []
        self._order = itertools.count()
        self._wakes = math.inf  # when the loop calls next

    def add(self, when: float, fn: Callable[[], None]) -> LoopTimer:
        """Call `fn` in the loop at `when` (monotonic seconds)."""
        timer = self.spare.popitem()[0] if self.spare else LoopTimer(self)
        timer.fn, timer.when = fn, when
        self.pending += 1
        if when < timer.rings:
            self._push(timer)
        return timer

    def _push(self, timer: LoopTimer) -> None:
        timer.rings = when = timer.when
        if len(self._heap) > 2 * (self.pending + len(self.spare)) + _SPARE:
            self._heap[:] = [entry for entry in self._heap if entry[0] == entry[2].rings]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (when, next(self._order), timer))
        if when < self._wakes:
            self._wake(when)

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
        heap, now = self._heap, self._now()
        while heap and heap[0][0] <= now:
            rings, _, timer = heapq.heappop(heap)
            if rings != timer.rings:
                continue  # it was moved to an earlier time
            timer.rings = math.inf
            if timer.fn is None:
                del self.spare[timer]
            elif timer.when > rings:
                self._push(timer)  # its time may have come all the same, after others'
            else:
                loop.call_soon(timer.fire)
        self._wakes = math.inf
        if heap:
            self._wake(heap[0][0])


class LoopTimer:
    """One call of a function at one time, and then, perhaps, another's."""

    __slots__ = ("_timers", "fn", "rings", "when")

    def __init__(self, timers: LoopTimers) -> None:
        self._timers = timers
        self.fn: Callable[[], None] | None = None
        self.when = math.inf
        """When the function is to be called."""
        self.rings = math.inf
        """When it is looked at next, which may be earlier."""

    def fire(self) -> None:
        """Call the function, unless the timer was taken back since it was due."""
        fn = self.fn
        if fn is not None:
            self.cancel()
            fn()

    def cancel(self) -> None:
        """Make sure the function is not called from now on."""
        if self.fn is not None:
            self.fn = None
            self._timers.pending -= 1
            if self.rings != math.inf:
                self._timers.spare[self] = None


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
