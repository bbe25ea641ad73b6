"""Alert rules as a Prometheus rule file, over the metrics that `Instruments` exports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agentprod.telemetry.figures import format_span
from agentprod.telemetry.metric import prometheus_label
from agentprod.telemetry.metric_names import METRICS, Semconv
from agentprod.telemetry.rules import SIGNALS, Rule

__all__ = ["rule_file"]


@dataclass(frozen=True, slots=True)
class _Expression:
    """How to compute a rule's value and its number of observations in PromQL."""

    value: Callable[[_Names, str, str], str]
    count: Callable[[_Names, str, str], str] | None
    labels: Mapping[str, str]
    """Which label holds which field of a call, for `where`."""


class _Names:
    """Prometheus names of the metrics in one version of the conventions."""

    def __init__(self, semconv: Semconv) -> None:
        family = "inference" if semconv == "next" else "operation"
        self.duration = METRICS[f"gen_ai.client.{family}.duration"].prometheus
        self.ttft = METRICS[f"gen_ai.client.{family}.time_to_first_chunk"].prometheus
        self.tokens = (
            [METRICS[f"gen_ai.client.inference.usage.{kind}_tokens"].prometheus for kind in ("input", "output")]
            if semconv == "next"
            else [METRICS["gen_ai.client.token.usage"].prometheus + "_sum"]
        )


_REQUESTS = METRICS["agentprod.requests"].prometheus
_ATTEMPTS = METRICS["agentprod.attempts"].prometheus
_UNKNOWN = METRICS["agentprod.cost.unknown"].prometheus
_COST = METRICS["agentprod.cost"].prometheus
_CACHE = METRICS["agentprod.cache.requests"].prometheus
_TOOLS = METRICS["agentprod.tool.calls"].prometheus
_RUNS = METRICS["agentprod.agent.runs"].prometheus
_BUDGET = METRICS["agentprod.budget.used_ratio"].prometheus

# Their expressions read a week of hours or a month of days; every few seconds that would keep a server busy.
_ANOMALIES = ("cost_anomaly", "day_cost_anomaly")
_ANOMALY_INTERVAL = 300.0
_UNUSUAL_DAY = 2.3

_CALL_LABELS = {"model": "model", "provider": "provider"}
_GENAI_LABELS = {
    "model": prometheus_label("gen_ai.request.model"),
    "provider": prometheus_label("gen_ai.provider.name"),
    "served_model": prometheus_label("gen_ai.response.model"),
}


def _sum(metric: str, where: str, window: str, *more: str) -> str:
    labels = ",".join(part for part in (where, *more) if part)
    return f"sum(increase({metric}{{{labels}}}[{window}]))" if labels else f"sum(increase({metric}[{window}]))"


def _share(metric: str, *part: str, whole: str = "", of: str | None = None, labels: Mapping[str, str]) -> _Expression:
    # A status that never occurred has no series; without the zero a hit rate of nothing would be no data, not 0 %.
    return _Expression(
        lambda _, where, window: (
            f"({_sum(of or metric, where, window, *part)} or vector(0)) / {_sum(metric, where, window, whole)}"
        ),
        lambda _, where, window: _sum(metric, where, window, whole),
        labels,
    )


def _quantile(q: float, metric: Callable[[_Names], str]) -> _Expression:
    return _Expression(
        lambda names, where, window: (
            f"histogram_quantile({q}, sum by (le) (rate({metric(names)}_bucket"
            f"{f'{{{where}}}' if where else ''}[{window}])))"
        ),
        lambda names, where, window: _sum(f"{metric(names)}_count", where, window),
        _GENAI_LABELS,
    )


def _calls(_: _Names, where: str, window: str) -> str:
    return _sum(_REQUESTS, where, window)


def _anomaly(names: _Names, where: str, window: str) -> str:
    # PromQL has no median of deviations; the middle half of last week's hours is as robust a measure of spread.
    hour = f"{_sum(_COST, where, '1h')}"

    def quantile(q: float) -> str:
        return f"quantile_over_time({q}, ({hour})[7d:1h] offset 1h)"

    spread = f"({quantile(0.75)} - {quantile(0.25)}) / 1.349"
    return f"({hour} - {quantile(0.5)}) / clamp_min({spread}, 0.01)"


def _day_anomaly(names: _Names, where: str, window: str) -> str:
    # Without weekdays: steps of a subquery lie where Prometheus wants them, not a week before now.
    day = f"{_sum(_COST, where, '1d')}"
    return f"{day} / clamp_min({_UNUSUAL_DAY} * quantile_over_time(0.5, ({day})[28d:1d] offset 1d), 0.01)"


_EXPRESSIONS: Mapping[str, _Expression] = {
    "error_rate": _share(_REQUESTS, 'status=~"error|rejected"', labels=_CALL_LABELS),
    "rejected_rate": _share(_REQUESTS, 'status="rejected"', labels=_CALL_LABELS),
    "attempt_error_rate": _share(_ATTEMPTS, 'outcome="failed"', labels={"model": "model"}),
    "unpriced_rate": _share(_REQUESTS, of=_UNKNOWN, labels=_CALL_LABELS),
    "cache_hit_rate": _share(_CACHE, 'outcome=~"hit_.*|stale"', whole='outcome!="bypass"', labels={}),
    "tool_success_rate": _share(_TOOLS, 'status="ok"', labels={}),
    "task_completion_rate": _share(_RUNS, 'outcome="completed"', whole='outcome!="unknown"', labels={}),
    "escalation_rate": _share(_RUNS, 'outcome="escalated"', whole='outcome!="unknown"', labels={}),
    "p50": _quantile(0.5, lambda names: names.duration),
    "p95": _quantile(0.95, lambda names: names.duration),
    "p99": _quantile(0.99, lambda names: names.duration),
    "ttft_p95": _quantile(0.95, lambda names: names.ttft),
    "cost": _Expression(lambda _, where, window: _sum(_COST, where, window), _calls, _CALL_LABELS),
    "tokens": _Expression(
        lambda names, where, window: " + ".join(_sum(name, where, window) for name in names.tokens),
        lambda names, where, window: _sum(f"{names.duration}_count", where, window),
        _GENAI_LABELS,
    ),
    "calls": _Expression(_calls, _calls, _CALL_LABELS),
    "budget_used": _Expression(lambda *_: f"max({_BUDGET})", None, {}),
    "cost_anomaly": _Expression(_anomaly, None, {}),
    "day_cost_anomaly": _Expression(_day_anomaly, None, {}),
}


def rule_file(rules: Iterable[Rule], *, interval: float = 5.0, semconv: Semconv = "current") -> str:
    """Return rules as a Prometheus rule file.

    A rule keeps firing until its `clear_at`, as in the process. Prometheus has no cool-down: that is Alertmanager's
    `repeat_interval`. A rule whose `where` needs a label no metric has stays in the file as a comment that says so.
    `cost_anomaly` becomes a comparison with the median of last week's hours, `day_cost_anomaly` one of the last 24
    hours with 2.3 times the median day of four weeks, in a group judged every five minutes.

    Args:
        rules: rules with distinct names.

        interval: seconds between two evaluations.

        semconv: which `gen_ai.*` metrics are exported.
    """
    names = _Names(semconv)
    groups = ("agentprod", interval, False), ("agentprod-anomaly", _ANOMALY_INTERVAL, True)
    chosen = list(rules)
    lines = ["groups:"]
    for group, seconds, anomalies in groups:
        members = [rule for rule in chosen if (rule.metric in _ANOMALIES) == anomalies]
        if members:
            written = [line for rule in members for line in _lines(rule, names)]
            empty = "" if any(line.lstrip().startswith("- alert") for line in written) else " []"
            lines += [f"  - name: {group}", f"    interval: {format_span(seconds)}", f"    rules:{empty}", *written]
    if len(lines) == 1:
        lines = ["groups: []"]
    return "\n".join(lines) + "\n"


def _lines(rule: Rule, names: _Names) -> list[str]:
    known = _EXPRESSIONS[rule.metric]
    missing = sorted(set(rule.where) - known.labels.keys())
    if missing:
        return [f"      # {_one_line(rule.name)} is not here: {rule.metric} has no label for {', '.join(missing)}"]
    where = ",".join(f'{known.labels[field]}="{_escaped(value)}"' for field, value in sorted(rule.where.items()))
    window = format_span(rule.window)
    value = known.value(names, where, window)
    alert = "Agentprod" + "".join(part[:1].upper() + part[1:] for part in re.split(r"[^a-zA-Z0-9]+", rule.name))
    enough = ""
    if known.count is not None and rule.min_count > 1:
        enough = f" and on() {known.count(names, where, window)} >= {rule.min_count}"
    firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    fires = f"({value}) {rule.op} {rule.threshold:g}{enough}"
    stays = f"({value}) {rule.op} {rule.recovery:g} and on() {firing} == 1"
    shown = SIGNALS[rule.metric].format(rule.threshold)
    return [
        f"      - alert: {alert}",
        f"        expr: {_quoted(f'({fires}) or ({stays})')}",
        f"        for: {format_span(rule.for_)}",
        "        labels:",
        f"          severity: {rule.severity}",
        "        annotations:",
        f"          summary: {_quoted(_literal(f'{rule.name}: {rule.metric} {rule.op} {shown} over {window}'))}",
        "          value: '{{ $value | printf \"%.4g\" }}'",
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted(text: str) -> str:
    return "'" + _one_line(text).replace("'", "''") + "'"


def _literal(text: str) -> str:
    """Return text in which a template finds nothing to fill in."""
    return text.replace("{{", '{{"{{"}}')


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
