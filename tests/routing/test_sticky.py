"""Conversations keep their model unless leaving it pays for the prompt cache that is lost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

import agentprod as ap
from agentprod.errors import ConfigError
from agentprod.routing.router import Router
from agentprod.routing.rules import Rules
from agentprod.routing.sticky import Sticky
from agentprod.testing import FakeClock

PREFIX = 20_000
RULES = Rules([("hard", "strong"), ("easy", "weak")])


class Simulated:
    """Two models whose providers cache prefixes: what a conversation costs, call by call.

    Args:
        weak: dollars per million tokens of the weak model; the strong one costs 10, cached 1.

        sticky: the router's option.
    """

    def __init__(self, weak: float, sticky: Any, models: list[str] | None = None) -> None:
        self.clock = FakeClock()
        self.rates = {"weak": weak, "strong": 10.0}
        self.asked: list[str] = []
        self.spent = 0.0
        self._caches: dict[str, tuple[int, float]] = {}
        self.router = Router(models or ["weak", "strong"], stages=[RULES] if models is None else [], sticky=sticky)
        self.chat = ap.Stack(self.router, clock=self.clock, prices=self._price).decorate(self._chat)

    def _chat(self, model: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
        self.asked.append(model)
        tokens = PREFIX + 100 * len(messages)
        held, at = self._caches.get(model, (0, 0.0))
        cached = min(held, tokens) if self.clock.monotonic() - at < 300 else 0
        self._caches[model] = (tokens, self.clock.monotonic())
        usage = {"prompt_tokens": tokens, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": cached}}
        self.spent += self.rates[model] * (tokens - cached + 0.1 * cached + 500) / 1e6
        return {"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}], "usage": usage}

    def _price(self, provider: str, model: str | None, usage: ap.Usage) -> Decimal | None:
        if model not in self.rates:
            return None
        plain = usage.input_tokens - usage.cache_read_tokens + 0.1 * usage.cache_read_tokens
        return Decimal(self.rates[str(model)] * (plain + 5 * usage.output_tokens) / 1e6)

    def talk(self, *turns: str, conversation: str | None = "c1") -> list[str]:
        """Go through a conversation and return who answered."""
        messages: list[dict[str, Any]] = [{"role": "system", "content": "s" * 4 * PREFIX}]
        begun = len(self.asked)
        for turn in turns:
            messages = [*messages, {"role": "user", "content": turn}]
            with ap.context(conversation=conversation) if conversation else ap.context():
                self.chat("any", messages)
            messages = [*messages, {"role": "assistant", "content": "ok"}]
            self.clock.advance(20)
        return self.asked[begun:]


def test_no_switch_for_less_than_the_cache_is_worth() -> None:
    """With 20,000 tokens cached at a tenth, a model at half the price does not pay for a cold prefix."""
    simulated = Simulated(weak=5, sticky=True)
    assert simulated.talk("hard one", *["easy one"] * 9) == ["strong"] * 10


def test_a_switch_that_pays_is_made() -> None:
    """A model at a twentieth is cheaper cold than the strong one is cached."""
    simulated = Simulated(weak=0.5, sticky=True)
    assert simulated.talk("hard one", "easy one", "easy one") == ["strong", "weak", "weak"]


@pytest.mark.parametrize("weak", [0.5, 5, 8])
def test_a_sticky_session_costs_no_more_than_one_model_or_a_stateless_router(weak: float) -> None:
    """Ten turns with a long prefix: never dearer than the strong model for all, nor than routing turn by turn."""
    turns = ["hard a", "easy b", "easy c", "hard d", "easy e", "easy f", "easy g", "hard h", "easy i", "easy j"]
    sticky, stateless, fixed = (
        Simulated(weak, sticky=True), Simulated(weak, sticky=None), Simulated(weak, sticky=None, models=["strong"])
    )  # fmt: skip
    for simulated in (sticky, stateless, fixed):
        simulated.talk(*turns)
    assert stateless.asked.count("weak") == 7
    assert sticky.spent <= fixed.spent * 1.0001
    assert sticky.spent <= stateless.spent * 1.0001


def test_a_dearer_model_is_taken_when_a_stage_asks_for_it() -> None:
    """What costs more was asked for because the prompt needs it: the cache does not hold that up."""
    assert Simulated(weak=5, sticky=True).talk("easy", "hard") == ["weak", "strong"]


def test_a_model_whose_cache_is_still_warm_is_gone_back_to() -> None:
    """Each provider holds its own prefix: where the cheaper one still has it, nothing is lost by going back."""
    simulated = Simulated(weak=5, sticky=True)
    assert simulated.talk("easy", "hard", "easy") == ["weak", "strong", "weak"]


def test_conversations_do_not_know_of_each_other() -> None:
    """Another conversation, and the same name in another tenant, begin anew; without a name nothing sticks."""
    simulated = Simulated(weak=5, sticky=True)
    assert simulated.talk("hard") == ["strong"]
    assert simulated.talk("easy", conversation="c2") == ["weak"]
    assert simulated.talk("easy") == ["strong"]
    with ap.context(tenant="other"):
        assert simulated.talk("easy") == ["weak"]
    assert simulated.talk("hard", "easy", conversation=None) == ["strong", "weak"]


def test_a_cache_that_has_lapsed_holds_nobody() -> None:
    """After the provider has forgotten the prefix, the cheaper model is cheaper."""
    simulated = Simulated(weak=5, sticky=True)
    assert simulated.talk("hard", "easy") == ["strong", "strong"]
    simulated.clock.advance(301)
    assert simulated.talk("easy") == ["weak"]


def test_tool_exchanges_and_going_on_stay() -> None:
    """In the middle of a tool exchange, and after a mere yes, the model does not change, whatever it would save."""
    simulated = Simulated(weak=0.01, sticky=True)
    simulated.talk("hard")
    exchange = [
        {"role": "user", "content": "easy"},
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
    ]
    with ap.context(conversation="c1"):
        simulated.chat("any", exchange)
        assert simulated.asked[-1] == "strong"
        last = ap.last()
        assert last is not None
        assert last.notes[-1].data["reason"] == "in a tool exchange"
        simulated.chat("any", [{"role": "user", "content": "easy"}, {"role": "user", "content": "继续"}])
        assert simulated.asked[-1] == "strong"
        simulated.chat("any", [{"role": "user", "content": "easy again"}])
        assert simulated.asked[-1] == "weak"


def test_without_an_opinion_the_conversation_stays() -> None:
    """A turn that no stage has an opinion on goes where the conversation is, and to the last model in a new one."""
    assert Simulated(weak=5, sticky=True).talk("easy", "what else?") == ["weak", "weak"]
    assert Simulated(weak=5, sticky=True).talk("what else?") == ["strong"]


def test_without_prices_a_conversation_stays() -> None:
    """Where nobody knows what a switch saves, none is made for saving."""
    simulated = Simulated(weak=0.01, sticky=True)
    simulated.rates.clear()
    simulated.rates.update({"weak": 0.01, "strong": 10.0})
    router = simulated.router
    ask = ap.Stack(router, prices=lambda provider, model, usage: None).decorate(simulated._chat)
    for text in ("hard", "easy"):
        with ap.context(conversation="x"):
            ask("any", [{"role": "user", "content": text}])
    assert simulated.asked == ["strong", "strong"]


def test_without_cache_regret_every_wish_is_followed() -> None:
    """Stickiness alone keeps tool exchanges together and nothing else."""
    sticky = Sticky(cache_regret=False, by=lambda call: call.context.user)
    simulated = Simulated(weak=5, sticky=sticky)
    with ap.context(user="u1"):
        assert simulated.talk("hard", "easy", "hard") == ["strong", "weak", "strong"]


def test_a_model_that_is_not_to_be_had_is_left() -> None:
    """A conversation does not stay with a model whose circuit is open."""
    simulated = Simulated(weak=5, sticky=True)
    breaker = ap.CircuitBreaker()
    ask = ap.Stack(simulated.router, breaker, clock=simulated.clock, prices=simulated._price).decorate(simulated._chat)
    with ap.context(conversation="c"):
        ask("any", [{"role": "user", "content": "hard"}])
        breaker.force_open(next(iter(breaker.state())))
        ask("any", [{"role": "user", "content": "hard"}])
    assert simulated.asked == ["strong", "weak"]


def test_what_is_remembered_is_bounded() -> None:
    """Conversations that were quiet for longest are forgotten."""
    sticky = Sticky(max_conversations=3)
    for number in range(10):
        sticky.remember(str(number), "m", 10, 0.0)
    assert [key for key in map(str, range(10)) if sticky.find(key)] == ["7", "8", "9"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"by": "planet"}, "one of conversation"), ({"ttl": 0}, "ttl"), ({"max_conversations": 0}, "whole number from 1")],
)
def test_bad_options_are_errors(options: dict[str, Any], said: str) -> None:
    """Options out of range are refused when it is built."""
    with pytest.raises(ConfigError, match=said):
        Sticky(**options)
