"""A Grafana dashboard, drawn from the table of metrics."""

from __future__ import annotations

from typing import Any

from agentprod.telemetry.metric import Metric, prometheus_label
from agentprod.telemetry.metric_names import METRICS, Semconv

__all__ = ["dashboard"]

_RATE = "$__rate_interval"
_CALLS = METRICS["agentprod.requests"].prometheus
_TRIES = METRICS["agentprod.attempts"].prometheus
_CACHE = METRICS["agentprod.cache.requests"].prometheus
_COST = METRICS["agentprod.cost"].prometheus
_SAVED = METRICS["agentprod.cost.saved"].prometheus

_STATS = (
    (
        "Calls answered",
        f'sum(rate({_CALLS}{{status=~"ok|cached"}}[{_RATE}])) / sum(rate({_CALLS}[{_RATE}]))',
        "percentunit",
    ),
    (
        "Attempts answered",
        f'sum(rate({_TRIES}{{outcome="ok"}}[{_RATE}])) / sum(rate({_TRIES}[{_RATE}]))',
        "percentunit",
    ),
    (
        "Cache hits",
        f'sum(rate({_CACHE}{{outcome=~"hit_.*|stale"}}[{_RATE}])) / sum(rate({_CACHE}{{outcome!="bypass"}}[{_RATE}]))',
        "percentunit",
    ),
    ("Cost, last 24 h", f"sum(increase({_COST}[24h]))", "currencyUSD"),
    ("Saved, last 24 h", f"sum(increase({_SAVED}[24h]))", "currencyUSD"),
)
_UNITS = {"s": "s", "{USD}": "currencyUSD"}


def dashboard(
    *, title: str = "agentprod", datasource: str | None = None, semconv: Semconv = "current"
) -> dict[str, Any]:
    """Return a dashboard with one panel for every metric, and the rates people look at first on top.

    Args:
        title: title of the dashboard.

        datasource: uid of the Prometheus data source; by default the dashboard lets its viewer choose one.

        semconv: which `gen_ai.*` metrics are exported; `"both"` shows the current ones.
    """
    source = {"type": "prometheus", "uid": datasource or "${datasource}"}
    shown = ("always", "next") if semconv == "next" else ("always", "current")
    panels = [
        _panel(
            number, name, [(query, "")], unit, source, kind="stat", width=24 // len(_STATS), column=number * 4, row=0
        )
        for number, (name, query, unit) in enumerate(_STATS)
    ]
    for place, metric in enumerate(m for m in METRICS.values() if m.semconv in shown):
        column, row = place % 2 * 12, place // 2 * 8 + 4
        panels.append(_metric_panel(len(panels), metric, source, column, row))
    choice = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
    return {
        "title": title,
        "tags": ["agentprod", "llm"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [] if datasource else [choice]},
        "panels": panels,
    }


def _metric_panel(number: int, metric: Metric, source: dict[str, str], column: int, row: int) -> dict[str, Any]:
    name = metric.prometheus
    group = prometheus_label(_group(metric))
    legend = f"{{{{{group}}}}}"
    unit = _UNITS.get(metric.unit, "short")
    if metric.kind == "histogram":
        queries = [
            (f"histogram_quantile({q}, sum by (le) (rate({name}_bucket[{_RATE}])))", f"p{q * 100:g}")
            for q in (0.5, 0.95, 0.99)
        ]
    elif metric.unit == "{USD}":
        queries = [(f"sum by ({group}) (increase({name}[1h]))", legend)]
    elif metric.kind in ("counter", "observed"):
        queries = [(f"sum by ({group}) (rate({name}[{_RATE}]))", legend)]
    else:
        queries = [(f"{'sum' if metric.kind == 'updown' else 'max'} by ({group}) ({name})", legend)]
    title = f"{metric.title}, per hour" if metric.unit == "{USD}" else metric.title
    return _panel(number, title, queries, unit, source, column=column, row=row, text=metric.help)


def _group(metric: Metric) -> str:
    """Return the label whose values become the lines of the panel."""
    for label in ("status", "outcome", "gen_ai.token.modality"):
        if label in metric.labels:
            return label
    return metric.labels[0]


def _panel(
    number: int,
    title: str,
    queries: list[tuple[str, str]],
    unit: str,
    source: dict[str, str],
    *,
    column: int,
    row: int,
    kind: str = "timeseries",
    width: int = 12,
    text: str = "",
) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": kind,
        "title": title,
        "description": text,
        "datasource": source,
        "gridPos": {"x": column, "y": row, "w": width, "h": 4 if kind == "stat" else 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend, "datasource": source}
            for place, (query, legend) in enumerate(queries)
        ],
    }
