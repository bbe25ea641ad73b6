"""Who in this process is told of finished calls: monitor, alerts, metrics, log, notebook footer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.drops import drops

__all__ = ["Sink", "publish", "subscribe", "wanted"]

Sink = Callable[[CallRecord], object]
"""Takes one finished call, quickly and from any thread."""

_sinks: tuple[Sink, ...] = ()
_lock = threading.RLock()


def subscribe(sink: Sink) -> Callable[[], None]:
    """Hand every finished call of this process to a function, until the returned function is called.

    Args:
        sink: such as `monitor.record`; what it raises is dropped and counted.
    """
    global _sinks  # noqa: PLW0603 - replaced whole, so that publishing needs no lock
    with _lock:
        _sinks = (*_sinks, sink)

    def unsubscribe() -> None:
        global _sinks  # noqa: PLW0603
        with _lock:
            _sinks = tuple(each for each in _sinks if each is not sink)

    return unsubscribe


def wanted() -> bool:
    """Return whether anybody listens, so that a record nobody reads need not be made."""
    return bool(_sinks)


def publish(record: CallRecord) -> None:
    """Hand a finished call to all who subscribed; never raises."""
    for sink in _sinks:
        try:
            sink(record)
        except Exception:
            drops.count("sink")
