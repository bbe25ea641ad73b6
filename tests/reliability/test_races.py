"""Cancellations and timeouts at every moment of a call, on a loop in virtual time: whoever wins, nothing leaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentprod as ap
from agentprod import draining
from agentprod.stream import open_streams
from tests.sdk_errors import openai_error
from tests.virtual_time import LoopClock, run_virtually

QUARTERS = [quarter / 4 for quarter in range(29)]


class Onion:
    """All layers of one service, around a function that takes its time, in virtual time."""

    def __init__(self, clock: LoopClock, *, slots: int = 1, requests: float = 60, attempt: float = 3) -> None:
        self.before = set(open_streams()), set(draining.tasks)
        self.clock = clock
        self.bulkhead = ap.Bulkhead(slots, queue=1000)
        self.limit = ap.RateLimit(requests=requests, per=60, by="global")
        self.breaker = ap.CircuitBreaker(by="global", seed=1)
        self.retry = ap.Retry(attempts=2, wait=1)
        self.stack = ap.Stack(
            ap.Deadline(100), self.retry, self.bulkhead, self.limit, self.breaker, ap.Timeout(attempt), clock=clock
        )
        self.started: list[float] = []
        self.ended = 0
        self._attempts: dict[Any, int] = {}
        self.ask = self.stack.decorate(self._ask, name="ask")
        self.tell = self.stack.decorate(self._tell, name="tell")

    async def _ask(self, *steps: Any) -> str:
        """Take so many seconds, or fail: attempt by attempt of this call, the last step again and again."""
        call = asyncio.current_task()
        number = self._attempts[call] = self._attempts.get(call, -1) + 1
        step = steps[min(number, len(steps) - 1)]
        self.started.append(self.clock.monotonic())
        try:
            if isinstance(step, Exception):
                raise step
            await asyncio.sleep(step)
        finally:
            self.ended += 1
        return "fine"

    async def _tell(self, seconds: float) -> AsyncIterator[str]:
        self.started.append(self.clock.monotonic())
        try:
            for item in "abc":
                await asyncio.sleep(seconds)
                yield item
        finally:
            self.ended += 1

    def leaks(self) -> dict[str, Any]:
        """Return what is still held after everybody has gone; empty when all is well."""
        (account,) = [found for _, found in self.limit._accounts.items()] or [None]
        gcra: Any = getattr(account, "_gcra", None)
        held = {
            "slots": self.bulkhead.in_flight,
            "places": self.bulkhead.waiting,
            "calls": len(set(draining.tasks) - self.before[1]),
            "streams": len(set(open_streams()) - self.before[0]),
            "running": len(self.started) - self.ended,
            "reservations": 0 if gcra is None else gcra.in_flight(self.limit._now()),
            "in line": 0 if gcra is None else gcra.waiting(),
            "leases": sum(len(circuit.machine._leases) for _, circuit in self.breaker._circuits._known.items()),
            "tasks": len(asyncio.all_tasks()) - 1,
        }
        return {name: count for name, count in held.items() if count}


async def settled() -> None:
    """Let everything run that is ready."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("moment", QUARTERS)
def test_scenario_18_cancelled_at_any_moment(moment: float) -> None:
    """In line for a slot, in flight, in backoff or in the second attempt: it ends at once, and starts nothing more."""

    async def main(clock: LoopClock) -> None:
        onion = Onion(clock)
        begun = clock.monotonic()
        holder = asyncio.create_task(onion.ask(2))
        await asyncio.sleep(0)
        error = openai_error(500)
        task = asyncio.create_task(onion.ask(error, 2))  # a slot at 2, fails there, backs off to 3, and ends at 5
        asyncio.get_running_loop().call_at(begun + moment, task.cancel)
        try:
            await task
            cancelled = False
        except asyncio.CancelledError:
            cancelled = True
        assert clock.monotonic() - begun == (moment if cancelled else 5)
        assert cancelled == (moment <= 5)
        count = len(onion.started)
        await holder
        await settled()
        assert onion.leaks() == {}
        await asyncio.sleep(60)
        assert len(onion.started) == count
        window = onion.breaker.snapshot().get("global", {})
        assert window.get("state", "closed") == "closed"

    run_virtually(main)


@pytest.mark.parametrize("moment", QUARTERS[:13])
def test_scenario_18_cancelled_in_line_for_the_limit(moment: float) -> None:
    """The place in line and what it would have booked are given up: those behind come no later."""

    async def main(clock: LoopClock) -> None:
        onion = Onion(clock, slots=9, requests=20)  # one every three seconds, after a burst of 20
        await asyncio.gather(*(onion.ask(0) for _ in range(11)), *(onion.ask(0) for _ in range(9)))
        begun = clock.monotonic()
        first, second = (asyncio.create_task(onion.ask(0)) for _ in range(2))
        asyncio.get_running_loop().call_at(begun + moment, first.cancel)
        done = await asyncio.gather(first, second, return_exceptions=True)
        cancelled = isinstance(done[0], asyncio.CancelledError)
        assert cancelled == (moment < 3 or isinstance(done[0], BaseException))
        assert clock.monotonic() - begun == pytest.approx(3 if cancelled else 6, abs=0.01)
        await settled()
        assert onion.leaks() == {}

    run_virtually(main)


@pytest.mark.parametrize("moment", QUARTERS[:9])
def test_scenario_18_a_cancelled_probe(moment: float) -> None:
    """The permit of a probe cancelled at any moment of it is back: the next call probes."""

    async def main(clock: LoopClock) -> None:
        onion = Onion(clock, slots=50)
        bad = [openai_error(500)]
        for _ in range(5):  # two attempts each
            onion._attempts.clear()
            with pytest.raises(Exception, match="m"):
                await onion.ask(*bad)
        assert onion.breaker.state("global") == "open"
        await asyncio.sleep(17)
        onion.started, onion.ended = [], 0
        onion._attempts.clear()
        probe = asyncio.create_task(onion.ask(1.5))
        asyncio.get_running_loop().call_later(moment, probe.cancel)
        await asyncio.gather(probe, return_exceptions=True)
        assert onion.leaks() == {}
        assert await onion.ask(0) == "fine"
        assert await onion.ask(0) == "fine"
        assert onion.breaker.state("global") == "closed"

    run_virtually(main)


@pytest.mark.parametrize("moment", [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4])
def test_scenario_17_a_stream_left_at_any_moment(moment: float) -> None:
    """Before its first item, between two or at the last: slot, permit and reservation are back."""

    async def main(clock: LoopClock) -> None:
        onion = Onion(clock)

        async def read() -> str:
            return "".join([item async for item in onion.tell(1)])

        task = asyncio.create_task(read())
        asyncio.get_running_loop().call_later(moment, task.cancel)
        (told,) = await asyncio.gather(task, return_exceptions=True)
        assert told == "abc" if moment > 3 else isinstance(told, asyncio.CancelledError | str)
        await settled()
        assert onion.leaks() == {}

    run_virtually(main)


@pytest.mark.parametrize(("own", "outer"), [(2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("what", ["ask", "tell"])
def test_scenario_19_an_outer_timeout_and_our_own(own: float, outer: float, what: str) -> None:
    """The earlier one wins, and at the same tick the outer one; ours is a fault that Retry may try again."""

    async def main(clock: LoopClock) -> None:
        onion = Onion(clock, attempt=own)
        begun = clock.monotonic()

        async def call() -> None:
            if what == "ask":
                await onion.ask(10)
            else:
                async for _ in onion.tell(10):
                    pass

        with pytest.raises(TimeoutError) as raised:
            async with asyncio.timeout(outer):
                await call()
        assert type(raised.value) is TimeoutError
        assert clock.monotonic() - begun == outer
        assert len(onion.started) == (1 if own >= outer or outer <= own + 1 else 2)
        await settled()
        assert onion.leaks() == {}
        begun = clock.monotonic()
        with pytest.raises(ap.CallTimeout):
            await call()
        assert clock.monotonic() - begun == 2 * own + 1  # two attempts and the wait between them
        assert onion.leaks() == {}

    run_virtually(main)


def test_scenario_36_fifty_callers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 tasks that call without a pause for three minutes: no sliding minute sees more than limit plus burst."""
    monkeypatch.setattr("agentprod.stack.default_estimator", lambda request, model, text: ap.Usage(2500, 500))

    async def main(clock: LoopClock) -> None:
        limit = ap.RateLimit(requests=60, tokens=90_000, by="global")
        sent: list[float] = []

        async def told(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            reply = await call_next(call)
            assert reply.attempt is not None
            reply.attempt.usage = ap.Usage(2500, 500)
            return reply

        @ap.Stack(limit, told, clock=clock)
        async def ask(number: int) -> None:
            sent.append(clock.monotonic())
            await asyncio.sleep(2)

        begun = clock.monotonic()

        async def caller(number: int) -> None:
            while clock.monotonic() < begun + 180:
                await ask(number)

        await asyncio.gather(*(caller(number) for number in range(50)))
        most = max(sum(start <= each < start + 60 for each in sent) for start in sent)
        assert most * 3000 <= 90_000 + 90_000
        assert most <= 60 + 60
        # Whoever waits, waits for its turn: at 90,000 a minute after a burst of as many, none starves and none idles.
        in_time = [each for each in sent if each <= begun + 180]
        assert 90_000 * 4 / 3000 * 0.9 <= len(in_time) <= 90_000 * 4 / 3000 + 1

    run_virtually(main)


calls = st.lists(
    st.tuples(
        st.integers(0, 40).map(lambda n: n / 4),  # when it starts
        st.sampled_from([0.0, 0.5, 1.0, 2.5, 4.0, "error"]),  # what its first attempt does
        st.none() | st.integers(0, 20).map(lambda n: n / 4),  # when it is cancelled
        st.booleans(),  # a stream
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(calls=calls, slots=st.integers(1, 4))
def test_scenario_54_any_calls_at_any_times(calls: list[Any], slots: int) -> None:
    """Whatever starts, fails, is slow or is cancelled when: at the end nothing is held, and nobody waits for ever."""

    async def main(clock: LoopClock) -> None:
        onion = Onion(clock, slots=slots, requests=30)
        error = openai_error(500)

        async def one(start: float, step: Any, cancel: float | None, stream: bool) -> Any:
            await asyncio.sleep(start)
            if stream:
                work: Any = asyncio.create_task(_read(onion.tell(0.5 if step == "error" else step)))
            else:
                work = asyncio.create_task(onion.ask(error if step == "error" else step))
            if cancel is not None:
                asyncio.get_running_loop().call_later(cancel, work.cancel)
            (told,) = await asyncio.gather(work, return_exceptions=True)
            return told

        told = await asyncio.gather(*(one(*each) for each in calls))
        allowed = (str, asyncio.CancelledError, ap.CallTimeout, ap.CircuitOpen, ap.StreamInterrupted, type(error))
        assert all(isinstance(each, allowed) for each in told), told
        await settled()
        assert onion.leaks() == {}

    run_virtually(main)


async def _read(stream: Any) -> str:
    return "".join([item async for item in stream])
