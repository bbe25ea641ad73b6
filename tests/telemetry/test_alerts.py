"""Alerts: firing once, recovering once, never in the way."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentprod.errors import ConfigError
from agentprod.telemetry.alerts import Alert, Alerts
from agentprod.telemetry.calls import ToolRecord
from agentprod.telemetry.rules import Rule, default_rules
from agentprod.testing.clock import FakeClock
from tests.telemetry.records import cached_call, call_record, failed_call


class Noted(Alerts):
    """Alerts that note what each judgement told, also those that a call brought about."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.told: list[Alert] = []

    def _evaluate(self) -> list[Alert]:
        told = super()._evaluate()
        self.told += told
        return told


class Watch:
    """Alerts on a clock moved by hand."""

    def __init__(self, rules: list[Rule] | None = None, **options: Any) -> None:
        self.clock = FakeClock()
        self.alerts = Noted(rules, (), timer=False, now=self.clock.monotonic, wall=self.clock.wall, **options)
        self.told = self.alerts.told
        self._read = 0

    def calls(self, good: int = 0, bad: int = 0, **changes: Any) -> None:
        for _ in range(good):
            self.alerts.record(call_record(**changes))
        for _ in range(bad):
            self.alerts.record(failed_call(**changes))

    def step(self, seconds: float = 5.0) -> list[tuple[str, str]]:
        """Let time pass, judge, and return what was told since the last step."""
        self.clock.advance(seconds)
        self.alerts.evaluate()
        news, self._read = self.told[self._read :], len(self.told)
        return [(alert.rule, alert.state) for alert in news]

    def run(self, seconds: float, good: int = 0, bad: int = 0) -> list[tuple[str, str]]:
        """Let time pass with so many calls every five seconds."""
        found = []
        for _ in range(int(seconds // 5)):
            self.calls(good, bad)
            found += self.step()
        return found


def test_the_default_rules_each_fire_once_and_recover_once() -> None:
    """A bad quarter of an hour: six alerts; a good hour later: six recoveries; nothing twice."""
    watch = Watch()
    for _ in range(180):
        watch.calls(good=8, duration=20.0, cost="0.5", cache="miss", budget="daily", budget_used=1.3)
        watch.calls(bad=2, budget="daily", budget_used=1.3)
        watch.alerts.record_tool(ToolRecord(tool="search", status="error"))
        watch.step()
    fired = [alert.rule for alert in watch.told]
    six = ["budget_used", "cache_hit_rate", "cost_per_hour", "error_rate", "p95", "tool_success_rate"]
    assert sorted(fired) == six
    assert {alert.state for alert in watch.told} == {"firing"}
    assert set(watch.alerts.firing()) == {*six, "error_rate_early"}
    already = len(watch.told)
    for _ in range(800):
        watch.alerts.record(cached_call(budget="daily", budget_used=0.5))
        watch.alerts.record_tool(ToolRecord(tool="search"))
        watch.step()
    assert sorted((alert.rule, alert.state) for alert in watch.told[already:]) == [(rule, "resolved") for rule in six]
    assert watch.alerts.firing() == []


def test_it_fires_after_for_and_recovers_at_clear_at() -> None:
    """15 % errors fire within `for_` and two evaluations; between clear_at and threshold nothing changes."""
    watch = Watch([Rule("error_rate", ">", 0.10, window=60, min_count=20, for_=30, clear_at=0.05)])
    assert watch.run(30, good=19, bad=1) == []
    start = watch.clock.monotonic()
    found: list[tuple[str, str]] = []
    while not found:
        found = watch.run(5, good=10, bad=10)
    assert found == [("error_rate", "firing")]
    assert watch.clock.monotonic() - start <= 30 + 2 * 5
    assert watch.run(120, good=186, bad=14) == []
    assert watch.run(70, good=200) == [("error_rate", "resolved")]


def test_a_short_blip_does_not_fire() -> None:
    """A condition that does not hold for `for_` seconds says nothing."""
    watch = Watch([Rule("error_rate", ">", 0.5, window=5, for_=30)])
    assert watch.run(10, bad=5) == []
    assert watch.run(60, good=5) == []
    assert watch.run(10, bad=5) == []
    assert watch.run(60, good=5) == []


def test_few_calls_do_not_fire() -> None:
    """Three failures of three calls are no error rate when twenty are asked for."""
    watch = Watch([Rule("error_rate", ">", 0.1, min_count=20)])
    watch.calls(bad=19)
    assert watch.step() == []
    watch.calls(bad=1)
    assert watch.step() == [("error_rate", "firing")]


def test_within_the_cooldown_it_keeps_quiet() -> None:
    """A rule that flaps is told once per cooldown, with no recovery of what was not told."""
    watch = Watch([Rule("error_rate", ">", 0.1, window=10, cooldown=300)])
    found = []
    for _ in range(5):
        found += watch.run(15, bad=1)
        found += watch.run(15, good=1)
    assert found == [("error_rate", "firing"), ("error_rate", "resolved")]
    watch.run(200, good=1)
    assert watch.run(15, bad=1) == [("error_rate", "firing")]


def test_trouble_that_lasts_beyond_the_cooldown_is_told() -> None:
    """What began within the cooldown and still holds after it is told then."""
    watch = Watch([Rule("error_rate", ">", 0.1, window=10, cooldown=100)])
    assert watch.run(10, bad=1) == [("error_rate", "firing")]
    assert watch.run(30, good=1) == [("error_rate", "resolved")]
    assert watch.run(40, bad=1) == []
    assert watch.run(40, bad=1) == [("error_rate", "firing")]


def test_a_milder_rule_is_silent_beside_a_severe_one() -> None:
    """At 8 % the early rule speaks; when 20 % fire the severe one, the early one does not add to it."""
    watch = Watch([rule for rule in default_rules() if rule.metric == "error_rate"])
    watch.calls(good=92, bad=8)
    assert watch.step() == [("error_rate_early", "firing")]
    watch = Watch([rule for rule in default_rules() if rule.metric == "error_rate"])
    watch.calls(good=80, bad=20)
    assert watch.step() == [("error_rate", "firing")]
    assert watch.run(900, good=10) == [("error_rate", "resolved")]


def test_when_nothing_is_left_to_measure_it_recovers() -> None:
    """With no calls in the window there is no error rate, and the alert ends without a value."""
    watch = Watch([Rule("error_rate", ">", 0.1, window=60)])
    watch.run(10, bad=5)
    assert watch.run(70) == [("error_rate", "resolved")]
    assert watch.told[-1].value is None
    assert "no data" in watch.told[-1].text


def test_a_filter_counts_its_calls_only() -> None:
    """A rule for the checkout path does not see failures elsewhere."""
    strict = Rule("error_rate", ">", 0.01, name="checkout", where={"tags.path": "checkout", "operation": "chat"})
    watch = Watch([strict, Rule("error_rate", ">", 0.9)])
    watch.calls(bad=5, tags={"path": "search"})
    watch.calls(good=95, tags={"path": "checkout"})
    assert watch.step() == []
    watch.calls(bad=2, tags={"path": "checkout"})
    watch.alerts.record_tool(ToolRecord(tool="search", status="error"))
    assert watch.step() == [("checkout", "firing")]
    assert watch.told[-1].count == 97
    assert "tags.path=checkout" in watch.told[-1].text


@pytest.mark.parametrize(
    ("rule", "record"),
    [
        (Rule("p50", ">", 5), call_record(duration=6.0)),
        (Rule("p99", ">", 5), call_record(duration=6.0)),
        (Rule("ttft_p95", ">", 2), call_record(duration=6.0, ttft=3.0)),
        (Rule("tokens", ">", 100), call_record()),
        (Rule("calls", ">", 0), call_record()),
        (Rule("attempt_error_rate", ">", 0.5), failed_call()),
        (Rule("rejected_rate", ">", 0.5), call_record(status="rejected")),
        (Rule("unpriced_rate", ">", 0.5), call_record(cost_usd=None)),
        (Rule("cost", ">", 0.5), call_record(cost="0.75")),
    ],
)
def test_every_metric_can_be_watched(rule: Rule, record: Any) -> None:
    """Each metric rules may name fires on a call that is beyond its limit."""
    watch = Watch([rule])
    watch.alerts.record(record)
    assert watch.step() == [(rule.name, "firing")]


def test_silence_can_be_watched() -> None:
    """A rule that wants calls fires when there are none."""
    watch = Watch([Rule("calls", "<", 1, window=60, min_count=0)])
    watch.calls(good=1)
    assert watch.step() == []
    assert watch.step(120) == [("calls", "firing")]


def test_the_latest_state_of_each_budget_counts() -> None:
    """The worst budget decides, by its latest state, and a state nobody reported lately does not."""
    watch = Watch([Rule("budget_used", ">", 1.0, window=60)])
    watch.calls(good=1, budget="a", budget_used=1.5)
    watch.calls(good=1, budget="a", budget_used=0.5)
    watch.calls(good=1, budget="b", budget_used=0.9)
    assert watch.step() == []
    watch.calls(good=1, budget="b", budget_used=1.1)
    assert watch.step() == [("budget_used", "firing")]
    for number in range(200):
        watch.calls(good=1, budget=f"junk-{number}", budget_used=0.1)
    assert watch.step() == [("budget_used", "resolved")]
    watch.calls(good=1, budget="c", budget_used=2.0)
    assert watch.step(70) == []


def test_a_dear_hour_is_an_anomaly() -> None:
    """With the hours of an earlier process at hand, five times the usual cost of an hour fires, once."""
    watch = Watch([Rule("cost_anomaly", ">", 3.5)], hourly_costs=[2.0] * 200)
    watch.calls(good=1, cost="1.5")
    assert watch.step() == []
    watch.calls(good=1, cost="8.5")
    assert watch.step() == [("cost_anomaly", "firing")]
    assert watch.step(3600) == [("cost_anomaly", "resolved")]
    assert watch.alerts.hourly_costs == [*[2.0] * 200, 10.0]


def test_calls_judge_when_there_is_no_timer() -> None:
    """Without a thread, the call that comes when a judgement is due brings it about."""
    told: list[Alert] = []
    heard = threading.Event()

    def hear(alert: Alert) -> None:
        told.append(alert)
        heard.set()

    clock = FakeClock()
    alerts = Alerts([Rule("error_rate", ">", 0.5)], [hear], timer=False, now=clock.monotonic, wall=clock.wall)
    alerts.record(failed_call())
    clock.advance(4)
    alerts.record(failed_call())
    clock.advance(1)
    alerts.record(failed_call())
    assert heard.wait(10)
    assert [alert.rule for alert in told] == ["error_rate"]
    alerts.close()


def test_many_calls_between_judgements_are_counted_on_the_way() -> None:
    """The list of calls not yet counted stays short however many come."""
    watch = Watch([Rule("calls", ">", 999)])
    watch.step()
    watch.calls(good=1000)
    assert len(watch.alerts._backlog) < 256
    assert watch.step() == [("calls", "firing")]


@pytest.fixture
def hanging() -> Iterator[Callable[[Alert], None]]:
    """A handler that does not come back until the test is over."""
    release = threading.Event()
    yield lambda _: release.wait(60) and None
    release.set()


def test_a_hanging_handler_delays_nobody(hanging: Callable[[Alert], None], dropped: Callable[[str], int]) -> None:
    """While a handler hangs, calls are recorded and judged as ever; alerts that do not fit its queue are counted."""
    clock = FakeClock()
    rule = Rule("error_rate", ">", 0.5, window=5, cooldown=0)
    alerts = Alerts([rule], [hanging], timer=False, capacity=3, now=clock.monotonic, wall=clock.wall)
    for _ in range(20):
        alerts.record(failed_call())
        alerts.evaluate()
        clock.advance(12)
        alerts.evaluate()
    assert 36 <= dropped("alert_queue") <= 37  # of 20 alerts and 20 recoveries one hangs and three wait
    alerts.close(timeout=0.01)


def test_a_failing_handler_is_counted(dropped: Callable[[str], int]) -> None:
    """One handler's exception neither reaches the caller nor keeps the alert from the next handler."""
    told: list[Alert] = []

    def fail(alert: Alert) -> None:
        raise RuntimeError("no")

    clock = FakeClock()
    alerts = Alerts([Rule("calls", ">", 0)], [fail, told.append], timer=False, now=clock.monotonic, wall=clock.wall)
    alerts.record(call_record())
    alerts.evaluate()
    alerts.close()
    assert [alert.rule for alert in told] == ["calls"]
    assert dropped("alert_handler") == 1


def test_by_default_alerts_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Without handlers an alert is an ERROR, WARNING or INFO line with its figures."""
    clock = FakeClock()
    rules = [Rule("error_rate", ">", 0.5, severity="critical", window=5), Rule("calls", ">", 0, window=5)]
    alerts = Alerts(rules, timer=False, now=clock.monotonic, wall=clock.wall)
    with caplog.at_level(logging.INFO, "agentprod.alerts"):
        alerts.record(failed_call())
        alerts.evaluate()
        clock.advance(60)
        alerts.evaluate()
        alerts.close()
    found = [(record.levelname, record.rule, record.state) for record in caplog.records]  # type: ignore[attr-defined]
    assert found == [
        ("ERROR", "error_rate", "firing"),
        ("WARNING", "calls", "firing"),
        ("INFO", "error_rate", "resolved"),
        ("INFO", "calls", "resolved"),
    ]
    assert "error_rate is 100 %, limit > 50 %, over 5s (1 observations)" in caplog.records[0].getMessage()


def test_the_timer_judges_without_calls() -> None:
    """On its own thread the rules are judged although no further call comes."""
    heard = threading.Event()
    alerts = Alerts([Rule("error_rate", ">", 0.5)], [lambda _: heard.set()], interval=0.02)
    alerts.evaluate()
    alerts.record(failed_call())
    assert heard.wait(10)
    alerts.close()


def test_the_timer_does_not_keep_alerts_alive() -> None:
    """When nobody holds the alerts any more, their thread ends."""
    alerts = Alerts([Rule("calls", ">", 5)], interval=0.02)
    alerts.record(call_record())
    thread = alerts._thread
    gone = weakref.ref(alerts)
    assert thread is not None
    del alerts
    for _ in range(100):
        gc.collect()
        thread.join(0.05)
        if not thread.is_alive():
            break
    assert gone() is None
    assert not thread.is_alive()


def test_without_rules_no_thread_starts() -> None:
    """Alerts with nothing to watch cost a list entry."""
    alerts = Alerts([])
    alerts.record(call_record())
    assert alerts._thread is None
    assert alerts.evaluate() == []


def test_a_forked_child_watches_on_its_own() -> None:
    """After a fork the child takes new locks and starts its thread with its next call."""
    alerts = Alerts([Rule("calls", ">", 5)], interval=60)
    alerts.record(call_record())
    alerts._lock.acquire()
    alerts.after_fork()
    assert alerts._thread is None
    alerts.record(call_record())
    assert alerts._thread is not None
    alerts.close()


def test_nothing_raises_into_the_caller(dropped: Callable[[str], int]) -> None:
    """Records that cannot be counted, and a clock that fails, are dropped and counted."""
    watch = Watch([Rule("calls", ">", 5)])
    watch.alerts.record(call_record(duration=float("nan")))
    watch.alerts.record(None)  # type: ignore[arg-type]
    watch.step()
    assert dropped("alerts") == 2
    watch.alerts._now = lambda: 1 / 0
    watch.alerts.record(call_record())
    assert dropped("alerts") == 3


def test_a_call_that_ends_while_its_thread_counts_does_not_block() -> None:
    """A stream that garbage collection ends in the middle of counting is recorded, not waited for."""
    watch = Watch([Rule("calls", ">", 999)])
    with watch.alerts._lock:
        watch.calls(good=300)
        watch.clock.advance(100)
        watch.calls(good=1000)
    assert watch.step() == [("calls", "firing")]
    timed = Alerts([Rule("calls", ">", 5)], interval=60)
    with timed._lock:
        timed.record(call_record())
    assert timed._thread is None
    timed.record(call_record())
    assert timed._thread is not None
    timed.close()


def test_two_rules_of_one_name_are_refused() -> None:
    """Names tell rules apart, in messages and in Prometheus."""
    with pytest.raises(ConfigError, match="two rules are called p95"):
        Alerts([Rule("p95", ">", 1), Rule("p95", ">", 2)])
    with pytest.raises(ConfigError, match="interval"):
        Alerts([], interval=0)
    with pytest.raises(ConfigError, match="capacity is at least 1"):
        Alerts([], capacity=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rules": Rule("p95", ">", 1)}, "rules=. is a list, each a Rule"),
        ({"rules": ["p95"]}, "each a Rule"),
        ({"handlers": print}, "handlers=. is a list, each a function of one Alert"),
        ({"handlers": ["https://example.com"]}, "each a function"),
        ({"interval": "5"}, "interval=. must be seconds as a number or timedelta, not str"),
        ({"interval": float("nan")}, "interval=. must be more than 0 seconds"),
        ({"hourly_costs": [1.0, float("nan")]}, "each a number of USD, 0 or more"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    """What cannot work raises when the alerts are made."""
    with pytest.raises(ConfigError, match=message):
        Alerts(**options, timer=False)
