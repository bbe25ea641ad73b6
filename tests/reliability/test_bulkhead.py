"""Bulkhead: how many calls run, who waits, and when a slot is free again; by the numbered scenarios."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentprod as ap
from agentprod.reliability.slots import Place, Slots
from agentprod.testing import FakeClock
from tests.callers import MODES, Caller, Script
from tests.sdk_errors import openai_error


@pytest.fixture(params=MODES)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return a caller of each kind."""
    return Caller(request.param)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock to move by hand."""
    return FakeClock()


async def settled() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Gate:
    """An async function that waits until let go, behind a bulkhead."""

    def __init__(self, clock: FakeClock, bulkhead: ap.Bulkhead, *inner: Any) -> None:
        self.go = asyncio.Event()
        self.order: list[int] = []

        @ap.Stack(bulkhead, *inner, clock=clock)
        async def ask(number: int) -> int:
            self.order.append(number)
            await self.go.wait()
            return number

        self.ask = ask

    def start(self, *numbers: int) -> list[asyncio.Task[int]]:
        return [asyncio.get_running_loop().create_task(self.ask(number)) for number in numbers]


def eventually(true: Callable[[], bool]) -> None:
    """Wait for other threads to come so far."""
    tick = threading.Event()
    for _ in range(1000):
        if true():
            return
        tick.wait(0.005)
    raise AssertionError("other threads did not come so far")


# The scenarios


def test_scenario_47_two_run_one_waits_the_fourth_is_refused(clock: FakeClock) -> None:
    """Of four calls two run, the third waits and runs later, the fourth is refused at once."""

    async def run() -> None:
        bulkhead = ap.Bulkhead(2, queue=1)
        gate = Gate(clock, bulkhead)
        tasks = gate.start(1, 2, 3, 4)
        await settled()
        assert (gate.order, bulkhead.in_flight, bulkhead.waiting) == ([1, 2], 2, 1)
        with pytest.raises(ap.BulkheadFull, match="2 calls are in flight") as refused:
            await tasks[3]
        assert refused.value.status_code == 503
        assert refused.value.layer == "Bulkhead"
        gate.go.set()
        assert await asyncio.gather(*tasks[:3]) == [1, 2, 3]
        assert (bulkhead.in_flight, bulkhead.waiting) == (0, 0)

    asyncio.run(run())


def test_scenario_47_the_same_for_threads(clock: FakeClock) -> None:
    """Threads wait in line as tasks do, and are served first come, first served."""
    bulkhead = ap.Bulkhead(2, queue=3)
    go = threading.Event()
    order: list[int] = []

    @ap.Stack(bulkhead, clock=clock)
    def ask(number: int) -> None:
        order.append(number)
        go.wait()

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=ask, args=(number,), daemon=True))
        threads[-1].start()
        eventually(lambda expected=number + 1: bulkhead.in_flight + bulkhead.waiting == expected)  # type: ignore[misc]
    with pytest.raises(ap.BulkheadFull):
        ask(5)
    go.set()
    for thread in threads:
        thread.join(10)
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert set(order[:2]) == {0, 1}
    assert (bulkhead.in_flight, bulkhead.waiting) == (0, 0)


def test_scenario_47_a_slot_is_held_until_the_stream_ends(clock: FakeClock) -> None:
    """While a stream is read its slot is taken; its end, its close and its collection free the slot."""
    bulkhead = ap.Bulkhead(1)

    @ap.Stack(bulkhead, clock=clock)
    def ask() -> Iterator[str]:
        yield "a"
        yield "b"

    for leave in ("read", "close", "drop"):
        stream: Any = ask()
        assert next(stream) == "a"
        assert bulkhead.in_flight == 1
        with pytest.raises(ap.BulkheadFull):
            next(ask())
        if leave == "read":
            assert list(stream) == ["b"]
        elif leave == "close":
            stream.close()
        del stream
        gc.collect()
        assert bulkhead.in_flight == 0


def test_scenario_47_async_streams(clock: FakeClock) -> None:
    """An async stream holds its slot until it ends, and whoever waits is then served."""

    async def run() -> None:
        bulkhead = ap.Bulkhead(1, queue=1)

        @ap.Stack(bulkhead, clock=clock)
        async def ask() -> AsyncIterator[str]:
            yield "a"
            yield "b"

        async def read() -> list[str]:
            return [item async for item in ask()]

        stream = ask()
        assert await anext(stream) == "a"
        waiting = asyncio.ensure_future(read())
        await settled()
        assert bulkhead.waiting == 1
        await stream.aclose()  # type: ignore[attr-defined]
        assert await waiting == ["a", "b"]
        assert bulkhead.in_flight == 0

    asyncio.run(run())


def test_scenario_47_a_sleeping_retry_holds_no_slot(caller: Caller) -> None:
    """Between two attempts the slot is free."""
    bulkhead = ap.Bulkhead(1)
    held: list[int] = []

    class Watched(FakeClock):
        def sleep(self, seconds: float) -> None:
            held.append(bulkhead.in_flight)
            super().sleep(seconds)

    clock = Watched()
    stack = ap.Stack(ap.Retry(), bulkhead, clock=clock)
    told = caller.ask(caller.decorate(stack, Script(openai_error(500), "fine")))
    assert told.value == "fine"
    assert held == [0]
    assert bulkhead.in_flight == 0


def test_scenario_47_the_queue_timeout(clock: FakeClock) -> None:
    """Who has waited for queue_timeout is refused, and loses the place in line."""

    async def run() -> None:
        bulkhead = ap.Bulkhead(1, queue=2, queue_timeout=5)
        gate = Gate(clock, bulkhead)
        first, second = gate.start(1, 2)
        await settled()
        clock.advance(3)
        (third,) = gate.start(3)
        await settled()
        clock.advance(2)
        with pytest.raises(ap.BulkheadFull, match="queue_timeout=5") as refused:
            await second
        assert bulkhead.waiting == 1
        meta = ap.meta(refused.value)
        assert meta is not None
        assert [(note.event, note.data) for note in meta.notes] == [("waited", {"wait": 5})]
        gate.go.set()
        assert [await first, await third] == [1, 3]

    asyncio.run(run())


def test_the_queue_timeout_of_threads(clock: FakeClock) -> None:
    """A waiting thread is woken by the clock, too."""
    bulkhead = ap.Bulkhead(1, queue=1, queue_timeout=5)
    stack = ap.Stack(bulkhead, clock=clock)
    go, errors = threading.Event(), []

    @stack
    def ask() -> None:
        go.wait()

    def late() -> None:
        try:
            ask()
        except ap.BulkheadFull as error:
            errors.append(error)

    first, second = threading.Thread(target=ask, daemon=True), threading.Thread(target=late, daemon=True)
    first.start()
    eventually(lambda: bulkhead.in_flight == 1)
    second.start()
    eventually(lambda: bulkhead.waiting == 1)
    while second.is_alive():  # it may stand in line before its timer is set
        clock.advance(5)
        second.join(0.005)
    assert len(errors) == 1
    go.set()
    first.join(10)
    assert bulkhead.in_flight == 0


def test_the_deadline_ends_the_wait(clock: FakeClock) -> None:
    """A call whose deadline passes in line has passed its deadline, and says where."""

    async def run() -> None:
        blocked = Gate(clock, bulkhead := ap.Bulkhead(1, queue=1, queue_timeout=60))
        (holder,) = blocked.start(1)
        await settled()

        @ap.Stack(ap.Deadline(5), bulkhead, clock=clock)
        async def ask() -> None:
            raise AssertionError("there is no slot")

        waiting = asyncio.ensure_future(ask())
        await settled()
        clock.advance(5)
        with pytest.raises(ap.DeadlineExceeded, match="slot of the Bulkhead"):
            await waiting
        assert bulkhead.waiting == 0
        blocked.go.set()
        await holder

    asyncio.run(run())


def test_scenario_18_cancelled_in_line_and_in_flight(clock: FakeClock) -> None:
    """A cancelled call leaves the line or its slot at once; one that was just served hands its slot on."""

    async def run() -> None:
        bulkhead = ap.Bulkhead(1, queue=3)
        gate = Gate(clock, bulkhead)
        first, second, third, fourth = gate.start(1, 2, 3, 4)
        await settled()
        second.cancel()
        await settled()
        assert (bulkhead.in_flight, bulkhead.waiting) == (1, 2)
        first.cancel()
        await asyncio.sleep(0)  # the slot goes to the third, which is cancelled before it runs
        third.cancel()
        gate.go.set()
        assert await fourth == 4
        for task in (first, second, third):
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (bulkhead.in_flight, bulkhead.waiting) == (0, 0)

    asyncio.run(run())


def test_a_failure_frees_the_slot(caller: Caller, clock: FakeClock) -> None:
    """Every way a call can end frees its slot."""
    bulkhead = ap.Bulkhead(1)
    fn = caller.decorate(ap.Stack(bulkhead, clock=clock), Script(openai_error(500), KeyError(), "fine"))
    assert [caller.ask(fn).value for _ in range(3)] == [None, None, "fine"]
    assert bulkhead.in_flight == 0


def test_nobody_waits_for_an_open_circuit(clock: FakeClock) -> None:
    """With an open circuit inside, a call that would have to wait is refused at once."""

    async def run() -> None:
        bulkhead, breaker = ap.Bulkhead(1, queue=5), ap.CircuitBreaker()
        gate = Gate(clock, bulkhead, breaker)
        (first,) = gate.start(1)
        await settled()
        breaker.force_open()
        with pytest.raises(ap.CircuitOpen, match="does not wait in the Bulkhead"):
            await gate.ask(2)
        gate.go.set()
        assert await first == 1

        outside = Gate(clock, bulkhead := ap.Bulkhead(1, queue=5))
        (holder,) = outside.start(1)
        await settled()
        stack = ap.Stack(ap.CircuitBreaker(), bulkhead, clock=clock, check="off")

        @stack
        async def ask() -> str:
            return "fine"

        waiting = asyncio.ensure_future(ask())
        await settled()
        assert bulkhead.waiting == 1  # a breaker outside has decided already
        outside.go.set()
        assert await holder == 1
        assert await waiting == "fine"

    asyncio.run(run())


def test_two_event_loops(clock: FakeClock) -> None:
    """One object serves one event loop after the other, and threads beside them."""
    bulkhead = ap.Bulkhead(1, queue=1)

    async def run() -> list[int]:
        gate = Gate(clock, bulkhead)
        tasks = gate.start(1, 2)
        await settled()
        gate.go.set()
        return await asyncio.gather(*tasks)

    assert [asyncio.run(run()) for _ in range(2)] == [[1, 2], [1, 2]]
    assert Caller("sync").ask(ap.Stack(bulkhead, clock=clock).decorate(lambda: "fine")).value == "fine"


@given(
    st.lists(st.sampled_from(["take", "join", "leave", "give_back"]), max_size=60), st.integers(1, 3), st.integers(0, 3)
)
def test_slots_against_a_model(steps: list[str], size: int, line: int) -> None:
    """However slots are taken and left, no more than `size` are taken, none is lost, and the line keeps its order."""

    class Bell:
        def set(self) -> None:
            pass

    slots = Slots(size, line)
    held = 0
    places: list[Place] = []
    for step in steps:
        if step == "take":
            held += slots.take()
        elif step == "join":
            place = slots.join(Bell())
            assert (place is None) == (held >= size and len(places) >= line)
            if place is not None:
                places.append(place)
        elif step == "leave" and places:
            held += slots.leave(places.pop())
        elif step == "give_back" and held:
            held -= 1
            slots.give_back()
        served = [place for place in places if place.is_served]
        assert places[: len(served)] == served  # first come, first served
        held += len(served)
        del places[: len(served)]
        assert slots.taken == held <= size
        assert slots.waiting == len(places) <= line


@pytest.mark.parametrize(
    ("args", "options"),
    [
        ((0,), {}),
        ((True,), {}),
        ((1.5,), {}),
        ((1,), {"queue": -1}),
        ((1,), {"queue_timeout": 5}),
        ((1,), {"queue": 1, "queue_timeout": 0}),
    ],
)
def test_bad_options(args: tuple[Any, ...], options: dict[str, Any]) -> None:
    """An option out of range is refused when the layer is built."""
    with pytest.raises(ap.ConfigError):
        ap.Bulkhead(*args, **options)


def test_shown() -> None:
    """The options are shown."""
    assert repr(ap.Bulkhead(3)) == "Bulkhead(max_in_flight=3)"
    assert repr(ap.Bulkhead(3, queue=2, queue_timeout=1)) == "Bulkhead(max_in_flight=3, queue=2, queue_timeout=1.0)"


def test_a_snapshot_says_who_is_in_and_who_waits(clock: FakeClock) -> None:
    """Calls in flight and in line, beside how many there may be."""
    bulkhead = ap.Bulkhead(3, queue=4)
    seen: list[dict[str, int]] = []
    fn = ap.Stack(bulkhead, clock=clock).decorate(lambda: seen.append(bulkhead.snapshot()), name="f")
    fn()
    assert seen == [{"in_flight": 1, "max_in_flight": 3, "waiting": 0, "queue": 4}]
    assert bulkhead.snapshot()["in_flight"] == 0
