"""Who wants to hear of finished calls here."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["Listener", "listeners", "listening"]

Listener = Callable[["Call"], None]
"""Called with each call once it has ended; its ledger tells the rest."""

_here: contextvars.ContextVar[tuple[Listener, ...]] = contextvars.ContextVar("agentprod_listeners", default=())
_everywhere: tuple[Listener, ...] = ()


def listeners() -> tuple[Listener, ...]:
    """Return who listens to calls that start here."""
    here = _here.get()
    return _everywhere + here if _everywhere else here


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let `listener` hear of calls that start within the block, also in tasks and propagated threads."""
    token = _here.set((*_here.get(), listener))
    try:
        yield
    finally:
        try:
            _here.reset(token)
        except ValueError:  # left in another context, whose own value stays
            pass


def listen(listener: Listener) -> Callable[[], None]:
    """Let `listener` hear of every call of this process; return what ends that."""
    global _everywhere  # noqa: PLW0603 - one per process, by intent
    _everywhere = (*_everywhere, listener)

    def stop() -> None:
        global _everywhere  # noqa: PLW0603 - one per process, by intent
        _everywhere = tuple(other for other in _everywhere if other is not listener)

    return stop
