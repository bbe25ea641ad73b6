"""The figures people ask for, read from totals and timings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.figures import format_usd
from agentprod.telemetry.totals import Slice

__all__ = ["Summary", "summarize", "summarize_calls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Figures of many calls. Times are seconds, money is USD, rates are 0 to 1; `None` means nothing to measure."""

    calls: int
    errors: int
    """Calls that failed at every provider they tried."""
    rejected: int
    """Calls refused before any provider was asked."""
    cached: int
    retried: int
    """Calls that needed more than one attempt."""
    attempts: int
    success_rate: float | None
    """Calls answered, by a provider or the cache, of all calls."""
    attempt_success_rate: float | None
    """Attempts answered of all attempts: lower than `success_rate` when retries help."""
    cache_hit_rate: float | None
    """Hits of all look-ups; bypassed calls are no look-ups."""
    tool_success_rate: float | None
    runs: int
    """Agent runs."""
    loops_per_run: float | None
    """Model calls of a run, on average."""
    task_completion_rate: float | None
    """Runs recorded as completed, of those whose outcome is known."""
    escalation_rate: float | None
    """Runs handed to a human, of those whose outcome is known."""
    p50: float | None
    """Median duration of calls that were not rejected."""
    p95: float | None
    p99: float | None
    ttft_p50: float | None
    ttft_p95: float | None
    tokens_per_second: float | None
    """Median output speed."""
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cost: Decimal | None
    """Sum of what is known; `None` when nothing is."""
    unpriced: int
    """Calls whose cost is unknown, not part of `cost`."""
    saved_by_cache: Decimal
    saved_by_routing: Decimal
    redactions: int

    @property
    def cost_text(self) -> str:
        """The cost for people: `"n/a"` when unknown, with a plus sign when part of it is."""
        return format_usd(self.cost) + ("+" if self.unpriced and self.cost is not None else "")


def summarize(seen: Slice) -> Summary:
    """Read the figures of one slice of calls."""
    totals, timings = seen.totals, seen.timings
    p50, p95, p99 = timings.duration.quantiles((0.5, 0.95, 0.99))
    ttft_p50, ttft_p95 = timings.ttft.quantiles((0.5, 0.95))
    return Summary(
        calls=totals.calls,
        errors=totals.errors,
        rejected=totals.rejected,
        cached=totals.cached,
        retried=totals.retried,
        attempts=totals.attempts,
        success_rate=_share(totals.ok + totals.cached, totals.calls),
        attempt_success_rate=_share(totals.attempts - totals.failed_attempts, totals.attempts),
        cache_hit_rate=_share(totals.hits, totals.lookups),
        tool_success_rate=_share(totals.tools - totals.failed_tools, totals.tools),
        runs=totals.runs,
        loops_per_run=_share(totals.loops, totals.runs),
        task_completion_rate=_share(totals.runs_completed, totals.runs_judged),
        escalation_rate=_share(totals.runs_escalated, totals.runs_judged),
        p50=p50,
        p95=p95,
        p99=p99,
        ttft_p50=ttft_p50,
        ttft_p95=ttft_p95,
        tokens_per_second=timings.speed.quantile(0.5),
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
        cache_read_tokens=totals.cache_read_tokens,
        # No call is a known cost of nothing; calls none of which has a price are not.
        cost=totals.cost if totals.priced or not totals.unpriced else None,
        unpriced=totals.unpriced,
        saved_by_cache=totals.saved_by_cache,
        saved_by_routing=totals.saved_by_routing,
        redactions=totals.redactions,
    )


def summarize_calls(records: Iterable[CallRecord]) -> Summary:
    """Read the figures of these calls."""
    seen = Slice()
    for record in records:
        seen.add(record)
    return summarize(seen)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
