"""Many threads and many tasks on one layer object: the counts come out exact, and nothing stays held."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import agentprod as ap
from agentprod.stream import open_streams

THREADS, TASKS = 32, 1000


class Overloaded(ConnectionResetError):
    """A fault that is retried."""


class Service:
    """One object of each layer, around functions of every kind; every tenth attempt fails."""

    def __init__(self, *, slots: int = 8) -> None:
        self.streams_before = set(open_streams())
        self.bulkhead = ap.Bulkhead(slots, queue=10_000)
        self.limit = ap.RateLimit(requests=1e9, output_tokens=1e9, by="global")
        self.breaker = ap.CircuitBreaker(by="global", failure_rate=0.9, window=3600)
        self.budget = ap.RetryBudget(1e6, 0)
        self.retry = ap.Retry(attempts=10, wait=0, budget=self.budget)
        self.stack = ap.Stack(self.retry, self.bulkhead, self.limit, self.breaker, check="error")
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.inside = self.most = self.failed = self.attempts = 0
        self.sync = self.stack.decorate(self._sync, name="sync")
        self.asynchronous = self.stack.decorate(self._asynchronous, name="asynchronous")
        self.generator = self.stack.decorate(self._generator, name="generator")
        self.async_generator = self.stack.decorate(self._async_generator, name="async_generator")

    def _enter(self) -> None:
        with self.lock:
            self.attempts += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
            fails = next(self.numbers) % 10 == 0
            self.failed += fails
        if fails:
            self._leave()
            raise Overloaded

    def _leave(self) -> None:
        with self.lock:
            self.inside -= 1

    def _sync(self, number: int) -> int:
        self._enter()
        self._leave()
        return number

    async def _asynchronous(self, number: int) -> int:
        self._enter()
        try:
            await asyncio.sleep(0)
        finally:
            self._leave()
        return number

    def _generator(self, number: int) -> Iterator[int]:
        self._enter()
        try:
            yield from range(3)
        finally:
            self._leave()

    async def _async_generator(self, number: int) -> AsyncIterator[int]:
        self._enter()
        try:
            for item in range(3):
                await asyncio.sleep(0)
                yield item
        finally:
            self._leave()

    def check(self) -> None:
        """Compare what the layers counted with what happened."""
        (circuit,) = self.breaker.snapshot().values()
        (limit,) = self.limit.snapshot().values()
        (account,) = [found for _, found in self.limit._accounts.items()]
        gcra: Any = account._gcra  # type: ignore[union-attr]
        assert self.most <= self.bulkhead.max_in_flight
        assert self.bulkhead.snapshot()["in_flight"] == self.bulkhead.snapshot()["waiting"] == 0
        assert circuit["failures"] == self.failed
        assert sum(1e6 - left for left in self.budget.snapshot().values()) == self.failed
        assert limit["waiting"] == 0
        assert gcra.in_flight(self.limit._now()) == 0
        assert [bucket.in_flight for bucket in gcra.buckets] == [0, 0]
        assert not set(open_streams()) - self.streams_before

    @property
    def counted(self) -> int:
        """Attempts that the breaker counted."""
        (circuit,) = self.breaker.snapshot().values()
        return int(circuit["calls"])


def test_scenario_31_and_32_threads_count_exactly() -> None:
    """32 threads, half of them reading streams: every attempt is counted once, every retry is paid once."""
    service = Service()
    start = threading.Barrier(THREADS)

    def work(thread: int) -> int:
        start.wait(10)
        done = 0
        for number in range(40):
            if thread % 2:
                assert list(service.generator(number)) == [0, 1, 2]
            else:
                assert service.sync(number) == number
            done += 1
        return done

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(work, range(THREADS))) == THREADS * 40
    service.check()
    assert service.counted == service.attempts == THREADS * 40 + service.failed


def test_scenario_32_a_thousand_tasks_count_exactly() -> None:
    """1,000 tasks on one loop, half of them reading streams."""
    service = Service()

    async def work(number: int) -> None:
        if number % 2:
            assert [item async for item in service.async_generator(number)] == [0, 1, 2]
        else:
            assert await service.asynchronous(number) == number

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(TASKS)))
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    service.check()
    assert service.counted == service.attempts == TASKS + service.failed


def test_threads_and_loops_at_once() -> None:
    """Threads with loops of their own, threads without, and one object between them all."""
    service = Service(slots=3)

    async def tasks() -> None:
        await asyncio.gather(*(service.asynchronous(number) for number in range(50)))

    def work(thread: int) -> None:
        if thread % 2:
            asyncio.run(tasks())
        else:
            for number in range(50):
                service.sync(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    service.check()
    assert service.counted == service.attempts == 400 + service.failed


@pytest.mark.parametrize("seed", range(3))
def test_scenario_18_cancelled_among_a_thousand(seed: int) -> None:
    """Of 1,000 tasks a third is cancelled, a third leaves its stream early or drops it: nothing stays held."""
    service = Service()
    chance = random.Random(seed)
    ended: Counter[str] = Counter()

    async def work(number: int) -> None:
        try:
            if number % 3 == 0:
                await service.asynchronous(number)
            else:
                stream = service.async_generator(number)
                async for _ in stream:
                    if number % 3 == 1:
                        break
                if number % 2:
                    await stream.aclose()  # type: ignore[attr-defined]
            ended["done"] += 1
        except asyncio.CancelledError:
            ended["cancelled"] += 1
            raise

    async def main() -> None:
        tasks = [asyncio.create_task(work(number)) for number in range(TASKS)]
        for _ in range(30):
            for task in chance.sample(tasks, 15):
                task.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        del tasks[:]
        for _ in range(100):
            gc.collect() if _ % 50 == 0 else None
            await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()
    assert ended["done"] > 300
    assert ended["cancelled"] > 100
    service.check()


def test_no_lock_is_held_during_the_call() -> None:
    """While a call runs, other threads may call, look at every layer and give orders."""
    service = Service()
    looked: list[Any] = []

    def look() -> None:
        looked.extend([service.breaker.snapshot(), service.limit.snapshot(), service.bulkhead.snapshot()])
        service.breaker.disable("another")
        service.breaker.reset("another")
        looked.append(service.sync(7))

    def outer(number: int) -> int:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        return number

    assert service.stack.decorate(outer, name="outer")(1) == 1
    assert looked[-1] == 7
