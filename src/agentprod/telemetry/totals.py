"""Counts, money and timings of many calls, in a form that adds and subtracts exactly."""

from __future__ import annotations

from decimal import Decimal

from agentprod.telemetry.calls import CallRecord, RunRecord, ToolRecord, add_usd
from agentprod.telemetry.sketch import Sketch

__all__ = ["Slice", "Timings", "Totals"]

_COUNTS = (
    "calls",
    "ok",
    "errors",
    "cached",
    "rejected",
    "retried",
    "attempts",
    "failed_attempts",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "priced",
    "unpriced",
    "lookups",
    "hits",
    "redactions",
    "tools",
    "failed_tools",
    "runs",
    "runs_judged",
    "runs_completed",
    "runs_escalated",
    "loops",
)
_MONEY = ("cost", "saved_by_cache", "saved_by_routing")
_ZERO = Decimal(0)


class Totals:
    """Counts and sums over calls; money in exact USD, `unpriced` counts calls whose cost is unknown."""

    __slots__ = _COUNTS + _MONEY

    calls: int
    ok: int
    errors: int
    cached: int
    rejected: int
    retried: int
    attempts: int
    failed_attempts: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    priced: int
    unpriced: int
    lookups: int
    hits: int
    redactions: int
    tools: int
    failed_tools: int
    runs: int
    runs_judged: int
    runs_completed: int
    runs_escalated: int
    loops: int
    cost: Decimal
    saved_by_cache: Decimal
    saved_by_routing: Decimal

    def __init__(self) -> None:
        for name in _COUNTS:
            setattr(self, name, 0)
        self.cost = self.saved_by_cache = self.saved_by_routing = _ZERO

    def add(self, record: CallRecord) -> None:
        """Count one call."""
        self.calls += 1
        status = record.status
        if status == "ok":
            self.ok += 1
        elif status == "error":
            self.errors += 1
        elif status == "cached":
            self.cached += 1
        else:
            self.rejected += 1
        attempts = record.attempts
        if attempts:
            self.attempts += len(attempts)
            if len(attempts) > 1:
                self.retried += 1
            for attempt in attempts:
                if attempt.outcome == "failed":
                    self.failed_attempts += 1
        usage = record.usage
        if usage is not None:
            self.input_tokens += usage.input_tokens
            self.output_tokens += usage.output_tokens
            self.cache_read_tokens += usage.cache_read_tokens
        if record.cost_usd is not None:
            self.priced += 1
            self.cost = add_usd(self.cost, record.cost_usd)
        elif usage is not None or (status == "ok" and record.operation != "other"):
            self.unpriced += 1
        if record.saved_usd is not None:
            if status == "cached":
                self.saved_by_cache = add_usd(self.saved_by_cache, record.saved_usd)
            else:
                self.saved_by_routing = add_usd(self.saved_by_routing, record.saved_usd)
        cache = record.cache
        if cache is not None and cache != "bypass":
            self.lookups += 1
            if cache != "miss" and cache != "error":
                self.hits += 1
        if record.pii:
            self.redactions += record.pii_count

    def add_tool(self, record: ToolRecord) -> None:
        """Count one tool call."""
        self.tools += 1
        if record.status != "ok":
            self.failed_tools += 1

    def add_run(self, record: RunRecord) -> None:
        """Count one agent run."""
        self.runs += 1
        self.loops += record.inference_calls
        if record.outcome is not None:
            self.runs_judged += 1
            self.runs_completed += record.outcome == "completed"
            self.runs_escalated += record.outcome == "escalated"

    def merge(self, other: Totals) -> None:
        """Add other totals to these."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _MONEY:
            setattr(self, name, add_usd(getattr(self, name), getattr(other, name)))

    def subtract(self, other: Totals) -> None:
        """Take away totals that were merged in before."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) - getattr(other, name))
        for name in _MONEY:
            setattr(self, name, add_usd(getattr(self, name), -getattr(other, name)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Totals):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]


class Timings:
    """Sketches of durations, first-token times (seconds) and output speeds (tokens per second).

    Calls that were rejected are left out: refusing takes microseconds and would hide slow providers.
    """

    __slots__ = ("duration", "speed", "ttft")

    def __init__(self) -> None:
        self.duration, self.ttft, self.speed = Sketch(), Sketch(), Sketch()

    def add(self, record: CallRecord) -> None:
        """Count one call."""
        if record.status == "rejected":
            return
        self.duration.add(record.duration)
        if record.ttft is not None:
            self.ttft.add(record.ttft)
        speed = record.tokens_per_second
        if speed is not None:
            self.speed.add(speed)

    def merge(self, other: Timings) -> None:
        """Add other timings to these."""
        for name in self.__slots__:
            getattr(self, name).merge(getattr(other, name))

    def subtract(self, other: Timings) -> None:
        """Take away timings that were merged in before."""
        for name in self.__slots__:
            getattr(self, name).subtract(getattr(other, name))


class Slice:
    """Totals and timings of one stretch of time."""

    __slots__ = ("timings", "totals")

    def __init__(self) -> None:
        self.totals, self.timings = Totals(), Timings()

    def add(self, record: CallRecord) -> None:
        """Count one call."""
        self.timings.add(record)
        self.totals.add(record)

    def merge(self, other: Slice) -> None:
        """Add another slice to this one."""
        self.totals.merge(other.totals)
        self.timings.merge(other.timings)

    def subtract(self, other: Slice) -> None:
        """Take away a slice that was merged in before."""
        self.totals.subtract(other.totals)
        self.timings.subtract(other.timings)

    def copy(self) -> Slice:
        """Return an independent copy."""
        twin = Slice()
        twin.merge(self)
        return twin
