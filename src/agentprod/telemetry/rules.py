"""What to watch: alert rules, the metrics they may watch, and the rules that make sense for everyone."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from math import isfinite
from types import MappingProxyType
from typing import Literal

from agentprod.errors import ConfigError
from agentprod.telemetry.calls import reader
from agentprod.telemetry.figures import format_count, format_rate, format_seconds
from agentprod.telemetry.totals import Slice

__all__ = ["OPERATORS", "SIGNALS", "Reading", "Rule", "Signal", "default_rules"]

Severity = Literal["info", "warning", "critical"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
OPERATORS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
)
_WINDOWS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
_NO_FILTER: Mapping[str, str] = MappingProxyType({})

Reading = tuple[float | None, int]
"""A value, `None` when there is nothing to measure, and how many observations it rests on."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A metric that rules may watch."""

    unit: Literal["share", "seconds", "USD", "count", "score"]
    read: Callable[[Slice], Reading] | None
    """Reads it from the calls of a window; `None` for those that are kept elsewhere."""

    def format(self, value: float) -> str:
        """Write a value for people."""
        if self.unit == "share":
            return format_rate(value)
        if self.unit == "seconds":
            return format_seconds(value)
        if self.unit == "USD":
            return f"${value:,.2f}"
        return format_count(value)


_OF_THE_PROCESS = ("tool_success_rate", "task_completion_rate", "escalation_rate")


def _share(part: int, whole: int) -> Reading:
    return (part / whole, whole) if whole else (None, 0)


def _duration(q: float) -> Callable[[Slice], Reading]:
    return lambda seen: (seen.timings.duration.quantile(q), seen.timings.duration.count)


SIGNALS: Mapping[str, Signal] = MappingProxyType(
    {
        "error_rate": Signal("share", lambda s: _share(s.totals.errors + s.totals.rejected, s.totals.calls)),
        "rejected_rate": Signal("share", lambda s: _share(s.totals.rejected, s.totals.calls)),
        "attempt_error_rate": Signal("share", lambda s: _share(s.totals.failed_attempts, s.totals.attempts)),
        "unpriced_rate": Signal("share", lambda s: _share(s.totals.unpriced, s.totals.calls)),
        "cache_hit_rate": Signal("share", lambda s: _share(s.totals.hits, s.totals.lookups)),
        "tool_success_rate": Signal("share", lambda s: _share(s.totals.tools - s.totals.failed_tools, s.totals.tools)),
        "task_completion_rate": Signal("share", lambda s: _share(s.totals.runs_completed, s.totals.runs_judged)),
        "escalation_rate": Signal("share", lambda s: _share(s.totals.runs_escalated, s.totals.runs_judged)),
        "p50": Signal("seconds", _duration(0.5)),
        "p95": Signal("seconds", _duration(0.95)),
        "p99": Signal("seconds", _duration(0.99)),
        "ttft_p95": Signal("seconds", lambda s: (s.timings.ttft.quantile(0.95), s.timings.ttft.count)),
        "cost": Signal("USD", lambda s: (float(s.totals.cost), s.totals.calls)),
        "tokens": Signal("count", lambda s: (s.totals.input_tokens + s.totals.output_tokens, s.totals.calls)),
        "calls": Signal("count", lambda s: (s.totals.calls, s.totals.calls)),
        "budget_used": Signal("share", None),
        "cost_anomaly": Signal("score", None),
        "day_cost_anomaly": Signal("score", None),
    }
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition to be told about.

    Args:
        metric: what to watch, one of `SIGNALS`: shares from 0 to 1 (`error_rate`, `rejected_rate`,
            `attempt_error_rate`, `unpriced_rate`, `cache_hit_rate`, `tool_success_rate`, `task_completion_rate` and
            `escalation_rate` of agent runs whose outcome is known, `budget_used`), seconds
            (`p50`, `p95`, `p99`, `ttft_p95`), USD (`cost`), counts (`tokens`, `calls`) of the window,
            `cost_anomaly` (see `HourlyCost`), or `day_cost_anomaly`: today's cost over the one above which such a day
            is unusual, as known to the `CostTotals` that `watch` the calls, so that 1 is the threshold to take.

        op: `">"`, `">="`, `"<"` or `"<="`.

        threshold: the limit, in the metric's unit.

        window: how far back to look, in seconds or as `"minute"`, `"hour"` or `"day"`; 1 second to 31 days.

        min_count: do not fire on fewer observations than this in the window.

        for_: fire only when the condition has held this many seconds.

        cooldown: seconds after firing within which the same rule does not fire again.

        severity: `"info"`, `"warning"` or `"critical"`; while a more severe rule on the same metric fires, milder
            ones keep silent.

        clear_at: value at which a firing rule recovers, on the good side of the threshold, so that a value around
            the threshold does not fire again and again. By default a tenth of the threshold away, or for shares with
            `"<"` a tenth of what is left to 1.

        name: what to call it; the metric's name by default.

        where: only calls with these values count, such as `{"operation": "chat"}` or `{"tags.path": "checkout"}`.

    Raises:
        ConfigError: an option is out of range.
    """

    metric: str
    op: Literal[">", ">=", "<", "<="]
    threshold: float
    window: float = field(default=300.0, kw_only=True)
    min_count: int = field(default=1, kw_only=True)
    for_: float = field(default=0.0, kw_only=True)
    cooldown: float = field(default=900.0, kw_only=True)
    severity: Severity = field(default="warning", kw_only=True)
    clear_at: float | None = field(default=None, kw_only=True)
    name: str = field(default="", kw_only=True)
    where: Mapping[str, str] = field(default_factory=lambda: _NO_FILTER, kw_only=True)

    def __post_init__(self) -> None:
        if self.metric not in SIGNALS:
            raise ConfigError(f"no metric {self.metric!r}: use one of {', '.join(SIGNALS)}")
        if self.op not in OPERATORS:
            raise ConfigError(f"Rule(op=) is one of {', '.join(OPERATORS)}, got {self.op!r}")
        if self.severity not in SEVERITIES:
            raise ConfigError(f"Rule(severity=) is one of {', '.join(SEVERITIES)}, got {self.severity!r}")
        if not isinstance(self.threshold, int | float) or not isfinite(self.threshold):
            raise ConfigError(f"Rule(threshold=) is a finite number, got {self.threshold!r}")
        self._fill("window", _seconds("window", self.window))
        self._fill("for_", _seconds("for_", self.for_))
        self._fill("cooldown", _seconds("cooldown", self.cooldown))
        if not 1 <= self.window <= 31 * 86400:
            raise ConfigError(f"Rule(window=) is 1 second to 31 days, got {self.window:g} seconds")
        if isinstance(self.min_count, bool) or not isinstance(self.min_count, int) or self.min_count < 0:
            raise ConfigError(f"Rule(min_count=) is a whole number, 0 or more, got {self.min_count!r}")
        if not isinstance(self.where, Mapping):
            raise ConfigError(
                f'Rule(where=) is a mapping, such as {{"operation": "chat"}}, got a {type(self.where).__name__}'
            )
        if self.clear_at is not None and (
            isinstance(self.clear_at, bool) or not isinstance(self.clear_at, int | float)
        ):
            raise ConfigError(f"Rule(clear_at=) is a number or None, got {self.clear_at!r}")
        self._fill("where", MappingProxyType(dict(self.where)))
        for key in self.where:
            reader(key)
        if self.where and (SIGNALS[self.metric].read is None or self.metric in _OF_THE_PROCESS):
            raise ConfigError(f"a rule on {self.metric} counts the whole process: it takes no where=")
        self._fill("name", self.name or self.metric)
        if self.clear_at is not None and self.clear_at != self.threshold and self.breached(self.clear_at):
            side = "at most" if self.op.startswith(">") else "at least"
            raise ConfigError(f"Rule(clear_at=) is {side} the threshold {self.threshold:g}, got {self.clear_at:g}")

    @property
    def recovery(self) -> float:
        """Value at which the rule recovers: `clear_at`, or what stands in for it."""
        if self.clear_at is not None:
            return self.clear_at
        if self.op.startswith(">"):
            return self.threshold - abs(self.threshold) * 0.1
        if SIGNALS[self.metric].unit == "share" and self.threshold <= 1:
            return self.threshold + (1 - self.threshold) * 0.1
        return self.threshold + abs(self.threshold) * 0.1

    def _fill(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def breached(self, value: float) -> bool:
        """Return whether a value is beyond the threshold."""
        return OPERATORS[self.op](value, self.threshold)

    def cleared(self, value: float) -> bool:
        """Return whether a value has come back far enough."""
        return not OPERATORS[self.op](value, self.recovery)


def default_rules(*, usd_per_hour: float = 10.0, critical: Mapping[str, str] | None = None) -> list[Rule]:
    """Return rules that make sense for most services.

    More than 10 % of calls without an answer, p95 above 10 s, spending per hour, a budget overdrawn by 20 %, fewer
    than 30 % cache hits, fewer than 95 % of tool calls well; and an early, milder one at 5 % of calls.

    Args:
        usd_per_hour: how much may be spent in an hour.

        critical: calls of which not even 1 % may stay without an answer, such as `{"tags.path": "checkout"}`.
    """
    rules = [
        Rule("error_rate", ">", 0.10, min_count=20, severity="critical"),
        Rule("error_rate", ">", 0.05, min_count=20, name="error_rate_early"),
        Rule("p95", ">", 10.0, min_count=20),
        Rule("cost", ">", usd_per_hour, window="hour", name="cost_per_hour"),  # type: ignore[arg-type]
        Rule("budget_used", ">", 1.2),
        Rule("cache_hit_rate", "<", 0.30, min_count=50),
        Rule("tool_success_rate", "<", 0.95, min_count=20),
    ]
    if critical:
        strict = Rule(
            "error_rate", ">", 0.01, min_count=100, severity="critical", name="error_rate_strict", where=critical
        )
        rules.append(strict)
    return rules


def _seconds(name: str, value: object) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    elif isinstance(value, str) and value in _WINDOWS:
        value = _WINDOWS[value]
    if not isinstance(value, int | float) or not isfinite(value) or value < 0:
        raise ConfigError(f"Rule({name}=) is seconds from 0 up, a timedelta, or one of {', '.join(_WINDOWS)}")
    return float(value)
