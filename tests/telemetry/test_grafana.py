"""The Grafana dashboard: drawn from the metric table, every query answered by Prometheus."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentprod.telemetry.grafana import dashboard
from agentprod.telemetry.metric import Metric, prometheus_label
from agentprod.telemetry.metric_names import METRICS
from agentprod.telemetry.monitor import Monitor

GOLDEN = Path(__file__).parent / "golden" / "dashboard.json"


def queries(board: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_the_shipped_dashboard_is_as_reviewed() -> None:
    """A change of the exported dashboard shows as a change of this file."""
    assert dashboard() == json.loads(GOLDEN.read_text("utf-8"))


@pytest.mark.parametrize("semconv", ["current", "next"])
def test_every_exported_metric_has_a_panel(semconv: Any) -> None:
    """No metric is exported that the dashboard does not show, and none is shown that is not exported."""
    text = " ".join(queries(dashboard(semconv=semconv)))
    for metric in METRICS.values():
        assert (metric.prometheus in text) == (metric.semconv in ("always", semconv))


def test_panels_do_not_overlap() -> None:
    """Each place of the grid belongs to one panel, within Grafana's 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x + place["x"], y + place["y"]) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells
        taken |= cells


def test_the_dashboard_is_json_with_a_data_source() -> None:
    """It imports as it is; the viewer chooses the data source unless one is named."""
    board = Monitor().to_grafana(title="LLM calls")
    assert json.loads(json.dumps(board)) == board
    assert board["title"] == "LLM calls"
    assert board["templating"]["list"][0]["query"] == "prometheus"
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"${datasource}"}
    named = dashboard(datasource="abc")
    assert named["templating"]["list"] == []
    assert {panel["datasource"]["uid"] for panel in named["panels"]} == {"abc"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def samples(metric: Metric) -> Iterator[dict[str, str]]:
    """Return series of a metric as the exporter would write them."""
    chosen = {"status": ("ok", "error", "cached"), "outcome": ("ok", "failed", "hit_exact", "miss")}
    varied = next((label for label in metric.labels if label in chosen), metric.labels[0])
    for value in chosen.get(varied, ("x",)):
        labels = {prometheus_label(label): value if label == varied else "x" for label in metric.labels}

        def series(suffix: str = "", labels: dict[str, str] = labels, **more: str) -> str:
            written = ",".join(f'{name}="{value}"' for name, value in {**labels, **more}.items())
            return f"{metric.prometheus}{suffix}{{{written}}}"

        if metric.kind == "histogram":
            for place, border in enumerate((*metric.buckets, "+Inf")):
                yield {"series": series("_bucket", le=str(border)), "values": f"0+{place + 1}x100"}
            yield {"series": series("_count"), "values": f"0+{len(metric.buckets) + 1}x100"}
        elif metric.kind in ("gauge", "updown"):
            yield {"series": series(), "values": "1x100"}
        else:
            yield {"series": series(), "values": "0+3x100"}


@pytest.mark.parametrize("semconv", ["current", "next"])
def test_every_query_returns_data(tmp_path: Path, promtool: Callable[..., Any], semconv: Any) -> None:
    """Prometheus answers each panel's query with at least one number."""
    found = [row for metric in METRICS.values() for row in samples(metric)]
    asked = [
        {
            "expr": f"count(({query.replace('$__rate_interval', '5m')}) >= 0) > bool 0",
            "eval_time": "20m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for query in queries(dashboard(semconv=semconv))
    ]
    test = {"interval": "15s", "input_series": found, "promql_expr_test": asked}
    path = tmp_path / "test.yml"
    path.write_text(json.dumps({"rule_files": [], "tests": [test]}), "utf-8")
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
