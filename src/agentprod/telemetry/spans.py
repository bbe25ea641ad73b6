"""The spans of one call: one for the operation, one for each attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from opentelemetry.context import attach, get_current
from opentelemetry.trace import SpanKind, set_span_in_context
from opentelemetry.trace.status import Status, StatusCode

from agentprod.errors import Rejected
from agentprod.faults import RETRIED
from agentprod.telemetry import attributes as name
from agentprod.telemetry.decisions import attempt_times, decisions
from agentprod.telemetry.drops import drops
from agentprod.telemetry.genai_metrics import genai_operation
from agentprod.telemetry.stream_watch import StreamWatch, detach
from agentprod.telemetry.wire_facts import identity, parameters, response_facts, span_name

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from agentprod.call import Call
    from agentprod.ledger import Attempt, Ledger
    from agentprod.reply import End, Reply
    from agentprod.usage import Usage

__all__ = ["Operation"]

_HITS = ("hit_exact", "hit_semantic", "stale")

StreamOutcome = Literal["completed", "closed", "abandoned", "cancelled", "error"]


class Operation:
    """The spans of one call, from its entry to the end of its reply."""

    __slots__ = ("_attempts", "_call", "_context", "_ended", "_token", "_tracer", "_watch", "span")

    def __init__(self, tracer: Tracer, call: Call) -> None:
        self._call = call
        self._tracer = tracer
        self._ended = False
        self._attempts: dict[int, tuple[Span, Token[Context] | None]] = {}
        self._watch: StreamWatch | None = None
        self.span = tracer.start_span(span_name(call), kind=SpanKind.CLIENT, attributes=identity(call))
        if self.span.is_recording():
            self.span.set_attributes(parameters(call))
        self._context = set_span_in_context(self.span)
        self._token: Token[Context] | None = attach(self._context)

    @property
    def recording(self) -> bool:
        """Whether anybody will see the span."""
        return not self._ended and self.span.is_recording()

    def leave(self) -> None:
        """Give the caller its own context back."""
        token, self._token = self._token, None
        if token is not None:
            detach(token)

    # Attempts

    def observe(self, event: str, attempt: Attempt, data: Any) -> None:
        """Follow the attempts of the call."""
        if event == "attempt_start":
            span = self._tracer.start_span(name.ATTEMPT_SPAN, self._context, attributes=_attempt_identity(attempt))
            self._attempts[id(attempt)] = span, attach(set_span_in_context(span, get_current()))
        elif event == "attempt_end":
            known = self._attempts.pop(id(attempt), None)
            if known is None:
                return
            span, token = known
            if token is not None:
                detach(token)
            try:
                _describe_attempt(span, attempt, self._counts)
            finally:
                span.end()

    @property
    def _counts(self) -> bool:
        """Whether replies carry token counts: reading a file's or a function's value for them would be waste."""
        return self._call.operation not in ("other", "function")

    # Ends

    def failed(self, error: BaseException) -> None:
        """End the span of a call that raised."""
        try:
            self._describe_end(None, error, None)
        except Exception:
            drops.count("tracer")
        finally:
            self._end()

    def returned(self, reply: Reply) -> None:
        """Follow a reply to its end."""
        stream = reply.stream
        if stream is not None:
            known = self._attempts.get(id(reply.attempt))
            context = None
            if known is not None:
                # Whoever attached it has returned: from here on it is current only while the stream is read.
                self._attempts[id(reply.attempt)] = known[0], None
                context = set_span_in_context(known[0], self._context)
            self._watch = StreamWatch(stream.source, context, self._call.runtime.now)
            stream.source = self._watch
            stream.add(self._watch)
            # Not `on_end`: that one runs inside the garbage collector, where exporters' locks may be held.
            reply.on_settle(_Settle(self, reply))
        elif self._call.ledger.layers[0] == "Tracer":
            reply.on_end(_End(self, reply))
        else:
            # A layer outside may raise yet; then nobody would end the span.
            self.ended(reply, "complete", None)

    def ended(self, reply: Reply, outcome: str, error: BaseException | None) -> None:
        """End the span of a reply."""
        if self._ended:
            return
        try:
            stream = _stream_outcome(reply, outcome) if reply.stream is not None else None
            self._describe_end(reply, error, stream)
        except Exception:
            drops.count("tracer")
        finally:
            self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self.span.end()

    def _describe_end(self, reply: Reply | None, error: BaseException | None, stream: StreamOutcome | None) -> None:
        span, ledger, call = self.span, self._call.ledger, self._call
        duration = call.runtime.now() - ledger.started
        outcome = _outcome(ledger, error, stream)
        found: dict[str, Any] = {
            name.REQUEST_ID: ledger.id,
            name.LAYERS: ledger.layers,
            name.OUTCOME: outcome,
            name.ATTEMPT_COUNT: len(ledger.attempts),
        }
        found.update(decisions(ledger))
        self._times(found, duration)
        self._route(found)
        usage = ledger.usage if self._counts else None
        if usage is not None:
            found.update(_usage(usage))
        if genai_operation(call.operation) is not None:
            self._cost(found, usage, outcome)
        if reply is not None:
            found.update(self._response(reply))
        if stream is not None:
            found[name.STREAM_OUTCOME] = stream
            self._stream(found, usage, duration)
        if outcome in ("error", "rejected"):
            assert error is not None
            found[name.ERROR_TYPE] = type(error).__name__
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        span.set_attributes(found)

    def _times(self, found: dict[str, Any], duration: float) -> None:
        spent = attempt_times(self._call.ledger.attempts)
        found[name.PROVIDER_TIME] = spent
        waited = found.get(name.RETRY_WAIT, 0.0) + found.get("agentprod.queue.wait_s", 0.0)
        found[name.OVERHEAD] = max(0.0, duration - spent - waited)

    def _route(self, found: dict[str, Any]) -> None:
        asked, served = self._call.target.model, self._call.ledger.served
        if served is not None and served.model is not None and asked is not None and served.model != asked:
            found.setdefault(name.ROUTE_REQUESTED, asked)
            found.setdefault(name.ROUTE_SELECTED, served.model)

    def _cost(self, found: dict[str, Any], usage: Usage | None, outcome: str) -> None:
        cost = self._call.ledger.cost if self._counts else None
        if cost is not None:
            found[name.COST_USD] = float(cost)
            found[name.COST_SOURCE] = "local"
        elif usage is not None or outcome == "ok":
            found[name.COST_SOURCE] = "unknown"

    def _response(self, reply: Reply) -> dict[str, Any]:
        if not self._counts:
            return {}
        if self._watch is not None:
            return response_facts(self._watch.seen())
        return response_facts((reply.body,))

    def _stream(self, found: dict[str, Any], usage: Usage | None, duration: float) -> None:
        watch, ledger = self._watch, self._call.ledger
        if watch is not None:
            found[name.STREAM_CHUNKS] = watch.count
            if watch.longest is not None:
                found[name.STREAM_MAX_GAP] = watch.longest
        if ledger.first_content is None:
            return
        first = ledger.first_content - ledger.started
        found[name.TIME_TO_FIRST_CHUNK] = first
        if usage is not None and usage.output_tokens and duration > first:
            found[name.STREAM_SPEED] = usage.output_tokens / (duration - first)


class _End:
    __slots__ = ("_operation", "_reply")

    def __init__(self, operation: Operation, reply: Reply) -> None:
        self._operation = operation
        self._reply = reply

    def __call__(self, end: End) -> None:
        self._operation.ended(self._reply, end.outcome, end.error)


class _Settle(_End):
    __slots__ = ()

    async def __call__(self, end: End) -> None:  # type: ignore[override]
        self._operation.ended(self._reply, end.outcome, end.error)


def _outcome(ledger: Ledger, error: BaseException | None, stream: StreamOutcome | None) -> str:
    if error is not None and not isinstance(error, Exception):
        return "cancelled"
    if error is not None:
        return "rejected" if isinstance(error, Rejected) and not ledger.attempts else "error"
    if stream == "cancelled":
        return "cancelled"
    return "cached" if ledger.cache in _HITS else "ok"


def _stream_outcome(reply: Reply, outcome: str) -> StreamOutcome:
    if outcome == "complete":
        return "completed"
    if outcome == "failed":
        return "error"
    assert reply.stream is not None
    return reply.stream.left or "closed"


def _usage(usage: Usage) -> dict[str, Any]:
    found: dict[str, Any] = {
        name.INPUT_TOKENS: usage.input_tokens,
        name.OUTPUT_TOKENS: usage.output_tokens,
        name.USAGE_INPUT: usage.input_tokens,
        name.USAGE_OUTPUT: usage.output_tokens,
    }
    if usage.cache_read_tokens:
        found[name.CACHE_READ_TOKENS] = found[name.USAGE_CACHE_READ] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        found[name.CACHE_WRITE_TOKENS] = found[name.USAGE_CACHE_WRITE] = usage.cache_write_tokens
        found[name.CACHE_CREATION_TOKENS] = usage.cache_write_tokens
    if usage.reasoning_tokens:
        found[name.REASONING_TOKENS] = usage.reasoning_tokens
    if usage.estimated:
        found[name.USAGE_ESTIMATED] = True
    return found


def _attempt_identity(attempt: Attempt) -> dict[str, Any]:
    found: dict[str, Any] = {name.ATTEMPT_NUMBER: attempt.number, name.ATTEMPT_PROVIDER: attempt.provider}
    if attempt.model is not None:
        found[name.ATTEMPT_MODEL] = attempt.model
    if attempt.backoff:
        found[name.ATTEMPT_BACKOFF] = attempt.backoff
    return found


def _describe_attempt(span: Span, attempt: Attempt, counts: bool) -> None:
    found: dict[str, Any] = {name.ATTEMPT_OUTCOME: attempt.outcome}
    if attempt.status is not None:
        found[name.STATUS_CODE] = attempt.status
    if attempt.provider_request_id is not None:
        found[name.ATTEMPT_REQUEST_ID] = attempt.provider_request_id
    if attempt.hedged:
        found[name.ATTEMPT_HEDGED] = True
    if attempt.retry_after is not None:
        found[name.ATTEMPT_RETRY_AFTER] = attempt.retry_after
    if attempt.fault is not None:
        found[name.ATTEMPT_FAULT] = attempt.fault.value
        found[name.ATTEMPT_RETRYABLE] = attempt.fault in RETRIED
    usage = attempt.usage if counts else None
    if usage is not None:
        found[name.ATTEMPT_INPUT_TOKENS] = usage.input_tokens
        found[name.ATTEMPT_OUTPUT_TOKENS] = usage.output_tokens
    if attempt.outcome == "failed":
        status = attempt.status
        kind = str(status) if status is not None and status >= 400 else attempt.error_type or "_OTHER"
        found[name.ERROR_TYPE] = kind
        span.set_status(Status(StatusCode.ERROR, attempt.error_type))
    span.set_attributes(found)
