"""Run a coroutine that never suspends, without an event loop."""

from __future__ import annotations

import inspect
import types
from collections import deque
from collections.abc import Coroutine, Generator
from types import CodeType, TracebackType
from typing import Any, TypeVar

from agentprod.errors import SuspendedError

__all__ = ["drive"]

T = TypeVar("T")

_LOOPS = ("asyncio", "anyio", "trio")


def drive(coro: Coroutine[Any, Any, T]) -> T:
    """Run `coro` to its end in this very step and return its value.

    This is how one `async def` body serves synchronous calls: nothing below it suspends, so one
    `send(None)` is the whole run. It works inside a running event loop, as in a notebook.

    Raises:
        SuspendedError: a layer awaited something that needs an event loop. The coroutine is closed
            first, so its `finally` blocks have run.
    """
    try:
        runner = _idle.pop()
    except IndexError:
        runner = _start()
    try:
        done = runner.send(coro)
    except RuntimeError as error:
        place = _needed_a_loop(error)
        if place is None:
            raise
        raise _suspended(place) from error
    if type(done) is _Done:
        result, done.result = done.result, None
        _idle.append(runner)
        return result  # type: ignore[no-any-return]
    place = _suspended_at(coro)
    coro.close()
    raise _suspended(place)


class _Done:
    """What a runner yields when its coroutine has returned."""

    __slots__ = ("result",)

    def __init__(self) -> None:
        self.result: Any = None


@types.coroutine
def _run() -> Generator[Any, Any, None]:
    """Run one coroutine after the other and yield what each returns.

    A coroutine that returns into a generator raises no StopIteration, which would cost as much as a layer.
    """
    done = _Done()
    coro = yield
    while True:
        done.result = yield from coro
        coro = yield done


def _start() -> Any:
    runner: Any = _run()
    runner.send(None)
    return runner


_idle: deque[Any] = deque()
"""Runners that wait for a coroutine: as many as calls were ever nested, or made by threads at once. A list that is
emptied and filled again gives its memory back each time."""


def _suspended(place: str) -> SuspendedError:
    return SuspendedError(
        f"{place} suspended inside a synchronous call, where no event loop can resume it. "
        "Use call.runtime (sleep, run, waiter, timeout) instead of asyncio, or call the async client."
    )


def _suspended_at(coro: Any) -> str:
    """Name the innermost coroutine that waits and its line: the layer's own, not the loop library's below it."""
    place = "a layer"
    while coro is not None:
        frame = getattr(coro, "cr_frame", None)
        if frame is None:
            break
        if not _in_loop_library(frame.f_globals):
            place = _place(frame.f_code, frame.f_lineno)
        coro = getattr(coro, "cr_await", None)
    return place


def _needed_a_loop(error: RuntimeError) -> str | None:
    """Name the layer whose wait asked for the running loop, when that is what `error` says; `None` otherwise."""
    if error.args != ("no running event loop",):
        return None
    place = None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if not _in_loop_library(frame.f_globals):
            # The caller's own plain function may make this mistake, too; that is its error to keep.
            layer = frame.f_code.co_flags & inspect.CO_COROUTINE
            place = _place(frame.f_code, trace.tb_lineno) if layer else None
        trace = trace.tb_next
    return place


def _in_loop_library(module: dict[str, Any]) -> bool:
    return str(module.get("__name__", "")).partition(".")[0] in _LOOPS


def _place(code: CodeType, line: int) -> str:
    return f"{code.co_qualname} ({code.co_filename}:{line})"
