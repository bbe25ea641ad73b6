"""The Router layer: which model a call goes to, with rules, learned routers and constraints, in every kind of call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import agentprod as ap
from agentprod.errors import AllUnavailable, ConfigError
from agentprod.routing.fit import fit
from agentprod.routing.goal import Goal
from agentprod.routing.learned import LearnedRouter
from agentprod.routing.learned_stage import Learned
from agentprod.routing.router import Router
from agentprod.routing.rules import Rules
from agentprod.spending_cap import cap_spending
from agentprod.testing import FakeClock
from tests.callers import MODES, Caller
from tests.routing.recorded import prompt, rows

MODELS = ["gpt-5-nano", "gpt-5-mini", "gpt-5"]
KEYWORDS = Rules([("证明", "gpt-5"), ("hello", "gpt-5-nano")])


@pytest.fixture(scope="module")
def fitted() -> LearnedRouter:
    """A router fitted on made-up calls."""
    router = fit(rows(300)).router
    assert router is not None
    return router


def chat(*layers: Any, **options: Any) -> Callable[..., str]:
    """A function that answers with the model it was asked as."""

    @ap.Stack(*layers, check="off", **options)
    def ask(model: str, messages: list[dict[str, Any]], **more: Any) -> str:
        return model

    return ask


def user(text: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def note(meta: ap.Meta | None = None) -> dict[str, Any]:
    meta = meta or ap.last()
    assert meta is not None
    (found,) = [each for each in meta.notes if each.layer == "Router"]
    data: dict[str, Any] = found.data
    return data


@pytest.mark.parametrize("mode", MODES)
def test_every_kind_of_call_is_routed(mode: str) -> None:
    """Sync, async and streaming functions all go where the rule says, and the decision stands in the notes."""
    seen: list[str] = []
    caller = Caller(mode)
    router = Router(MODELS, stages=[KEYWORDS])

    def record(model: str, messages: list[Any]) -> str:
        seen.append(model)
        return model

    made: dict[str, Callable[..., Any]] = {"sync": record}

    async def asynchronous(model: str, messages: list[Any]) -> str:
        return record(model, messages)

    def generator(model: str, messages: list[Any]) -> Iterator[str]:
        yield record(model, messages)

    async def async_generator(model: str, messages: list[Any]) -> Any:
        yield record(model, messages)

    made.update({"async": asynchronous, "generator": generator, "async_generator": async_generator})
    ask = ap.Stack(router).decorate(made[mode])
    told = caller.ask(ask, model="gpt-5-mini", **user("请证明勾股定理"))
    assert told.value == "gpt-5"
    assert seen == ["gpt-5"]
    assert note(told.meta) == {
        "requested_model": "gpt-5-mini", "selected_model": "gpt-5", "policy": "rules", "reason": "keyword 1",
    }  # fmt: skip
    assert told.meta is not None
    assert told.meta.attempts[0].model == "gpt-5"


def test_where_no_stage_has_an_opinion_the_last_model_answers() -> None:
    """That nothing is known of a prompt is no reason to send it to the weakest model."""
    ask = chat(Router(MODELS, stages=[KEYWORDS]))
    assert ask("any", **user("What is the capital of France?")) == "gpt-5"
    assert note()["policy"] == "default"
    assert ask("any", messages=[]) == "gpt-5"


def test_stages_are_asked_in_order_and_failures_are_passed_over() -> None:
    """The first opinion decides; a stage that raises or names a foreign model is no opinion, and is told of."""

    def broken(ask: Any) -> str:
        raise RuntimeError(ask.text)

    def foreign(ask: Any) -> str:
        return "no-such-model"

    def silent(ask: Any) -> None:
        return None

    def decided(ask: Any) -> str:
        return "gpt-5-mini"

    ask = chat(Router(MODELS, stages=[broken, foreign, silent, decided, KEYWORDS]))
    assert ask("any", **user("证明")) == "gpt-5-mini"
    assert note()["policy"] == "decided"
    assert note()["skipped"] == ["broken: RuntimeError", "foreign: ConfigError"]


def test_a_learned_router_chooses_by_its_goal(fitted: LearnedRouter, tmp_path: Any) -> None:
    """Hard prompts go to the large model, easy ones to the small one; the file may name models otherwise."""
    path = tmp_path / "router.npz"
    fitted.save(path)
    ask = chat(Router(["small", "large"], stages=[Learned(path)], goal=Goal(quality=0.9)))
    assert ask("any", **user(prompt(4))) == "large"
    data = note()
    assert (data["policy"], data["reason"]) == ("learned", "expected quality")
    assert data["score"] > 0.3
    assert ask("any", **user(prompt(0))) == "small"
    renamed = Learned(str(path), names={"small": "gpt-5-nano", "large": "gpt-5"})
    ask = chat(Router(MODELS, stages=[renamed], goal=Goal(quality=0.9)))
    assert ask("any", **user(prompt(4))) == "gpt-5"
    assert ask("any", **user(prompt(0))) == "gpt-5-nano"


def test_the_router_of_the_package_needs_nothing() -> None:
    """Without stages the bundled prior chooses between the first and the last model, in English and Chinese."""
    router = Router(MODELS, goal=Goal(cost_share=0.5))
    easy, hard = (
        router.decide("Nice weather today."),
        router.decide("If each x is not less than y, and none of them is false, which of the following is not true?"),
    )
    assert hard.scores["gpt-5"] - hard.scores["gpt-5-nano"] > easy.scores["gpt-5"] - easy.scores["gpt-5-nano"]
    assert {easy.model, hard.model} <= {"gpt-5-nano", "gpt-5"}
    assert router.decide("今天天气不错").policy == "learned"
    assert router.decide("").policy == "default"


def test_labels_are_spread_over_any_number_of_models() -> None:
    """Without a mapping, labels go from the first model to the last; short prompts without keywords are not judged."""
    for names in (["a"], ["a", "b"], ["a", "b", "c"], list("abcdefg")):
        router = Router(names, stages=[Rules()])
        assert router.decide("Derive the formula").model == names[-1]
        assert router.decide("Who wrote Faust?").model == names[-1]
        assert router.decide("x" * 501).model == names[round((len(names) - 1) / 4)]
    mapped = Router(MODELS, stages=[Rules({"simple": "gpt-5-nano", "code": "gpt-5-mini"})])
    assert mapped.decide("Who wrote Faust?").model == "gpt-5-nano"
    assert mapped.decide("这段代码报错了").model == "gpt-5-mini"
    assert mapped.decide("Derive the formula").policy == "default"


def test_rules_take_patterns_and_functions() -> None:
    """A keyword ignores case, a pattern is searched for, a function sees the whole ask."""
    import re

    rules = Rules([("REFUND", "a"), (re.compile(r"\bsql\b"), "b"), (lambda ask: ask.turns > 1, "c"), ("退款", "a")])
    router = Router(["a", "b", "c", "d"], stages=[rules])
    assert router.decide("a refund please").model == "a"
    assert router.decide("what is sql?").model == "b"
    assert router.decide("我要退款").model == "a"
    assert router.decide({"messages": [*user("x")["messages"], *user("y")["messages"]]}).model == "c"
    assert router.decide("else").model == "d"


def test_the_context_window_is_kept() -> None:
    """A request that does not fit a model goes to one that it fits, whatever the stage prefers."""
    router = Router(["gpt-3.5-turbo", "gpt-4.1"], stages=[Rules([("word", "gpt-3.5-turbo")])])
    ask = chat(router)
    assert ask("any", **user("word " * 1000)) == "gpt-3.5-turbo"
    assert ask("any", **user("word " * 30_000)) == "gpt-4.1"
    assert note()["policy"] == "only"
    assert note()["refused"][0].startswith("gpt-3.5-turbo: takes 16385 tokens, the request needs 3")
    assert ask("any", **user("word " * 12_000), max_tokens=6000) == "gpt-4.1"


def test_images_and_tools_are_kept() -> None:
    """Images go to a model that sees, tools to one that calls them; models nobody knows are not judged."""
    router = Router(["deepseek-reasoner", "my-model", "gpt-5"], stages=[Rules([("look", "deepseek-reasoner")])])
    ask = chat(router)
    image = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    assert ask("any", **user("look")) == "deepseek-reasoner"
    assert ask("any", **user(image)) == "my-model"
    assert note()["refused"] == ["deepseek-reasoner: takes no image"]
    assert note()["reason"] == "keyword 1; deepseek-reasoner is not to be had"
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert ask("any", **user("look"), tools=tools) == "my-model"
    assert note()["refused"] == ["deepseek-reasoner: calls no tools"]


def test_open_circuits_and_cooldowns_are_gone_around() -> None:
    """While a model's breaker is open the call goes to the next dearer one, or to the dearest that is left."""
    breaker = ap.CircuitBreaker()
    router = Router(MODELS, stages=[KEYWORDS])
    ask = chat(router, breaker, clock=FakeClock())
    assert ask("any", **user("hello")) == "gpt-5-nano"
    (key,) = breaker.state()
    breaker.force_open(key)
    assert ask("any", **user("hello")) == "gpt-5-mini"
    assert note()["refused"][0].startswith("gpt-5-nano: ")
    assert ask("any", **user("证明")) == "gpt-5"


def test_when_every_circuit_is_open_the_breaker_answers() -> None:
    """Being down is the breaker's to tell: the router does not invent an answer of its own."""
    breaker = ap.CircuitBreaker()
    ask = chat(Router(MODELS, stages=[KEYWORDS]), breaker, clock=FakeClock())
    breaker.force_open()
    with pytest.raises(ap.CircuitOpen):
        ask("any", **user("hello"))


def test_requirements_of_the_user_are_never_broken() -> None:
    """A model that does not meet `require` is not asked; when none does, nothing is sent and each reason is told."""

    def in_europe(call: ap.Call, model: str) -> bool:
        return model == "gpt-5-mini"

    ask = chat(Router(MODELS, stages=[KEYWORDS], require=in_europe))
    assert ask("any", **user("证明")) == "gpt-5-mini"
    assert "gpt-5: does not meet in_europe" in note()["refused"]
    never = chat(Router(MODELS, stages=[KEYWORDS], require=[lambda call, model: f"{model} is not approved"]))
    with pytest.raises(AllUnavailable, match="gpt-5-nano: gpt-5-nano is not approved; gpt-5-mini: "):
        never("any", **user("hello"))


def test_what_a_budget_has_left_is_kept() -> None:
    """A budget that must downgrade gets the dearest model that fits what is left, or else the cheapest there is."""

    class Budget:
        def __init__(self, usd: float) -> None:
            self.usd = usd

        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            cap_spending(call, self.usd)
            return await call_next(call)

    router = Router(MODELS, stages=[KEYWORDS])
    usd = router_costs("证明")
    nano, mini, _ = MODELS
    for left, model in ((1, "gpt-5"), (usd[mini], mini), (usd[nano], nano), (0, nano)):
        assert chat(Budget(left), router)("any", **user("证明")) == model


def test_a_layer_outside_that_asks_for_a_cheaper_model_is_obeyed() -> None:
    """A budget that downgraded gets no dearer model than it asked for, and one the router does not know as it is."""

    class Downgrade:
        def __init__(self, model: str) -> None:
            self.model = model

        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            return await call_next(call.with_model(self.model))

    router = Router(MODELS, stages=[KEYWORDS])
    assert chat(Downgrade("gpt-5-mini"), router)("gpt-5", **user("证明")) == "gpt-5-mini"
    assert note()["refused"] == ["gpt-5: a layer outside asks for gpt-5-mini"]
    assert chat(Downgrade("gpt-5-mini"), router)("gpt-5", **user("hello")) == "gpt-5-nano"
    assert chat(Downgrade("gpt-5"), router)("gpt-5", **user("证明")) == "gpt-5"
    assert chat(Downgrade("other"), router)("gpt-5", **user("证明")) == "other"


@pytest.mark.parametrize("asked", ["any", "gpt-5-nano", "gpt-5"])
def test_a_budget_and_a_router_decide_together(asked: str) -> None:
    """What the router wants and the budget cannot pay is asked of a cheaper model, whichever one the caller named."""
    budget = ap.TokenBudget(
        usd=0.002, per="total", on_exceeded="downgrade", models=("gpt-5", "gpt-5-mini", "gpt-5-nano")
    )
    ask = chat(budget, Router(MODELS, stages=[KEYWORDS]))
    assert ask(asked, **user("证明"), max_completion_tokens=800) == "gpt-5-mini"


def router_costs(text: str) -> dict[str, float]:
    """What calls of each model are expected to cost."""
    found = {}
    for model in MODELS:
        router = Router([model, f"{model}-2025-08-07"], goal=Goal(max_usd=10), stages=[Rules([(text, model)])])
        chat(router)
        usd = router.decide(text).expected_usd
        assert usd is not None
        found[model] = usd
    return found


def test_a_goal_in_dollars_caps_every_call() -> None:
    """Models dearer than the goal are left out for every stage; where all are, the cheapest answers."""
    usd = router_costs("证明")
    for most, model in ((usd["gpt-5"], "gpt-5"), (usd["gpt-5"] * 0.9, "gpt-5-mini"), (1e-9, "gpt-5-nano")):
        ask = chat(Router(MODELS, stages=[KEYWORDS], goal=Goal(max_usd=most)))
        assert ask("any", **user("证明")) == model
    unknown = chat(Router(["my-model", "gpt-5"], stages=[Rules([("x", "my-model")])], goal=Goal(max_usd=1)))
    assert unknown("any", **user("x")) == "gpt-5"
    assert note()["refused"] == ["my-model: its price is not known"]


def test_a_learned_router_keeps_to_dollars_too(fitted: LearnedRouter) -> None:
    """Among the models within the goal, the one expected to be best is chosen."""
    stage = Learned(fitted, names={"small": "gpt-5-nano", "large": "gpt-5"})
    for most, model in ((1, "gpt-5"), (1e-4, "gpt-5-nano")):
        ask = chat(Router(["gpt-5-nano", "gpt-5"], stages=[stage], goal=Goal(max_usd=most)))
        assert ask("any", **user(prompt(4))) == model


def test_answers_of_usual_length_are_learned() -> None:
    """What a call is expected to cost follows the answers that came."""
    router = Router(["gpt-5-nano", "gpt-5"], stages=[KEYWORDS], goal=Goal(max_usd=10))
    usage = {"prompt_tokens": 10, "completion_tokens": 4000}

    @ap.Stack(router)
    def ask(model: str, messages: list[Any]) -> dict[str, Any]:
        return {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}

    before = router.decide("hello").expected_usd
    ask("any", **user("hello"))
    after = router.decide("hello").expected_usd
    assert before is not None
    assert after is not None
    assert after > 5 * before
    limited = router.decide({**user("hello"), "max_tokens": 10}).expected_usd
    assert limited is not None
    assert limited < before


def test_other_traffic_passes() -> None:
    """Vectors of two models cannot be compared: embeddings are never routed."""
    call_of: list[str] = []

    class Embeddings(ap.Dialect):
        operation = "embeddings"

    @ap.Stack(Router(MODELS, stages=[KEYWORDS])).decorate
    def chat_like(model: str, messages: list[Any]) -> str:
        return model

    def embed(model: str, text: str) -> str:
        call_of.append(model)
        return model

    wrapped = ap.Stack(Router(MODELS, stages=[KEYWORDS])).decorate(embed, dialect=Embeddings())
    assert wrapped("text-embedding-3-small", "hello") == "text-embedding-3-small"
    assert chat_like("x", **user("hello")) == "gpt-5-nano"


def test_functions_may_be_models() -> None:
    """A function of the same kind as the one that is called can be a target, by its own name."""

    def local(model: str, messages: list[Any]) -> str:
        return f"local {model}"

    name = Router([local, "gpt-5"], stages=[KEYWORDS][:0]).models[0]
    router = Router([local, "gpt-5"], stages=[Rules([("hello", name)])])
    ask = chat(router)
    assert ask("any", **user("hello")).startswith("local")
    assert ask("any", **user("else")) == "gpt-5"


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Router([]), "at least one model"),
        (lambda: Router("gpt-5"), "a list of models"),
        (lambda: Router(["a", "a"]), "twice"),
        (lambda: Router([1]), "takes model names"),
        (lambda: Router(["a", "b"], stages=[Rules]), r"write Rules\(\)"),
        (lambda: Router(["a", "b"], stages=["rules"]), "of the ask, not str"),
        (lambda: Router(["a", "b"], stages=Rules()), "stand in a list: .* not Rules"),
        (lambda: Router(["a", "b"], stages=[Rules([("x", "c")])]), "Rules names c; the Router has a, b"),
        (lambda: Router(["a", "b"], stages=[Rules({"code": "c"})]), "Rules names c"),
        (lambda: Router(["a", "b"], goal=0.8), "must be an ap.Goal, not float"),
        (lambda: Router(["a", "b"], stages=[Rules()], goal=Goal(quality=0.8)), "needs an ap.Learned stage"),
        (lambda: Router(["a", "b"], require=["x"]), "bool, not str"),
        (lambda: Router(["a", "b"], sticky="planet"), "Sticky by must be one of"),
        (lambda: Rules({"easy": "a"}), "no label easy; the labels are simple, medium"),
        (lambda: Rules([("x",)]), "rule 1 must be a pair"),
        (lambda: Rules([("x", "a"), (3, "a")]), "rule 2: the condition must be"),
        (lambda: Rules([("", "a")]), "rule 1: the condition must be"),
        (lambda: Learned("missing.npz"), "there is no such file"),
        (lambda: Learned(names={"x": "a"}), "x is not in the file; it has weak, strong"),
        (lambda: Router(["a", "b"], stages=[Learned(names={"weak": "c"})]), "Learned names c; the Router has a, b"),
    ],
)  # fmt: skip
def test_mistakes_are_errors_when_the_router_is_built(build: Callable[[], Any], said: str) -> None:
    """What cannot work is refused before the first call, and the error says what would."""
    with pytest.raises(ConfigError, match=said):
        build()


@pytest.mark.parametrize("request_", [None, 5, [{"role": "user", "content": "hello"}]])
def test_what_is_no_request_cannot_be_decided_on(request_: Any) -> None:
    """The error says what a request looks like; asking later for the decision, too."""
    router = ap.Router(["small", "large"])
    with pytest.raises(ConfigError, match=r'takes a request, such as \{"messages"'):
        router.decide(request_)
    with pytest.raises(ConfigError, match="or a prompt, not a"):
        asyncio.run(router.adecide(request_))


def test_a_file_fitted_on_other_models_is_refused(fitted: LearnedRouter) -> None:
    """A learned router that knows fewer than two of the models cannot choose among them."""
    with pytest.raises(ConfigError, match="fitted on small, large and cannot choose among a, b"):
        Router(["a", "b"], stages=[Learned(fitted)])
    with pytest.raises(ConfigError, match="fitted on small, large and cannot choose among small, b"):
        Router(["small", "b"], stages=[Learned(fitted)])


def test_a_stack_shows_its_router() -> None:
    """Models and stages stand in the stack's text."""
    text = repr(Router(MODELS, stages=[Rules(), Learned()], goal=Goal(quality=0.8)))
    assert "models=['gpt-5-nano', 'gpt-5-mini', 'gpt-5']" in text
    assert "stages=['rules', 'learned']" in text


def test_a_learned_router_has_no_opinion_on_models_it_does_not_know(fitted: LearnedRouter) -> None:
    """When none of the models that are left was in its log, the next stage decides."""
    router = Router(
        ["small", "large", "x", "y"], stages=[Learned(fitted)], require=lambda call, model: model in ("x", "y")
    )
    assert chat(router)("any", **user(prompt(4))) == "y"
    assert note()["policy"] == "default"


def test_a_judge_of_answers_is_no_stage() -> None:
    """A router fitted with answers cannot decide before there is one."""
    judged = [{**row, "answer": "seven"} for row in rows(150)]
    candidate = fit(judged).candidate
    assert candidate is not None
    with pytest.raises(ConfigError, match="judges first answers; give it to Cascade"):
        Learned(candidate)


def test_two_places_of_one_name_are_an_error() -> None:
    """Rules and logs speak of models by name, so names have to be different."""

    def local(prompt: str) -> str:
        return "a"

    first = local

    def local(prompt: str) -> str:
        return "b"

    with pytest.raises(ConfigError, match=r"two models called .*local"):
        Router([first, local])


def test_what_nobody_can_price_has_no_expected_cost() -> None:
    """Outside any stack there are no prices, and a decision says so by saying nothing."""
    assert Router(MODELS, stages=[KEYWORDS], goal=Goal(max_usd=1)).decide("hello").expected_usd is None
