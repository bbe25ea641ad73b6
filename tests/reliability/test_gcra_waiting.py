"""Callers that wait for a rate limit the way its docs tell them to, in threads and in event loops at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from agentprod.reliability.gcra import Dimension, Gcra, Reservation, Shortage
from agentprod.runtime.drive import drive
from agentprod.runtime.waiter import AsyncWaiter, SyncWaiter, Waiter


async def acquire(limiter: Gcra, costs: tuple[float, ...], waiter_of: Callable[[], Waiter]) -> Reservation:
    """Wait for `costs`, in a thread or in a task as the waiter does."""
    taken = limiter.reserve(costs, time.monotonic())
    if isinstance(taken, Reservation):
        return taken
    ticket = limiter.join(costs)
    try:
        while True:
            waiter = waiter_of()
            taken = limiter.claim(ticket, time.monotonic(), waiter)
            if isinstance(taken, Reservation):
                return taken
            await waiter.wait(taken.retry_after)
    finally:
        limiter.leave(ticket, time.monotonic())


def test_one_limiter_serves_threads_and_two_loops_one_after_the_other() -> None:
    """No loop errors, no lost wakeups, and never more than the limit allows."""
    limiter = Gcra([Dimension("requests", 200, per=1, burst=10)])
    begun, served = time.monotonic(), []

    async def tasks() -> None:
        async def one() -> None:
            served.append((await acquire(limiter, (1,), AsyncWaiter)).at)

        await asyncio.gather(*(one() for _ in range(20)))

    def thread() -> None:
        served.extend(drive(acquire(limiter, (1,), SyncWaiter)).at for _ in range(5))

    threads = [threading.Thread(target=thread) for _ in range(4)]
    for each in threads:
        each.start()
    asyncio.run(tasks())
    asyncio.run(tasks())
    for each in threads:
        each.join()
    assert len(served) == 60
    assert max(served) - begun >= 50 / 200 - 0.001  # 60 requests, 10 of them at once


def test_a_cancelled_waiter_leaves_nothing_behind() -> None:
    """Its place goes to the next one, at once."""
    limiter = Gcra([Dimension("requests", 1, per=3600)])

    async def main() -> None:
        holder = await acquire(limiter, (1,), AsyncWaiter)
        cancelled = [asyncio.create_task(acquire(limiter, (1,), AsyncWaiter)) for _ in range(10)]
        await asyncio.sleep(0)
        last = asyncio.create_task(acquire(limiter, (1,), AsyncWaiter))
        await asyncio.sleep(0)
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
        assert all(task.cancelled() for task in cancelled)
        limiter.refund(holder, time.monotonic())
        async with asyncio.timeout(10):
            limiter.refund(await last, time.monotonic())

    asyncio.run(main())
    assert limiter.is_clean(time.monotonic())


def test_a_loop_that_ended_with_waiters_does_not_hold_up_others() -> None:
    """What its tasks waited for is booked and leaks; nobody waits behind the dead for longer than that."""
    limiter = Gcra([Dimension("requests", 100, per=1, burst=1)])
    limiter.reserve((1,), time.monotonic())
    loop = asyncio.new_event_loop()

    async def abandoned() -> None:
        limiter.claim(limiter.join((1,)), time.monotonic(), AsyncWaiter())

    loop.run_until_complete(abandoned())
    loop.close()
    assert isinstance(drive(acquire(limiter, (1,), SyncWaiter)), Reservation)


def test_one_key_that_waits_does_not_delay_another() -> None:
    """Each limit has a line of its own."""
    full, free = Gcra([Dimension("requests", 1, per=3600)]), Gcra([Dimension("requests", 1000)])
    full.reserve((1,), time.monotonic())

    async def main() -> None:
        waiting = asyncio.create_task(acquire(full, (1,), AsyncWaiter))
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            for _ in range(100):
                await acquire(free, (1,), AsyncWaiter)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(main())
    assert isinstance(full.reserve((1,), time.monotonic()), Shortage)
