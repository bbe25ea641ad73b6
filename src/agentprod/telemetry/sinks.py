"""Who in this process is told of what has finished: monitor, alerts, log, notebook footer.

One record of a finished call is made, from its account, and handed to all of them; calls pass here whether or not a
`Tracer` or an OpenTelemetry SDK is there. While nobody listens, calls do not come here at all.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Protocol, overload

from agentprod import activities, listeners
from agentprod.activities import Activity
from agentprod.call import Call
from agentprod.runs import Run, ToolCall
from agentprod.telemetry import attributes as name
from agentprod.telemetry.calls import CallRecord, RunRecord, ToolRecord
from agentprod.telemetry.drops import drops
from agentprod.telemetry.finished import Finished
from agentprod.telemetry.identities import scrub_with
from agentprod.telemetry.later import later

__all__ = ["Follower", "Record", "Sink", "activity_record", "follow", "publish", "subscribe", "wanted"]

Record = CallRecord | ToolRecord | RunRecord
Sink = Callable[[CallRecord], object]
"""Takes one finished call, quickly and from any thread."""


class Follower(Protocol):
    """Takes finished calls, tool calls and runs, each quickly and from any thread."""

    def follow(self, record: Record, /) -> object:
        """Count what has finished."""


_sinks: tuple[Callable[[Record], object], ...] = ()
_stop_listening: tuple[Callable[[], None], ...] = ()
_lock = threading.RLock()


def subscribe(sink: Sink) -> Callable[[], None]:
    """Hand every finished call of this process to a function, until the returned function is called.

    Args:
        sink: such as `monitor.record`; what it raises is dropped and counted.
    """

    def take(record: Record) -> None:
        if isinstance(record, CallRecord):
            sink(record)

    return _add(take)


def follow(follower: Follower) -> Callable[[], None]:
    """Hand all that finishes in this process to an object for as long as it lives; return what ends that.

    Args:
        follower: held weakly, so that one that nobody keeps any more is forgotten.
    """
    known = weakref.ref(follower, lambda _: stop())

    def take(record: Record) -> None:
        found = known()
        if found is not None:
            found.follow(record)

    stop = _add(take)
    return stop


def wanted() -> bool:
    """Return whether anybody listens, so that a record nobody reads need not be made."""
    return bool(_sinks)


def publish(record: Record) -> None:
    """Hand what has finished to all who listen; never raises."""
    for sink in _sinks:
        try:
            sink(record)
        except Exception:
            drops.count("sink")


def _add(take: Callable[[Record], object]) -> Callable[[], None]:
    global _sinks, _stop_listening  # noqa: PLW0603 - replaced whole, so that publishing needs no lock
    with _lock:
        _sinks = (*_sinks, take)
        if not _stop_listening:
            _stop_listening = (listeners.listen(_call_ended), activities.watch(_watched))

    def stop() -> None:
        global _sinks, _stop_listening  # noqa: PLW0603
        with _lock:
            _sinks = tuple(each for each in _sinks if each is not take)
            if not _sinks:
                for leave in _stop_listening:
                    leave()
                _stop_listening = ()

    return stop


def _call_ended(call: Call) -> None:
    scrub_with(call.ledger.environment.scrub)
    finished = Finished(call)
    # Counting tokens takes time that is not the caller's; and a span that waits for it knows more, so it goes first.
    waits = finished.takes_time or name.LATER in call.state
    if not waits or not later.submit(lambda: publish(finished.record())):
        publish(finished.record())


def _watched(activity: Activity) -> Callable[[], object] | None:
    if isinstance(activity, ToolCall | Run):
        return lambda: publish(activity_record(activity))
    return None


@overload
def activity_record(activity: ToolCall) -> ToolRecord: ...


@overload
def activity_record(activity: Run) -> RunRecord: ...


def activity_record(activity: ToolCall | Run) -> ToolRecord | RunRecord:
    """Return the record of a tool call or a run that has ended."""
    if isinstance(activity, ToolCall):
        return ToolRecord(
            tool=activity.name,
            status="ok" if activity.error_type is None else "error",
            error_type=activity.error_type,
            duration=activity.duration or 0.0,
        )
    run = activity
    return RunRecord(
        agent=run.name,
        duration=run.duration or 0.0,
        inference_calls=run.model_calls,
        tool_calls=run.tool_calls,
        error_type=run.error_type,
        outcome=run.outcome,
    )
