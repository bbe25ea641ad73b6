"""Totals that follow the calls of a process: cost by key, quantiles, savings, unusual days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

import agentprod as ap
from agentprod.testing import FakeClock
from tests.budget.spending import HELLO, answer, by_output

START = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def totals() -> ap.CostTotals:
    return ap.CostTotals()


@pytest.fixture
def stops() -> Iterator[list[Any]]:
    """Whatever a test watches ends with it."""
    made: list[Any] = []
    yield made
    for stop in made:
        stop()


def asker(clock: FakeClock, **options: Any) -> Any:
    @ap.Stack(*options.pop("layers", ()), clock=clock, prices=by_output, **options)
    def ask(model: str, messages: Any, tokens: int) -> Any:
        return answer(tokens)

    return ask


def test_calls_are_added_by_key(totals: ap.CostTotals, stops: list[Any]) -> None:
    """Each call under its model, its day and its month; what ended before is not counted, nor what comes after."""
    clock = FakeClock(wall=START.timestamp())
    ask = asker(clock)
    ask("a", HELLO, 100)
    stop = totals.watch()
    ask("a", HELLO, 100)
    clock.advance(86_400)
    ask("b", HELLO, 50)
    stop()
    ask("b", HELLO, 50)
    assert totals.by_key() == {"a": Decimal(1), "b": Decimal("0.5")}
    assert totals.by_day() == {date(2026, 1, 5): 1, date(2026, 1, 6): Decimal("0.5")}
    assert totals.by_month("b") == {"2026-01": Decimal("0.5")}


def test_other_keys(stops: list[Any]) -> None:
    """Who asked, or what a callable says; a call without the name counts in the total alone."""
    by_user, by_tag = ap.CostTotals(), ap.CostTotals()
    stops += [by_user.watch(by="user"), by_tag.watch(by=lambda call: call.context.tags.get("prompt"))]
    ask = asker(FakeClock())
    with ap.context(user="u1", tags={"prompt": "B"}):
        ask("a", HELLO, 100)
    ask("a", HELLO, 100)
    assert (by_user.by_key(), by_tag.by_key()) == ({"u1": 1}, {"B": 1})
    assert sum(by_user.by_day().values()) == 2
    with pytest.raises(ap.ConfigError, match="by="):
        by_user.watch(by="colour")


def test_quantiles_of_the_cost_of_a_call(totals: ap.CostTotals, stops: list[Any]) -> None:
    """Of all calls and of each key, within 2 %."""
    stops.append(totals.watch())
    ask = asker(FakeClock())
    for cents in range(1, 101):
        ask("a" if cents <= 50 else "b", HELLO, cents)
    for part, usd in ((0.5, 0.505), (0.95, 0.9505), (1.0, 1.0)):
        assert float(totals.quantile(part) or 0) == pytest.approx(usd, rel=0.03)
    assert float(totals.quantile(0.5, "a") or 0) == pytest.approx(0.255, rel=0.03)
    assert totals.quantile(0.5, "c") is None
    with pytest.raises(ap.ConfigError, match="from 0 to 1"):
        totals.quantile(50)


def test_savings_by_cache_and_by_routing(stops: list[Any]) -> None:
    """A hit saves what its answer had cost; a cheaper model what the baseline model would have cost more."""
    totals = ap.CostTotals()
    stops.append(totals.watch(baseline="dear"))

    def prices(provider: str, model: str | None, usage: ap.Usage) -> Decimal:
        return Decimal(usage.output_tokens) * (10 if model == "dear" else 1) / 100

    clock = FakeClock(wall=START.timestamp())

    @ap.Stack(ap.Cache(), prices=prices, clock=clock)
    def ask(model: str, messages: Any) -> Any:
        return answer(100)

    ask("cheap", HELLO)
    ask("cheap", HELLO)
    ask("dear", HELLO)
    assert totals.saved("cache") == {"2026-01": Decimal(1)}
    assert totals.saved("routing") == {"2026-01": Decimal(9)}
    assert totals.quantile(1.0) is not None


def test_an_unusual_day_is_told_once(stops: list[Any]) -> None:
    """Four weeks of ten dollars, then a day of thirty: one call of the handler, with the figures."""
    totals = ap.CostTotals()
    told: list[Any] = []
    clock = FakeClock(wall=START.timestamp())
    stops.append(totals.watch(on_anomaly=told.append))
    ask = asker(clock)
    for day in range(28):
        totals.add((10 + day % 3) * 10**9, at=START + timedelta(days=day))
    clock.advance(28 * 86_400)
    for _ in range(40):
        ask("a", HELLO, 100)
        clock.advance(300)
    assert [(each.day, each.usd > each.limit_usd) for each in told] == [(date(2026, 2, 2), True)]
    assert 9 < told[0].expected_usd < 13


def test_an_unusual_day_reaches_the_alerts(stops: list[Any]) -> None:
    """A rule on days fires once when one has become unusually dear, and recovers with the next day."""
    totals, clock = ap.CostTotals(), FakeClock(wall=START.timestamp())
    rule = ap.Rule("day_cost_anomaly", ">", 1)
    alerts = ap.Alerts([rule], timer=False, listen=False, now=clock.monotonic, wall=clock.wall)
    stop = totals.watch()
    stops += [alerts.close, stop]
    for day in range(28):
        totals.add((10 + day % 3) * 10**9, at=START + timedelta(days=day))
    clock.advance(28 * 86_400)
    assert alerts.evaluate() == []
    ask = asker(clock)
    fired = []
    for _ in range(40):
        ask("a", HELLO, 100)
        clock.advance(300)
        fired += alerts.evaluate()
    assert [(each.rule, each.state, each.value) for each in fired] == [
        ("day_cost_anomaly", "firing", pytest.approx(1, abs=0.05))
    ]
    clock.advance(86_400)
    assert [each.state for each in alerts.evaluate()] == ["resolved"]
    stop()
    clock.advance(86_400)
    assert alerts.evaluate() == []


def test_a_call_without_a_price_is_left_out(totals: ap.CostTotals, stops: list[Any]) -> None:
    """Nothing is counted as free for want of a price."""
    stops.append(totals.watch())

    @ap.Stack(prices=lambda provider, model, usage: None)
    def ask(model: str, messages: Any) -> Any:
        return answer(100)

    ask("a", HELLO)
    assert totals.by_key() == {}
