"""The end of a stream: its attempt's account, and the end of one that nobody holds any more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from agentprod.faults import classify
from agentprod.forks import after_fork
from agentprod.runtime.drive import drive

if TYPE_CHECKING:
    import asyncio

    from agentprod.ledger import Attempt
    from agentprod.reply import Outcome, Reply
    from agentprod.stream import EventStream

__all__ = ["end_attempt", "notify", "release"]

_log = logging.getLogger("agentprod")


def notify(observer: Callable[..., None], event: str, attempt: Any, data: Any) -> None:
    """Call an observer; what it raises is logged, never felt by the call."""
    try:
        observer(event, attempt, data)
    except Exception:
        _log.exception("an observer failed at %s; the call itself is not affected", event)


def end_attempt(reply: Reply, stream: EventStream, outcome: Outcome, error: Exception | None) -> None:
    """Write the end of a stream into its attempt."""
    attempt = reply.attempt
    if attempt is None or attempt.duration is not None:
        return
    attempt.duration = stream.runtime.now() - attempt.started
    attempt.usage = stream.counts.usage
    _estimate(attempt, reply, stream)
    if outcome == "failed" and error is not None:
        failure = classify(error)
        attempt.outcome, attempt.fault = "failed", failure.fault
        attempt.error_type = type(error.__cause__ or error).__name__
    else:
        attempt.outcome = "ok" if outcome == "complete" else "abandoned"
    for observer in stream.observers:
        notify(observer, "attempt_end", attempt, error)


def _estimate(attempt: Attempt, reply: Reply, stream: EventStream) -> None:
    """Let the counts be estimated, should anybody ask, where the provider sent none or stopped before the last ones."""
    estimate, counts = stream.ledger.environment.estimate, stream.counts
    billed = stream.dialect.operation not in ("function", "other")
    if estimate is None or not billed or (stream.reader.done and counts.usage is not None):
        return
    attempt.uncounted = (estimate, reply.call.request, attempt.model, stream.reader.texts)
    reply.ledger.flag("usage_estimated")


def release(stream: EventStream, outcome: Outcome) -> None:
    """End a stream whose consumer is gone; called from a finalizer, on whatever thread that runs.

    A finalizer interrupts any code, which may hold any lock: so nothing is done here but handing
    the stream over, to its loop or to one thread that ends such streams.
    """
    if stream.loop is not None:
        try:
            stream.loop.call_soon_threadsafe(_release_in, stream.loop, stream, outcome)
            return
        except RuntimeError:  # the loop is closed
            pass
    _orphans.take(stream, outcome)


def _release_in(loop: asyncio.AbstractEventLoop, stream: EventStream, outcome: Outcome) -> None:
    task = loop.create_task(stream.finish(outcome))
    _releasing.add(task)
    task.add_done_callback(_releasing.discard)


_releasing: set[asyncio.Task[None]] = set()


class _Orphans:
    """One daemon thread that ends streams without a loop, started on first use."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._left: SimpleQueue[tuple[EventStream, Outcome]] = SimpleQueue()
        self._running = False

    def take(self, stream: EventStream, outcome: Outcome) -> None:
        """End a stream soon."""
        self._left.put((stream, outcome))  # of all queues, the one that a finalizer may use
        if not self._running:
            self._running = True
            try:
                threading.Thread(target=self._run, name="agentprod-settle", daemon=True).start()
            except RuntimeError:  # the interpreter is about to end, and the connection with it
                self._running = False

    def _run(self) -> None:
        while True:
            try:
                _end(*self._left.get())
            except Exception:
                _log.exception("ending a stream that nobody held any more failed")


def _end(stream: EventStream, outcome: Outcome) -> None:
    if stream.runtime.kind == "sync":
        drive(stream.finish(outcome, dropped=True))
    else:
        import asyncio

        asyncio.run(stream.finish(outcome, dropped=True))


_orphans = _Orphans()
# A forked child has the queue but not the thread.
after_fork(_orphans._forget)
