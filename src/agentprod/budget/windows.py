"""Windows in which budgets count: a run, the last n seconds, or an hour, day, week or month of some time zone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agentprod.errors import ConfigError

__all__ = ["CALENDAR", "OPEN", "SLICES", "Per", "Period", "Window", "window_bounds"]

CALENDAR = ("minute", "hour", "day", "week", "month")
"""Windows that begin and end by the clock on the wall."""

OPEN = ("run", "total")
"""Windows without an end."""

SLICES = 20
"""Buckets a rolling window is counted in: what leaves it, leaves by a twentieth at a time."""

Per: TypeAlias = "str | float | timedelta"
"""A name from `CALENDAR` or `OPEN`, or the length of a rolling window (seconds or `timedelta`)."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window: the name of its bucket in a store, and when it begins and ends (POSIX times)."""

    key: str
    start: float
    end: float
    """Infinite for a window without an end."""


class Period:
    """What a limit is per: gives the window that holds at a time.

    A day has 23 or 25 hours when the clock changes; a week begins on Monday; hours and minutes begin where the local
    clock shows full ones. A rolling window is counted in buckets of a twentieth of its length, and counts up to one
    of them too much, never too little.

    Args:
        per: a name from `CALENDAR` or `OPEN`, or the length of a rolling window, above 0 (seconds or `timedelta`).

        tz: name of a time zone, such as `"Asia/Shanghai"`, or a `tzinfo`.

    Raises:
        ConfigError: when the name, the length or the time zone is not known.
    """

    def __init__(self, per: Per, tz: str | tzinfo = "UTC") -> None:
        self.zone = _zone(tz)
        self.seconds = _seconds(per)
        """Length of a rolling window; `None` for any other."""
        self.name = per if isinstance(per, str) else f"{self.seconds:g}s"
        self._zone_name = str(self.zone)
        # One window holds for many calls; threads may replace it by the same or a later one.
        self._last = Window("", math.inf, -math.inf)

    def __repr__(self) -> str:
        return f"Period({self.name!r}, tz={self._zone_name!r})"

    @property
    def is_rolling(self) -> bool:
        """True for a window of the last n seconds."""
        return self.seconds is not None

    def window(self, now: float | datetime) -> Window:
        """Return the window that holds at a time.

        Args:
            now: POSIX time or aware datetime.

        Returns:
            The window; `start <= now < end`. For a rolling one, the bucket that counts now.

        Raises:
            ConfigError: when `now` is a datetime without a time zone.
        """
        moment = _posix(now)
        last = self._last
        if not last.start <= moment < last.end:
            last = self._last = self._at(moment)
        return last

    def buckets(self, now: float | datetime) -> tuple[Window, ...]:
        """Return the windows whose counts add up to what a limit looks at, the newest first.

        Args:
            now: POSIX time or aware datetime.

        Returns:
            The one window of the calendar; for a rolling one, its bucket of now and those before it.
        """
        newest = self.window(now)
        if self.seconds is None:
            return (newest,)
        step = self.seconds / SLICES
        index = round(newest.start / step)
        return tuple(self._slice(each, step) for each in range(index, index - SLICES - 1, -1))

    def bounds(self, now: float | datetime) -> tuple[float, float]:
        """Return from when to when usage counts against a limit at a time.

        Args:
            now: POSIX time or aware datetime.

        Returns:
            POSIX times; for a rolling window its length up to now, infinite for a window without an end.
        """
        moment = _posix(now)
        if self.seconds is not None:
            return moment - self.seconds, moment
        window = self.window(moment)
        return window.start, window.end

    def _at(self, moment: float) -> Window:
        if self.seconds is not None:
            step = self.seconds / SLICES
            index = math.floor(moment / step)
            # Division may land just outside of the bucket it computed.
            while moment < index * step:
                index -= 1
            while moment >= (index + 1) * step:
                index += 1
            return self._slice(index, step)
        if self.name in OPEN:
            return Window(self.name, -math.inf, math.inf)
        local = datetime.fromtimestamp(moment, UTC).astimezone(self.zone)
        if self.name in ("minute", "hour"):
            length = 60 if self.name == "minute" else 3600
            offset = (local.utcoffset() or timedelta()).total_seconds()
            start = math.floor((moment + offset) / length) * length - offset
            return Window(f"{self.name}/{start:.0f}", start, start + length)
        first, after = self._days(local.date())
        start, end = self._midnight(first), self._midnight(after)
        return Window(f"{self.name}/{self._zone_name}/{first.isoformat()}", start, end)

    def _days(self, today: date) -> tuple[date, date]:
        """The first day of the window that a day is in, and the first day of the next."""
        if self.name == "day":
            return today, today + timedelta(days=1)
        if self.name == "week":
            monday = today - timedelta(days=today.weekday())
            return monday, monday + timedelta(days=7)
        first = today.replace(day=1)
        return first, (first + timedelta(days=32)).replace(day=1)

    def _midnight(self, day: date) -> float:
        # Where clocks skip midnight, fold=0 gives the moment of the change; where it comes twice, the first.
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()

    def _slice(self, index: int, step: float) -> Window:
        return Window(f"rolling/{self.seconds:g}/{index}", index * step, (index + 1) * step)


def window_bounds(per: Per, tz: str | tzinfo, now: float | datetime) -> tuple[float, float]:
    """Return from when to when usage counts against a limit.

    Args:
        per: a name from `CALENDAR` or `OPEN`, or the length of a rolling window (seconds or `timedelta`).

        tz: name of a time zone, or a `tzinfo`.

        now: POSIX time or aware datetime.

    Returns:
        POSIX times of beginning and end; infinite where there is none.

    Raises:
        ConfigError: when one of them is not known, or `now` has no time zone.
    """
    return Period(per, tz).bounds(now)


def _seconds(per: Per) -> float | None:
    if isinstance(per, str):
        if per not in CALENDAR and per not in OPEN:
            raise ConfigError(f"per must be one of {', '.join((*CALENDAR, *OPEN))}, or seconds above 0, not {per!r}")
        return None
    seconds = per.total_seconds() if isinstance(per, timedelta) else per
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise ConfigError(f"per must be one of {', '.join((*CALENDAR, *OPEN))}, or seconds above 0, not {per!r}")
    return float(seconds)


def _zone(tz: str | tzinfo) -> tzinfo:
    if isinstance(tz, tzinfo):
        return tz
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise ConfigError(
            f'tz must be the name of a time zone, such as "Asia/Shanghai" or "UTC", not {tz!r}; '
            "on systems without time zone data, pip install tzdata"
        ) from None


def _posix(now: float | datetime) -> float:
    if not isinstance(now, datetime):
        return now
    if now.tzinfo is None:
        raise ConfigError("now: expected a POSIX time or an aware datetime, got a datetime without a time zone")
    return now.timestamp()
