"""Who is told of a finished call: open `record()` blocks, and functions that subscribed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.drops import drops
from agentprod.telemetry.record_ring import Calls

__all__ = ["publish", "record", "recorders", "subscribe"]

_active: ContextVar[tuple[Calls, ...]] = ContextVar("agentprod_recorders", default=())
_subscribers: tuple[Callable[[CallRecord], None], ...] = ()
_lock = threading.Lock()


@contextmanager
def record(*, limit: int = 1000) -> Iterator[Calls]:
    """Collect the calls that start inside the block.

    A stream that outlives the block is still added when it ends. The block may be left in another task or thread.

    Args:
        limit: how many calls to keep.
    """
    calls = Calls(limit=limit)
    token = _active.set((*_active.get(), calls))
    try:
        yield calls
    finally:
        try:
            _active.reset(token)
        except ValueError:
            # Left in another context: there, and in contexts copied from this one, it would go on recording.
            _active.set(tuple(each for each in _active.get() if each is not calls))


def recorders() -> tuple[Calls, ...]:
    """Return the blocks of `record()` that are open here; to be asked when a call starts, used when it ends."""
    return _active.get()


def subscribe(sink: Callable[[CallRecord], None]) -> Callable[[], None]:
    """Hand every finished call of this process to a function, until the returned function is called.

    Args:
        sink: takes one `CallRecord`, quickly and from any thread; what it raises is dropped and counted.
    """
    global _subscribers  # noqa: PLW0603 - replaced whole, so that publishing needs no lock
    with _lock:
        _subscribers = (*_subscribers, sink)

    def unsubscribe() -> None:
        global _subscribers  # noqa: PLW0603
        with _lock:
            _subscribers = tuple(each for each in _subscribers if each is not sink)

    return unsubscribe


def publish(finished: CallRecord, open_blocks: Iterable[Calls] = ()) -> None:
    """Hand a finished call to the blocks that were open when it started, and to every subscriber; never raises."""
    for calls in open_blocks:
        calls.append(finished)
    for sink in _subscribers:
        try:
            sink(finished)
        except Exception:
            drops.count("sink")
