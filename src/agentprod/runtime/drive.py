"""Run a coroutine that never suspends, without an event loop."""

from __future__ import annotations

import inspect
import types
from collections import deque
from collections.abc import Coroutine, Generator, Iterator
from types import CodeType, TracebackType
from typing import Any, TypeVar

from agentprod.errors import SuspendedError

__all__ = ["drive"]

T = TypeVar("T")

_LOOPS = ("asyncio", "anyio", "sniffio", "trio")
_NO_LOOP = ("no running event loop", "There is no current event loop", "must be called from async context")
"""What asyncio and trio say to who waits without a loop."""
_NO_LOOP_ERRORS = ("NoEventLoopError", "AsyncLibraryNotFoundError")
"""The same of anyio and sniffio, which need not be installed."""


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
    except (RuntimeError, AttributeError) as error:
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


_Frames = Iterator[tuple[str, CodeType, int]]
"""Module, code and line of each frame, outermost first."""


def _suspended_at(coro: Any) -> str:
    """Name the layer that waits, and its line."""
    return _layer_in(_waiting(coro)) or "a layer"


def _waiting(coro: Any) -> _Frames:
    while coro is not None:
        frame = getattr(coro, "cr_frame", None)
        if frame is None:
            break
        yield frame.f_globals.get("__name__", ""), frame.f_code, frame.f_lineno
        coro = getattr(coro, "cr_await", None)


def _needed_a_loop(error: RuntimeError | AttributeError) -> str | None:
    """Name the layer whose wait asked for the running loop, when that is what `error` says; `None` otherwise."""
    return _layer_in(_raised(error.__traceback__)) if _says_no_loop(error) else None


def _says_no_loop(error: RuntimeError | AttributeError) -> bool:
    if isinstance(error, AttributeError):  # asyncio's locks and queues do not look whether there is a loop
        return error.name == "create_future" and error.obj is None
    return str(error).startswith(_NO_LOOP) or type(error).__name__ in _NO_LOOP_ERRORS


def _raised(trace: TracebackType | None) -> _Frames:
    while trace is not None:
        yield trace.tb_frame.f_globals.get("__name__", ""), trace.tb_frame.f_code, trace.tb_lineno
        trace = trace.tb_next


def _layer_in(frames: _Frames) -> str | None:
    """Name the innermost layer and its own line: not the one in a loop or in a client that it uses.

    `None` when what the innermost of our frames called is no coroutine: that is the caller's own function, which may
    make such a mistake, too, and whose error it is to keep.
    """
    place, owner, is_layer = None, None, False
    for module, code, line in frames:
        package = module.partition(".")[0]
        if package in _LOOPS:
            continue
        if package == _OURS or owner is None:
            owner = None if package == _OURS else package
            is_layer = bool(code.co_flags & inspect.CO_COROUTINE)
        elif package != owner:
            continue
        place = _place(code, line) if is_layer else None
    return place


_OURS = __name__.partition(".")[0]


def _place(code: CodeType, line: int) -> str:
    return f"{code.co_qualname} ({code.co_filename}:{line})"
