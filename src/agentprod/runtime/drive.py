"""Run a coroutine that never suspends, without an event loop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from agentprod.errors import SuspendedError

__all__ = ["drive"]

T = TypeVar("T")


def drive(coro: Coroutine[Any, Any, T]) -> T:
    """Run `coro` to its end in this very step and return its value.

    This is how one `async def` body serves synchronous calls: nothing below it suspends, so one
    `send(None)` is the whole run. It works inside a running event loop, as in a notebook.

    Raises:
        SuspendedError: a layer awaited something that needs an event loop. The coroutine is closed
            first, so its `finally` blocks have run.
    """
    try:
        coro.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    where = _suspended_at(coro)
    coro.close()
    raise SuspendedError(
        f"{where} suspended inside a synchronous call, where no event loop can resume it. "
        "Use call.runtime (sleep, run, waiter, timeout) instead of asyncio, or call the async client."
    )


def _suspended_at(coro: Any) -> str:
    """Name the innermost coroutine that waits and its line: the layer's own, not asyncio's below it."""
    place = "a layer"
    while coro is not None:
        frame = getattr(coro, "cr_frame", None)
        code = getattr(coro, "cr_code", None)
        if frame is None or code is None:
            break
        module = frame.f_globals.get("__name__", "")
        if module.split(".")[0] not in ("asyncio", "anyio"):
            place = f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})"
        coro = getattr(coro, "cr_await", None)
    return place
