"""Ratios of CPU time that a busy machine disturbs little: interleaved blocks, the minimum of each."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping

__all__ = ["Row", "async_blocks", "blocks", "table"]

Row = tuple[str, float, str]
"""What was measured, its figure, and the goal as text."""


def blocks(
    subjects: Mapping[str, Callable[[], object]],
    *,
    calls: int,
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Return microseconds of CPU time per call, the minimum over all blocks of each subject.

    Args:
        subjects: name to a function that does one call.

        calls: calls in one block.

        rounds: blocks of each subject, taken in turn so that a disturbance hits all alike.

        clock: CPU seconds: of all threads, or with `time.thread_time` of the one that calls.
    """
    best = dict.fromkeys(subjects, float("inf"))
    for name, subject in subjects.items():
        subject()  # warm up outside the clock
        best[name] = float("inf")
    for _ in range(rounds):
        for name, subject in subjects.items():
            gc.collect()
            begun = clock()
            for _ in range(calls):
                subject()
            best[name] = min(best[name], (clock() - begun) / calls * 1e6)
    return best


def async_blocks(
    subjects: Mapping[str, Callable[[], Awaitable[object]]], *, calls: int, rounds: int
) -> dict[str, float]:
    """Return the same for coroutine functions, all in one loop."""

    async def run() -> dict[str, float]:
        best = dict.fromkeys(subjects, float("inf"))
        for subject in subjects.values():
            await subject()
        for _ in range(rounds):
            for name, subject in subjects.items():
                gc.collect()
                begun = time.process_time()
                for _ in range(calls):
                    await subject()
                best[name] = min(best[name], (time.process_time() - begun) / calls * 1e6)
        return best

    return asyncio.run(run())


def table(title: str, rows: list[Row]) -> str:
    """Return figures as a Markdown table."""
    lines = [f"### {title}", "", "| what | figure | goal |", "|---|---|---|"]
    lines += [f"| {what} | {figure:.3f} | {goal} |" for what, figure, goal in rows]
    return "\n".join(lines)
