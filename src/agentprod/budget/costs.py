"""Totals of cost by day, month and key, days that are unusually dear, and where the month will end."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from math import exp
from typing import Literal

from agentprod.budget.cost_baseline import RECENT, Baseline, baseline, daily_growth, unusual_days
from agentprod.budget.cost_watch import CostKey, CostSpread, CostWatch
from agentprod.budget.windows import Period
from agentprod.errors import ConfigError

__all__ = ["Anomaly", "CostTotals", "Forecast"]

OTHER = "other"
"""The key under which the cost of keys beyond the bound is counted."""

_NANO = 10**9
_LATE_DAYS = 56


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A day that costs more than days like it."""

    day: date
    usd: Decimal
    """Spent so far."""
    expected_usd: Decimal
    """What such a day usually costs in all."""
    limit_usd: Decimal
    """Above it a day is unusual."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where spending leads by the end of the month."""

    month_usd: Decimal
    """What the whole month is expected to cost."""
    reached_on: date | None
    """The day on which the limit is expected to be reached; `None` when that is not in this month."""


class CostTotals:
    """Cost by day and by key, in exact nano-dollars. Safe to use from many threads; keeps no calls, only totals.

    Args:
        tz: time zone of the days, by name or as `tzinfo`.

        keep_days: days kept, from 60.

        most_keys: keys kept apart, from 1; the cost of further ones is counted under `"other"`.

        floor_usd: a day that costs less is never called unusual.

    Raises:
        ConfigError: when an option is out of range.
    """

    def __init__(
        self, *, tz: str | tzinfo = "UTC", keep_days: int = 400, most_keys: int = 1000, floor_usd: float = 1.0
    ) -> None:
        if keep_days < 60 or most_keys < 1 or not floor_usd >= 0:
            raise ConfigError("keep_days: at least 60; most_keys: at least 1; floor_usd: 0 or more")
        self._zone = Period("day", tz).zone
        self._keep_days = keep_days
        self._most_keys = most_keys
        self._floor = round(floor_usd * _NANO)
        self._lock = threading.Lock()
        self._days: OrderedDict[date, int] = OrderedDict()
        self._keys: dict[str, dict[date, int]] = {}
        self._told: date | None = None
        self._usual: tuple[date, Baseline | None] | None = None
        self._spreads: dict[str | None, CostSpread] = {}
        self._savings: dict[str, dict[str, int]] = {}

    def watch(
        self,
        *,
        by: CostKey = "model",
        baseline: str | None = None,
        on_anomaly: Callable[[Anomaly], object] | None = None,
    ) -> Callable[[], None]:
        """Add every call of this process that ends from now on.

        Args:
            by: what is counted apart: `"model" "provider" "user" "team" "tenant" "conversation" "run"`, or a callable
                `(call) -> str | None`.

            baseline: name of the model that all calls would go to without routing: what its price for the same tokens
                is above the cost counts as saved.

            on_anomaly: called once a day, when it has become unusually dear.

        Returns:
            What ends it.

        Raises:
            ConfigError: `by` is none of these.
        """
        return CostWatch(self, by, baseline, on_anomaly).stop

    def add(self, nano_usd: int, *, at: float | datetime, key: str | None = None, call: bool = False) -> None:
        """Add the cost of one call.

        Args:
            nano_usd: nano-dollars, such as `Cost.nano_usd`; negative for a correction.

            at: when it was made, as POSIX time or aware datetime.

            key: what it is counted under besides the total: a model, a user, a team.

            call: whether it is the whole cost of a call, for `quantile`.

        Raises:
            ConfigError: when `at` is a datetime without a time zone.
        """
        day = self._day(at)
        with self._lock:
            if day not in self._days:
                self._days[day] = 0
                self._forget_old()
            self._days[day] += nano_usd
            if self._usual is not None and day < self._usual[0]:
                self._usual = None
            name = None
            if key is not None:
                name = key if key in self._keys or len(self._keys) < self._most_keys else OTHER
                days = self._keys.setdefault(name, {})
                days[day] = days.get(day, 0) + nano_usd
            if call:
                for place in {None, name}:
                    self._spreads.setdefault(place, CostSpread()).add(nano_usd)

    def add_saving(self, kind: Literal["cache", "routing"], nano_usd: int, *, at: float | datetime) -> None:
        """Add what one call saved.

        Args:
            kind: by what.

            nano_usd: nano-dollars; negative where it cost more than the baseline would have.

            at: when, as POSIX time or aware datetime.
        """
        month = f"{self._day(at):%Y-%m}"
        with self._lock:
            months = self._savings.setdefault(kind, {})
            months[month] = months.get(month, 0) + nano_usd

    def saved(self, kind: Literal["cache", "routing"]) -> dict[str, Decimal]:
        """Return dollars saved by month, such as `"2026-11"`, oldest first.

        Args:
            kind: by what.
        """
        with self._lock:
            months = dict(self._savings.get(kind, {}))
        return {month: _usd(months[month]) for month in sorted(months)}

    def quantile(self, part: float, key: str | None = None) -> Decimal | None:
        """Return the dollars that so large a part of the calls watched cost at most, within 2 %.

        Args:
            part: from 0 to 1; 0.5 is the median.

            key: look at this key's calls alone.

        Returns:
            Dollars; `None` before the first call.

        Raises:
            ConfigError: when `part` is out of range.
        """
        if not 0 <= part <= 1:
            raise ConfigError(f"quantile: expected a part from 0 to 1, got {part!r}")
        with self._lock:
            spread = self._spreads.get(key)
            nano = None if spread is None else spread.quantile(part)
        return None if nano is None else _usd(nano)

    def by_day(self, key: str | None = None) -> dict[date, Decimal]:
        """Return dollars by day, oldest first, days without cost left out.

        Args:
            key: count this key's cost alone.
        """
        with self._lock:
            days = dict(self._days if key is None else self._keys.get(key, {}))
        return {day: _usd(days[day]) for day in sorted(days)}

    def by_month(self, key: str | None = None) -> dict[str, Decimal]:
        """Return dollars by month, such as `"2026-11"`, oldest first.

        Args:
            key: count this key's cost alone.
        """
        months: dict[str, Decimal] = {}
        for day, usd in self.by_day(key).items():
            month = f"{day:%Y-%m}"
            months[month] = months.get(month, Decimal(0)) + usd
        return months

    def by_key(self, *, since: date | None = None) -> dict[str, Decimal]:
        """Return dollars by key, the dearest first.

        Args:
            since: count from this day on; all days kept when `None`.
        """
        with self._lock:
            sums = {
                key: sum(nano for day, nano in days.items() if since is None or day >= since)
                for key, days in self._keys.items()
            }
        return {key: _usd(nano) for key, nano in sorted(sums.items(), key=lambda item: -item[1]) if nano}

    def check(self, now: float | datetime) -> Anomaly | None:
        """Tell once a day whether the day of `now` already costs more than days like it.

        A day is compared with earlier days alone, on a logarithmic scale, by weekday, leaving out days that were
        unusual themselves. There is no answer before a week of spending is known.

        Args:
            now: POSIX time or aware datetime.

        Returns:
            The anomaly, the first time the day is found to be one; `None` otherwise.
        """
        today = self._day(now)
        with self._lock:
            usual, nano = self._today(today)
            if usual is None or nano <= usual.limit or nano < self._floor or self._told == today:
                return None
            self._told = today
        return Anomaly(today, _usd(nano), _usd(usual.median), _usd(usual.limit))

    def day_score(self, now: float | datetime) -> float | None:
        """Return how near the day of `now` is to being unusual, as `check` judges it.

        Args:
            now: POSIX time or aware datetime.

        Returns:
            Its cost over the one above which such a day is unusual, so that above 1 it is; 0 below `floor_usd`, and
            `None` before a week of spending is known.
        """
        with self._lock:
            usual, nano = self._today(self._day(now))
        if usual is None:
            return None
        return nano / usual.limit if nano >= self._floor else 0.0

    def forecast(self, now: float | datetime, *, limit_usd: float | Decimal | None = None) -> Forecast | None:
        """Tell what the month will cost, and when a limit will be reached.

        Args:
            now: POSIX time or aware datetime.

            limit_usd: dollars for the month.

        Returns:
            The forecast, or `None` before a week of spending is known.
        """
        today = self._day(now)
        with self._lock:
            costs, nano = self._before(today), self._days.get(today, 0)
        known = _Known(costs, today)
        if known.expected(today) is None:
            return None
        lift, growth = known.lift(), daily_growth(known.costs)
        limit = None if limit_usd is None else int(Decimal(str(limit_usd)) * _NANO)
        spent = sum(costs[max(0, len(costs) - today.day + 1) :])
        reached = None
        day = today
        while day.month == today.month:
            usual = known.expected(day)
            ahead = (day - today).days + RECENT / 2  # the level is that of the middle of the late days
            mean = usual.mean * lift * exp(growth * ahead) if usual is not None else 0.0
            spent += max(nano, round(mean)) if day == today else round(mean)
            if limit is not None and reached is None and spent >= limit:
                reached = day
            day += timedelta(days=1)
        return Forecast(_usd(spent), reached)

    def _today(self, today: date) -> tuple[Baseline | None, int]:
        """What such a day usually costs, worked out once a day, and what it has cost so far."""
        if self._usual is None or self._usual[0] != today:
            self._usual = today, _Known(self._before(today), today).expected(today)
        return self._usual[1], self._days.get(today, 0)

    def _before(self, today: date) -> list[int]:
        """The cost of every day from the first kept up to yesterday."""
        days = self._days
        first = min((day for day in days if day < today), default=today)
        return [days.get(first + timedelta(days=number), 0) for number in range((today - first).days)]

    def _forget_old(self) -> None:
        newest = max(self._days)
        limit = newest - timedelta(days=self._keep_days)
        for day in [day for day in self._days if day <= limit]:
            del self._days[day]
            for days in self._keys.values():
                days.pop(day, None)

    def _day(self, at: float | datetime) -> date:
        if isinstance(at, datetime):
            if at.tzinfo is None:
                raise ConfigError("expected a POSIX time or an aware datetime, got a datetime without a time zone")
            return at.astimezone(self._zone).date()
        return datetime.fromtimestamp(at, UTC).astimezone(self._zone).date()


class _Known:
    """The days before today, without those that were unusual."""

    def __init__(self, costs: list[int], today: date) -> None:
        self._all = costs
        first = (today - timedelta(days=len(costs))).weekday()
        self._flags = unusual_days(costs, first)
        usual = [(cost, (first + number) % 7) for number, cost in enumerate(costs) if not self._flags[number]]
        self.costs = [cost for cost, _ in usual]
        self._weekdays = [weekday for _, weekday in usual]

    def expected(self, day: date) -> Baseline | None:
        """What a day costs."""
        return baseline(self.costs, self._weekdays, day.weekday())

    def lift(self) -> float:
        """By how much unusual days raise the mean: they will come again, though no one knows when."""
        late = self._all[-_LATE_DAYS:]
        usual = [cost for cost, flag in zip(late, self._flags[-_LATE_DAYS:], strict=True) if not flag]
        return sum(late) / len(late) / (sum(usual) / len(usual)) if sum(usual) else 1.0


def _usd(nano: float) -> Decimal:
    return Decimal(round(nano)).scaleb(-9)
