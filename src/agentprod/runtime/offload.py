"""Keep an event loop free while a blocking function runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["in_thread"]

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return `fn(*args, **kwargs)`, run on a thread of the loop's pool under this task's context.

    A cancelled caller is released at once; the function runs on to its end.
    """
    import asyncio

    return await asyncio.to_thread(fn, *args, **kwargs)
