"""What the span of a call says once the call has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from agentprod.errors import Rejected
from agentprod.telemetry import attributes as name
from agentprod.telemetry.decisions import decisions

if TYPE_CHECKING:
    from agentprod.call import Call
    from agentprod.ledger import Ledger
    from agentprod.reply import Reply
    from agentprod.telemetry.stream_watch import StreamWatch
    from agentprod.usage import Usage

__all__ = ["StreamOutcome", "billed", "operation_facts", "outcome_of", "stream_facts", "stream_outcome"]

StreamOutcome = Literal["completed", "closed", "abandoned", "cancelled", "error"]

_HITS = ("hit_exact", "hit_semantic", "stale")


def stream_outcome(reply: Reply, outcome: str) -> StreamOutcome | None:
    """Return how a stream ended; `None` for a whole reply."""
    if reply.stream is None:
        return None
    if outcome == "complete":
        return "completed"
    return "error" if outcome == "failed" else reply.stream.left or "closed"


def outcome_of(ledger: Ledger, error: BaseException | None, stream: StreamOutcome | None) -> str:
    """Return how a call ended: `"ok" "error" "cached" "rejected" "cancelled"`."""
    if stream == "cancelled" or (error is not None and not isinstance(error, Exception)):
        return "cancelled"
    if error is not None:
        return "rejected" if isinstance(error, Rejected) and not ledger.attempts else "error"
    return "cached" if ledger.cache in _HITS else "ok"


def operation_facts(call: Call, outcome: str, usage: Usage | None, duration: float) -> dict[str, Any]:
    """Return attempts, times, decisions, counts and cost of a call.

    Args:
        call: the call as it entered.

        outcome: what `outcome_of` said.

        usage: tokens of all attempts, when known.

        duration: seconds from entry to end.
    """
    ledger = call.ledger
    found: dict[str, Any] = {
        name.REQUEST_ID: ledger.id,
        name.LAYERS: ledger.layers,
        name.OUTCOME: outcome,
        name.ATTEMPT_COUNT: len(ledger.attempts),
    }
    found.update(decisions(ledger))
    spent = sum(attempt.duration or 0.0 for attempt in ledger.attempts)
    waited = found.get(name.RETRY_WAIT, 0.0) + found.get(name.QUEUE_WAIT, 0.0)
    found[name.PROVIDER_TIME] = spent
    found[name.OVERHEAD] = max(0.0, duration - spent - waited)
    asked, served = call.target.model, ledger.served
    if served is not None and served.model is not None and asked is not None and served.model != asked:
        found.setdefault(name.ROUTE_REQUESTED, asked)
        found.setdefault(name.ROUTE_SELECTED, served.model)
    if usage is not None:
        _count(usage, found)
    if call.operation not in ("other", "function"):
        _price(ledger, usage, outcome, found)
    return found


def _count(usage: Usage, found: dict[str, Any]) -> None:
    """Add the counts by our own names, which no viewer bills."""
    found[name.USAGE_INPUT] = usage.input_tokens
    found[name.USAGE_OUTPUT] = usage.output_tokens
    if usage.cache_read_tokens:
        found[name.USAGE_CACHE_READ] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        found[name.USAGE_CACHE_WRITE] = usage.cache_write_tokens
    if usage.estimated:
        found[name.USAGE_ESTIMATED] = True


def billed(usage: Usage) -> dict[str, Any]:
    """Return the counts by the names that viewers bill."""
    found: dict[str, Any] = {name.INPUT_TOKENS: usage.input_tokens, name.OUTPUT_TOKENS: usage.output_tokens}
    if usage.cache_read_tokens:
        found[name.CACHE_READ_TOKENS] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        found[name.CACHE_WRITE_TOKENS] = found[name.CACHE_CREATION_TOKENS] = usage.cache_write_tokens
    if usage.reasoning_tokens:
        found[name.REASONING_TOKENS] = usage.reasoning_tokens
    return found


def _price(ledger: Ledger, usage: Usage | None, outcome: str, found: dict[str, Any]) -> None:
    cost = ledger.cost if usage is not None or not ledger.attempts else None
    if cost is not None:
        found[name.COST_USD] = float(cost)
        found[name.COST_SOURCE] = "local"
    elif usage is not None or outcome == "ok":
        found[name.COST_SOURCE] = "unknown"


def stream_facts(call: Call, watch: StreamWatch, usage: Usage | None, duration: float) -> dict[str, Any]:
    """Return chunks, gaps and speed of a stream.

    Args:
        call: the call as it entered.

        watch: what followed its stream.

        usage: tokens of all attempts, when known.

        duration: seconds from entry to end.
    """
    found: dict[str, Any] = {name.STREAM_CHUNKS: watch.count}
    if watch.longest is not None:
        found[name.STREAM_MAX_GAP] = watch.longest
    first = watch.first_content - call.ledger.started
    found[name.TIME_TO_FIRST_CHUNK] = first
    if usage is not None and usage.output_tokens and duration > first:
        found[name.STREAM_SPEED] = usage.output_tokens / (duration - first)
    return found
