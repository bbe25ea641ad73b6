"""The Cascade layer: cheap first, dearer where the answer will not do, in every kind of call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import agentprod as ap
from agentprod.errors import AllUnavailable, ConfigError
from agentprod.routing import checks
from agentprod.routing.answer import Answer
from agentprod.routing.cascade import Cascade
from agentprod.testing import FakeClock
from tests.callers import MODES, STREAMS, Caller, Told


def user(text: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


class Models:
    """A chat function that answers, for each model, what it is told to: a text, an exception, or items of a stream."""

    def __init__(self, mode: str = "sync", **answers: Any) -> None:
        self.caller = Caller(mode)
        self.answers = answers
        self.asked: list[str] = []

    def _items(self, model: str) -> list[str]:
        self.asked.append(model)
        said = self.answers[model]
        if isinstance(said, BaseException):
            raise said
        return said if isinstance(said, list) else [said]

    def function(self) -> Callable[..., Any]:
        """Return it as a function of its kind."""

        def sync(model: str, messages: list[Any], **more: Any) -> str:
            return "".join(self._items(model))

        async def asynchronous(model: str, messages: list[Any], **more: Any) -> str:
            return "".join(self._items(model))

        def generator(model: str, messages: list[Any], **more: Any) -> Iterator[str]:
            for item in self._items(model):
                if item == "BREAK":
                    raise ConnectionError("broken")
                yield item

        async def async_generator(model: str, messages: list[Any], **more: Any) -> AsyncIterator[str]:
            for item in self._items(model):
                if item == "BREAK":
                    raise ConnectionError("broken")
                yield item

        kinds: dict[str, Callable[..., Any]] = {
            "sync": sync, "async": asynchronous, "generator": generator, "async_generator": async_generator,
        }  # fmt: skip
        return kinds[self.caller.mode]

    def ask(self, *layers: Any, text: Any = "q", **options: Any) -> Told:
        """Ask through a stack."""
        fn = ap.Stack(*layers, check="off", **options).decorate(self.function())
        return self.caller.ask(fn, model="any", **user(text))


def notes(told: Told, event: str) -> list[dict[str, Any]]:
    assert told.meta is not None
    return [note.data for note in told.meta.notes if note.layer == "Cascade" and note.event == event]


@pytest.mark.parametrize("mode", MODES)
def test_a_good_answer_of_the_cheap_model_is_kept(mode: str) -> None:
    """The dear model is not asked, and the answer arrives as it came."""
    models = Models(mode, small=["4", "2"], large="43")
    told = models.ask(Cascade(["small", "large"]))
    assert told.value == "42"
    assert models.asked == ["small"]
    if mode in STREAMS:
        assert told.read == ["4", "2"]
    assert notes(told, "leg") == [{"model": "small", "accepted": True}]
    assert notes(told, "served") == [
        {"selected_model": "small", "policy": "cascade", "reason": "passed", "rejected": 0}
    ]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_that_fails_a_check_reaches_nobody(mode: str) -> None:
    """The dear model answers; both legs are attempts of one call, and nothing of the first is seen."""
    models = Models(mode, small=["I do not ", "know."], large=["4", "3"])
    told = models.ask(Cascade(["small", "large"]))
    assert told.value == "43"
    assert models.asked == ["small", "large"]
    assert notes(told, "leg") == [{"model": "small", "accepted": False, "failed": ["sure"]}]
    assert notes(told, "served")[0]["reason"] == "did not pass"
    assert told.meta is not None
    assert [(attempt.model, attempt.outcome) for attempt in told.meta.attempts] == [("small", "ok"), ("large", "ok")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("broken", [ConnectionError("down"), ["par", "BREAK"]], ids=["at once", "half way"])
def test_a_model_that_fails_is_gone_past(mode: str, broken: Any) -> None:
    """An error of the cheap model, in the middle of its stream too, costs the caller nothing but time."""
    if mode not in STREAMS and isinstance(broken, list):
        broken = ConnectionError("down")
    models = Models(mode, small=broken, large="43")
    told = models.ask(Cascade(["small", "large"]))
    assert told.value == "43"
    assert notes(told, "leg")[0]["error"] in ("ConnectionError", "StreamInterrupted")


def test_an_answer_that_cannot_be_read_is_gone_past_and_ended() -> None:
    """What it held inside the cascade is given back."""
    ends: list[str] = []

    class Unreadable:
        def model_dump(self, **options: Any) -> Any:
            raise LookupError("not today")

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        reply.on_end(lambda end: ends.append(end.outcome))
        return reply

    def ask(model: str, messages: Any) -> Any:
        return Unreadable() if model == "small" else "fine"

    assert ap.Stack(Cascade(["small", "large"]), look).decorate(ask)("any", user("q")["messages"]) == "fine"
    assert ends == ["discarded", "complete"]


@pytest.mark.parametrize("mode", MODES)
def test_the_last_model_has_the_last_word(mode: str) -> None:
    """Its answer is not checked, and its error is the caller's."""
    models = Models(mode, small="", large="")
    assert models.ask(Cascade(["small", "large"])).value == ""
    failing = Models(mode, small="", large=ConnectionError("down"))
    assert isinstance(failing.ask(Cascade(["small", "large"])).error, ConnectionError)


def test_the_last_model_streams_as_it_comes() -> None:
    """Only what is to be checked is held back."""
    seen: list[str] = []

    @ap.Stack(Cascade(["small", "large"])).decorate
    def ask(model: str, messages: list[Any]) -> Iterator[str]:
        for item in ["?"] if model == "small" else ["a", "b", "c"]:
            seen.append(f"{model} {item}")
            yield "" if model == "small" else item

    stream = ask("any", **user("q"))
    assert next(stream) == "a"
    assert seen == ["small ?", "large a"]
    assert list(stream) == ["b", "c"]


def test_leaving_a_replayed_stream_early_is_no_failure() -> None:
    """A consumer that stops reading what was held back leaves an account in order."""
    models = Models("generator", small=["a", "b", "c"], large="z")
    ends: list[str] = []

    class Ends:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            reply = await call_next(call)
            reply.on_end(lambda end: ends.append(end.outcome))
            return reply

    ask = ap.Stack(Ends(), Cascade(["small", "large"]), Ends()).decorate(models.function())
    stream = ask("any", **user("q"))
    assert next(stream) == "a"
    stream.close()
    assert ends == ["complete", "abandoned"]


@pytest.mark.parametrize("mode", MODES)
def test_models_that_agree_are_believed(mode: str) -> None:
    """Two cheap models with the same answer stand for the dear one; otherwise it is asked."""
    same = Models(mode, a="The answer is 12.", b="#### 12", large="13")
    told = same.ask(Cascade(["a", "b", "large"], agree=2))
    assert told.value == "The answer is 12."
    assert same.asked == ["a", "b"]
    assert notes(told, "served")[0]["reason"] == "agreed"
    different = Models(mode, a="The answer is 12.", b="#### 14", large="13")
    told = different.ask(Cascade(["a", "b", "large"], agree=2))
    assert told.value == "13"
    assert notes(told, "leg") == [{"model": "b", "accepted": False, "failed": ["agreement"]}]
    failing = Models(mode, a="12", b=ConnectionError(), large="13")
    assert failing.ask(Cascade(["a", "b", "large"], agree=2)).value == "13"


def test_agreement_of_three_and_checks_together() -> None:
    """Each of those that have to agree has to pass the checks as well; how they agree may be said otherwise."""
    cascade = Cascade(["a", "b", "c", "large"], agree=3, checks=checks.sure)
    assert Models(a="x", b="X.", c="x", large="z").ask(cascade).value == "x"
    assert Models(a="x", b="I don't know", c="x", large="z").ask(cascade).value == "z"
    assert Models(a="x", b="x", c="y", large="z").ask(cascade).value == "z"
    loose = Cascade(["a", "b", "large"], agree=2, same=lambda one, other: one.text[0] == other.text[0])
    assert Models(a="xa", b="xb", large="z").ask(loose).value == "xa"

    def raises(one: Answer, other: Answer) -> bool:
        raise RuntimeError

    assert Models(a="x", b="x", large="z").ask(Cascade(["a", "b", "large"], agree=2, same=raises)).value == "z"


def test_legs_are_bounded_and_the_last_model_is_the_last_leg() -> None:
    """With two legs the models between the first and the last are left out."""
    models = Models(a="", b="", c="", d="d")
    assert models.ask(Cascade(["a", "b", "c", "d"])).value == "d"
    assert models.asked == ["a", "d"]
    models = Models(a="", b="b", c="", d="d")
    assert models.ask(Cascade(["a", "b", "c", "d"], max_legs=3)).value == "b"
    assert models.asked == ["a", "b"]


def test_checks_of_your_own_see_the_answer() -> None:
    """They get text, prompt, finish, tools and what failed before; one that raises has failed."""
    seen: list[Answer] = []

    def look(answer: Answer) -> bool:
        seen.append(answer)
        return True

    def raising(answer: Answer) -> bool:
        raise RuntimeError

    told = Models(small="a", large="b").ask(Cascade(["small", "large"], checks=[raising, look]), text="what?")
    assert told.value == "b"
    assert notes(told, "leg")[0]["failed"] == ["raising"]
    (answer,) = seen
    assert (answer.text, answer.prompt, answer.model, answer.failed) == ("a", "what?", "small", {"raising": 1.0})


def test_a_cheap_model_that_cannot_take_the_request_is_passed_over() -> None:
    """Images, windows, tools and open circuits are looked at before any leg."""
    image = [{"type": "image_url", "image_url": {"url": "data:"}}]
    models = Models(**{"deepseek-reasoner": "a", "gpt-5": "b"})
    told = models.ask(Cascade(["deepseek-reasoner", "gpt-5"]), text=image)
    assert models.asked == ["gpt-5"]
    assert notes(told, "leg")[0]["skipped"] == "takes no image"
    breaker = ap.CircuitBreaker()
    models = Models(small="a", large="b")
    ask = ap.Stack(Cascade(["small", "large"]), breaker, check="off", clock=FakeClock()).decorate(models.function())
    assert ask("any", **user("q")) == "a"
    breaker.force_open(next(iter(breaker.state())))
    assert ask("any", **user("q")) == "b"
    assert models.asked == ["small", "large"]


def test_what_no_other_model_would_change_is_not_tried_again() -> None:
    """A budget that is used up or a guard that refuses ends the call."""

    class Refusing:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            raise ap.BudgetExceeded("used up")

    told = Models(small="a", large="b").ask(Cascade(["small", "large"]), Refusing())
    assert isinstance(told.error, ap.BudgetExceeded)


def test_plain_functions_take_no_model_names() -> None:
    """A function that has no model to change is told so; functions are its models."""

    @ap.Stack(Cascade(["small", "large"]))
    def ask(prompt: str) -> str:
        return prompt

    with pytest.raises(AllUnavailable, match="large cannot take this request"):
        ask("q")

    def cheap(prompt: str) -> str:
        return "" if prompt == "hard" else "cheap"

    def dear(prompt: str) -> str:
        return "dear"

    routed = ap.Stack(Cascade([cheap, dear])).decorate(cheap)
    assert [routed("easy"), routed("hard")] == ["cheap", "dear"]


def test_a_cancelled_task_releases_the_leg() -> None:
    """Cancelling while the cheap answer is read leaves no stream open."""

    async def scenario() -> list[str]:
        ended: list[str] = []

        async def slow(model: str, messages: list[Any]) -> AsyncIterator[str]:
            try:
                yield "a"
                await asyncio.sleep(3600)
            finally:
                ended.append(model)

        ask = ap.Stack(Cascade(["small", "large"])).decorate(slow)

        async def consume() -> None:
            async for _ in ask("any", **user("q")):
                pass

        task = asyncio.create_task(consume())
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return ended

    assert asyncio.run(scenario()) == ["small"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"models": ["a"]}, "at least two models"),
        ({"models": ["a", "b"], "agree": 2}, "more than the 2 models"),
        ({"models": ["a", "b", "c"], "agree": 1}, "agree must be a whole number from 2"),
        ({"models": ["a", "b"], "max_legs": 1}, "max_legs must be a whole number from 2"),
        ({"models": ["a", "b"], "max_legs": True}, "max_legs must be a whole number from 2"),
        ({"models": ["a", "b"], "checks": ["x"]}, "checks are functions"),
        ({"models": ["a", "b"], "checks": [checks.Judge]}, "checks are functions .* not Judge"),
        ({"models": ["a", "b"], "same": 3}, "same must be a function"),
        ({"models": "ab"}, "a list of models"),
    ],
)
def test_bad_options_are_errors(options: dict[str, Any], said: str) -> None:
    """Options out of range are refused when it is built."""
    with pytest.raises(ConfigError, match=said):
        Cascade(**options)


def test_a_stack_shows_its_cascade() -> None:
    """Models and agreement stand in the stack's text."""
    assert repr(Cascade(["a", "b", "c"], agree=2)) == "Cascade(models=['a', 'b', 'c'], agree=2)"


def test_tool_calls_are_checked_against_the_tools_offered() -> None:
    """A call of a tool that was not offered, or with arguments that do not parse, is no answer."""
    tools = [{"type": "function", "function": {"name": "search"}}, {"type": "function", "function": {}}]

    def completion(name: str, arguments: str) -> dict[str, Any]:
        call = {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return {"choices": [{"message": message, "finish_reason": "tool_calls"}]}

    said = {
        "wrong": completion("browse", "{}"),
        "broken": completion("search", "{"),
        "right": completion("search", "{}"),
    }

    @ap.Stack(Cascade(["small", "large"])).decorate
    def ask(model: str, messages: list[Any], tools: list[Any]) -> Any:
        return said[messages[0]["content"]] if model == "small" else "large"

    assert ask("any", **user("wrong"), tools=tools) == "large"
    assert ask("any", **user("broken"), tools=tools) == "large"
    assert ask("any", **user("right"), tools=tools) == said["right"]


def test_a_budget_that_downgrades_gets_the_best_answer_it_can_pay_for() -> None:
    """When the dear model is beyond what is left, the cheap one's answer is kept though it fails its checks."""
    budget = ap.TokenBudget(usd=0.002, per="total", on_exceeded="downgrade")
    models = Models(**{"gpt-5-nano": "I don't know", "gpt-5": "42"})
    ask = ap.Stack(budget, Cascade(["gpt-5-nano", "gpt-5"])).decorate(models.function())
    assert ask("any", **user("q"), max_completion_tokens=800) == "I don't know"
    assert models.asked == ["gpt-5-nano", "gpt-5-nano"]
    meta = ap.last()
    assert meta is not None
    assert [note.data["reason"] for note in meta.notes if (note.layer, note.event) == ("Cascade", "served")] == [
        "budget"
    ]
    rich = ap.Stack(ap.TokenBudget(usd=1, per="total"), Cascade(["gpt-5-nano", "gpt-5"])).decorate(models.function())
    assert rich("any", **user("q"), max_completion_tokens=800) == "42"


def test_vectors_do_not_cascade() -> None:
    """Embeddings pass as they are."""

    class Embeddings(ap.Dialect):
        operation = "embeddings"

    def embed(model: str, text: str) -> str:
        return model

    wrapped = ap.Stack(Cascade(["small", "large"])).decorate(embed, dialect=Embeddings())
    assert wrapped("text-embedding-3-small", "hello") == "text-embedding-3-small"
