"""Is this hour dearer than hours like it: a robust score of hourly cost."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log

__all__ = ["HourlyCost"]

_WEEK = 168
_WEEKS = 4
_FIRST = 12
_ENOUGH = 24
_LIMIT = 3.5
_EARLY_FACTOR = 3.0
_QUIET = 0.2
_TO_SIGMA = 1.4826
_MAD_FLOOR = 0.1


@dataclass(frozen=True, slots=True)
class _Baseline:
    """What an hour is expected to cost, on a logarithmic scale."""

    quiet: float
    expected: float
    scale: float


class HourlyCost:
    """Cost by hour over the last four weeks, and how unusual the running hour is.

    From the second week on, an hour is compared with the same hour of the weeks before and its two neighbours:
    score = (log cost - expected) / (1.4826 * MAD), with the MAD of last week's own deviations, at least 0.1. A score
    above 3.5 is the usual limit for outliers of robust z-scores (Iglewicz and Hoaglin, "How to detect and handle
    outliers", 1993). Logarithms, because spending varies by factors; the same hour of the week, because a plain median
    over a week calls every office morning an anomaly and misses a fivefold night.
    In the first week there is no such hour: then 3.5 stands for three times the highest cost at this hour of the last
    three days, before that of all hours so far. Below 12 hours there is no score.

    A rise within the running hour shows at once, a fall is no anomaly, and hours cheaper than a fifth of the usual
    busy hour all count as quiet. Not thread-safe: whoever owns it holds a lock.

    Args:
        hours: cost of earlier hours in USD, oldest first, up to the hour before this one.

        floor_usd: an hour within this much of the expected cost has score 0.
    """

    def __init__(self, hours: Iterable[float] = (), *, floor_usd: float = 0.05) -> None:
        self._hours = deque(hours, _WEEKS * _WEEK + 1)
        self._floor = floor_usd
        self._hour: int | None = None
        self._running = 0.0
        self._baseline: _Baseline | None = None
        self._known = False

    def add(self, usd: float, wall: float) -> None:
        """Count money spent at a POSIX time in seconds."""
        self.advance(wall)
        self._running += usd

    def advance(self, wall: float) -> None:
        """Close the hours that are over; a clock set back keeps the running hour open."""
        hour = int(wall // 3600)
        if self._hour is None:
            self._hour = hour
        elif hour > self._hour:
            self._hours.append(self._running)
            self._hours.extend(0.0 for _ in range(min(hour - self._hour - 1, _WEEKS * _WEEK)))
            self._hour, self._running, self._known = hour, 0.0, False

    def score(self, wall: float) -> float | None:
        """Return how unusual the cost of the running hour is; `None` while there is nothing to compare it with."""
        self.advance(wall)
        if not self._known:
            self._baseline, self._known = _baseline(list(self._hours)), True
        expected = self._baseline
        if expected is None:
            return None
        if self._running - exp(expected.expected) < self._floor:
            return 0.0
        return (log(max(self._running, expected.quiet)) - expected.expected) / expected.scale

    @property
    def hours(self) -> list[float]:
        """Cost of the closed hours in USD, oldest first; what the next process needs to go on from here."""
        return list(self._hours)


def _baseline(hours: Sequence[float]) -> _Baseline | None:
    n = len(hours)
    busy = [cost for cost in hours if cost > 0]
    if n < _FIRST or not busy:
        return None
    quiet = _QUIET * _median(busy)
    low = log(quiet)
    logs = [log(max(cost, quiet)) for cost in hours]
    if n < _WEEK:
        peers = [logs[n - 24 * day] for day in (1, 2, 3)] if n >= 72 else logs
        return _Baseline(quiet, max(peers), log(_EARLY_FACTOR) / _LIMIT)
    pairs = [(logs[t], _same_hour(logs, t)) for t in range(max(_WEEK, n - _WEEK), n)]
    # Hours that were quiet both times agree by definition, and would make the rest look wild.
    deviations = [cost - usual for cost, usual in pairs if cost > low or usual > low]
    level = 0.0
    if len(deviations) >= _ENOUGH:
        level = max(0.0, _median(cost - usual for cost, usual in pairs[-24:]))
    else:
        # One week is no measure of how weeks differ; how neighbouring hours differ is close to it.
        deviations = [after - before for before, after in pairwise(logs) if max(before, after) > low]
    middle = _median(deviations)
    mad = max(_median(abs(deviation - middle) for deviation in deviations), _MAD_FLOOR)
    return _Baseline(quiet, _same_hour(logs, n) + level, _TO_SIGMA * mad)


def _same_hour(logs: Sequence[float], t: int) -> float:
    """Return the usual log cost at position `t`: the median of that hour and its neighbours in the weeks before."""
    middle = (t - _WEEK * week for week in range(1, _WEEKS + 1))
    return _median(logs[i] for m in middle if m >= 0 for i in range(max(0, m - 1), min(m + 2, t)))


def _median(values: Iterable[float]) -> float:
    # Not statistics.median: that module brings fractions, decimals and random numbers along at import.
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
