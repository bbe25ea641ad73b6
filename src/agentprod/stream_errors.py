"""What the consumer of a stream gets instead of its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentprod.errors import AgentprodError, StreamInterrupted
from agentprod.faults import classify
from agentprod.interrupted import adopt, interrupted_class
from agentprod.lateness import late
from agentprod.runtime.alarm import NEVER

if TYPE_CHECKING:
    from agentprod.stream import EventStream

__all__ = ["interrupted", "meaning", "overdue", "truncated"]


def overdue(stream: EventStream) -> AgentprodError:
    """Return the error for a wait that goes on for too long; the alarm knows when it had to end."""
    assert stream.alarm is not None  # it has said so
    until, phase = stream.alarm.when, "idle"
    if until == stream.limits.stream_until:
        phase = "deadline"
    elif not stream.committed and stream.opening is not None and until == stream.opening[0]:
        phase = stream.opening[1]
    error = late(phase, stream.target, stream.limits, f"after {len(stream.text())} characters of text")
    error.__cause__ = stream.source.late()
    return error


def meaning(stream: EventStream, error: BaseException) -> BaseException:
    """End the wait for the source with what it raised; return what the consumer is to get for it."""
    alarm = stream.alarm
    if alarm is not None:
        # The SDK's own timer, set to our limit, may come before ours where a machine is busy.
        ended = alarm.claims(error) or (isinstance(error, Exception) and stream.runtime.now() >= alarm.when)
        failure = overdue(stream) if ended else None
        alarm.when = NEVER
        if failure is not None:
            return failure
    if not isinstance(error, Exception):
        return error
    broken = stream.source.broken(error)
    if broken is not error:
        broken.__cause__ = error
    return broken


def truncated(stream: EventStream) -> StreamInterrupted:
    """Return the error for a stream that just ended, without its terminal marker."""
    return StreamInterrupted(
        f"The stream from {stream.target} ended without its terminal marker after {len(stream.text())} characters "
        f"of text{_open_calls(stream)}: the reply is not complete.",
        partial=stream.text(),
        fault="truncated",
        target=str(stream.target),
        open_tool_calls=stream.reader.open_tool_calls(),
        usage=stream.counts.usage,
    )


def interrupted(stream: EventStream, error: Exception) -> Exception:
    """Return the error for a stream that broke after it had begun; also of the SDK's class when it has one for that."""
    if isinstance(error, StreamInterrupted):
        return error
    failure = interrupted_class(error)(
        f"The stream from {stream.target} broke ({type(error).__name__}) after {len(stream.text())} characters of "
        f"text{_open_calls(stream)}. What was delivered stays valid; nothing is replayed.",
        partial=stream.text(),
        fault=classify(error).fault.value,
        target=str(stream.target),
        open_tool_calls=stream.reader.open_tool_calls(),
        usage=stream.counts.usage,
    )
    adopt(failure, error)
    return failure


def _open_calls(stream: EventStream) -> str:
    names = stream.reader.open_tool_calls()
    return f", inside the arguments of {', '.join(names)}" if names else ""
