"""The timers of one event loop, behind one timer of the loop."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest

from agentprod.runtime import loop_timers
from agentprod.runtime.loop_timers import LoopTimers, timers_of


class Loop:
    """As much of an event loop as timers need, in time that is set."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []
        self.most = 0

    def call_later(self, delay: float, fn: Callable[..., None], *args: Any) -> None:
        self.asked.append((self.now + delay, fn, args))
        self.most = max(self.most, len(self.asked))

    def call_soon(self, fn: Callable[[], None]) -> None:
        fn()

    def run_until(self, when: float) -> None:
        while due := [each for each in self.asked if each[0] <= when]:
            first = min(due, key=lambda each: each[0])
            self.asked.remove(first)
            self.now = max(self.now, first[0])
            first[1](*first[2])
        self.now = when


@pytest.fixture
def loop() -> Any:
    return Loop()


@pytest.fixture
def timers(loop: Any) -> LoopTimers:
    return LoopTimers(loop, lambda: loop.now)


def test_timers_fire_in_the_order_of_their_times(loop: Any, timers: LoopTimers) -> None:
    """Whatever the order they were set in; one for now or for the past fires at once."""
    fired: list[float] = []
    for when in (130, 110, 120, 100, 90):
        timers.add(when, lambda when=when: fired.append(when))  # type: ignore[misc]
    loop.run_until(115)
    assert fired == [90, 100, 110]
    loop.run_until(200)
    assert fired == [90, 100, 110, 120, 130]
    assert (timers.pending, loop.asked) == (0, [])


def test_a_timer_that_was_taken_back_never_fires(loop: Any, timers: LoopTimers) -> None:
    """A second time has no effect, nor has it once the timer has fired."""
    fired: list[str] = []
    entry = timers.add(110, lambda: fired.append("one"))
    other = timers.add(111, lambda: fired.append("other"))
    entry.cancel()
    entry.cancel()
    assert timers.pending == 1
    loop.run_until(120)
    other.cancel()
    assert fired == ["other"]
    assert timers.pending == 0


def test_of_two_that_are_due_the_first_may_take_the_second_back() -> None:
    """On a real loop as well, which calls both in its next step."""

    async def run() -> list[str]:
        fired: list[str] = []
        timers = timers_of(asyncio.get_running_loop())

        def first() -> None:
            fired.append("first")
            second.cancel()

        timers.add(0, first)
        second = timers.add(0, lambda: fired.append("second"))
        timers.add(0, done.set)
        await done.wait()
        return fired

    done = asyncio.Event()
    assert asyncio.run(run()) == ["first"]


def test_the_loop_is_asked_once_for_many_timers(loop: Any, timers: LoopTimers) -> None:
    """10,000 calls of one limit after another keep one timer of the loop, and a bounded heap."""
    for number in range(10_000):
        timers.add(160 + number / 1000, lambda: None).cancel()
        loop.run_until(100 + number / 1000)
    assert loop.most == 1
    assert len(timers._heap) <= 2 * loop_timers._SPARE


def test_a_timer_that_was_taken_back_serves_the_next_wait(loop: Any, timers: LoopTimers) -> None:
    """A later time of the next is found out when it rings, for an earlier one it is moved; both fire once, in time."""
    fired: list[tuple[str, float]] = []

    def note(name: str) -> Callable[[], None]:
        return lambda: fired.append((name, loop.now))

    timers.add(110, note("never")).cancel()
    timers.add(160, note("late"))
    assert len(timers._heap) == 1
    timers.add(150, note("never")).cancel()
    timers.add(105, note("early"))
    assert timers.spare == {}
    loop.run_until(104)
    assert fired == []
    loop.run_until(200)
    assert fired == [("early", 105), ("late", 160)]
    assert (timers._heap, timers.spare, loop.asked) == ([], {}, [])


def test_a_loop_that_was_held_up_calls_in_order(loop: Any, timers: LoopTimers) -> None:
    """What a timer was set for before does not bring it forward when several are due at once."""
    fired: list[str] = []
    timers.add(110, lambda: None).cancel()
    timers.add(160, lambda: fired.append("second"))
    timers.add(150, lambda: fired.append("first"))
    loop.now = 200
    loop.run_until(200)
    assert fired == ["first", "second"]


def test_a_timer_that_nobody_takes_again_is_given_up(loop: Any, timers: LoopTimers) -> None:
    """Those of a burst of waits do not stay: at the time they were set for they are gone."""
    for timer in [timers.add(160, lambda: None) for _ in range(1000)]:
        timer.cancel()
    assert len(timers.spare) == 1000
    loop.run_until(200)
    assert (timers.spare, timers._heap, loop.asked) == ({}, [], [])


@pytest.mark.parametrize("length", [0.5, 60])
def test_timers_that_are_moved_again_and_again_do_not_fill_the_heap(
    loop: Any, timers: LoopTimers, length: float
) -> None:
    """Short waits after long ones leave entries behind, of which there are never many more than timers."""
    for number in range(5_000):
        timers.add(loop.now + 60, lambda: None).cancel()
        timers.add(loop.now + 60 - number / 100, lambda: None).cancel()
        loop.run_until(loop.now + length / 5_000)
    assert len(timers._heap) <= 2 * loop_timers._SPARE


@pytest.mark.parametrize("seed", range(5))
def test_timers_set_before_others_do_not_add_up(loop: Any, timers: LoopTimers, seed: int) -> None:
    """Timers of every length, some taken back: each fires once and in time, and the loop is asked for few."""
    chance = random.Random(seed)
    wanted: dict[int, float] = {}
    fired: dict[int, float] = {}
    for number in range(500):
        when = loop.now + chance.choice([1, 5, 60]) * chance.random()
        entry = timers.add(when, lambda number=number: fired.__setitem__(number, loop.now))  # type: ignore[misc]
        if chance.random() < 0.7:
            entry.cancel()
        else:
            wanted[number] = when
        loop.run_until(loop.now + chance.random() / 5)
    loop.run_until(1000)
    assert fired == pytest.approx(wanted)
    assert loop.most < 20
    assert loop.asked == []


def test_a_loop_has_timers_of_its_own_and_is_not_kept() -> None:
    """On a real loop a timer fires, and a closed loop can be collected although a timer was pending."""

    async def main() -> tuple[Any, LoopTimers]:
        running = asyncio.get_running_loop()
        timers = timers_of(running)
        assert timers is timers_of(running)
        fired = asyncio.Event()
        timers.add(0.0, fired.set)
        await fired.wait()
        timers.add(1e9, lambda: None)
        return ref(running), timers

    one, first = asyncio.run(main())
    _, second = asyncio.run(main())
    assert first is not second
    gc.collect()
    assert one() is None
