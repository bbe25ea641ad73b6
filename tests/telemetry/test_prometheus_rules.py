"""The same rules for Prometheus, judged by Prometheus' own tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentprod.telemetry.alerts import Alerts
from agentprod.telemetry.prometheus_rules import rule_file
from agentprod.telemetry.rules import SIGNALS, Rule, default_rules

GOLDEN = Path(__file__).parent / "golden" / "alert_rules.yml"
STEP = 15
MINUTE = 60 // STEP

Steps = list[tuple[int, float]]


def shipped() -> list[Rule]:
    return [*default_rules(), Rule("cost_anomaly", ">", 3.5)]


def test_the_shipped_rules_are_as_reviewed() -> None:
    """A change of the exported rules shows as a change of this file."""
    assert Alerts(shipped(), timer=False).to_prometheus() == GOLDEN.read_text("utf-8")


def test_the_shipped_rules_are_sound(promtool: Callable[..., Any]) -> None:
    """Prometheus reads every shipped rule."""
    done = promtool("check", "rules", GOLDEN)
    assert "8 rules found" in done.stdout, done.stderr


@pytest.mark.parametrize("semconv", ["current", "next", "both"])
def test_every_metric_is_sound_with_every_filter(tmp_path: Path, promtool: Callable[..., Any], semconv: Any) -> None:
    """Whatever rule may be written becomes a rule Prometheus reads, awkward names and values included."""
    rules = [Rule(metric, "<", 0.5, min_count=3, name=f"it's {metric} {{{{") for metric in SIGNALS]
    filtered = ("error_rate", "p95", "tokens", "cost", "attempt_error_rate")
    rules += [Rule(metric, ">=", 1, name=f"{metric} of one", where={"model": 'a"b\\c\n通义'}) for metric in filtered]
    path = tmp_path / "rules.yml"
    path.write_text(rule_file(rules, semconv=semconv), "utf-8")
    done = promtool("check", "rules", path)
    assert f"{len(rules)} rules found" in done.stdout, done.stderr


def test_what_no_label_holds_is_said() -> None:
    """A rule on a tag cannot be exported; the file says so instead of alerting on all calls."""
    text = rule_file([Rule("error_rate", ">", 0.01, name="checkout", where={"tags.path": "checkout"})])
    assert text == (
        "groups:\n  - name: agentprod\n    interval: 5s\n    rules: []\n"
        "      # checkout is not here: error_rate has no label for tags.path\n"
    )
    assert rule_file([]) == "groups: []\n"


def series(name: str, steps: Steps) -> dict[str, str]:
    """Return a counter that grows by so much at each of so many steps."""
    total, values = 0.0, [0.0]
    for count, growth in steps:
        for _ in range(count):
            total += growth
            values.append(total)
    return {"series": name, "values": " ".join(f"{value:g}" for value in values)}


def check_alerts(
    promtool: Callable[..., Any],
    folder: Path,
    found: list[dict[str, str]],
    alerts: dict[str, dict[str, bool]],
    *,
    rules: list[Rule] | None = None,
    step: int = STEP,
) -> None:
    """Let Prometheus run rules over these series, and compare which alerts fire at which minute."""
    # Annotations hold the measured value and would be compared too; they are not the subject here.
    lines = rule_file(default_rules() if rules is None else rules).splitlines(keepends=True)
    kept = [line for line in lines if not line.lstrip().startswith(("annotations:", "summary:", "value:"))]
    (folder / "rules.yml").write_text("".join(kept), "utf-8")
    severity = {"AgentprodErrorRate": "critical"}
    expected = [
        {
            "eval_time": at,
            "alertname": name,
            "exp_alerts": [{"exp_labels": {"severity": severity.get(name, "warning")}}] if fires else [],
        }
        for name, times in alerts.items()
        for at, fires in times.items()
    ]
    test = {"interval": f"{step}s", "input_series": found, "alert_rule_test": expected}
    text = json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": f"{step}s", "tests": [test]})
    (folder / "test.yml").write_text(text, "utf-8")
    done = promtool("test", "rules", folder / "test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


CALLS = 'agentprod_requests_total{{model="m",provider="p",status="{}"}}'


def test_errors_fire_hold_and_clear(tmp_path: Path, promtool: Callable[..., Any]) -> None:
    """15 % errors fire within a minute; at 9.5 % the alert still holds, at 5 % it has cleared."""
    bad, between, good = 15 * MINUTE, 15 * MINUTE, 15 * MINUTE
    check_alerts(
        promtool,
        tmp_path,
        [
            series(CALLS.format("ok"), [(bad, 17), (between, 18.1), (good, 19.2)]),
            series(CALLS.format("error"), [(bad, 3), (between, 1.9), (good, 0.8)]),
        ],
        {
            "AgentprodErrorRate": {"0m": False, "1m": True, "14m": True, "29m": True, "40m": False},
            "AgentprodErrorRateEarly": {"14m": True, "29m": True, "40m": False},
        },
    )


def test_a_rate_between_the_two_limits_does_not_fire_by_itself(tmp_path: Path, promtool: Callable[..., Any]) -> None:
    """The lower limit is for alerts that fire already; refusals count as errors."""
    found = [series(CALLS.format("ok"), [(80, 18.1)]), series(CALLS.format("rejected"), [(80, 1.9)])]
    times = {"AgentprodErrorRate": {"10m": False}, "AgentprodErrorRateEarly": {"10m": True}}
    check_alerts(promtool, tmp_path, found, times)


def test_few_calls_do_not_fire(tmp_path: Path, promtool: Callable[..., Any]) -> None:
    """Fifteen failures of fifteen calls in five minutes are too few to judge."""
    check_alerts(
        promtool, tmp_path, [series(CALLS.format("error"), [(80, 0.7)])], {"AgentprodErrorRate": {"10m": False}}
    )


def test_a_cache_without_any_hit_fires(tmp_path: Path, promtool: Callable[..., Any]) -> None:
    """No hits at all are a hit rate of 0 %, and bypassed calls do not count."""
    name = 'agentprod_cache_requests_total{{outcome="{}"}}'
    found = [series(name.format("miss"), [(40, 5)]), series(name.format("bypass"), [(40, 500)])]
    check_alerts(promtool, tmp_path, found, {"AgentprodCacheHitRate": {"10m": True}})
    found.append(series(name.format("hit_exact"), [(40, 5)]))
    check_alerts(promtool, tmp_path, found, {"AgentprodCacheHitRate": {"10m": False}})


def test_slow_dear_and_overdrawn(tmp_path: Path, promtool: Callable[..., Any]) -> None:
    """Each of the other rules fires on its own metric."""
    buckets = [
        series(f'gen_ai_client_operation_duration_seconds_bucket{{le="{le}"}}', [(60, growth)])
        for le, growth in (("10.24", 5), ("20.48", 10), ("+Inf", 10))
    ]
    count = series("gen_ai_client_operation_duration_seconds_count", [(60, 10)])
    cost = series('agentprod_cost_total{model="m"}', [(60, 0.3)])
    tools = [
        series('agentprod_tool_calls_total{tool="t",status="ok"}', [(60, 9)]),
        series('agentprod_tool_calls_total{tool="t",status="error"}', [(60, 1)]),
    ]
    budget = {"series": 'agentprod_budget_used_ratio{budget="daily"}', "values": "1.1x20 1.3x20 1.15x20"}
    check_alerts(
        promtool,
        tmp_path,
        [*buckets, count, cost, *tools, budget],
        {
            "AgentprodP95": {"10m": True},
            "AgentprodCostPerHour": {"5m": False, "14m": True},
            "AgentprodToolSuccessRate": {"10m": True},
            "AgentprodBudgetUsed": {"4m": False, "7m": True, "14m": True},
            "AgentprodErrorRate": {"10m": False},
        },
    )


def test_a_dear_hour_is_an_anomaly(tmp_path: Path, promtool: Callable[..., Any]) -> None:
    """After a week of steady cost, an hour of five times as much fires."""
    hours = [(12, 0.1 + 0.01 * (number % 5)) for number in range(190)]
    check_alerts(
        promtool,
        tmp_path,
        [series("agentprod_cost_total", [*hours, (12, 0.6)])],
        {"AgentprodCostAnomaly": {"185h": False, "190h55m": True}},
        rules=[Rule("cost_anomaly", ">", 3.5)],
        step=300,
    )
