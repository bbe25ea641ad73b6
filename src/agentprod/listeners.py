"""Who wants to hear of finished calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentprod.ambient import ambient, change

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["Listener", "everywhere", "listen", "listening"]

Listener = Callable[["Call"], None]
"""Called with each call once it has ended; its ledger tells the rest."""

everywhere: tuple[Listener, ...] = ()
"""Who hears of every call of this process; read as `listeners.everywhere`, since it changes."""


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let `listener` hear of calls that start within the block, also in tasks and propagated threads."""
    change(listeners=(*ambient().listeners, listener))
    try:
        yield
    finally:
        left = list(ambient().listeners)
        if listener in left:
            left.reverse()  # of equal ones, the one that began last
            left.remove(listener)
            left.reverse()
            change(listeners=tuple(left))


def listen(listener: Listener) -> Callable[[], None]:
    """Let `listener` hear of every call of this process; return what ends that."""
    global everywhere  # noqa: PLW0603 - one per process, by intent
    everywhere = (*everywhere, listener)

    def stop() -> None:
        global everywhere  # noqa: PLW0603 - one per process, by intent
        everywhere = tuple(other for other in everywhere if other is not listener)

    return stop
