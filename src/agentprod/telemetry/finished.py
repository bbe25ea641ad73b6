"""A finished call as a `CallRecord`, read from its account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentprod.telemetry import attributes as name
from agentprod.telemetry.calls import AttemptRecord, CallRecord
from agentprod.telemetry.decisions import decisions
from agentprod.telemetry.wire_facts import server

if TYPE_CHECKING:
    from decimal import Decimal

    from opentelemetry.trace import SpanContext

    from agentprod.ledger import Attempt
    from agentprod.telemetry.operation_facts import Ending
    from agentprod.usage import Usage

__all__ = ["finished_call"]

# A caller that goes away is not a failure of the call.
_STATUS: dict[str, Any] = {"cancelled": "ok"}


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
    trace_id, span_id = _ids(call.state.get(name.TRACED))
    address, port = server(served.base_url)
    return CallRecord(
        request_id=ledger.id,
        started=ending.wall - ending.duration,
        duration=ending.duration,
        operation=call.operation,
        provider=served.provider,
        model=served.model,
        requested_model=target.model if target.model != served.model else None,
        served_model=facts.get(name.RESPONSE_MODEL),
        status=_STATUS.get(outcome, outcome),
        error_type=type(ending.error).__name__ if ending.failed else None,
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
        streaming=call.streaming,
        stream_outcome=ending.stream,
        ttft=facts.get(name.TIME_TO_FIRST_CHUNK),
        chunks=facts.get(name.STREAM_CHUNKS, 0),
        provider_time=facts.get(name.PROVIDER_TIME, 0.0),
        queue_wait=facts.get(name.QUEUE_WAIT, 0.0),
        layers=ledger.layers,
        trace_id=trace_id,
        span_id=span_id,
        server_address=address,
        server_port=port,
    )


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
