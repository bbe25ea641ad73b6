"""Totals of cost, unusual days and the forecast of the month."""

from __future__ import annotations

import math
import random
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.budget.cost_baseline import FIRST_DAYS, baseline, unusual_days
from agentprod.budget.costs import CostTotals
from agentprod.errors import ConfigError

MONDAY = datetime(2026, 1, 5, 12, tzinfo=UTC)
DOLLAR = 10**9
WEEK = (1.0, 1.05, 1.1, 1.05, 0.95, 0.4, 0.35)


def series(seed: int, days: int = 180, noise: float = 0.2, spikes: float = 0.06) -> tuple[list[float], list[bool]]:
    """Daily dollars with a weekly cycle, growth, noise, and days of triple cost after the first two weeks."""
    rng = random.Random(seed)
    spiked = [day >= 14 and rng.random() < spikes for day in range(days)]
    costs = [
        50 * 2 ** (day / days) * WEEK[day % 7] * math.exp(rng.gauss(0, noise)) * (3 if spiked[day] else 1)
        for day in range(days)
    ]
    return costs, spiked


def totals_of(costs: list[float], **options: Any) -> CostTotals:
    totals = CostTotals(**options)
    for day, cost in enumerate(costs):
        totals.add(round(cost * DOLLAR), at=MONDAY + timedelta(days=day))
    return totals


def test_totals_by_day_month_and_key() -> None:
    """Cost is summed exactly, in days of the given zone, and by key beside the total."""
    totals = CostTotals(tz="Asia/Shanghai")
    totals.add(1, at=datetime(2026, 1, 31, 15, 59, tzinfo=UTC), key="m1")
    totals.add(2, at=datetime(2026, 1, 31, 16, 0, tzinfo=UTC).timestamp(), key="m2")
    totals.add(4, at=datetime(2026, 2, 1, 17, 0, tzinfo=UTC), key="m1")
    totals.add(8, at=datetime(2026, 1, 30, 12, 0, tzinfo=UTC))
    nano = Decimal("1e-9")
    assert totals.by_day() == {
        date(2026, 1, 30): 8 * nano, date(2026, 1, 31): nano, date(2026, 2, 1): 2 * nano, date(2026, 2, 2): 4 * nano,
    }  # fmt: skip
    assert list(totals.by_day().items()) == sorted(totals.by_day().items())
    assert totals.by_day("m1") == {date(2026, 1, 31): nano, date(2026, 2, 2): 4 * nano}
    assert totals.by_month() == {"2026-01": 9 * nano, "2026-02": 6 * nano}
    assert totals.by_month("m2") == {"2026-02": 2 * nano}
    assert totals.by_key() == {"m1": 5 * nano, "m2": 2 * nano}
    assert totals.by_key(since=date(2026, 2, 2)) == {"m1": 4 * nano}
    assert totals.by_day("never") == {}


def test_keys_and_days_are_bounded() -> None:
    """Further keys are counted as others, old days are forgotten, and the total stays right."""
    totals = CostTotals(most_keys=2, keep_days=60)
    for number in range(5):
        totals.add(10, at=MONDAY, key=f"user{number}")
    assert {key: int(usd * DOLLAR) for key, usd in totals.by_key().items()} == {"other": 30, "user0": 10, "user1": 10}
    totals.add(1, at=MONDAY + timedelta(days=60))
    assert totals.by_day().keys() == {(MONDAY + timedelta(days=60)).date()}
    assert totals.by_key() == {}


def test_many_threads_add_to_one_total() -> None:
    """Nothing is lost between threads."""
    totals = CostTotals()

    def spend() -> None:
        for _ in range(500):
            totals.add(3, at=MONDAY, key="k")

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert totals.by_key()["k"] == totals.by_day()[MONDAY.date()] == Decimal(6000).scaleb(-9)


def test_spikes_are_found_in_noise_and_weekly_cycle() -> None:
    """Days of triple cost are told from ordinary ones better than by comparing with the average of a week."""
    hits = misses = false = 0
    for seed in range(8):
        costs, spiked = series(seed)
        for found, real in zip(unusual_days(costs, 0), spiked, strict=True):
            hits += found and real
            misses += real and not found
            false += found and not real
    assert 2 * hits / (2 * hits + misses + false) >= 0.9


def test_nothing_is_unusual_in_the_first_week() -> None:
    """Without a baseline there is no alert, however steep the rise."""
    totals = CostTotals()
    for day in range(FIRST_DAYS):
        totals.add(10**day * DOLLAR, at=MONDAY + timedelta(days=day))
        assert totals.check(MONDAY + timedelta(days=day)) is None
    assert CostTotals().check(MONDAY) is None
    assert CostTotals().forecast(MONDAY) is None


def test_one_alert_a_day() -> None:
    """A day is reported once, when it passes its limit, with what was expected."""
    totals = totals_of([10.0 * factor for factor in WEEK * 4])
    today = MONDAY + timedelta(days=28)
    totals.add(19 * DOLLAR, at=today)
    assert totals.check(today) is None
    totals.add(2 * DOLLAR, at=today)
    alert = totals.check(today)
    assert alert is not None
    assert (alert.day, alert.usd) == (today.date(), Decimal(21))
    assert float(alert.expected_usd) == pytest.approx(10, rel=0.1)
    assert alert.expected_usd < alert.limit_usd < alert.usd
    totals.add(50 * DOLLAR, at=today)
    assert totals.check(today) is None
    tomorrow = today + timedelta(days=1)
    totals.add(70 * DOLLAR, at=tomorrow)
    assert totals.check(tomorrow) is not None


def test_the_day_is_scored_by_what_would_be_unusual() -> None:
    """1 is where `check` begins to call a day unusual, also after an earlier day was corrected."""
    assert CostTotals().day_score(MONDAY) is None
    totals = totals_of([10.0 * factor for factor in WEEK * 4])
    today = MONDAY + timedelta(days=28)
    assert totals.day_score(today) == 0
    totals.add(12 * DOLLAR, at=today)
    before = totals.day_score(today)
    assert before == pytest.approx(0.6, abs=0.03)
    for week in range(4):
        totals.add(10 * DOLLAR, at=MONDAY + timedelta(days=7 * week))
    after = totals.day_score(today)
    assert after is not None
    assert after < before
    while totals.check(today) is None:
        score = totals.day_score(today)
        assert score is not None
        assert score <= 1
        totals.add(DOLLAR, at=today)
    score = totals.day_score(today)
    assert score is not None
    assert score > 1


def test_small_sums_are_not_worth_an_alert() -> None:
    """Below a dollar a day is never unusual, unless the floor is set lower."""
    for floor, alerts in ((1.0, False), (0.0, True)):
        totals = totals_of([0.01] * 20, floor_usd=floor)
        totals.add(DOLLAR // 2, at=MONDAY + timedelta(days=20))
        assert (totals.check(MONDAY + timedelta(days=20)) is not None) == alerts


def test_days_without_cost_are_quiet_days() -> None:
    """Free weekends are part of the pattern: work on one is unusual, a Monday is not."""
    costs = [10.0, 10, 10, 10, 10, 0, 0] * 6
    totals = totals_of(costs)
    monday = MONDAY + timedelta(days=len(costs))
    totals.add(11 * DOLLAR, at=monday)
    assert totals.check(monday) is None
    saturday = monday + timedelta(days=5)
    totals.add(10 * DOLLAR, at=saturday)
    assert totals.check(saturday) is not None


def test_a_lasting_rise_becomes_the_new_level() -> None:
    """Growth by steps below the limit is followed; the days after it are not all unusual."""
    flags = unusual_days([10.0] * 28 + [18.0] * 28, 0)
    assert not any(flags[-14:])


def test_the_month_is_forecast() -> None:
    """In the middle of a month, on series with cycle, growth and spikes, most forecasts are within ten percent."""
    off = []
    for seed in range(10):
        costs, _ = series(seed, spikes=0.03)
        actual = sum(cost for day, cost in enumerate(costs) if (MONDAY + timedelta(days=day)).month == 5)
        known = (date(2026, 5, 15) - MONDAY.date()).days
        forecast = totals_of(costs[:known]).forecast(datetime(2026, 5, 15, tzinfo=UTC))
        assert forecast is not None
        assert forecast.reached_on is None
        off.append(abs(float(forecast.month_usd) / actual - 1))
    assert sorted(off)[len(off) * 7 // 10] <= 0.1


def test_the_day_a_limit_is_reached() -> None:
    """At ten dollars a day, 140 dollars are reached on the fourteenth."""
    totals = totals_of([10.0] * 35)  # through 8 February
    forecast = totals.forecast(datetime(2026, 2, 9, 1, tzinfo=UTC), limit_usd=140)
    assert forecast is not None
    assert forecast.reached_on == date(2026, 2, 14)
    assert forecast.month_usd == 280
    late = totals.forecast(datetime(2026, 2, 9, 1, tzinfo=UTC), limit_usd="281")  # type: ignore[arg-type]
    assert late is not None
    assert late.reached_on is None


def test_a_forecast_over_days_without_cost() -> None:
    """Late weeks without any cost lead to a forecast of next to nothing, not to an error."""
    totals = totals_of([10.0] * 10)
    totals.add(0, at=MONDAY + timedelta(days=90))
    forecast = totals.forecast(MONDAY + timedelta(days=90))
    assert forecast is not None
    assert forecast.month_usd >= 0


@given(st.lists(st.floats(0, 1e9), max_size=80), st.integers(0, 6))
def test_any_series_has_an_answer(costs: list[float], weekday: int) -> None:
    """Zeros, jumps and gaps never raise; the first week is never unusual."""
    flags = unusual_days(costs, weekday)
    assert len(flags) == len(costs)
    assert not any(flags[:FIRST_DAYS])
    usual = baseline(costs, [(weekday + day) % 7 for day in range(len(costs))], 0)
    assert usual is None or 0 < usual.median <= usual.limit


@pytest.mark.parametrize("options", [{"keep_days": 59}, {"most_keys": 0}, {"floor_usd": -1}, {"floor_usd": math.nan}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """Bounds that would not work are errors when the totals are built."""
    with pytest.raises(ConfigError, match="keep_days"):
        CostTotals(**options)


def test_naive_times_are_refused() -> None:
    """A time without a zone could be the wrong day."""
    with pytest.raises(ConfigError, match="time zone"):
        CostTotals().add(1, at=datetime(2026, 1, 1))  # noqa: DTZ001
