"""Budget windows begin and end where people expect, in every time zone and across changes of the clock."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.budget.windows import CALENDAR, SLICES, Period, window_bounds
from agentprod.errors import ConfigError

ZONES = ["UTC", "Asia/Shanghai", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
         "Africa/Cairo", "Atlantic/Azores", "America/Sao_Paulo"]  # fmt: skip
MOMENTS = st.floats(0, 4e9, allow_nan=False)


def posix(text: str, zone: str = "UTC", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("per", "zone", "now", "start", "end"),
    [
        ("minute", "UTC", "2026-11-20T10:30:59.5", "2026-11-20T10:30", "2026-11-20T10:31"),
        ("hour", "UTC", "2026-11-20T10:59:59", "2026-11-20T10:00", "2026-11-20T11:00"),
        ("hour", "Asia/Kathmandu", "2026-11-20T10:10", "2026-11-20T10:00", "2026-11-20T11:00"),
        ("day", "Asia/Shanghai", "2026-11-20T23:59:59", "2026-11-20", "2026-11-21"),
        ("day", "Asia/Shanghai", "2026-11-21T00:00", "2026-11-21", "2026-11-22"),
        ("week", "UTC", "2026-11-22T23:59", "2026-11-16", "2026-11-23"),
        ("week", "UTC", "2026-11-23T00:00", "2026-11-23", "2026-11-30"),
        ("month", "UTC", "2026-12-31T23:59", "2026-12-01", "2027-01-01"),
        ("month", "UTC", "2028-02-29T12:00", "2028-02-01", "2028-03-01"),
        ("month", "Asia/Shanghai", "2027-01-01T00:00", "2027-01-01", "2027-02-01"),
    ],
)
def test_calendar_windows(per: str, zone: str, now: str, start: str, end: str) -> None:
    """Windows of the calendar hold from their first moment up to, not including, the next one's."""
    assert window_bounds(per, zone, posix(now, zone)) == (posix(start, zone), posix(end, zone))


def test_midnight_in_shanghai_is_not_midnight_in_utc() -> None:
    """A budget by the day of Shanghai begins anew at 16:00 UTC."""
    before, after = posix("2026-11-20T15:59:59"), posix("2026-11-20T16:00:00")
    period = Period("day", "Asia/Shanghai")
    assert period.window(before).key == "day/Asia/Shanghai/2026-11-20"
    assert period.window(after).key == "day/Asia/Shanghai/2026-11-21"
    assert period.window(before).end == period.window(after).start == after


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("America/New_York", "2026-11-02", 24),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Africa/Cairo", "2026-04-24", 23),  # the clock skips midnight itself
        ("Atlantic/Azores", "2026-10-25", 25),  # midnight comes twice
    ],
)
def test_days_on_which_the_clock_changes(zone: str, day: str, hours: float) -> None:
    """A day lasts from midnight to midnight, however many hours that takes."""
    start, end = window_bounds("day", zone, posix(f"{day}T12:00", zone))
    assert (end - start) / 3600 == hours
    assert Period("day", zone).window(start).key == Period("day", zone).window(end - 1).key
    assert Period("day", zone).window(start - 1).key != Period("day", zone).window(start).key
    assert Period("day", zone).window(end).key != Period("day", zone).window(end - 1).key


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    """When the clock goes back, the repeated hour is a window of its own."""
    first = posix("2026-11-01T01:30", "America/New_York", fold=0)
    second = posix("2026-11-01T01:30", "America/New_York", fold=1)
    period = Period("hour", "America/New_York")
    assert second - first == 3600
    assert period.window(first).end == period.window(second).start


@given(st.sampled_from(CALENDAR), st.sampled_from(ZONES), MOMENTS)
def test_windows_hold_now_and_meet(per: str, zone: str, now: float) -> None:
    """Every moment is in its window, and each window but the odd half hour ends where the next begins."""
    period = Period(per, zone)
    window = period.window(now)
    assert window.start <= now < window.end
    assert Period(per, zone).window(window.start) == window
    following = Period(per, zone).window(window.end)
    assert following.key != window.key
    if per in ("day", "week", "month"):
        assert following.start == window.end


@given(st.sampled_from(CALENDAR), st.sampled_from(ZONES), st.lists(MOMENTS, min_size=2, max_size=6))
def test_one_period_serves_moments_in_any_order(per: str, zone: str, moments: list[float]) -> None:
    """What was asked before does not change the answer."""
    period = Period(per, zone)
    assert [period.window(now) for now in moments] == [Period(per, zone).window(now) for now in moments]


def test_windows_without_end() -> None:
    """A run and a total begin and end with what they count."""
    for per in ("run", "total"):
        window = Period(per).window(1.0)
        assert (window.key, window.start, window.end) == (per, -math.inf, math.inf)
        assert Period(per).buckets(1.0) == (window,)


@given(st.floats(0.01, 1e7), MOMENTS)
def test_rolling_windows_count_in_buckets(seconds: float, now: float) -> None:
    """The buckets cover the whole window without a gap, and at most one bucket more."""
    period = Period(seconds)
    buckets = period.buckets(now)
    assert period.is_rolling
    assert buckets[0].start <= now < buckets[0].end
    assert all(math.isclose(later.start, earlier.end) for later, earlier in pairwise(buckets))
    assert len({bucket.key for bucket in buckets}) == SLICES + 1
    assert buckets[-1].start <= now - seconds + 1e-6 * seconds + 1e-3
    assert now - buckets[-1].start <= seconds * (1 + 1 / SLICES) * (1 + 1e-6) + 1e-3


@pytest.mark.parametrize(
    ("seconds", "now"), [(7258.528755939137, 3212680355.123645), (6864.8416769522555, 2430820186.5258465)]
)
def test_the_edge_of_a_bucket_is_in_one(seconds: float, now: float) -> None:
    """Division rounds these moments into the bucket beside the one they are in."""
    window = Period(seconds).window(now)
    assert window.start <= now < window.end


def test_rolling_windows_have_bounds_and_names() -> None:
    """A rolling window is the time up to now; its buckets are named by its length."""
    assert window_bounds(timedelta(minutes=5), "UTC", 1000.0) == (700.0, 1000.0)
    assert Period(300).buckets(1000.0)[0].key == "rolling/300/66"
    assert Period(timedelta(hours=1)).name == "3600s"
    assert repr(Period("day", "Asia/Shanghai")) == "Period('day', tz='Asia/Shanghai')"


def test_aware_datetimes_and_fixed_offsets_are_taken() -> None:
    """Any aware datetime will do, and any tzinfo."""
    now = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    east = timezone(timedelta(hours=8))
    assert Period("day", east).window(now).start == datetime(2026, 11, 21, tzinfo=east).timestamp()
    assert Period("day").bounds(now) == Period("day").bounds(now.timestamp())


def test_naive_datetimes_are_refused() -> None:
    """A date without a time zone could mean a dozen windows."""
    with pytest.raises(ConfigError, match="time zone"):
        Period("day").window(datetime(2026, 11, 20))  # noqa: DTZ001


@pytest.mark.parametrize("per", ["fortnight", "", 0, -1, math.inf, math.nan, True, None, timedelta(0)])
def test_unknown_windows_are_refused(per: Any) -> None:
    """A window that is not one is an error when the limit is built."""
    with pytest.raises(ConfigError, match="per must be one of"):
        Period(per)


@pytest.mark.parametrize("tz", ["Mars/Olympus", "", "../etc", 8, None])
def test_unknown_time_zones_are_refused(tz: Any) -> None:
    """A time zone that is not known is an error that says how to get the data."""
    with pytest.raises(ConfigError, match="tz must be the name of a time zone"):
        Period("day", tz)
