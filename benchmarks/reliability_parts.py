"""What breaker and rate limit cost by themselves, beside their peers: `python benchmarks/reliability_parts.py`.

Needs `pip install interlock-cb pybreaker circuitbreaker throttled-py limits pyrate-limiter aiolimiter`. Figures are CPU
time over a bare call, the minimum of interleaved blocks.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import datetime
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiolimiter
import circuitbreaker
import interlock
import limits
import pybreaker
import pyrate_limiter
import throttled
from timing import Row, async_blocks, blocks, table

from agentprod.reliability.breaker_machine import BreakerMachine, BreakerRefusal, Outcome
from agentprod.reliability.breaker_policy import BreakerPolicy
from agentprod.reliability.gcra import Dimension, Gcra, Reservation

CALLS, ROUNDS = 400, 60
MANY = 1e12
now = time.monotonic


def work() -> int:
    return 1


async def awork() -> int:
    return 1


def fail() -> int:
    raise RuntimeError("the provider is down")


def protected(machine: BreakerMachine, fn: Callable[[], int]) -> Callable[[], int]:
    """The least that a decorator around our machine does."""

    def call() -> int:
        permit = machine.admit(now())
        if isinstance(permit, BreakerRefusal):
            raise ConnectionRefusedError
        try:
            result = fn()
        except Exception as error:
            machine.record(permit, Outcome.FAILURE, now(), error=error)
            raise
        machine.record(permit, Outcome.SUCCESS, now())
        return result

    return call


def aprotected(machine: BreakerMachine, fn: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
    async def call() -> int:
        permit = machine.admit(now())
        if isinstance(permit, BreakerRefusal):
            raise ConnectionRefusedError
        try:
            result = await fn()
        except Exception as error:
            machine.record(permit, Outcome.FAILURE, now(), error=error)
            raise
        machine.record(permit, Outcome.SUCCESS, now())
        return result

    return call


def interlocked(name: str) -> Any:
    """Return interlock with the window of ours: 60 seconds, 10 calls, half of them."""
    config = interlock.Config(window_type=interlock.WindowType.TIME_BASED, window_size=60, minimum_number_of_calls=10)
    return interlock.CircuitBreaker(name=name, config=config)


def over(figures: dict[str, float], name: str) -> float:
    return figures[name] - figures["bare"]


def closed_circuits() -> list[Row]:
    """A call through a closed circuit."""
    sync = blocks(
        {
            "bare": work,
            "ours": protected(BreakerMachine(), work),
            "interlock": interlocked("sync")(work),
            "pybreaker": pybreaker.CircuitBreaker()(work),
        },
        calls=CALLS,
        rounds=ROUNDS,
    )
    tasks = async_blocks(
        {
            "bare": awork,
            "ours": aprotected(BreakerMachine(), awork),
            "interlock": interlocked("async")(awork),
            "circuitbreaker": circuitbreaker.CircuitBreaker(name="async")(awork),
        },
        calls=CALLS,
        rounds=ROUNDS,
    )
    return [
        ("breaker closed, sync, us", over(sync, "ours"), ""),
        ("same / interlock", over(sync, "ours") / over(sync, "interlock"), "≤ 0.35"),
        (
            "same / pybreaker (which only counts failures in a row)",
            over(sync, "ours") / over(sync, "pybreaker"),
            "≤ 1.3",
        ),
        ("breaker closed, async, us", over(tasks, "ours"), ""),
        ("same / interlock", over(tasks, "ours") / over(tasks, "interlock"), "≤ 0.35"),
        ("same / circuitbreaker", over(tasks, "ours") / over(tasks, "circuitbreaker"), ""),
    ]


def quiet(call: Callable[[], object]) -> Callable[[], None]:
    def quietly() -> None:
        try:
            call()
        except Exception:
            return

    return quietly


def open_circuits() -> list[Row]:
    """A call that an open circuit refuses, the exception included."""
    machine = BreakerMachine(BreakerPolicy(open_for=1e6, max_open_for=1e6))
    subjects = {
        "ours": quiet(protected(machine, fail)),
        "interlock": quiet(interlocked("open")(fail)),
        "pybreaker": quiet(pybreaker.CircuitBreaker(reset_timeout=1e6)(fail)),
    }
    for subject, _ in itertools.product(subjects.values(), range(20)):
        subject()
    figures = blocks({"bare": quiet(fail), **subjects}, calls=CALLS, rounds=ROUNDS)
    return [
        ("refusal while open, us (with its exception)", figures["ours"], ""),
        ("same / a call that fails by itself", figures["ours"] / figures["bare"], ""),
        ("same / interlock", figures["ours"] / figures["interlock"], "≤ 0.5"),
        ("same / pybreaker", figures["ours"] / figures["pybreaker"], ""),
    ]


def throughput() -> list[Row]:
    """160 calls of 20 ms on 16 threads, by the clock on the wall."""

    def slow() -> int:
        time.sleep(0.02)
        return 1

    def wall(fn: Callable[[], int]) -> float:
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: None, range(16)))
            begun = time.perf_counter()
            list(pool.map(lambda _: fn(), range(160)))
            return time.perf_counter() - begun

    subjects = {
        "bare": slow,
        "ours": protected(BreakerMachine(), slow),
        "pybreaker": pybreaker.CircuitBreaker()(slow),
    }
    best = {name: min(wall(fn) for _ in range(3 if name != "pybreaker" else 1)) for name, fn in subjects.items()}
    return [
        ("16 threads: throughput / bare", best["bare"] / best["ours"], "≥ 0.9"),
        ("16 threads: throughput / pybreaker", best["pybreaker"] / best["ours"], "≥ 12"),
    ]


def half_open() -> list[Row]:
    """50 tasks at once when an open circuit's wait is over and the provider is still down."""

    async def admitted(decorate: Callable[[Any], Any], wait: float) -> float:
        reached = 0

        async def down() -> int:
            nonlocal reached
            reached += 1
            await asyncio.sleep(0.01)
            raise RuntimeError("still down")

        call = decorate(down)
        for _ in range(20):
            with contextlib.suppress(Exception):
                await call()
        await asyncio.sleep(wait)
        reached = 0
        await asyncio.gather(*(call() for _ in range(50)), return_exceptions=True)
        return float(reached)

    machine = BreakerMachine(BreakerPolicy(open_for=0.05, jitter=0))

    def ours(fn: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
        return aprotected(machine, fn)

    config = interlock.Config(minimum_number_of_calls=10, wait_duration_in_open=0.05)
    peer = interlock.CircuitBreaker(name="half", config=config)
    naive = circuitbreaker.CircuitBreaker(failure_threshold=5, recovery_timeout=0.05, name="half")
    return [
        ("of 50 calls, reach a provider that is still down", asyncio.run(admitted(ours, 0.1)), "1"),
        ("the same through interlock", asyncio.run(admitted(peer, 0.1)), ""),
        ("the same through circuitbreaker", asyncio.run(admitted(naive, 0.1)), ""),
    ]


def full_limiter() -> Gcra:
    return Gcra([Dimension("requests", MANY), Dimension("input_tokens", MANY), Dimension("output_tokens", MANY)])


def throttled_gcra() -> Any:
    quota = throttled.rate_limiter.per_duration(datetime.timedelta(seconds=1), 10**9, 10**9)
    return throttled.Throttled(key="k", using="gcra", quota=quota, store=throttled.MemoryStore())


def limiters() -> list[Row]:
    """Acquiring: ours three dimensions with settlement, the peers one without."""
    unsettled, settled = full_limiter(), full_limiter()

    def reserve_and_settle() -> None:
        taken = settled.reserve((1, 500, 300), now())
        assert isinstance(taken, Reservation)
        settled.settle(taken, now(), (1, 480, 120))

    def reserve() -> None:
        assert isinstance(unsettled.reserve((1, 500, 300), now()), Reservation)

    peer = throttled_gcra()
    window = limits.strategies.SlidingWindowCounterRateLimiter(limits.storage.MemoryStorage())
    item = limits.RateLimitItemPerSecond(10**9)
    pyrate = pyrate_limiter.Limiter(pyrate_limiter.Rate(10**9, pyrate_limiter.Duration.SECOND))
    figures = blocks(
        {
            "reserve": reserve,
            "settle": reserve_and_settle,
            "throttled": lambda: peer.limit("k"),
            "limits": lambda: window.hit(item, "k"),
            "pyrate": lambda: pyrate.try_acquire("k", blocking=False),
        },
        calls=CALLS,
        rounds=ROUNDS,
    )
    return [
        ("reserve 3 dimensions, us", figures["reserve"], ""),
        ("same / throttled GCRA, 1 dimension", figures["reserve"] / figures["throttled"], "≤ 0.5"),
        ("reserve and settle 3 dimensions, us", figures["settle"], ""),
        ("same / throttled GCRA, which cannot settle", figures["settle"] / figures["throttled"], ""),
        ("same / limits sliding counter", figures["settle"] / figures["limits"], ""),
        ("same / pyrate-limiter", figures["settle"] / figures["pyrate"], ""),
    ]


def weights() -> list[Row]:
    """A request of 30,000 tokens beside one of 1."""
    gcra = Gcra([Dimension("tokens", MANY)])
    window = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
    item = limits.RateLimitItemPerSecond(10**9)
    pyrate = pyrate_limiter.Limiter(pyrate_limiter.Rate(10**9, 1))
    peer = throttled_gcra()

    def ours(weight: int) -> None:
        taken = gcra.reserve((weight,), now())
        assert isinstance(taken, Reservation)
        gcra.settle(taken, now())

    figures = blocks(
        {
            "ours 1": lambda: ours(1),
            "ours 30000": lambda: ours(30_000),
            "throttled 1": lambda: peer.limit("k", 1),
            "throttled 30000": lambda: peer.limit("k", 30_000),
        },
        calls=CALLS,
        rounds=ROUNDS,
    )
    # These two keep an entry per token, so a few calls must do.
    figures |= blocks(
        {
            "limits 1": lambda: window.hit(item, "one", cost=1),
            "limits 30000": lambda: window.hit(item, "many", cost=30_000),
            "pyrate 1": lambda: pyrate.try_acquire("one", 1, blocking=False),
            "pyrate 30000": lambda: pyrate.try_acquire("many", 30_000, blocking=False),
        },
        calls=5,
        rounds=8,
    )

    async def aio(weight: int) -> float:
        limiter = aiolimiter.AsyncLimiter(1e9, 1)
        best = float("inf")
        for _ in range(20):
            begun = time.process_time()
            for _ in range(100):
                await limiter.acquire(weight)
            best = min(best, time.process_time() - begun)
        return best

    rows = [
        (f"30,000 tokens / 1 token: {name}", figures[f"{name} 30000"] / figures[f"{name} 1"], goal)
        for name, goal in (("ours", "≤ 1.2"), ("throttled", ""), ("limits", ""), ("pyrate", ""))
    ]
    return [*rows, ("30,000 tokens / 1 token: aiolimiter", asyncio.run(aio(30_000)) / asyncio.run(aio(1)), "")]


def starvation() -> list[Row]:
    """A 900-token request amid 10-token ones on 1,000 a second: requests served before it, in three seconds."""

    async def theirs() -> float:
        limiter = aiolimiter.AsyncLimiter(1000, 1)
        served, done = 0, asyncio.Event()

        async def small() -> None:
            nonlocal served
            while not done.is_set():
                await limiter.acquire(10)
                served += 1

        async def big() -> None:
            await limiter.acquire(900)
            done.set()

        await limiter.acquire(1000)
        tasks = [asyncio.create_task(small()) for _ in range(20)]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(big(), 3)
        done.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return float(served)

    gcra, served = Gcra([Dimension("tokens", 1000, per=1)]), 0
    gcra.reserve((1000,), 0.0)
    ticket = gcra.join((900,))
    for step in range(3000):
        if isinstance(gcra.claim(ticket, step / 1000), Reservation):
            break
        served += isinstance(gcra.reserve((10,), step / 1000), Reservation)
    return [
        ("small requests that overtake a big one: ours", float(served), "0"),
        ("small requests that overtake a big one: aiolimiter", asyncio.run(theirs()), ""),
    ]


def main() -> None:
    sections = (closed_circuits, open_circuits, throughput, half_open, limiters, weights, starvation)
    for section in sections:
        print(table(section.__doc__ or "", section()), flush=True)
        print()


if __name__ == "__main__":
    main()
