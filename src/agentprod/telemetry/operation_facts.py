"""What the span of a call says once the call has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from agentprod.errors import Rejected
from agentprod.telemetry import attributes as name
from agentprod.telemetry.decisions import decisions

if TYPE_CHECKING:
    from decimal import Decimal

    from agentprod.call import Call
    from agentprod.ledger import Ledger
    from agentprod.reply import End, Reply
    from agentprod.telemetry.stream_watch import Watched
    from agentprod.usage import Usage

__all__ = ["Ending", "StreamOutcome", "billed", "operation_facts", "stream_facts", "stream_outcome"]

StreamOutcome = Literal["completed", "closed", "abandoned", "cancelled", "error"]

_HITS = ("hit_exact", "hit_semantic", "stale")


class Ending:
    """How and when a call ended.

    Args:
        call: the call as it entered.

        error: what it raised.

        stream: how its stream ended; `None` for a whole reply.

    Attributes:
        outcome: `"ok" "error" "cached" "rejected" "cancelled"`.

        duration: seconds from entry to end.

        wall: POSIX time of the end.
    """

    __slots__ = ("call", "duration", "error", "outcome", "stream", "wall")

    def __init__(self, call: Call, error: BaseException | None, stream: StreamOutcome | None) -> None:
        self.call = call
        self.error = error
        self.stream: StreamOutcome | None = stream
        self.duration = call.runtime.now() - call.ledger.started
        self.wall = call.runtime.wall()
        self.outcome = _outcome(call.ledger, error, stream)

    @property
    def failed(self) -> bool:
        """Whether the caller got an error that is not its own cancellation."""
        return isinstance(self.error, Exception)


def stream_outcome(reply: Reply, end: End) -> StreamOutcome | None:
    """Return how a stream ended; `None` for a whole reply."""
    if reply.stream is None:
        return None
    if end.outcome == "complete":
        return "completed"
    return "error" if end.outcome == "failed" else reply.stream.left or "closed"


def _outcome(ledger: Ledger, error: BaseException | None, stream: StreamOutcome | None) -> str:
    if error is None and stream != "cancelled":
        return "cached" if ledger.cache in _HITS else "ok"
    if stream == "cancelled" or not isinstance(error, Exception):
        return "cancelled"
    return "rejected" if isinstance(error, Rejected) and not ledger.attempts else "error"


def operation_facts(ending: Ending, usage: Usage | None, cost: Decimal | None) -> dict[str, Any]:
    """Return attempts, times, decisions, counts and cost of a call.

    Args:
        ending: how it ended.

        usage: tokens of all attempts, when known.

        cost: USD of all attempts, when known.
    """
    call, ledger = ending.call, ending.call.ledger
    outcome = ending.outcome
    attempts = ledger.attempts
    found: dict[str, Any] = {
        name.REQUEST_ID: ledger.id,
        name.LAYERS: ledger.layers,
        name.OUTCOME: outcome,
        name.ATTEMPT_COUNT: len(attempts),
        **decisions(ledger),
    }
    spent = 0.0
    for attempt in attempts:
        spent += attempt.duration or 0.0
    waited = found.get(name.RETRY_WAIT, 0.0) + found.get(name.QUEUE_WAIT, 0.0)
    found[name.PROVIDER_TIME] = spent
    found[name.OVERHEAD] = max(0.0, ending.duration - spent - waited)
    asked, served = call.target.model, ledger.served
    if served is not None and served.model is not None and asked is not None and served.model != asked:
        found.setdefault(name.ROUTE_REQUESTED, asked)
        found.setdefault(name.ROUTE_SELECTED, served.model)
    if usage is not None:
        _count(usage, found)
    if cost is not None:
        found[name.COST_USD] = float(cost)
        found[name.COST_SOURCE] = "local"
        version = getattr(ledger.environment.pricer, "version", None)
        if isinstance(version, str):
            found[name.PRICE_VERSION] = version
    elif usage is not None or (outcome == "ok" and call.operation not in ("other", "function")):
        found[name.COST_SOURCE] = "unknown"
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


def billed(usage: Usage, found: dict[str, Any]) -> None:
    """Add the counts by the names that viewers bill."""
    found[name.INPUT_TOKENS] = usage.input_tokens
    found[name.OUTPUT_TOKENS] = usage.output_tokens
    if usage.cache_read_tokens:
        found[name.CACHE_READ_TOKENS] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        found[name.CACHE_WRITE_TOKENS] = found[name.CACHE_CREATION_TOKENS] = usage.cache_write_tokens
    if usage.reasoning_tokens:
        found[name.REASONING_TOKENS] = usage.reasoning_tokens


def stream_facts(ending: Ending, watched: Watched, usage: Usage | None) -> dict[str, Any]:
    """Return outcome, chunks, gaps and speed of a stream.

    Args:
        ending: how it ended.

        watched: what came of it.

        usage: tokens of all attempts, when known.
    """
    found: dict[str, Any] = {name.STREAM_OUTCOME: ending.stream, name.STREAM_CHUNKS: watched.chunks}
    if watched.longest >= 0:
        found[name.STREAM_MAX_GAP] = watched.longest
    first = watched.first_content - ending.call.ledger.started
    found[name.TIME_TO_FIRST_CHUNK] = first
    if usage is not None and usage.output_tokens and ending.duration > first:
        found[name.STREAM_SPEED] = usage.output_tokens / (ending.duration - first)
    return found
