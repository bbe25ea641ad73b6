"""The running figures of this process: latency, errors, tokens, money, by model, day, month and key."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Literal

from agentprod.errors import ConfigError
from agentprod.identity import seconds
from agentprod.telemetry.calls import CallRecord, RunRecord, ToolRecord, reader
from agentprod.telemetry.drops import drops
from agentprod.telemetry.forks import renew_after_fork
from agentprod.telemetry.grafana import dashboard
from agentprod.telemetry.labels import LabelCap
from agentprod.telemetry.later import later
from agentprod.telemetry.rolling import Rolling
from agentprod.telemetry.sinks import Record, follow
from agentprod.telemetry.summary import Summary, summarize
from agentprod.telemetry.totals import Slice, Totals

__all__ = ["Monitor"]

_STEP = 5.0
_UNNAMED = "unknown"

Period = Literal["day", "month", "total"]
# Totals of a key stand in the cell of the shortest period they are still in: a period is its own cell and those before.
_PERIODS: tuple[Period, ...] = ("day", "month", "total")


class Monitor:
    """Figures of all calls of this process from now on, in memory that stays flat.

    ```python
    monitor = ap.Monitor()
    ...
    monitor.summary(window=300).p95, monitor.models()
    ```

    Quantiles are within 1 % (see `Sketch`). Models beyond `max_models`, and keys beyond `max_keys`, are added up under
    `"other"`. The figures are those of one process and end with it: for several processes, scrape the metrics.

    Args:
        by: grouping keys to keep totals for, such as `("user", "tags.prompt")`; see `reader` for the names.

        windows: lengths in seconds of the rolling windows `summary(window=)` can be asked for.

        tz: name of the time zone whose midnights part the days.

        days: how many days to keep.

        months: how many months to keep.

        max_models: how many models have figures of their own.

        max_keys: how many values of each grouping key have totals of their own.

        listen: count every call, tool call and agent run of this process that ends from now on, whatever stack it
            passes; without it, only what `record` is called with.

        now: monotonic clock in seconds.

        wall: wall clock in seconds (POSIX time).

    Raises:
        ConfigError: an option is out of range, or the time zone is not known.
    """

    def __init__(
        self,
        *,
        by: Sequence[str] = (),
        windows: Sequence[float] = (300.0, 3600.0),
        tz: str = "UTC",
        days: int = 62,
        months: int = 24,
        max_models: int = 100,
        max_keys: int = 1000,
        listen: bool = True,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        for name, value in (("days", days), ("months", months), ("max_models", max_models), ("max_keys", max_keys)):
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"Monitor({name}=) is at least 1, got {value!r}")
        if isinstance(by, str):
            raise ConfigError(f"Monitor(by=) is a list of keys: write by=({by!r},)")
        self._tz = _time_zone(tz)
        self._now, self._wall = now, wall
        self._windows = tuple(seconds(length, "Monitor(windows=)") for length in windows)
        self._kept_days, self._kept_months = days, months
        self._readers = [(name, reader(name), LabelCap(max_keys)) for name in by]
        self._max_models = max_models
        self._lock = threading.Lock()
        self.reset()
        renew_after_fork(self)
        self._leave = follow(self) if listen else None

    def reset(self) -> None:
        """Forget everything recorded so far."""
        with self._lock:
            self._waiting: deque[Record] = deque()
            self._cap = LabelCap(self._max_models)
            self._open: dict[str, Slice] = {}
            self._models: dict[str, Slice] = {}
            self._rolling = Rolling(self._windows, step=_STEP)
            self._days: dict[date, Slice] = {}
            self._months: dict[date, Slice] = {}
            self._keys: dict[tuple[str, Period], dict[str, Totals]] = {}
            self._today = date.min
            self._opened = self._folds = float("-inf")

    def record(self, record: CallRecord) -> None:
        """Count one finished call; never raises, and may be called from finalizers."""
        self._put(record)

    def record_tool(self, record: ToolRecord) -> None:
        """Count one finished tool call; never raises, and may be called from finalizers."""
        self._put(record)

    def record_run(self, record: RunRecord) -> None:
        """Count one finished agent run; never raises, and may be called from finalizers."""
        self._put(record)

    def follow(self, record: Record) -> None:
        """Count whatever has finished; what the process hands to its listeners."""
        self._put(record)

    def close(self) -> None:
        """Stop listening; the figures stay."""
        if self._leave is not None:
            self._leave()
            self._leave = None

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def summary(self, *, model: str | None = None, window: float | None = None) -> Summary:
        """Return the figures since the start, of one model, or of a rolling window.

        Args:
            model: name of a model; `"other"` are those beyond the cap, `"unknown"` calls without one.

            window: length in seconds, one of those given to the monitor.

        Raises:
            ConfigError: the window was not asked for when the monitor was made, or both arguments are given.
        """
        if model is not None and window is not None:
            raise ConfigError("Monitor.summary() takes model= or window=, not both")
        if window is not None and window not in self._windows:
            raise ConfigError(f"no window of {window:g} s: this monitor keeps {', '.join(map(str, self._windows))}")
        with self._reading():
            if window is not None:
                return summarize(self._rolling.view(window, self._now()))
            if model is not None:
                return summarize(self._models.get(model, Slice()))
            whole = Slice()
            for seen in self._models.values():
                whole.merge(seen)
            return summarize(whole)

    def models(self) -> dict[str, Summary]:
        """Return the figures since the start by model."""
        with self._reading():
            return {name: summarize(seen) for name, seen in self._models.items()}

    def daily(self) -> dict[date, Summary]:
        """Return the figures of each day kept, oldest first."""
        with self._reading():
            return {day: summarize(seen) for day, seen in sorted(self._days.items())}

    def monthly(self) -> dict[date, Summary]:
        """Return the figures of each month kept, by its first day, oldest first."""
        with self._reading():
            return {month: summarize(seen) for month, seen in sorted(self._months.items())}

    def by(self, key: str, *, period: Period = "total") -> dict[str, Summary]:
        """Return the totals by value of a grouping key; durations are not kept by key and read `None`.

        Args:
            key: one of the keys given to the monitor as `by=`.

            period: `"day"` and `"month"` are the current ones.

        Raises:
            ConfigError: the key was not given to the monitor, or the period is not known.
        """
        if key not in (name for name, _, _ in self._readers):
            raise ConfigError(f"this monitor keeps no totals by {key!r}: make it with Monitor(by=({key!r},))")
        if period not in _PERIODS:
            raise ConfigError(f"period is 'day', 'month' or 'total', got {period!r}")
        with self._reading():
            found: dict[str, Slice] = {}
            for closed in _PERIODS[: _PERIODS.index(period) + 1]:
                for label, totals in self._keys.get((key, closed), {}).items():
                    found.setdefault(label, Slice()).totals.merge(totals)
            return {label: summarize(seen) for label, seen in found.items()}

    def to_grafana(self, *, title: str = "agentprod", datasource: str | None = None) -> dict[str, Any]:
        """Return a Grafana dashboard over the exported metrics, to be written with `json.dump` and imported.

        Args:
            title: title of the dashboard.

            datasource: uid of the Prometheus data source; by default the dashboard lets its viewer choose one.
        """
        return dashboard(title=title, datasource=datasource)

    def after_fork(self) -> None:
        """Take a new lock in a forked child."""
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        seen = self.summary()
        return f"<Monitor: {seen.calls} calls, {len(self._models)} models, {seen.cost_text}>"

    def _put(self, record: Record) -> None:
        self._waiting.append(record)
        # Never waits for the lock: garbage collection may end a stream, and come here, in a thread that holds it.
        # Whoever holds it finds the record in the list, now or when it looks again after letting go.
        while self._waiting and self._lock.acquire(blocking=False):
            try:
                self._count()
            finally:
                self._lock.release()

    def _count(self) -> None:
        for _ in range(len(self._waiting)):
            record = self._waiting.popleft()
            try:
                if isinstance(record, ToolRecord):
                    self._slice(None, True).totals.add_tool(record)
                elif isinstance(record, RunRecord):
                    self._slice(None, True).totals.add_run(record)
                else:
                    self._count_call(record)
            except Exception:
                drops.count("monitor")

    def _count_call(self, record: CallRecord) -> None:
        self._slice(record.model, not record.failed).add(record)
        for name, read, cap in self._readers:
            key = read(record)
            if key is not None:
                cells = self._keys.setdefault((name, "day"), {})
                label = cap(str(key))
                cell = cells.get(label)
                if cell is None:
                    cell = cells[label] = Totals()
                cell.add(record)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        # The tokens of a stream may still be being counted.
        later.flush(5.0)
        with self._lock:
            self._count()
            self._fold()
            yield

    def _slice(self, model: str | None, proven: bool) -> Slice:
        # Calls are counted once, here; every total they belong to takes them over at the next fold.
        if self._now() >= self._folds:
            self._fold()
        name = _UNNAMED if model is None else self._cap(model, proven=proven)
        seen = self._open.get(name)
        if seen is None:
            seen = self._open[name] = Slice()
        return seen

    def _fold(self) -> None:
        now, wall = self._now(), self._wall()
        today = datetime.fromtimestamp(wall, self._tz).date()
        if self._open:
            day = self._days.setdefault(self._today, Slice())
            month = self._months.setdefault(self._today.replace(day=1), Slice())
            for name, seen in self._open.items():
                self._models.setdefault(name, Slice()).merge(seen)
                # They may have waited long for the next call or question, so they go where they belong, not to now.
                self._rolling.absorb(seen, self._opened)
                day.merge(seen)
                month.merge(seen)
            self._open = {}
            _drop_oldest(self._days, self._kept_days)
            _drop_oldest(self._months, self._kept_months)
        if today != self._today:
            self._turn(today)
        midnight = datetime.combine(today + timedelta(days=1), datetime.min.time(), self._tz).timestamp()
        # The first call after midnight must find the old day closed.
        self._opened, self._folds = now, now + min(_STEP, max(0.0, midnight - wall))

    def _turn(self, today: date) -> None:
        before, self._today = self._today, today
        for name, _, _ in self._readers:
            closed = self._keys.pop((name, "day"), {})
            if today.replace(day=1) != before.replace(day=1):
                self._carry(self._keys.pop((name, "month"), {}), name, "total")
                self._carry(closed, name, "total")
            else:
                self._carry(closed, name, "month")

    def _carry(self, closed: dict[str, Totals], name: str, period: Period) -> None:
        cells = self._keys.setdefault((name, period), {})
        for label, totals in closed.items():
            cells.setdefault(label, Totals()).merge(totals)


def _drop_oldest(kept: dict[date, Slice], limit: int) -> None:
    while len(kept) > limit:
        del kept[min(kept)]


def _time_zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError) as error:
        raise ConfigError(
            f"no time zone named {name!r}: use a name such as 'Asia/Shanghai' (on Windows, pip install tzdata)"
        ) from error
