"""Totals, timings and the windows made of them."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.telemetry.calls import AttemptRecord, CallRecord, ToolRecord
from agentprod.telemetry.rolling import Rolling
from agentprod.telemetry.summary import summarize, summarize_calls
from agentprod.telemetry.totals import Slice, Totals
from tests.telemetry.records import cached_call, call_record, failed_call, rejected_call

makers = st.sampled_from([call_record, failed_call, cached_call, rejected_call])


def made(calls: list[tuple[Any, float]]) -> list[CallRecord]:
    return [make(duration=duration) for make, duration in calls]


many_calls = st.lists(st.tuples(makers, st.floats(min_value=0, max_value=100)), max_size=30).map(made)


def slice_of(records: list[CallRecord]) -> Slice:
    seen = Slice()
    for record in records:
        seen.add(record)
    return seen


def same(left: Slice, right: Slice) -> bool:
    parts = ("duration", "ttft", "speed")
    return left.totals == right.totals and all(
        getattr(left.timings, part) == getattr(right.timings, part) for part in parts
    )


@given(many_calls, many_calls)
def test_slices_add_and_subtract_without_loss(first: list[CallRecord], second: list[CallRecord]) -> None:
    """Merging equals counting all calls, and subtracting what was merged gives the first slice back."""
    merged = slice_of(first).copy()
    merged.merge(slice_of(second))
    assert same(merged, slice_of(first + second))
    merged.subtract(slice_of(second))
    assert same(merged, slice_of(first))


def test_each_status_is_counted_for_what_it_is() -> None:
    """Success, failure, hit and refusal are told apart, and refusals do not make providers look fast."""
    seen = summarize_calls([call_record(duration=2.0), failed_call(duration=4.0), cached_call(), rejected_call()])
    assert (seen.calls, seen.errors, seen.cached, seen.rejected) == (4, 1, 1, 1)
    assert seen.success_rate == 0.5
    assert seen.attempts == 2
    assert seen.attempt_success_rate == 0.5
    assert seen.p95 == pytest.approx(4.0, rel=0.01)
    assert seen.p50 is not None


def test_retries_show_in_two_success_rates() -> None:
    """A call that succeeds at its third attempt is one success in one call and one in three attempts."""
    attempts = (
        AttemptRecord(number=1, outcome="failed", error_type="429"),
        AttemptRecord(number=2, outcome="failed", error_type="503"),
        AttemptRecord(number=3),
    )
    record = call_record(attempts=attempts)
    seen = summarize_calls([record])
    assert record.retries == 2
    assert (seen.success_rate, seen.retried) == (1.0, 1)
    assert seen.attempt_success_rate == pytest.approx(1 / 3)


def test_an_abandoned_attempt_is_no_failure() -> None:
    """The slower of two hedged attempts was given up, it did not fail."""
    record = call_record(attempts=(AttemptRecord(), AttemptRecord(outcome="abandoned", hedged=True)))
    assert summarize_calls([record]).attempt_success_rate == 1.0


def test_unknown_cost_is_never_zero() -> None:
    """Calls without a price are counted apart, and alone they have no cost."""
    unknown = call_record(cost_usd=None, cost_source="unknown")
    assert summarize_calls([unknown]).cost is None
    assert summarize_calls([unknown]).cost_text == "n/a"
    both = summarize_calls([unknown, call_record(cost="0.25")])
    assert (both.cost, both.unpriced, both.cost_text) == (Decimal("0.25"), 1, "$0.2500+")
    assert summarize_calls([]).cost == 0


def test_a_failed_call_that_billed_nothing_is_not_unpriced() -> None:
    """Neither an error without usage nor a file upload lacks a price."""
    upload = call_record(operation="other", usage=None, cost_usd=None)
    seen = summarize_calls([failed_call(), upload])
    assert (seen.unpriced, seen.cost) == (0, 0)


def test_savings_are_told_apart() -> None:
    """Savings of hits and of routing are two figures."""
    routed = call_record(saved_usd=Decimal("0.01"), route="cost", requested_model="gpt-5")
    seen = summarize_calls([cached_call(), cached_call(), routed])
    assert seen.saved_by_cache == Decimal("0.002")
    assert seen.saved_by_routing == Decimal("0.01")


def test_money_is_exact_whatever_the_thread_does_to_decimals() -> None:
    """A thread that works with three digits does not round our sums."""
    with decimal.localcontext(prec=3):
        seen = summarize_calls([call_record(cost="1000000.000000001") for _ in range(3)])
    assert seen.cost == Decimal("3000000.000000003")


@pytest.mark.parametrize(
    ("outcome", "lookups", "hits"),
    [("hit_exact", 1, 1), ("hit_semantic", 1, 1), ("stale", 1, 1), ("miss", 1, 0), ("error", 1, 0), ("bypass", 0, 0)],
)
def test_bypassed_calls_are_no_lookups(outcome: str, lookups: int, hits: int) -> None:
    """The hit rate counts look-ups that could have hit."""
    totals = Totals()
    totals.add(call_record(cache=outcome))
    assert (totals.lookups, totals.hits) == (lookups, hits)


def test_tool_calls_have_their_own_rate() -> None:
    """Tool successes do not mix with those of calls."""
    seen = Slice()
    seen.totals.add_tool(ToolRecord(tool="search"))
    seen.totals.add_tool(ToolRecord(tool="search", status="error"))
    assert summarize(seen).tool_success_rate == 0.5
    assert summarize(seen).success_rate is None


def test_speed_leaves_out_the_wait_for_the_first_token() -> None:
    """Tokens per second of a stream are counted from its first token, otherwise over the time at the provider."""
    assert call_record(duration=3.0, ttft=1.0).tokens_per_second == 10.0
    assert call_record(provider_time=4.0).tokens_per_second == 5.0
    assert call_record(provider_time=0.0).tokens_per_second is None
    assert failed_call().tokens_per_second is None
    assert summarize_calls([call_record(duration=3.0, ttft=1.0)]).ttft_p50 == pytest.approx(1.0, rel=0.01)


@given(st.lists(st.tuples(st.floats(min_value=0, max_value=120), makers), max_size=60))
def test_a_rolling_window_holds_what_is_recent(steps: list[tuple[float, Any]]) -> None:
    """A window holds every call of its length, and none older than its length and one step."""
    rolling = Rolling([60.0, 600.0], step=5.0)
    now, seen = 0.0, []
    for pause, make in steps:
        now += pause
        rolling.add(make(), now)
        seen.append(now)
        for length, slack in ((60.0, 5.0), (600.0, 10.0)):
            held = rolling.view(length, now).totals.calls
            assert held >= sum(now - at < length for at in seen)
            assert held <= sum(now - at <= length + slack for at in seen)


def test_a_window_that_all_calls_left_is_empty() -> None:
    """After its length nothing is left in a window, not even an empty bucket."""
    rolling = Rolling([60.0])
    for at in range(50):
        rolling.add(call_record(duration=at + 1.0), float(at))
    rolling.add_tool(ToolRecord(tool="search"), 51.0)
    later = rolling.view(60.0, 500.0)
    assert later.totals == Totals()
    assert later.timings.duration.to_dict() == {}


def test_totals_equal_only_totals() -> None:
    """Comparing with something else is no error."""
    assert Totals() != "totals"
