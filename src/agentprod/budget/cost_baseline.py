"""What a day is expected to cost: the level of late, the weekday, and how much days differ anyway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median

__all__ = ["FIRST_DAYS", "RECENT", "Baseline", "baseline", "daily_growth", "unusual_days"]

FIRST_DAYS = 7
"""Days with cost before anything can be called unusual."""

_HISTORY = 56
RECENT = 14
"""Days whose median is the present level."""

_SPREAD = 28
_EARLY = 1.0
_TIMES_MAD = 6.0
_LEAST, _MOST = log(2.0), 0.85
_TO_SIGMA = 1.4826
_QUIET = 0.05
_FASTEST = log(2.0) / 30


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a day of one weekday is expected to cost."""

    median: float
    """In the unit of the costs given."""
    mean: float
    """More than the median: costs differ by factors, and large factors weigh more in a sum."""
    limit: float
    """A day that costs more is unusual."""


def baseline(costs: Sequence[float], weekdays: Sequence[int], weekday: int) -> Baseline | None:
    """Return what a day is expected to cost, from the days before it.

    The scale is logarithmic, because spending varies by factors. The level is the median of the last 14 days without
    their weekday's effect, which is the median over up to 8 weeks, drawn towards none while few are known. The limit
    lies 6 median absolute deviations above, but never below twice nor above 2.3 times the expected cost: a day of
    double cost is worth a look in a steady series, and a day of triple cost in any.

    Args:
        costs: the days before, oldest first, without those found unusual; 0 where nothing was spent.

        weekdays: their weekdays, 0 to 6.

        weekday: the weekday of the day in question.

    Returns:
        The baseline, or `None` with fewer than 7 days on which something was spent.
    """
    spent = [cost for cost in costs if cost > 0]
    if len(spent) < FIRST_DAYS:
        return None
    logs = _logs(costs[-_HISTORY:], spent)
    days = list(weekdays[-_HISTORY:])
    effects = _weekday_effects(logs, days) if len(logs) >= 2 * FIRST_DAYS else [0.0] * 7
    plain = [value - effects[day] for value, day in zip(logs, days, strict=True)]
    level = median(plain[-RECENT:])
    last = plain[-_SPREAD:]
    middle = median(last)
    deviation = median(abs(value - middle) for value in last)
    above = min(max(_TIMES_MAD * deviation, _LEAST), _MOST)
    if len(logs) < 2 * FIRST_DAYS:
        above = max(above, _EARLY)  # weekdays are not known yet
    expected = level + effects[weekday]
    sigma = _TO_SIGMA * deviation
    return Baseline(exp(expected), exp(expected + sigma * sigma / 2), exp(expected + above))


def daily_growth(costs: Sequence[float]) -> float:
    """Return by how much the logarithm of the cost grows a day: a median of differences half the history apart.

    Args:
        costs: as for `baseline`; up to 16 weeks of them are looked at.

    Returns:
        The growth; 0 with fewer than 8 weeks, at most a doubling or halving in 30 days.
    """
    spent = [cost for cost in costs if cost > 0]
    if len(costs) < _HISTORY or len(spent) < FIRST_DAYS:
        return 0.0
    logs = _logs(costs[-2 * _HISTORY :], spent)
    apart = len(logs) // 14 * 7  # whole weeks, so that weekdays are compared with themselves
    growth = median((later - earlier) / apart for earlier, later in zip(logs, logs[apart:], strict=False))
    return max(-_FASTEST, min(_FASTEST, growth))


def unusual_days(costs: Sequence[float], first_weekday: int, floor: float = 0.0) -> list[bool]:
    """Tell which days of a series were unusually dear, each judged by the days before it alone.

    Args:
        costs: one a day, oldest first.

        first_weekday: weekday of the first, 0 to 6.

        floor: a day that costs less is never unusual.

    Returns:
        One answer for each day.
    """
    flags: list[bool] = []
    kept: list[float] = []
    kept_days: list[int] = []
    for index, cost in enumerate(costs):
        weekday = (first_weekday + index) % 7
        usual = baseline(kept, kept_days, weekday)
        unusual = usual is not None and cost > usual.limit and cost >= floor
        flags.append(unusual)
        if not unusual:
            kept.append(cost)
            kept_days.append(weekday)
            del kept[:-_HISTORY], kept_days[:-_HISTORY]
    return flags


def _logs(costs: Sequence[float], spent: Sequence[float]) -> list[float]:
    # A day without cost is a quiet day, not one infinitely far off.
    quiet = _QUIET * median(spent)
    return [log(max(cost, quiet)) for cost in costs]


def _weekday_effects(logs: Sequence[float], weekdays: Sequence[int]) -> list[float]:
    overall = median(logs)
    effects = []
    for weekday in range(7):
        own = [value for value, day in zip(logs, weekdays, strict=True) if day == weekday]
        effects.append((median(own) - overall) * len(own) / (len(own) + 1) if own else 0.0)
    return effects
