"""Is this hour dearer than hours like it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from agentprod.telemetry.anomaly import HourlyCost

HOUR = 3600.0

Season = Callable[[int], float]


def even(_: int) -> float:
    return 1.0


def week_wave(hour: int) -> float:
    return 1 + 0.5 * math.sin(2 * math.pi * hour / 168)


def business(hour: int) -> float:
    weekday = (hour // 24) % 7 < 5
    return (1.0 if weekday else 0.3) * (1 + 0.6 * math.sin(2 * math.pi * (hour % 24 - 8) / 24))


def office(hour: int) -> float:
    return 1.0 if 8 <= hour % 24 < 18 and (hour // 24) % 7 < 5 else 0.1


SEASONS = [even, week_wave, business, office]


def noisy(season: Season, hours: int, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [10 * season(hour) * max(0.0, 1 + 0.2 * rng.gauss(0, 1)) for hour in range(hours)]


def score(history: list[float], usd: float) -> float:
    costs = HourlyCost(history)
    costs.add(usd, 0.0)
    found = costs.score(0.0)
    assert found is not None
    return found


@pytest.mark.parametrize("season", SEASONS)
def test_a_week_of_seasons_and_noise_is_no_anomaly(season: Season) -> None:
    """Over 1,000 hours with 20 % noise there is at most one false alarm, nights and week-ends included."""
    costs = HourlyCost()
    alarms = 0
    for hour, usd in enumerate(noisy(season, 1000, seed=3)):
        costs.add(usd, hour * HOUR)
        found = costs.score(hour * HOUR)
        alarms += found is not None and found > 3.5
    assert alarms <= 1


@pytest.mark.parametrize("season", SEASONS)
def test_a_fivefold_hour_is_one(season: Season) -> None:
    """At whatever time of the week, an hour of five times its usual cost scores above 3.5."""
    history = noisy(season, 505, seed=5)
    found = [score(history[:end], 50 * season(end)) for end in range(168, 505, 7)]
    assert sum(value > 3.5 for value in found) >= 0.98 * len(found)


def test_an_early_fivefold_hour_is_one() -> None:
    """After a day of steady cost five times as much is an anomaly already."""
    assert score([2.0] * 24, 10.0) > 3.5
    assert score([2.0] * 80, 10.0) > 3.5
    assert score([2.0] * 24, 4.0) < 3.5


def test_a_rise_shows_within_the_hour() -> None:
    """The alarm need not wait for the end of the hour; nor is a young hour an anomaly for being cheap."""
    costs = HourlyCost([10.0] * 200)
    costs.add(1.0, 0.0)
    assert costs.score(60.0) == 0
    costs.add(60.0, 61.0)
    found = costs.score(62.0)
    assert found is not None
    assert found > 3.5


def test_growth_from_week_to_week_is_learnt() -> None:
    """A service whose days have doubled since last week is not anomalous for weeks."""
    history = [10.0] * 336 + [20.0] * 48
    assert score(history, 20.0) < 1


@pytest.mark.parametrize("history", [[], [1.0] * 11, [0.0] * 300])
def test_without_a_baseline_there_is_no_score(history: list[float]) -> None:
    """Hours that are missing or were all free are nothing to compare with."""
    assert HourlyCost(history).score(0.0) is None


def test_a_few_cents_are_no_anomaly() -> None:
    """Ten times almost nothing is still almost nothing."""
    assert score([0.001] * 200, 0.01) == 0


def test_quiet_hours_are_alike() -> None:
    """A service that is used by day only scores by day, and for spending at night that equals a busy hour."""
    history = [10.0 if 8 <= hour % 24 < 18 else 0.0 for hour in range(24 * 14)]
    assert score(history, 0.5) == pytest.approx(0)
    assert score(history, 10.0) > 3.5


def test_hours_without_calls_count_as_free() -> None:
    """A pause of two days leaves 48 free hours, and a clock set back changes nothing."""
    costs = HourlyCost()
    costs.add(1.0, 0.0)
    costs.add(2.0, 50 * HOUR)
    costs.add(3.0, 49 * HOUR)
    costs.advance(51 * HOUR)
    assert costs.hours == [1.0, *[0.0] * 49, 5.0]
    costs.advance(10**7 * HOUR)
    assert len(costs.hours) == 673


def test_history_carries_over() -> None:
    """A process that takes over the hours of another scores as that one did."""
    first = HourlyCost(noisy(business, 400, seed=9))
    second = HourlyCost(first.hours)
    for costs in (first, second):
        costs.add(40.0, 0.0)
    assert first.score(0.0) == second.score(0.0)
