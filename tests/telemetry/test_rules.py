"""Alert rules: what they may be, and the defaults."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agentprod.errors import ConfigError
from agentprod.telemetry.rules import SIGNALS, Rule, default_rules


def test_the_defaults() -> None:
    """The shipped rules have the thresholds of the documentation."""
    found = {rule.name: (rule.metric, rule.op, rule.threshold, rule.window, rule.severity) for rule in default_rules()}
    assert found == {
        "error_rate": ("error_rate", ">", 0.10, 300.0, "critical"),
        "error_rate_early": ("error_rate", ">", 0.05, 300.0, "warning"),
        "p95": ("p95", ">", 10.0, 300.0, "warning"),
        "cost_per_hour": ("cost", ">", 10.0, 3600.0, "warning"),
        "budget_used": ("budget_used", ">", 1.2, 300.0, "warning"),
        "cache_hit_rate": ("cache_hit_rate", "<", 0.30, 300.0, "warning"),
        "tool_success_rate": ("tool_success_rate", "<", 0.95, 300.0, "warning"),
    }


def test_critical_paths_get_a_stricter_rule() -> None:
    """Calls named critical alert at one failure in a hundred."""
    rules = default_rules(usd_per_hour=2, critical={"tags.path": "checkout"})
    assert rules[-1].threshold == 0.01
    assert rules[-1].where == {"tags.path": "checkout"}
    assert next(rule for rule in rules if rule.name == "cost_per_hour").threshold == 2


@pytest.mark.parametrize(("window", "seconds"), [("minute", 60), ("hour", 3600), (timedelta(minutes=2), 120), (90, 90)])
def test_windows_are_seconds_words_or_timedeltas(window: Any, seconds: float) -> None:
    """However it is given, a window is seconds."""
    assert Rule("cost", ">", 1, window=window).window == seconds


@pytest.mark.parametrize(
    ("metric", "op", "threshold", "clear_at", "recovery"),
    [
        ("error_rate", ">", 0.1, None, 0.09),
        ("error_rate", ">", 0.1, 0.02, 0.02),
        ("p95", ">=", 10.0, 10.0, 10.0),
        ("tool_success_rate", "<", 0.95, None, 0.955),
        ("calls", "<=", 10, None, 11),
        ("calls", "<", 0, None, 0),
        ("budget_used", "<", 2.0, None, 2.2),
    ],
)
def test_a_rule_recovers_on_the_good_side(
    metric: str, op: Any, threshold: float, clear_at: float | None, recovery: float
) -> None:
    """Between firing and recovering there is a gap, also for shares near one."""
    assert Rule(metric, op, threshold, clear_at=clear_at).recovery == pytest.approx(recovery)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": "1"}, "Rule(threshold=) is a finite number, got '1'"),
        ({"metric": "latency"}, "no metric 'latency': use one of error_rate"),
        ({"op": "=="}, "Rule(op=) is one of >, >=, <, <="),
        ({"severity": "page"}, "Rule(severity=) is one of info, warning, critical"),
        ({"threshold": float("nan")}, "finite"),
        ({"window": 0.5}, "1 second to 31 days"),
        ({"window": "fortnight"}, "Rule(window=) is seconds from 0 up, a timedelta, or one of minute, hour, day"),
        ({"for_": -1}, "Rule(for_=)"),
        ({"cooldown": float("inf")}, "Rule(cooldown=)"),
        ({"min_count": -1}, "Rule(min_count=)"),
        ({"clear_at": 0.2}, "at most the threshold 0.1, got 0.2"),
        ({"op": "<", "clear_at": 0.05}, "at least the threshold 0.1, got 0.05"),
        ({"where": {"prompt": "x"}}, "cannot group calls by 'prompt'"),
        ({"metric": "budget_used", "where": {"model": "x"}}, "budget_used counts the whole process"),
        ({"metric": "tool_success_rate", "where": {"model": "x"}}, "takes no where="),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    """What cannot work raises when the rule is written."""
    values: dict[str, Any] = {"metric": "error_rate", "op": ">", "threshold": 0.1, **options}
    with pytest.raises(ConfigError) as caught:
        Rule(values.pop("metric"), values.pop("op"), values.pop("threshold"), **values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "text"),
    [("error_rate", "12.3 %"), ("p95", "123 ms"), ("cost", "$0.12"), ("tokens", "0.123"), ("cost_anomaly", "0.123")],
)
def test_values_are_written_in_their_unit(metric: str, text: str) -> None:
    """People read per cent, seconds and dollars."""
    assert SIGNALS[metric].format(0.123) == text
