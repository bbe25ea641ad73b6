"""A finished call as a `CallRecord`, read from its account and, where there is one, from its span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentprod.telemetry import attributes as name
from agentprod.telemetry.calls import AttemptRecord, CallRecord
from agentprod.telemetry.decisions import decisions
from agentprod.telemetry.operation_facts import Ending
from agentprod.telemetry.wire_facts import server

if TYPE_CHECKING:
    from decimal import Decimal

    from opentelemetry.trace import SpanContext

    from agentprod.call import Call
    from agentprod.ledger import Attempt, Ledger
    from agentprod.telemetry.calls import CacheOutcome, Status, StreamOutcome
    from agentprod.usage import Usage

__all__ = ["CountedCall", "Finished", "counted_call", "finished_call", "stream_labels"]

# A caller that goes away is not a failure of the call.
_STATUS: dict[str, Any] = {"cancelled": "ok"}

_STREAMS: dict[str | None, StreamOutcome] = {
    "complete": "completed",
    "failed": "error",
    "abandoned": "abandoned",
    "discarded": "closed",
}


class Finished:
    """A call that has just ended; its record can be read now or, where that takes time, later.

    Attributes:
        takes_time: whether tokens have to be counted for it.
    """

    __slots__ = ("_call", "_ending", "takes_time")

    def __init__(self, call: Call) -> None:
        ledger = call.ledger
        self._call = call
        # Now, for the error is let go of once all have been told.
        self._ending = Ending(call, ledger.error, _STREAMS.get(ledger.outcome) if call.streaming else None)
        self.takes_time = any(attempt.uncounted is not None for attempt in ledger.attempts)

    def record(self) -> CallRecord:
        """Return the record of the call."""
        ledger, state = self._call.ledger, self._call.state
        usage, cost = state.get(name.BILL) or (ledger.usage, ledger.cost)
        return finished_call(self._ending, state.get(name.FACTS) or {}, usage, cost)


def finished_call(ending: Ending, facts: dict[str, Any], usage: Usage | None, cost: Decimal | None) -> CallRecord:
    """Describe a call that has ended.

    Args:
        ending: how it ended.

        facts: attributes of its span, which hold what the layers decided and what the reply said of itself; without
            a span what the layers decided is read from the account.

        usage: tokens of all attempts, when known.

        cost: USD of all attempts, when known.
    """
    call, ledger = ending.call, ending.call.ledger
    target = call.target
    served = ledger.served or target
    outcome = ending.outcome
    facts = facts or decisions(ledger)
    context, first = call.context, ledger.first_content
    trace_id, span_id = _ids(call.state.get(name.TRACED))
    address, port = server(served.base_url)
    return CallRecord(
        request_id=ledger.id,
        started=ending.wall - ending.duration,
        duration=ending.duration if ledger.duration is None else ledger.duration,
        operation=call.operation,
        provider=served.provider,
        model=served.model,
        requested_model=target.model if target.model != served.model else None,
        served_model=facts.get(name.RESPONSE_MODEL),
        status=_STATUS.get(outcome, outcome),
        error_type=type(ending.error).__name__ if ending.failed else None,
        error_message=call.state.get(name.MESSAGE),
        attempts=tuple(_attempt(attempt, usage is not None) for attempt in ledger.attempts),
        usage=usage,
        cost_usd=cost,
        cost_source="unknown" if cost is None else "local",
        saved_usd=ledger.saved,
        cache=ledger.cache,
        similarity=ledger.similarity,
        route=facts.get("agentprod.route.reason"),
        breaker=facts.get("agentprod.breaker.state"),
        budget=facts.get("agentprod.budget.name"),
        budget_used=facts.get("agentprod.budget.used_ratio"),
        budget_left=facts.get("agentprod.budget.remaining_usd", facts.get("agentprod.budget.remaining_tokens")),
        pii=_redactions(ledger) if "ScrubPII" in ledger.layers else (),
        streaming=call.streaming,
        stream_outcome=facts.get(name.STREAM_OUTCOME) or ending.stream,
        ttft=None if first is None else first - ledger.started,
        chunks=facts.get(name.STREAM_CHUNKS, 0),
        provider_time=sum(attempt.duration or 0.0 for attempt in ledger.attempts),
        queue_wait=facts.get(name.QUEUE_WAIT, 0.0),
        layers=ledger.layers,
        trace_id=trace_id,
        span_id=span_id,
        server_address=address,
        server_port=port,
        user=context.user,
        team=context.team,
        tenant=context.tenant,
        conversation=context.conversation,
        run=context.run,
        tags=context.tags,
    )


# Made for every call where metrics are collected, so it holds no more than they need.
@dataclass(slots=True, kw_only=True)
class CountedCall:
    """What metrics want to know of a finished call; each field is as in `CallRecord`."""

    operation: str
    provider: str | None
    model: str | None
    requested_model: str | None
    served_model: str | None
    status: Status
    error_type: str | None
    attempts: Sequence[Attempt]
    duration: float
    ttft: float | None
    usage: Usage | None
    cost_usd: Decimal | None
    saved_usd: Decimal | None
    cache: CacheOutcome | None
    similarity: float | None
    route: str | None
    budget: str | None
    budget_used: float | None
    pii: tuple[tuple[str, str, int], ...]
    server_address: str | None
    server_port: int | None
    failed: bool

    @property
    def input_tokens(self) -> int:
        """Billed input tokens, 0 when there are none."""
        return 0 if self.usage is None else self.usage.input_tokens

    @property
    def output_tokens(self) -> int:
        """Billed output tokens, 0 when there are none."""
        return 0 if self.usage is None else self.usage.output_tokens


def counted_call(ending: Ending, facts: dict[str, Any], usage: Usage | None, cost: Decimal | None) -> CountedCall:
    """Say of a call that has ended what is counted; the arguments are those of `finished_call`."""
    call, ledger, outcome = ending.call, ending.call.ledger, ending.outcome
    target, served, first = call.target, ledger.served or call.target, ledger.first_content
    address, port = server(served.base_url)
    return CountedCall(
        operation=call.operation,
        provider=served.provider,
        model=served.model,
        requested_model=target.model if target.model != served.model else None,
        served_model=facts.get(name.RESPONSE_MODEL),
        status=_STATUS.get(outcome, outcome),
        error_type=type(ending.error).__name__ if ending.failed else None,
        attempts=ledger.attempts,
        duration=ending.duration if ledger.duration is None else ledger.duration,
        ttft=None if first is None else first - ledger.started,
        usage=usage,
        cost_usd=cost,
        saved_usd=ledger.saved,
        cache=ledger.cache,
        similarity=ledger.similarity,
        route=facts.get("agentprod.route.reason"),
        budget=facts.get("agentprod.budget.name"),
        budget_used=facts.get("agentprod.budget.used_ratio"),
        pii=_redactions(ledger) if "ScrubPII" in ledger.layers else (),
        server_address=address,
        server_port=port,
        failed=outcome in ("error", "rejected"),
    )


def stream_labels(call: Call) -> CallRecord:
    """Return what is known of a stream that has just begun, for the labels of its metrics."""
    address, port = server(call.target.base_url)
    return CallRecord(
        request_id="",
        started=0.0,
        duration=0.0,
        operation=call.operation,
        provider=call.target.provider,
        model=call.target.model,
        streaming=True,
        server_address=address,
        server_port=port,
    )


def _redactions(ledger: Ledger) -> tuple[tuple[str, str, int], ...]:
    """Return `(direction, type, count)` of what a scrubber took out."""
    found: list[tuple[str, str, int]] = []
    for note in ledger.notes:
        if note.layer == "ScrubPII" and note.event == "scrubbed":
            found += [("input", kind, count) for kind, count in note.data.items() if isinstance(count, int)]
    return tuple(found)


def _ids(span: SpanContext | None) -> tuple[str | None, str | None]:
    """Return the ids of a span as they are written."""
    if span is None or not span.is_valid:
        return None, None
    return f"{span.trace_id:032x}", f"{span.span_id:016x}"


def _attempt(attempt: Attempt, counted: bool) -> AttemptRecord:
    usage = attempt.usage if counted else None
    return AttemptRecord(
        number=attempt.number,
        model=attempt.model,
        provider=attempt.provider,
        outcome="abandoned" if attempt.outcome == "open" else attempt.outcome,
        error_type=attempt.error_type,
        status_code=attempt.status,
        duration=attempt.duration or 0.0,
        ttft=attempt.ttft,
        backoff=attempt.backoff,
        retry_after=attempt.retry_after,
        input_tokens=0 if usage is None else usage.input_tokens,
        output_tokens=0 if usage is None else usage.output_tokens,
        hedged=attempt.hedged,
    )
