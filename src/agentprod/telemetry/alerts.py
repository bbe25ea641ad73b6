"""Alerts inside the process: rules judged every few seconds, handlers told once when one fires and when it recovers."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from agentprod import vitals
from agentprod.errors import ConfigError
from agentprod.identity import seconds
from agentprod.telemetry.anomaly import HourlyCost
from agentprod.telemetry.calls import CallRecord, RunRecord, ToolRecord, reader
from agentprod.telemetry.drops import drops
from agentprod.telemetry.forks import renew_after_fork
from agentprod.telemetry.handlers import Alert, Dispatcher, Handler, log_alert
from agentprod.telemetry.meters import find_instruments
from agentprod.telemetry.metric_names import Semconv
from agentprod.telemetry.prometheus_rules import rule_file
from agentprod.telemetry.rolling import Rolling
from agentprod.telemetry.rules import SEVERITIES, SIGNALS, Reading, Rule, default_rules
from agentprod.telemetry.sinks import Record, follow
from agentprod.telemetry.totals import Slice

__all__ = ["Alert", "Alerts"]

_BACKLOG = 256
_MAX_BUDGETS = 100


class Alerts:
    """Watches finished calls and tells handlers when a rule fires and when it recovers.

    Recording a call only puts it in a list; it is counted when the rules are judged, every `interval` seconds on a
    daemon thread that starts with the first call, or by the call that comes when that is overdue. Handlers run on one
    other thread. So no rule and no handler, even one that hangs, delays a call.

    Args:
        rules: what to watch; `default_rules()` by default.

        handlers: functions of one `Alert`, such as `Webhook(url)`; by default alerts go to the log.

        interval: seconds between two judgements.

        timer: whether to judge on a thread of its own. Without it, rules are judged when calls come, and by
            `evaluate()`.

        hourly_costs: cost of earlier hours in USD, oldest first, so that `cost_anomaly` need not start from nothing;
            the `hourly_costs` of an earlier process.

        capacity: how many alerts may wait for a slow handler; more are dropped and counted.

        listen: watch every call, tool call and agent run of this process; without it, only what `record` is called
            with.

        now: monotonic clock in seconds.

        wall: wall clock in seconds (POSIX time).

    Raises:
        ConfigError: two rules have one name, or an option is out of range.
    """

    def __init__(
        self,
        rules: Sequence[Rule] | None = None,
        handlers: Sequence[Handler] = (log_alert,),
        *,
        interval: float = 5.0,
        timer: bool = True,
        hourly_costs: Iterable[float] = (),
        capacity: int = 100,
        listen: bool = True,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        interval = seconds(interval, "Alerts(interval=)")
        self.rules: tuple[Rule, ...] = _all(
            default_rules() if rules is None else rules, "rules", "Rule", lambda it: isinstance(it, Rule)
        )
        handlers = _all(handlers, "handlers", "function of one Alert", callable)
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ConfigError(f"two rules are called {', '.join(twice)}: give one of them name=")
        self._interval, self._timed = interval, timer
        self._now, self._wall = now, wall
        self._lock = threading.Lock()
        self._backlog: deque[tuple[float, Record]] = deque()
        self._groups = _groups(self.rules, interval)
        # The most severe first: they decide whether milder ones speak.
        order = sorted(self.rules, key=lambda rule: -SEVERITIES.index(rule.severity))
        self._states = [_State(rule) for rule in order]
        costs = _all(hourly_costs, "hourly_costs", "number of USD, 0 or more", _is_amount)
        self._costs = HourlyCost(costs)
        self._budgets: dict[str, tuple[float, float]] = {}
        self._dispatcher = Dispatcher(handlers, capacity=capacity)
        self._due = now() + interval
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        renew_after_fork(self)
        self._leave = follow(self) if listen and self.rules else None
        if listen:
            vitals.report(self)

    def record(self, record: CallRecord) -> None:
        """Count one finished call; never raises."""
        self._put(record)

    def record_tool(self, record: ToolRecord) -> None:
        """Count one finished tool call; never raises."""
        self._put(record)

    def record_run(self, record: RunRecord) -> None:
        """Count one finished agent run; never raises."""
        self._put(record)

    def follow(self, record: Record) -> None:
        """Count whatever has finished; what the process hands to its listeners."""
        self._put(record)

    def evaluate(self) -> list[Alert]:
        """Judge all rules now.

        Returns:
            The alerts handed to the handlers: rules that began to fire, and rules that recovered.
        """
        with self._lock:
            sent = self._evaluate()
        self._send(sent)
        return sent

    def firing(self) -> list[str]:
        """Return the names of the rules that fire now."""
        with self._lock:
            return sorted(state.rule.name for state in self._states if state.active)

    def vitals(self) -> dict[str, Any]:
        """Return what fires, for health checks."""
        return {"alerts": self.firing()}

    @property
    def hourly_costs(self) -> list[float]:
        """Cost of the closed hours in USD, oldest first; up to four weeks."""
        with self._lock:
            self._count()
            self._costs.advance(self._wall())
            return self._costs.hours

    def to_prometheus(self, *, semconv: Semconv = "current") -> str:
        """Return the same rules as a Prometheus rule file (YAML), over the exported metrics.

        Args:
            semconv: which `gen_ai.*` metrics are exported.
        """
        return rule_file(self.rules, interval=self._interval, semconv=semconv)

    def close(self, timeout: float = 2.0) -> None:
        """Stop judging; alerts already sent have `timeout` seconds to reach their handlers."""
        vitals.dismiss(self)
        if self._leave is not None:
            self._leave()
            self._leave = None
        self._timed = False
        self._stop.set()
        self._dispatcher.close(timeout)

    def __enter__(self) -> Alerts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def after_fork(self) -> None:
        """Take a new lock in a forked child; its own thread starts with its first call."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = None

    def _put(self, record: Record) -> None:
        try:
            now = self._now()
            self._backlog.append((now, record))
            if self._thread is None and self._timed:
                self._start()
            # A timer in time leaves nothing to do here; the due time is for when there is none, or it is late.
            is_due = now >= self._due + (self._interval if self._timed else 0.0)
            # Never waits for the lock: garbage collection may end a stream, and come here, in a thread that holds it.
            if (is_due or len(self._backlog) >= _BACKLOG) and self._lock.acquire(blocking=False):
                sent: list[Alert] = []
                try:
                    if is_due:
                        sent = self._evaluate()
                    else:
                        self._count()
                finally:
                    self._lock.release()
                self._send(sent)
        except Exception:
            drops.count("alerts")

    def _send(self, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            self._dispatcher.send(alert)
            instruments = find_instruments(None) if alert.state == "firing" else None
            if instruments is not None:
                instruments.alert_fired(alert.rule)

    def _evaluate(self) -> list[Alert]:
        now, wall = self._now(), self._wall()
        self._due = now + self._interval
        self._count()
        self._costs.advance(wall)
        seen: dict[tuple[Group, float], Slice] = {}
        return [alert for state in self._states if (alert := self._judge(state, seen, now, wall)) is not None]

    def _count(self) -> None:
        backlog = self._backlog
        for _ in range(len(backlog)):
            at, record = backlog.popleft()
            try:
                self._count_one(at, record)
            except Exception:
                drops.count("alerts")

    def _count_one(self, at: float, record: Record) -> None:
        if not isinstance(record, CallRecord):
            for filters, rolling in self._groups.values():
                if not filters:
                    add = rolling.add_tool if isinstance(record, ToolRecord) else rolling.add_run
                    add(record, at)  # type: ignore[arg-type]
            return
        for filters, rolling in self._groups.values():
            if all(read(record) == wanted for read, wanted in filters):
                rolling.add(record, at)
        if record.cost_usd is not None:
            self._costs.add(float(record.cost_usd), self._wall() - (self._now() - at))
        if record.budget is not None and record.budget_used is not None:
            self._budgets.pop(record.budget, None)
            self._budgets[record.budget] = (record.budget_used, at)
            if len(self._budgets) > _MAX_BUDGETS:
                del self._budgets[next(iter(self._budgets))]

    def _read(self, rule: Rule, seen: dict[tuple[Group, float], Slice], now: float, wall: float) -> Reading:
        signal = SIGNALS[rule.metric]
        if signal.read is not None:
            place = _group(rule), rule.window
            if place not in seen:
                seen[place] = self._groups[place[0]][1].view(rule.window, now)
            return signal.read(seen[place])
        if rule.metric == "cost_anomaly":
            return self._costs.score(wall), len(self._costs.hours)
        if rule.metric == "day_cost_anomaly":
            scores = vitals.day_scores()
            return max(scores, default=None), len(scores)
        recent = [used for used, at in self._budgets.values() if now - at <= rule.window]
        return (max(recent), len(recent)) if recent else (None, 0)

    def _judge(self, state: _State, seen: dict[tuple[Group, float], Slice], now: float, wall: float) -> Alert | None:
        rule = state.rule
        value, count = self._read(rule, seen, now, wall)
        if not state.active:
            if value is None or count < rule.min_count or not rule.breached(value):
                state.since = None
                return None
            state.since = now if state.since is None else state.since
            if now - state.since < rule.for_:
                return None
            state.active = True
            state.silent = any(other.active and other.outranks(rule) for other in self._states)
        elif value is None or rule.cleared(value):
            told = state.told
            state.active = state.told = False
            state.since = None
            return state.alert("resolved", value, count, wall) if told else None
        if state.told or state.silent or now - state.fired < rule.cooldown:
            return None
        state.told, state.fired = True, now
        return state.alert("firing", value, count, wall)

    def _start(self) -> None:
        if self.rules and self._lock.acquire(blocking=False):
            try:
                if self._thread is None:
                    arguments = (weakref.ref(self), self._stop, self._interval)
                    self._thread = threading.Thread(
                        target=_keep_time, args=arguments, name="agentprod-alerts", daemon=True
                    )
                    self._thread.start()
            finally:
                self._lock.release()


def _all(given: Any, option: str, kind: str, fits: Callable[[Any], bool]) -> tuple[Any, ...]:
    """Return what an option holds, each of which has to fit."""
    found = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else None
    if found is None or not all(map(fits, found)):
        raise ConfigError(f"Alerts({option}=) is a list, each a {kind}")
    return found


def _is_amount(usd: Any) -> bool:
    return isinstance(usd, int | float) and 0 <= usd < inf


@dataclass(slots=True)
class _State:
    """Where one rule stands."""

    rule: Rule
    active: bool = False
    told: bool = False
    silent: bool = False
    since: float | None = None
    fired: float = float("-inf")

    def outranks(self, rule: Rule) -> bool:
        mine = self.rule
        same = mine.metric == rule.metric and mine.op == rule.op and mine.where == rule.where
        return same and SEVERITIES.index(mine.severity) > SEVERITIES.index(rule.severity)

    def alert(self, state: Literal["firing", "resolved"], value: float | None, count: int, wall: float) -> Alert:
        rule = self.rule
        return Alert(
            rule=rule.name,
            state=state,
            severity=rule.severity,
            metric=rule.metric,
            op=rule.op,
            threshold=rule.threshold,
            value=value,
            count=count,
            window=rule.window,
            at=wall,
            where=dict(rule.where),
        )


Group = frozenset[tuple[str, str]]
Filters = list[tuple[Callable[[CallRecord], Any], str]]


def _group(rule: Rule) -> Group:
    return frozenset(rule.where.items())


def _groups(rules: Iterable[Rule], interval: float) -> dict[Group, tuple[Filters, Rolling]]:
    """Return one set of rolling windows for each filter that rules use."""
    lengths: dict[Group, set[float]] = {}
    for rule in rules:
        if SIGNALS[rule.metric].read is not None:
            lengths.setdefault(_group(rule), set()).add(rule.window)
    return {
        group: (
            [(reader(key), wanted) for key, wanted in sorted(group)],
            Rolling(windows, step=min(interval, min(windows) / 12)),
        )
        for group, windows in lengths.items()
    }


def _keep_time(alerts: weakref.ref[Alerts], stop: threading.Event, interval: float) -> None:
    while not stop.wait(interval):
        watched = alerts()
        if watched is None:
            return
        with contextlib.suppress(Exception):
            watched.evaluate()
        # Held over the wait, the thread itself would keep the object alive for good.
        del watched
