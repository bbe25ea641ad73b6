"""The spans of one call: one for the operation, one for each attempt."""

from __future__ import annotations

import time
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, get_current
from opentelemetry.trace import INVALID_SPAN, SpanKind, set_span_in_context
from opentelemetry.trace.status import Status, StatusCode

from agentprod.telemetry import attributes as name
from agentprod.telemetry import sinks
from agentprod.telemetry.attempt_spans import AttemptSpan, end_span
from agentprod.telemetry.content import Content, emit_event
from agentprod.telemetry.dedupe import Below, Shared, inference_around
from agentprod.telemetry.drops import drops
from agentprod.telemetry.finished import counted_call, stream_labels
from agentprod.telemetry.later import later
from agentprod.telemetry.operation_facts import Ending, billed, operation_facts, stream_facts, stream_outcome
from agentprod.telemetry.stream_watch import KeptEvents, StreamWatch, Watched, detach
from agentprod.telemetry.wire_facts import identity, parameters, response_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from agentprod.call import Call
    from agentprod.dialects.base import Dialect
    from agentprod.ledger import Attempt
    from agentprod.reply import End, Reply
    from agentprod.telemetry.capture import CaptureMode
    from agentprod.telemetry.delivery import Delivery
    from agentprod.telemetry.metrics import Instruments
    from agentprod.telemetry.operation_facts import StreamOutcome
    from agentprod.usage import Usage

__all__ = ["Operation"]


class Operation:
    """The spans and the metrics of one call, from its entry to the end of its reply.

    Args:
        tracer: makes the spans; `None` when nobody collects spans.

        call: the call as it entered.

        mode: where message text is recorded.

        instruments: count the call; `None` when nobody collects metrics.

        gaps: whether to measure the time between the chunks of a stream.

        delivery: how spans are handed on, where that is known.
    """

    # Defaults stand in the class: making one of these is on the way of every call.
    span: Span = INVALID_SPAN
    recording = False
    _ended = False
    _watch: StreamWatch | None = None
    _kept: KeptEvents | None = None
    _content: Content | None = None
    _shared: Shared | None = None
    _below: Below | None = None
    _above = False
    _token: Token[Context] | None = None
    _unread: _Unread | None = None
    """What a whole reply says, where that need not be read at once."""
    _watched: Watched | None = None

    def __init__(
        self,
        tracer: Tracer | None,
        call: Call,
        mode: CaptureMode,
        instruments: Instruments | None,
        gaps: bool = False,
        delivery: Delivery | None = None,
    ) -> None:
        self._call = call
        self._tracer = tracer
        self._mode = mode
        self._instruments = instruments
        self._gaps = gaps
        self._delivery = delivery
        self._attempts: dict[int, AttemptSpan] = {}
        self._stopped: list[AttemptSpan] = []
        # The reply of a function or a file download is not read for counts it cannot have.
        self._counts = call.operation not in ("other", "function")
        if tracer is not None:
            self._start(tracer)

    def _start(self, tracer: Tracer) -> None:
        call, around = self._call, get_current()
        title, asked = identity(call)
        self.span = span = tracer.start_span(title, around, SpanKind.CLIENT, asked)
        self.recording = span.is_recording()
        if not self.recording and not span.get_span_context().is_valid:
            return
        if self.recording:
            self._asked = parameters(call)  # now: the caller may change its request for the next call
            self._below = Below(around)
            if self._counts:
                self._shared = Shared.find(around, call.operation)
                self._above = bool(around) and inference_around(around)
            if (self._mode.span or self._mode.event) and call.operation != "other":
                self._content = Content(call, call.ledger.environment.scrub)
        self._context = set_span_in_context(span, around)
        self._token = attach(self._context)

    def leave(self, reply: Reply | None) -> None:
        """Give the caller its own context back, innermost span first; that of an open stream is still current."""
        known = self._attempts.get(id(reply.attempt)) if reply is not None else None
        if known is not None:
            here = get_current()
            if here is not self._context:
                known.context = here  # a generator keeps spans of its own open while it waits
            known.leave()
        else:
            # The reply of a stream that is shared learns of its attempt only once that has ended.
            for attempt in reversed(self._attempts.values()):
                attempt.leave()
        token, self._token = self._token, None
        if token is not None:
            detach(token)

    # Attempts

    def observe(self, event: str, attempt: Attempt, data: Any) -> None:
        """Follow the attempts of the call."""
        if event == "attempt_start":
            assert self._tracer is not None
            assert self._below is not None
            span = self._tracer.start_span(name.ATTEMPT_SPAN, self._context)
            # Only what happens within an attempt is the call itself: a layer's own calls are calls of their own.
            context = self._below.within(set_span_in_context(span, get_current()))
            if self._shared is not None:
                context = self._shared.within(context)
            self._attempts[id(attempt)] = AttemptSpan(span, context, attempt)
            if self._content is not None:
                self._content.see(data)
        elif event == "attempt_end":
            known = self._attempts.pop(id(attempt), None)
            if known is None:
                return
            known.stop()
            if attempt.outcome == "failed" or self._ended:
                known.end(self._counts)
            else:
                self._stopped.append(known)

    # Ends

    def failed(self, error: BaseException) -> None:
        """End the span of a call that raised."""
        self._finish(None, error, None)

    def returned(self, reply: Reply) -> None:
        """Follow a reply to its end."""
        if not self.recording and self._instruments is None:
            return
        if self._content is not None:
            self._content.see(reply.call)
        stream = reply.stream
        if stream is not None:
            known = self._attempts.get(id(reply.attempt))
            context, now = None if known is None else known.context, self._call.runtime.now
            ahead, _ = stream.read_ahead
            quiet, gap = getattr(stream.origin, "quiet", False), self._count_gaps(reply)
            self._watch = StreamWatch(stream.source, ahead, context, now, quiet=quiet, gap=gap)
            stream.source = self._watch
            if self._content is not None:
                self._kept = KeptEvents()
                stream.add(self._kept)
            # Not `on_end`: that one runs inside the garbage collector, where exporters' locks may be held.
            reply.on_settle(_Settle(self, reply))
            return
        attempt, outermost = reply.attempt, self._call.ledger.layers[0] == "Tracer"
        if attempt is not None and attempt.unread is not None and not reply.edited:
            _, load, native = attempt.unread
            if not self._counts:
                attempt.unread = None
            elif outermost and not reply.hooks and load is not None and attempt.unread is reply.accounts:
                self._unread = _Unread(attempt, reply.dialect, partial(load, native))  # bytes that nobody changes
            else:
                attempt.unread = (reply.dialect, None, _body(reply))  # now, while the reply is nobody else's
        if reply.hooks and outermost:
            reply.on_end(_End(self, reply))  # layers within settle first, and may have something to say of it
        else:
            # A layer outside may raise yet; then nobody would end the span.
            self._finish(reply, None, None)

    def _count_gaps(self, reply: Reply) -> Callable[[float], None] | None:
        if not self._gaps or self._instruments is None:
            return None
        return self._instruments.chunk_gaps(stream_labels(reply.call))

    def ended(self, reply: Reply, end: End) -> None:
        """End the span of a reply."""
        if self._watch is not None and reply.stream is not None:
            ahead, _ = reply.stream.read_ahead
            self._watch.unread(ahead)
        self._finish(reply, end.error, stream_outcome(reply, end))

    def _finish(self, reply: Reply | None, error: BaseException | None, stream: StreamOutcome | None) -> None:
        if self._ended:
            return
        self._ended = True
        if not self.recording and self._instruments is None:
            self._close()
            end_span(self.span)
            return
        ending, ended_at = Ending(self._call, error, stream), time.time_ns()
        slow = self._takes_time()
        if self._watch is not None:
            self._watched = self._watch.watched()
        if slow or (error is None and self._can_wait()):
            self._call.state[name.LATER] = True
            context = copy_context()
            if not slow and (self._watched is not None or self._unread is not None or not self._counts):
                reply = self._watch = None  # its parts are freed where they were made, which costs less
            if later.submit(lambda: context.run(self._end, ending, reply, ended_at), can_wait=not slow):
                return
        self._end(ending, reply, ended_at)

    def _takes_time(self) -> bool:
        """Whether the end needs tokens counted or text scrubbed, which shall not be the caller's time."""
        if self._shared is not None and self._shared.outer:
            return False  # who traces around us ends next, and needs the counts now
        if self._content is not None:
            return True
        # Only streams are counted by us.
        return self._watch is not None and any(attempt.uncounted is not None for attempt in self._call.ledger.attempts)

    def _can_wait(self) -> bool:
        """Whether nobody can tell if the spans are described now or a little later, among those of other calls."""
        if self._delivery is None or not self._delivery.in_batches:
            return False
        if self._shared is not None or self._above or self._below is None or self._below.nested:
            return False  # others trace this call, too
        return not (sinks.wanted() or self._call.ledger.listeners)

    def _close(self) -> None:
        if self._below is not None:
            self._below.close()

    def _end(self, ending: Ending, reply: Reply | None, ended_at: int) -> None:
        try:
            self._describe(ending, reply)
        except Exception:
            drops.count("tracer")
        for stopped in self._stopped:
            stopped.end(self._counts)
        end_span(self.span, ended_at)
        self._close()
        # The call's observers lead here: a cycle through the whole call would wait for the garbage collector.
        del self._call

    def _describe(self, ending: Ending, reply: Reply | None) -> None:
        said = self._said(reply)
        ledger, usage = self._call.ledger, self._usage()
        cost = ledger.cost if usage is not None or not ledger.attempts else None
        found = operation_facts(ending, usage, cost)
        if self._watched is not None:
            found.update(stream_facts(ending, self._watched, usage))
        found.update(response_facts(said))
        if sinks.wanted() or ledger.listeners:
            self._call.state[name.FACTS] = found
            if usage is not None and self._shared is None:
                self._call.state[name.BILL] = (usage, cost)
        if self.recording:
            self._show(ending, found, usage, reply)
        if self._instruments is not None:
            self._instruments.record(counted_call(ending, found, usage, cost))

    def _said(self, reply: Reply | None) -> Sequence[Any]:
        """Return what a reply says of itself: all of a whole one, the first and the last events of a stream."""
        if not self._counts:
            return ()
        if self._watched is not None:
            return self._watched.seen
        if self._unread is not None:
            return (self._unread.read(),)
        return () if reply is None else (_body(reply),)

    def _show(self, ending: Ending, facts: dict[str, Any], usage: Usage | None, reply: Reply | None) -> None:
        """Write the facts on the span."""
        shown = self._asked
        shown.update(facts)
        if usage is not None and not self._shown_elsewhere(reply, usage):
            billed(usage, shown)
        if ending.failed:
            assert ending.error is not None
            kind = shown[name.ERROR_TYPE] = type(ending.error).__name__
            message = None
            if self._content is not None:
                message = self._call.state[name.MESSAGE] = self._content.error(ending.error)
            self.span.set_status(Status(StatusCode.ERROR, message or kind))
        self.span.set_attributes(shown)
        if self._content is not None:
            self._record(self._content, shown, reply)

    def _record(self, content: Content, facts: dict[str, Any], reply: Reply | None) -> None:
        """Record message text where it was asked for."""
        try:
            found = content.facts(reply, self._kept)
            if self._mode.span:
                self.span.set_attributes(found)
            if self._mode.event:
                emit_event(self.span, {**identity(self._call)[1], **facts}, found)
        except Exception:
            drops.count("capture")

    # Counts

    def _usage(self) -> Usage | None:
        if not self._counts:
            return None
        usage = self._call.ledger.usage
        return self._shared.usage if usage is None and self._shared is not None else usage

    def _shown_elsewhere(self, reply: Reply | None, usage: Usage) -> bool:
        """Whether another span shows these counts."""
        if self._shared is not None and self._shared.outer:
            self._shared.leave(usage)
            return True
        below = self._below is not None and self._below.counted
        return below or (self._above and reply is not None and self._handed_out(reply))

    def _handed_out(self, reply: Reply) -> bool:
        """Whether the caller, and who traces around it, can read counts from the reply."""
        if reply.stream is None:
            return True
        # Counts that were asked for on our behalf are hidden from the caller again.
        seen = self._watch is not None and self._watch.count > 0 and reply.stream.reader.usage is not None
        return seen and self._call.dialect.asks_usage(self._call.request)


class _Unread:
    """A whole reply that is still to be read, once: for its counts as for all else it says of itself."""

    __slots__ = ("_attempt", "_dialect", "_load")

    def __init__(self, attempt: Attempt, dialect: Dialect, load: Callable[[], Any]) -> None:
        self._attempt = attempt
        self._dialect = dialect
        self._load = load

    def read(self) -> Any:
        """Return what it says, `None` where that cannot be read, as a gateway's page in HTML."""
        try:
            body = self._load()
        except Exception:
            body = None
        self._attempt.unread = (self._dialect, None, body)
        return body


def _body(reply: Reply) -> Any:
    try:
        return reply.body
    except Exception:
        return None


class _End:
    __slots__ = ("_operation", "_reply")

    def __init__(self, operation: Operation, reply: Reply) -> None:
        self._operation = operation
        self._reply = reply

    def __call__(self, end: End) -> None:
        self._operation.ended(self._reply, end)


class _Settle:
    __slots__ = ("_operation", "_reply")

    def __init__(self, operation: Operation, reply: Reply) -> None:
        self._operation = operation
        self._reply = reply

    async def __call__(self, end: End) -> None:
        self._operation.ended(self._reply, end)
