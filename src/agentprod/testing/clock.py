"""A clock that only moves when told to."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import threading
from collections.abc import Callable

from agentprod.errors import ConfigError

__all__ = ["FakeClock", "FakeTimer"]


class FakeTimer:
    """One function waiting for a point in virtual time; made by `FakeClock.call_at`."""

    __slots__ = ("_cancelled", "_fn", "when")

    def __init__(self, when: float, fn: Callable[[], object]) -> None:
        self.when = when
        self._fn = fn
        self._cancelled = False

    def cancel(self) -> None:
        """Keep the function from being called; does nothing once it was."""
        self._cancelled = True

    def cancelled(self) -> bool:
        """Return whether `cancel` was called."""
        return self._cancelled

    def fire(self) -> None:
        """Call the function, unless it was cancelled."""
        if not self._cancelled:
            self._fn()


class FakeClock:
    """Virtual time for tests: sleeping returns at once, and moves the clock.

    Every method may be called from any thread. Sleepers do not wait for one another: two tasks
    sleeping 1 and 5 seconds "at the same time" move the clock by 6. What must happen at a point
    in virtual time belongs in `call_at`.

    Args:
        start: first value of `monotonic()`, in seconds.

        wall: first value of `wall()`, in seconds since 1970-01-01 UTC.

    Raises:
        ConfigError: if `start` or `wall` is not a finite number.
    """

    def __init__(self, start: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        for name, value in (("start", start), ("wall", wall)):
            if not math.isfinite(value):
                raise ConfigError(f"FakeClock({name}=) must be a finite number of seconds, not {value!r}")
        self._lock = threading.Lock()
        # One thread moves time at a time, so that no movement is lost; a timer moves it within a movement.
        self._moving = threading.RLock()
        self._now = float(start)
        self._wall_offset = float(wall) - float(start)
        self._order = itertools.count()
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self.slept: list[float] = []
        """What was slept so far, in seconds, in order; sync and async alike."""

    def monotonic(self) -> float:
        """Return virtual monotonic time in seconds."""
        with self._lock:
            return self._now

    def wall(self) -> float:
        """Return virtual POSIX time in seconds; it moves along with `monotonic`, and by `jump_wall`."""
        with self._lock:
            return self._now + self._wall_offset

    def sleep(self, seconds: float) -> None:
        """Record the sleep and move time past it, without waiting.

        Args:
            seconds: how long, 0 or more.

        Raises:
            ConfigError: if `seconds` is negative or not finite.
        """
        _check_step("sleep", seconds)
        with self._lock:
            self.slept.append(seconds)
        self._move(seconds)

    async def asleep(self, seconds: float) -> None:
        """Do what `sleep` does, then let the other tasks of the running event loop have one turn."""
        self.sleep(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Move time forward without recording a sleep, firing the timers that it passes.

        Args:
            seconds: how far, 0 or more.

        Raises:
            ConfigError: if `seconds` is negative or not finite.
        """
        _check_step("advance", seconds)
        self._move(seconds)

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock forward, or back with a negative number; monotonic time and timers stay."""
        if not math.isfinite(seconds):
            raise ConfigError(f"FakeClock.jump_wall() takes a finite number of seconds, not {seconds!r}")
        with self._lock:
            self._wall_offset += seconds

    def call_at(self, when: float, fn: Callable[[], object]) -> FakeTimer:
        """Call a function once virtual monotonic time reaches a point.

        It runs in the thread that moves the clock, while `monotonic()` shows `when`; timers of the
        same point run in the order they were set. An exception of it reaches whoever moved the clock.

        Args:
            when: a value of `monotonic()`; one that is already past fires at the next movement, even by 0.

            fn: called without arguments; may itself sleep, advance, or set timers.

        Returns:
            The timer, whose `cancel()` takes it back.

        Raises:
            ConfigError: if `when` is not a number.
        """
        if math.isnan(when):
            raise ConfigError("FakeClock.call_at(when) must be a number of seconds, not NaN")
        timer = FakeTimer(when, fn)
        with self._lock:
            heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def _move(self, seconds: float) -> None:
        with self._moving:
            target = self.monotonic() + seconds
            while (timer := self._take_due(target)) is not None:
                timer.fire()

    def _take_due(self, target: float) -> FakeTimer | None:
        with self._lock:
            if not self._timers or self._timers[0][0] > target:
                # A timer may have moved further meanwhile: time never goes back.
                self._now = max(self._now, target)
                return None
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            return timer


def _check_step(method: str, seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ConfigError(f"FakeClock.{method}() takes a finite number of seconds, 0 or more, not {seconds!r}")
