"""What a budget counts, whom it counts for, and what it does when there is no room."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import agentprod as ap
from agentprod.stores import MemoryStore, StoreUnavailable
from agentprod.testing import FakeClock
from tests.budget.spending import HELLO, MODEL, answer, asks, by_output, remote, spent
from tests.callers import MODES, Caller, Script
from tests.sdk_errors import openai_error

DAY = 86_400.0


def moment(zone: str, *parts: int) -> float:
    """The POSIX time of a moment on the wall clock of a zone."""
    return datetime(*parts, tzinfo=ZoneInfo(zone)).timestamp()  # type: ignore[arg-type,misc]


def events() -> list[str]:
    """What the budget wrote down about the last call."""
    last = ap.last()
    assert last is not None
    return [note.event for note in last.notes if note.layer == "TokenBudget"]


@pytest.mark.parametrize("mode", MODES)
def test_every_kind_of_callable_is_held_to_it(mode: str) -> None:
    """Sync and async functions and the generators of both: refused before they run, counted when they have ended."""
    caller, script = Caller(mode), Script("one two three")
    budget = ap.TokenBudget(ap.Limit(calls=2, tokens=10_000, per="total"))
    ask = caller.decorate(ap.Stack(budget), script, model=MODEL)
    for _ in range(2):
        assert caller.ask(ask, "hi").value == "one two three"
    told = caller.ask(ask)
    assert isinstance(told.error, ap.BudgetExceeded)
    assert script.calls == 2
    tokens = ap.count_tokens("hi", MODEL) + ap.count_tokens("one two three", MODEL)
    assert spent(budget) == [(2 * tokens, 0), (2, 0)]


def test_tokens_money_and_calls() -> None:
    """All that a provider reports is counted, in the unit of each limit."""
    budget = ap.TokenBudget(ap.Limit(tokens=10_000, usd=10, calls=10, per="total"))
    ask, _ = asks(budget, tokens=30)
    ask()
    ask()
    assert spent(budget) == [(80, 0), (0.6, 0.0), (2, 0)]


def test_money_by_list_price_without_setup() -> None:
    """10 input and 30 output tokens of gpt-5-mini: 10 * 250 + 30 * 2,000 nano-dollars."""
    budget = ap.TokenBudget(usd=1, per="total")

    @ap.Stack(budget)
    def ask(model: str, messages: Any) -> Any:
        return answer(30)

    ask(MODEL, HELLO)
    assert spent(budget) == [(0.0000625, 0.0)]


def test_a_limit_of_a_limit_is_short_for_one() -> None:
    """`TokenBudget(tokens=…, per=…, by=…)` is one limit."""
    budget = ap.TokenBudget(tokens=5, per="hour", by="user")
    assert budget.limits == (ap.Limit(tokens=5, per="hour", by="user"),)


def test_whose_budget_it_is() -> None:
    """Each user, each user within a team, and each model have their own."""
    budget = ap.TokenBudget(
        ap.Limit(usd=1, by="user"), ap.Limit(usd=1, by=("team", "user")), ap.Limit(usd=3, by="model")
    )
    ask, sent = asks(budget)
    for user in ("u1", "u2"):
        with ap.context(user=user, team="a"):
            ask()
    with ap.context(user="u2", team="a"), pytest.raises(ap.BudgetExceeded, match="user per day") as refused:
        ask()
    assert "u2" not in str(refused.value)
    assert sent.calls == 2
    assert spent(budget, user="u1") == [(1.0, 0.0)]
    assert spent(budget, user="u2", team="a", model=MODEL) == [(1.0, 0.0), (1.0, 0.0), (2.0, 0.0)]


def test_a_budget_of_nobody() -> None:
    """Asking by user when no user is named is an error, never a shared budget."""
    ask, sent = asks(ap.TokenBudget(usd=1, by="user"))
    with pytest.raises(ap.ConfigError, match=r"ap\.context\(user=…\)"):
        ask()
    assert sent.calls == 0


def test_limits_that_depend_on_the_call() -> None:
    """A callable says how much, and for whom."""
    budget = ap.TokenBudget(
        ap.Limit(
            usd=lambda call: 2 if call.context.tags.get("plan") == "pro" else "1",
            by=lambda call: call.context.tags["key"],
            per="total",
            name="plan",
        )
    )
    ask, sent = asks(budget)
    with ap.context(tags={"plan": "pro", "key": "k1"}):
        ask()
        ask()
    with ap.context(tags={"key": "k2"}), pytest.raises(ap.BudgetExceeded, match=r"limit of \$1 "):
        ask()
        ask()
    assert sent.calls == 3
    assert spent(budget, key="k1") == [(2.0, 0.0)]
    assert budget.status(key="k1")[0].limit is None


@pytest.mark.parametrize(
    ("per", "tz", "before", "after"),
    [
        ("day", "Asia/Shanghai", (2026, 11, 20, 23, 59), (2026, 11, 21, 0, 1)),
        ("day", "Europe/Berlin", (2026, 3, 29, 23, 59), (2026, 3, 30, 0, 1)),
        ("hour", "Asia/Kolkata", (2026, 11, 20, 10, 59), (2026, 11, 20, 11, 1)),
        ("week", "America/New_York", (2026, 11, 22, 23, 59), (2026, 11, 23, 0, 1)),
        ("month", "Asia/Shanghai", (2026, 2, 28, 23, 59), (2026, 3, 1, 0, 1)),
    ],
)
def test_a_window_ends_where_its_time_zone_says(
    per: str, tz: str, before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    """Midnight in Shanghai, a 23 hour day in Berlin, the end of a month: both sides of the border."""
    start, end = moment(tz, *before), moment(tz, *after)
    clock = FakeClock(wall=start)
    budget = ap.TokenBudget(usd=1, per=per, tz=tz)
    ask, sent = asks(budget, clock=clock)
    ask()
    with pytest.raises(ap.BudgetExceeded) as refused:
        ask()
    assert refused.value.resets_at == start + 60
    assert refused.value.retry_after == 60
    border = datetime.fromtimestamp(start + 60, ZoneInfo(tz))
    assert f"resets at {border:%Y-%m-%d %H:%M} {tz}." in str(refused.value)
    clock.advance(end - start)
    ask()
    assert sent.calls == 2


def test_a_day_of_23_hours() -> None:
    """Where the clock skips an hour, the day is that much shorter."""
    tz = "Europe/Berlin"
    clock = FakeClock(wall=moment(tz, 2026, 3, 29, 0, 0))
    ask, _ = asks(ap.TokenBudget(usd=1, per="day", tz=tz), clock=clock)
    ask()
    with pytest.raises(ap.BudgetExceeded) as refused:
        ask()
    assert refused.value.retry_after == 23 * 3600


def test_a_rolling_window() -> None:
    """What was spent leaves it a twentieth at a time, and counts no shorter than its length."""
    clock = FakeClock(wall=1_700_000_000.0)
    budget = ap.TokenBudget(usd=2, per=100)
    ask, sent = asks(budget, clock=clock)
    ask()
    clock.advance(50)
    ask()
    for wait in (40, 9):
        clock.advance(wait)
        with pytest.raises(ap.BudgetExceeded):
            ask()
    clock.advance(7)
    ask()
    with pytest.raises(ap.BudgetExceeded):
        ask()
    assert sent.calls == 3
    assert spent(budget) == [(2.0, 0.0)]


def test_a_call_across_border_bills_one_window() -> None:
    """The window of its reservation: the next day begins with nothing spent."""
    clock = FakeClock(wall=moment("UTC", 2026, 11, 20, 23, 59, 59))
    budget = ap.TokenBudget(usd=1)

    @ap.Stack(budget, prices=by_output, clock=clock)
    def ask(model: str, messages: Any, max_tokens: int) -> Any:
        clock.advance(10)
        return answer(100)

    ask(MODEL, HELLO, 100)
    assert spent(budget) == [(0.0, 0.0)]
    ask(MODEL, HELLO, 100)


def retrying(budget: ap.TokenBudget, *steps: Any) -> tuple[Any, Script]:
    script = Script(*steps)

    @ap.Stack(budget, ap.Retry(attempts=4, wait=0), prices=by_output, clock=FakeClock())
    def ask(model: str, messages: Any, max_tokens: int) -> Any:
        step = script.begin()
        if isinstance(step, Exception):
            raise step
        return step

    return lambda: ask(MODEL, HELLO, 100), script


def test_what_a_provider_refused_costs_nothing() -> None:
    """Three rate limits and an answer: one call, and the tokens of one answer."""
    budget = ap.TokenBudget(ap.Limit(tokens=1000, usd=10, calls=1, per="total"))
    ask, script = retrying(budget, openai_error(429), openai_error(429), openai_error(429), answer(40))
    ask()
    assert script.calls == 4
    assert spent(budget) == [(50, 0), (0.4, 0.0), (1, 0)]


@pytest.mark.parametrize(("on_uncertain", "kept"), [("keep", True), ("refund", False)])
def test_what_failed_after_it_was_sent(on_uncertain: str, kept: bool) -> None:
    """A server error keeps the cost of its input, unless it is to be refunded; the call counts once."""
    budget = ap.TokenBudget(ap.Limit(tokens=1000, calls=5, per="total"), on_uncertain=on_uncertain)
    ask, _ = retrying(budget, openai_error(500), answer(40))
    ask()
    prompt = ap.count_tokens(HELLO, MODEL)
    (tokens, calls) = spent(budget)
    assert tokens == (pytest.approx(50 + prompt * kept, abs=1), 0)
    assert calls == (1, 0)


def test_retries_then_a_fallback() -> None:
    """Only what was answered is billed, at the price of who answered; the call counts once."""
    budget = ap.TokenBudget(ap.Limit(tokens=1000, usd=10, calls=5, per="total"))

    def other(model: str, messages: Any, max_tokens: int) -> Any:
        return answer(20)

    @ap.Stack(budget, ap.Fallback(other), ap.Retry(attempts=3, wait=0), prices=by_output, clock=FakeClock())
    def ask(model: str, messages: Any, max_tokens: int) -> Any:
        raise openai_error(429)

    ask(MODEL, HELLO, 100)
    assert [attempt.outcome for attempt in ap.last().attempts] == ["failed"] * 3 + ["ok"]  # type: ignore[union-attr]
    assert spent(budget) == [(30, 0), (0.2, 0.0), (1, 0)]


def test_an_escalating_cascade_pays_both_legs() -> None:
    """The cheap answer that is not kept, and the dear one that is."""
    budget = ap.TokenBudget(ap.Limit(tokens=1000, usd=10, calls=5, per="total"))
    cascade = ap.Cascade(["gpt-5-nano", "gpt-5"], checks=[lambda told: "sure" in str(told)])

    @ap.Stack(budget, cascade, prices=by_output)
    def ask(model: str, messages: Any, max_tokens: int) -> Any:
        return answer(10, "maybe") if model == "gpt-5-nano" else answer(30, "sure")

    ask(MODEL, HELLO, 100)
    assert [attempt.model for attempt in ap.last().attempts] == ["gpt-5-nano", "gpt-5"]  # type: ignore[union-attr]
    assert spent(budget) == [(60, 0), (0.4, 0.0), (1, 0)]


def test_two_answers_of_one_call_are_both_billed() -> None:
    """A layer that drops an answer and asks again pays for both, as one call."""
    budget = ap.TokenBudget(ap.Limit(tokens=1000, calls=5, per="total"))

    class AskTwice:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            await (await call_next(call)).discard()
            return await call_next(call)

    ask, sent = asks(budget, AskTwice(), tokens=40)
    ask()
    assert sent.calls == 2
    assert spent(budget) == [(100, 0), (1, 0)]


def test_a_refusal_by_another_gate_gives_all_back() -> None:
    """Nothing stays held for an attempt that never was."""
    budget = ap.TokenBudget(tokens=1000, per="total")

    class Refuse:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            call = call.replace()
            call.gate(self.admit, self.settle)
            return await call_next(call)

        async def admit(self, call: ap.Call) -> None:
            raise ap.Blocked("not today")

        async def settle(self, token: Any, attempt: Any) -> None:
            raise AssertionError

    ask, sent = asks(budget, Refuse())
    with pytest.raises(ap.Blocked):
        ask()
    assert (sent.calls, spent(budget)) == (0, [(0, 0)])


def test_a_hit_costs_nothing_and_an_exhausted_user_gets_none() -> None:
    """Behind a cache, hits reserve nothing; once all is spent even they are refused."""
    budget = ap.TokenBudget(usd=1, per="total")
    ask, sent = asks(budget, ap.Cache())
    ask()
    with pytest.raises(ap.BudgetExceeded, match="has no room"):
        ask()
    budget.grant(usd=1)
    for _ in range(3):
        ask()
    assert sent.calls == 1
    assert spent(budget) == [(0.0, 0.0)]


def test_an_answer_longer_than_reserved_is_seen_by_the_next() -> None:
    """The limit is then overdrawn, the call says so, and nothing more is sent."""
    budget = ap.TokenBudget(usd=1, per="total")
    ask, sent = asks(budget, tokens=150)
    ask()
    assert "overrun" in events()
    assert budget.status()[0].left == 0
    assert budget.status()[0].used_ratio == 1.5
    with pytest.raises(ap.BudgetExceeded):
        ask()
    assert sent.calls == 1


def test_the_most_a_model_answers_bounds_what_is_reserved() -> None:
    """Without a maximum in the request the reserve is bounded by what the model can say at all."""
    budget = ap.TokenBudget(tokens=20_000, per="total", output_reserve=50_000)

    @ap.Stack(budget)
    def ask(model: str, messages: Any, n: int = 1) -> Any:
        return answer(10)

    ask("gpt-4o", HELLO)
    with pytest.raises(ap.BudgetExceeded):
        ask("gpt-5-mini", HELLO)
    with pytest.raises(ap.BudgetExceeded):
        ask("gpt-4o", HELLO, n=2)


def test_a_cache_write_is_reserved_at_its_dearer_price() -> None:
    """With cache marks set, the input may cost 1.25 or 2 times as much."""
    reserved = []

    def spy(provider: str, model: str | None, usage: ap.Usage) -> Decimal | None:
        reserved.append((usage.input_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens))
        return ap.prices.default(provider, model, usage)

    anthropic = pytest.importorskip("anthropic")
    from agentprod.testing import Provider

    text = {"type": "text", "text": "a long prefix", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    with Provider() as provider, anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any") as client:
        budget = ap.TokenBudget(usd=1, per="total")
        wrapped = ap.Stack(budget, prices=spy).wrap(client)
        wrapped.messages.create(model="claude-sonnet-5", max_tokens=50, system=[text], messages=HELLO)
    read = reserved[0][0]
    assert (read, read, read) in reserved


# Unknown prices


def test_an_unknown_model_costs_the_upper_bound() -> None:
    """One warning for the model, and never a cost of nothing."""
    budget = ap.TokenBudget(usd=100, per="total")

    @ap.Stack(budget)
    def ask(model: str, messages: Any, max_tokens: int) -> Any:
        return answer(30)

    ap.prices.clear()
    with pytest.warns(ap.AgentprodWarning, match="no price is known for model 'gpt-99-unheard-of'") as warned:
        [ask("gpt-99-unheard-of", HELLO, 100) for _ in range(2)]
    assert len(warned) == 1
    assert spent(budget)[0][0] > 0
    ap.prices.clear()


@pytest.mark.parametrize(("on_unknown", "sends"), [("refuse", 0), ("tokens_only", 1), ("free", 1)])
def test_an_unknown_model_otherwise(on_unknown: Any, sends: int) -> None:
    """It is not asked at all, or its money is not counted; its tokens always are."""
    budget = ap.TokenBudget(ap.Limit(usd=100, tokens=1000, per="total"), on_unknown=on_unknown)
    ask, sent = asks(budget, prices=lambda provider, model, usage: None)
    if sends:
        ask()
        assert "price_unknown" in events()
    else:
        with pytest.raises(ap.BudgetExceeded, match="No price is known"):
            ask()
    assert sent.calls == sends
    assert spent(budget) == [(110 * sends, 0), (0.0, 0.0)]


# Actions


def test_warn_lets_all_pass() -> None:
    """With `on_exceeded="warn"` a budget only watches."""
    budget = ap.TokenBudget(usd=1, per="total", on_exceeded="warn")
    ask, sent = asks(budget)
    for _ in range(3):
        ask()
    assert "exceeded" in events()
    assert (sent.calls, spent(budget)) == (3, [(3.0, 0.0)])


def test_downgrade_asks_the_dearest_model_that_fits() -> None:
    """The first of `models` that what is left can pay for."""
    budget = ap.TokenBudget(
        usd="0.01", per="total", on_exceeded="downgrade", models=("gpt-5", "gpt-5-mini", "gpt-5-nano")
    )
    asked = []

    @ap.Stack(budget)
    def ask(model: str, messages: Any, max_tokens: int) -> Any:
        asked.append(model)
        return answer(4000)

    for _ in range(2):
        ask("gpt-5-pro", HELLO, 4000)
    assert asked == ["gpt-5-mini", "gpt-5-nano"]
    note = next(note for note in ap.last().notes if note.event == "acted")  # type: ignore[union-attr]
    assert note.data == {"action": "downgrade", "name": "global in total"}
    with pytest.raises(ap.BudgetExceeded):
        ask("gpt-5-pro", HELLO, 40_000)


def test_downgrade_asks_the_router_inside() -> None:
    """It gets to know what is left, and chooses among its own models."""
    asked = []
    budget = ap.TokenBudget(usd="0.01", per="total", on_exceeded="downgrade")
    router = ap.Router(["gpt-5-nano", "gpt-5-mini", "gpt-5"], stages=[lambda ask: "gpt-5"])

    @ap.Stack(budget, router)
    def ask(model: str, messages: Any, max_tokens: int) -> Any:
        asked.append(model)
        return answer(400)

    ask("gpt-5", HELLO, 4000)
    assert asked == ["gpt-5-mini"]


def test_downgrading_to_nothing_is_an_error_of_the_stack() -> None:
    """Without models, without a router inside or without a limit in its unit: it is told before any call."""
    router = ap.Router(["gpt-5-nano", "gpt-5-mini"])
    for option in ("on_exceeded", "on_soft"):
        alone: dict[str, Any] = {option: "downgrade"}
        for layers in ([ap.TokenBudget(usd=1, **alone)], [router, ap.TokenBudget(usd=1, **alone)]):
            with pytest.raises(ap.ConfigError, match="or a Router inside"):
                ap.Stack(*layers)
        with pytest.raises(ap.ConfigError, match="no limit here is in usd="):
            ap.Stack(ap.TokenBudget(tokens=1, **alone), router)
    with pytest.raises(ap.ConfigError, match="or a Router inside"):
        ap.TokenBudget(usd=1, on_exceeded="downgrade")(lambda model, messages: None)
    some = ap.when("chat", ap.TokenBudget(usd=1, on_exceeded="downgrade"))
    assert ap.Stack(some, router).layers == (some, router)
    with pytest.raises(ap.ConfigError, match="or a Router inside"):
        ap.Stack(router, some)


def test_shorten_lowers_the_most_an_answer_may_have() -> None:
    """To what is left, for money and for tokens, unless too little is left for any answer."""
    budget = ap.TokenBudget(usd=1, per="total", on_exceeded="shorten")
    ask, sent = asks(budget, tokens=30)
    ask(max_tokens=300)
    assert 99 <= sent.requests[0]["max_tokens"] <= 100
    assert spent(budget) == [(0.3, 0.0)]
    ask(max_tokens=300)
    with pytest.raises(ap.BudgetExceeded):
        ask(max_tokens=300)
    assert 69 <= sent.requests[1]["max_tokens"] <= 70

    tokens = ap.TokenBudget(tokens=200, per="total", on_exceeded="shorten")
    ask, sent = asks(tokens, tokens=30)
    ask(max_tokens=300)
    assert 180 < sent.requests[0]["max_tokens"] + ap.count_tokens(HELLO, MODEL) <= 200


def test_actions_are_tried_in_their_order() -> None:
    """Where a cheaper model does not help, the answer is shortened; where nothing helps, the refusal stands."""
    budget = ap.TokenBudget(
        tokens=200, per="total", on_exceeded=("downgrade", "shorten", "raise"), models=("gpt-5-nano",)
    )
    ask, sent = asks(budget, tokens=30)
    ask(max_tokens=300)
    assert sent.requests[0]["model"] == MODEL
    assert sent.requests[0]["max_tokens"] < 200


def test_queue_waits_for_the_next_window() -> None:
    """A call waits until there is room again, if its time allows it."""
    clock = FakeClock(wall=moment("UTC", 2026, 11, 20, 10, 59, 30))
    ask, sent = asks(ap.TokenBudget(usd=1, per="hour", on_exceeded="queue"), clock=clock)
    ask()
    ask()
    assert (sent.calls, sum(clock.slept)) == (2, 30)
    with ap.context(deadline=60), pytest.raises(ap.BudgetExceeded):
        ask()
    assert sum(clock.slept) == 30


def test_queue_gives_up_after_its_longest_wait() -> None:
    """`max_wait` bounds it, and what could never fit does not wait at all."""
    clock = FakeClock(wall=moment("UTC", 2026, 11, 20, 10, 0, 0))
    ask, _ = asks(ap.TokenBudget(usd=1, per="hour", on_exceeded="queue", max_wait=10), clock=clock)
    ask()
    with pytest.raises(ap.BudgetExceeded):
        ask()
    with pytest.raises(ap.BudgetExceeded):
        ask(max_tokens=1000)
    assert clock.slept == []


def test_soft_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    """From its soft part on a limit is remarked: on every call, and once in the log."""
    budget = ap.TokenBudget(usd=10, per="total", by="user")
    ask, _ = asks(budget)
    flags = []
    with caplog.at_level(logging.WARNING, "agentprod.budget"), ap.context(user="u1"):
        for _ in range(10):
            ask()
            flags.append("soft" in events())
    assert flags == [False] * 7 + [True] * 3
    assert len(caplog.records) == 1
    assert "80 % of the limit of usd, user in total" in caplog.text
    assert "u1" not in caplog.text


def test_records_tell_the_tightest_limit() -> None:
    """So that monitor, alerts and metrics see a budget run out."""
    budget = ap.TokenBudget(ap.Limit(usd=10, per="total"), ap.Limit(calls=4, per="hour"))
    ask, _ = asks(budget)
    with ap.record() as calls:
        ask()
        ask()
    told = [(record.budget, record.budget_used) for record in calls]
    assert told == [("global per hour", 0.25), ("global per hour", 0.5)]


def test_soft_downgrades_before_the_limit() -> None:
    """From the soft part on a cheaper model is asked, while the limit itself still has room."""
    budget = ap.TokenBudget(
        ap.Limit(usd="0.01", per="total", soft=0.5), on_soft="downgrade", models=("gpt-5", "gpt-5-nano")
    )
    asked = []

    @ap.Stack(budget)
    def ask(model: str, messages: Any, max_tokens: int) -> Any:
        asked.append(model)
        return answer(400)

    for _ in range(3):
        ask("gpt-5", HELLO, 400)
    assert asked == ["gpt-5", "gpt-5-nano", "gpt-5-nano"]


def test_soft_raise_is_a_lower_limit() -> None:
    """With `on_soft="raise"` the soft part is the limit; where no action helps otherwise, the call passes."""
    ask, sent = asks(ap.TokenBudget(usd=10, per="total", on_soft="raise"))
    with pytest.raises(ap.BudgetExceeded):
        for _ in range(10):
            ask()
    assert sent.calls == 8
    ask, sent = asks(ap.TokenBudget(usd=10, per="total", on_soft="downgrade", models=(MODEL,)))
    with pytest.raises(ap.BudgetExceeded):
        for _ in range(11):
            ask()
    assert sent.calls == 10


def test_an_agent_learns_why_it_ended() -> None:
    """The run that a budget ends says so."""
    ask, _ = asks(ap.TokenBudget(usd=1, per="run"))
    with pytest.raises(ap.BudgetExceeded, match="run per run"), ap.agent("a") as run:
        ask()
        ask()
    assert run.exit_reason == "budget"


# By hand


def test_grant_and_reset() -> None:
    """More can be given to one user, in the unit asked for, and what was spent forgotten."""
    budget = ap.TokenBudget(ap.Limit(usd=1, calls=5, by="user"), ap.Limit(usd=100))
    ask, sent = asks(budget)
    with ap.context(user="u1"):
        ask()
        budget.grant(usd="0.5", user="u1")
        with pytest.raises(ap.BudgetExceeded):
            ask()
        budget.grant(usd="0.5", user="u1")
        ask()
        budget.reset(user="u1")
        ask()
    assert sent.calls == 3
    assert spent(budget, user="u1") == [(1.0, 0.0), (1, 0), (3.0, 0.0)]
    budget.reset()
    assert spent(budget) == [(0.0, 0.0)]


def test_status_tells_how_limits_stand() -> None:
    """For the holders named; limits of others are left out."""
    clock = FakeClock(wall=moment("UTC", 2026, 11, 20, 10, 0, 0))
    budget = ap.TokenBudget(ap.Limit(usd=2, by="user"), ap.Limit(calls=5, per="total"))
    ask, _ = asks(budget, clock=clock)
    with ap.context(user="u1"):
        ask()
    user, total = budget.status(user="u1")
    border = moment("UTC", 2026, 11, 21)
    assert user == ap.LimitStatus("user per day", "usd", 2.0, 1.0, 0.0, border)
    assert (user.left, user.used_ratio, total.left, total.resets_at) == (1.0, 0.5, 4, None)
    assert budget.status() == [total]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda budget: budget.status(team="a"), "no limit by team"),
        (lambda budget: budget.grant(user="u1"), "grant takes what to give"),
        (lambda budget: budget.grant(tokens=5, user="u1"), "is of tokens"),
        (lambda budget: budget.grant(usd=-1, user="u1"), "from 0"),
        (lambda budget: budget.reset(), "by exactly nobody"),
    ],
)
def test_asking_for_what_is_not_there(what: Any, message: str) -> None:
    """Unknown scopes and amounts out of range are errors that name them."""
    with pytest.raises(ap.ConfigError, match=message):
        what(ap.TokenBudget(usd=1, by="user"))


async def _later(budget: ap.TokenBudget) -> list[Any]:
    await budget.agrant(usd=1, user="u1")
    before = await budget.astatus(user="u1")
    await budget.areset(user="u1")
    return [before[0].spent, (await budget.astatus(user="u1"))[0].spent]


def test_the_async_twins() -> None:
    """They do the same."""
    import asyncio

    assert asyncio.run(_later(ap.TokenBudget(usd=1, by="user"))) == [-1.0, 0.0]


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a limit"),
        ({"usd": -1}, "usd= is a number of dollars from 0"),
        ({"usd": float("nan")}, "usd="),
        ({"usd": "much"}, "usd="),
        ({"usd": True}, "usd="),
        ({"tokens": -5}, "tokens="),
        ({"tokens": "5"}, "tokens= is a number of tokens"),
        ({"calls": "5"}, "calls= is a number of calls"),
        ({"calls": 1e40}, "calls="),
        ({"usd": 1, "per": "fortnight"}, "per"),
        ({"usd": 1, "per": -5}, "per"),
        ({"usd": 1, "by": "planet"}, "by="),
        ({"usd": 1, "by": ()}, "by="),
        ({"usd": 1, "tz": "Mars/Olympus"}, "tz"),
        ({"usd": 1, "soft": 0}, "soft="),
        ({"usd": 1, "soft": 2}, "soft="),
        ({"usd": 1, "name": ""}, "name="),
        ({"usd": 1, "colour": "red"}, "no option colour;"),
        ({"usd": 1, "on_exceeded": "explode"}, "on_exceeded"),
        ({"usd": 1, "on_exceeded": ()}, "on_exceeded"),
        ({"usd": 1, "on_exceeded": ("warn", "raise")}, "lets every call pass"),
        ({"usd": 1, "on_unknown": "guess"}, "on_unknown"),
        ({"usd": 1, "on_uncertain": "guess"}, "on_uncertain"),
        ({"usd": 1, "fail": "open"}, "fail"),
        ({"usd": 1, "margin": -1}, "margin"),
        ({"usd": 1, "margin": "5%"}, "margin"),
        ({"usd": 1, "models": "gpt-5"}, "models is a list of names"),
        ({"usd": 1, "models": [5]}, "models is a list of names"),
        ({"usd": 1, "workers": 0}, "workers"),
        ({"usd": 1, "output_reserve": 0}, "output_reserve"),
        ({"usd": 1, "lease": 0}, "lease"),
        ({"usd": 1, "max_wait": -1}, "max_wait"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    """They are refused when the budget is built, by name."""
    if "name" in options:
        with pytest.raises(ap.ConfigError, match=message):
            ap.Limit(**options)
        return
    with pytest.raises(ap.ConfigError, match=message):
        ap.TokenBudget(**options)


def test_limits_need_names_of_their_own() -> None:
    """Two that count the same thing would be one."""
    with pytest.raises(ap.ConfigError, match="two limits of usd are called 'user per day'"):
        ap.TokenBudget(ap.Limit(usd=1, by="user"), ap.Limit(usd=2, by="user"))
    with pytest.raises(ap.ConfigError, match="not a int"):
        ap.TokenBudget(5)  # type: ignore[arg-type]
    with pytest.raises(ap.ConfigError, match="needs something to limit"):
        ap.Limit()


def test_a_name_that_is_no_text() -> None:
    """A callable that names nobody is an error of the call."""
    ask, _ = asks(ap.TokenBudget(usd=1, by=lambda call: 5))  # type: ignore[arg-type,return-value]
    with pytest.raises(ap.ConfigError, match="must return a str"):
        ask()


# The store


class Down(MemoryStore):
    """A store that does not answer."""

    def reserve(self, *args: Any, **options: Any) -> Any:
        raise StoreUnavailable("gone", retry_after=5)

    settle = renew = usage = reserve


def test_a_store_that_is_down_lets_nothing_pass() -> None:
    """Unless each process may use its share meanwhile."""
    ask, sent = asks(ap.TokenBudget(usd=10, per="total", store=remote(Down())))
    with pytest.raises(ap.BudgetExceeded, match="does not answer") as refused:
        ask()
    assert (sent.calls, refused.value.retry_after) == (0, 5)


def test_each_process_keeps_to_its_share(caplog: pytest.LogCaptureFixture) -> None:
    """With four workers and the store down, a quarter of the limit."""
    budget = ap.TokenBudget(usd=10, per="total", store=remote(Down()), fail="local", workers=4)
    ask, sent = asks(budget)
    with pytest.raises(ap.BudgetExceeded):
        for _ in range(10):
            ask()
    assert sent.calls == 2
    assert len([record for record in caplog.records if "does not answer" in record.message]) == 1


def test_the_stacks_store_is_used() -> None:
    """A store given to the stack is the budget's, too; two stacks with two stores are a mistake."""
    store, other = remote(MemoryStore()), remote(MemoryStore())
    budget = ap.TokenBudget(usd=10, per="total")
    ask, _ = asks(budget, store=store)
    ask()
    assert spent(ap.TokenBudget(usd=10, per="total", store=store)) == [(1.0, 0.0)]
    with pytest.raises(ap.ConfigError, match="two stacks with different stores"):
        ap.Stack(budget, store=other)


def test_budgets_of_other_names_count_apart() -> None:
    """One store serves several budgets."""
    store = MemoryStore()
    one, other = (ap.TokenBudget(usd=10, per="total", store=store, name=name) for name in ("one", "other"))
    asks(one)[0]()
    assert (spent(one), spent(other)) == ([(1.0, 0.0)], [(0.0, 0.0)])


def test_a_lease_follows_the_time_an_attempt_may_take() -> None:
    """A process that dies gives back what it held soon after its attempt would have timed out."""
    leases: list[float] = []

    class Spy(MemoryStore):
        def reserve(self, group: str, id: str, claims: Any, *, lease: float) -> Any:
            leases.append(lease)
            return super().reserve(group, id, claims, lease=lease)

    store = Spy()
    asks(ap.TokenBudget(usd=10, store=store))[0]()
    asks(ap.TokenBudget(usd=10, store=store, lease=timedelta(minutes=2)))[0]()
    with ap.context(deadline=60):
        asks(ap.TokenBudget(usd=10, store=store))[0]()
    asks(ap.TokenBudget(usd=10, store=store), ap.Timeout(20, thread=True))[0]()
    assert leases == [600, 120, pytest.approx(90, abs=1), pytest.approx(50, abs=1)]


def test_options_are_shown() -> None:
    """`print(stack)` says what is limited."""
    budget = ap.TokenBudget(ap.Limit(usd=1, tokens=5, by="user"), on_exceeded="queue")
    assert repr(budget) == ("TokenBudget(limits=['tokens user per day', 'usd user per day'], on_exceeded=('queue',))")
