"""Run several jobs at once, at most so many at a time, on threads or in the running loop; and give up on a slow one."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["await_together", "await_within", "on_threads", "within"]

T = TypeVar("T")


def on_threads(jobs: Sequence[Callable[[], T]], limit: int) -> list[T]:
    """Return what the jobs return, in order; each runs in a copy of the caller's context.

    Args:
        jobs: one runs on the caller's own thread, several on threads.

        limit: how many run at a time, at least 1.
    """
    if len(jobs) < 2 or limit < 2:
        return [job() for job in jobs]
    with ThreadPoolExecutor(min(limit, len(jobs)), thread_name_prefix="agentprod-together") as pool:
        return [future.result() for future in [pool.submit(contextvars.copy_context().run, job) for job in jobs]]


async def await_together(jobs: Sequence[Callable[[], Coroutine[Any, Any, T]]], limit: int) -> list[T]:
    """Return what the jobs return, in order; when one fails, the others are cancelled.

    Args:
        jobs: each makes a coroutine that becomes a task.

        limit: how many run at a time, at least 1.
    """
    import asyncio

    room = asyncio.Semaphore(limit)

    async def run(job: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async with room:
            return await job()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(job)) for job in jobs]
    return [task.result() for task in tasks]


async def await_within(work: Awaitable[T], seconds: float | None) -> T:
    """Return what `work` returns; it is cancelled after `seconds`.

    Raises:
        TimeoutError: it took longer.
    """
    import asyncio

    async with asyncio.timeout(seconds):
        return await work


def within(work: Callable[[], T], seconds: float | None) -> T:
    """Return what `work` returns, run on a thread of its own in a copy of the caller's context.

    A thread cannot be stopped: work that takes longer goes on to its end, and nobody waits for it.

    Raises:
        TimeoutError: it took longer than `seconds`.
    """
    if seconds is None:
        return work()
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="agentprod-within", daemon=True).start()
    return future.result(seconds)
