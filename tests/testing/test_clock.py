"""FakeClock: virtual time, and the timers on it."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agentprod.errors import ConfigError
from agentprod.runtime.clock import Clock
from agentprod.testing import FakeClock


def test_a_new_clock_shows_where_it_starts() -> None:
    """Monotonic and wall time begin where they are told to, and stand still."""
    clock = FakeClock(start=5.0, wall=100.0)
    assert (clock.monotonic(), clock.wall(), clock.monotonic()) == (5.0, 100.0, 5.0)


def test_it_is_a_clock_of_the_library() -> None:
    """A type checker, and a user, may pass it wherever a clock is wanted."""
    clock: Clock = FakeClock()
    assert clock.monotonic() == 1000.0


def test_sleeping_moves_both_times_and_is_recorded() -> None:
    """A sleep takes no real time, and its length can be asserted."""
    clock = FakeClock(start=0.0, wall=100.0)
    clock.sleep(3)
    clock.sleep(0.5)
    assert (clock.monotonic(), clock.wall(), clock.slept) == (3.5, 103.5, [3, 0.5])


def test_async_sleep_lets_other_tasks_run() -> None:
    """An asleep is recorded, moves time, and gives the other tasks one turn."""
    clock = FakeClock(start=0.0)
    seen: list[float] = []

    async def sleeper() -> None:
        await clock.asleep(2)
        seen.append(-1.0)

    async def watcher() -> None:
        seen.append(clock.monotonic())

    async def main() -> None:
        await asyncio.gather(sleeper(), watcher())

    asyncio.run(main())
    assert (seen, clock.slept) == ([2.0, -1.0], [2])


def test_advancing_is_no_sleep() -> None:
    """What a test moves by hand is not what the code under test slept."""
    clock = FakeClock(start=0.0)
    clock.advance(7)
    assert (clock.monotonic(), clock.slept) == (7.0, [])


def test_wall_time_jumps_alone() -> None:
    """A corrected system clock moves wall time, forward and back, and never monotonic time."""
    clock = FakeClock(start=0.0, wall=100.0)
    clock.jump_wall(-30)
    assert (clock.monotonic(), clock.wall()) == (0.0, 70.0)
    clock.jump_wall(40)
    clock.advance(1)
    assert (clock.monotonic(), clock.wall()) == (1.0, 111.0)


@pytest.mark.parametrize("move", [FakeClock.sleep, FakeClock.advance, lambda c, s: asyncio.run(c.asleep(s))])
def test_every_movement_fires_the_timers_it_passes(move: Callable[[FakeClock, float], object]) -> None:
    """Timers fire in order, each at its own time, and later ones stay."""
    clock = FakeClock(start=0.0)
    fired: list[tuple[str, float]] = []
    for name, when in (("late", 2.0), ("early", 1.0), ("early too", 1.0), ("never", 9.0)):
        clock.call_at(when, lambda name=name: fired.append((name, clock.monotonic())))  # type: ignore[misc]
    move(clock, 3)
    assert fired == [("early", 1.0), ("early too", 1.0), ("late", 2.0)]
    assert clock.monotonic() == 3.0


def test_a_cancelled_timer_never_fires() -> None:
    """Cancelling twice, or after it fired, does nothing more."""
    clock = FakeClock(start=0.0)
    fired: list[int] = []
    timer = clock.call_at(1.0, lambda: fired.append(1))
    kept = clock.call_at(1.0, lambda: fired.append(2))
    timer.cancel()
    timer.cancel()
    clock.advance(5)
    kept.cancel()
    assert (fired, timer.cancelled(), timer.when) == ([2], True, 1.0)


def test_a_timer_may_cancel_the_next_one() -> None:
    """What is cancelled while time moves does not fire, though it was passed already."""
    clock = FakeClock(start=0.0)
    fired: list[int] = []
    second = clock.call_at(2.0, lambda: fired.append(2))
    clock.call_at(1.0, second.cancel)
    clock.advance(5)
    assert not fired


def test_a_timer_in_the_past_fires_at_the_next_movement() -> None:
    """A movement by nothing is enough, and the clock does not go back for it."""
    clock = FakeClock(start=10.0)
    seen: list[float] = []
    clock.call_at(3.0, lambda: seen.append(clock.monotonic()))
    assert not seen
    clock.advance(0)
    assert seen == [10.0]


def test_a_timer_may_set_timers_and_sleep() -> None:
    """A timer set by a timer fires in the same movement; a sleep in one moves time for all."""
    clock = FakeClock(start=0.0)
    seen: list[tuple[str, float]] = []

    def first() -> None:
        clock.call_at(2.0, lambda: seen.append(("set by a timer", clock.monotonic())))
        clock.sleep(4)

    clock.call_at(1.0, first)
    clock.advance(3)
    assert seen == [("set by a timer", 2.0)]
    assert clock.monotonic() == 5.0


def test_the_error_of_a_timer_reaches_who_moved_time() -> None:
    """An exception is not swallowed, and the timers after it stay set."""
    clock = FakeClock(start=0.0)
    fired: list[int] = []
    clock.call_at(1.0, lambda: 1 / 0)
    clock.call_at(2.0, lambda: fired.append(2))
    with pytest.raises(ZeroDivisionError):
        clock.advance(3)
    assert clock.monotonic() == 1.0
    clock.advance(2)
    assert fired == [2]


def test_threads_may_share_a_clock() -> None:
    """No sleep and no movement is lost when many threads sleep at once."""
    clock = FakeClock(start=0.0)
    fired: list[int] = []
    for _ in range(100):
        clock.call_at(50.0, lambda: fired.append(1))

    def sleep_much() -> None:
        for _ in range(50):
            clock.sleep(1)

    threads = [threading.Thread(target=sleep_much) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clock.slept) == 200
    assert clock.monotonic() == 200.0
    assert len(fired) == 100


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan])
def test_time_moves_forward_by_a_finite_amount(seconds: float) -> None:
    """A step that is negative or endless is refused, and nothing is recorded."""
    clock = FakeClock()
    with pytest.raises(ConfigError, match="sleep"):
        clock.sleep(seconds)
    with pytest.raises(ConfigError, match="advance"):
        clock.advance(seconds)
    assert not clock.slept


def test_points_in_time_are_numbers() -> None:
    """Starts, jumps and timers that are no number are refused when given."""
    with pytest.raises(ConfigError, match="start"):
        FakeClock(start=math.nan)
    with pytest.raises(ConfigError, match="wall"):
        FakeClock(wall=math.inf)
    with pytest.raises(ConfigError, match="jump_wall"):
        FakeClock().jump_wall(math.inf)
    with pytest.raises(ConfigError, match="call_at"):
        FakeClock().call_at(math.nan, print)


class ClockMachine(RuleBasedStateMachine):
    """Against a model: whatever is set, cancelled and moved, timers fire once, in order, and never early."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(start=0.0)
        self.now = 0.0
        self.set: list[float] = []
        self.live: dict[int, float] = {}
        self.fired: list[int] = []
        self.expected: list[int] = []
        self.timers: list[object] = []

    @rule(ahead=st.integers(-3, 10))
    def set_timer(self, ahead: int) -> None:
        number = len(self.set)
        self.set.append(self.now + ahead)
        self.live[number] = self.now + ahead
        self.timers.append(self.clock.call_at(self.now + ahead, lambda: self.fired.append(number)))

    @rule(data=st.data())
    def cancel_one(self, data: st.DataObject) -> None:
        if self.timers:
            number = data.draw(st.integers(0, len(self.timers) - 1))
            self.timers[number].cancel()  # type: ignore[attr-defined]
            self.live.pop(number, None)

    @rule(seconds=st.integers(0, 6), sleeping=st.booleans())
    def move(self, seconds: int, sleeping: bool) -> None:
        move = self.clock.sleep if sleeping else self.clock.advance
        move(seconds)
        self.now += seconds
        due = sorted((when, number) for number, when in self.live.items() if when <= self.now)
        for _, number in due:
            self.expected.append(number)
            del self.live[number]

    @invariant()
    def agrees(self) -> None:
        assert self.clock.monotonic() == self.now
        assert self.fired == self.expected


TestClockMachine = ClockMachine.TestCase
