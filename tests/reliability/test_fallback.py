"""Fallback: which faults are passed on, to whom, and what is told of it; by the numbered acceptance scenarios."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentprod as ap
from agentprod.testing import FakeClock, Provider
from agentprod.testing import behaviours as b
from tests.callers import MODES, STREAMS, Caller, Script, Takes, Told
from tests.clients.plain_http import plain_client
from tests.sdk_errors import anthropic_error, openai_error

Error = ap.Fault
LONG = 400.0  # seconds: past any deadline here


@pytest.fixture(params=MODES)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return a caller of each kind."""
    return Caller(request.param)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock to move by hand."""
    return FakeClock()


class Case:
    """Functions of one kind, of which the later ones stand in for the first.

    Args:
        caller: makes and calls them.

        clock: of the stack.

        scripts: what each function does, call by call.
    """

    def __init__(self, caller: Caller, clock: FakeClock, **scripts: Any) -> None:
        self.caller = caller
        self.clock = clock
        self.scripts = {
            name: script if isinstance(script, Script) else Script(*_steps(script), clock=clock)
            for name, script in scripts.items()
        }
        self.functions = {name: self._function(name) for name in scripts}

    def _function(self, name: str) -> Callable[..., Any]:
        made = self.caller.function(self.scripts[name])
        made.__qualname__ = name
        return made

    def ask(self, *layers: Any, deadline: float | None = None, **stack: Any) -> Told:
        """Ask the first function, behind these layers, once."""
        first = next(iter(self.functions.values()))
        around = (ap.Deadline(deadline),) if deadline is not None else ()
        made = ap.Stack(*around, *layers, clock=self.clock, **stack).decorate(first)
        return self.caller.ask(made)

    @property
    def calls(self) -> dict[str, int]:
        """How often each function was called."""
        return {name: script.calls for name, script in self.scripts.items()}


def _steps(script: Any) -> tuple[Any, ...]:
    return script if isinstance(script, tuple) else (script,)


def switches(told: Told) -> list[tuple[Any, ...]]:
    """Return what Fallback noted of each switch."""
    assert told.meta is not None
    notes = [note.data for note in told.meta.notes if (note.layer, note.event) == ("Fallback", "switch")]
    return [(data["left"], data["to"], data["reason"]) for data in notes]


# The scenarios


def test_scenario_41_an_overloaded_primary_is_stood_in_for(caller: Caller, clock: FakeClock) -> None:
    """The second one serves, and the account says that it was not the first."""
    case = Case(caller, clock, first=anthropic_error(529, "overloaded_error"), second="from the second")
    told = case.ask(ap.Fallback(case.functions["second"]))
    assert told.value == "from the second"
    assert told.meta is not None
    assert told.meta.served_by == "second"
    assert told.meta.flags == ("degraded",)
    assert [attempt.outcome for attempt in told.meta.attempts] == ["failed", "ok"]
    assert switches(told) == [("first", "second", "overloaded")]


def test_scenario_41_a_primary_that_answers_is_not_degraded(caller: Caller, clock: FakeClock) -> None:
    """Nothing is noted, so caches keep the reply."""
    case = Case(caller, clock, first="from the first", second="never")
    told = case.ask(ap.Fallback(case.functions["second"]))
    assert told.value == "from the first"
    assert told.meta is not None
    assert (told.meta.flags, told.meta.notes, case.calls["second"]) == ((), [], 0)


def test_scenario_41_a_bad_request_is_not_passed_on(caller: Caller, clock: FakeClock) -> None:
    """It would be as bad there."""
    error = openai_error(400)
    case = Case(caller, clock, first=error, second="never")
    told = case.ask(ap.Fallback(case.functions["second"]))
    assert told.error is error
    assert case.calls == {"first": 1, "second": 0}


def test_scenario_41_an_overflow_goes_to_the_context_target_alone(caller: Caller, clock: FakeClock) -> None:
    """A longer window helps, another provider's equal one does not."""
    overflow = openai_error(400, code="context_length_exceeded")
    case = Case(caller, clock, first=overflow, second="never", long="it fits here")
    told = case.ask(ap.Fallback(case.functions["second"], on_context_overflow=[case.functions["long"]]))
    assert told.value == "it fits here"
    assert case.calls == {"first": 1, "second": 0, "long": 1}
    again = Case(caller, clock, first=overflow, second="never")
    assert again.ask(ap.Fallback(again.functions["second"])).error is overflow
    assert again.calls["second"] == 0


def test_scenario_41_when_all_fail_the_primarys_error_lists_the_others(caller: Caller, clock: FakeClock) -> None:
    """The very object that the first one raised."""
    error = openai_error(503)
    case = Case(caller, clock, first=error, second=openai_error(500), third=anthropic_error(529))
    told = case.ask(ap.Fallback(case.functions["second"], case.functions["third"]))
    assert told.error is error
    [note] = [note for note in error.__notes__ if "Fallback" in note]
    assert note == "agentprod Fallback: asked first (overloaded), then second (server), then third (overloaded)"
    assert case.calls == {"first": 1, "second": 1, "third": 1}


def test_scenario_42_three_hanging_targets_share_the_deadline(clock: FakeClock) -> None:
    """Each gets a third of what is left; the whole takes no longer than was allowed."""
    for mode in ("async", "async_generator"):
        case = Case(Caller(mode), clock, first=Takes(LONG), second=Takes(LONG), third=Takes(LONG))
        begun = clock.monotonic()
        told = case.ask(ap.Fallback(case.functions["second"], case.functions["third"]), deadline=30)
        assert isinstance(told.error, ap.DeadlineExceeded)
        assert clock.monotonic() - begun == pytest.approx(30, abs=0.2)
        started = [script.started[0] - begun for script in case.scripts.values()]
        assert started == pytest.approx([0, 10, 20], abs=0.2)


def test_a_slow_primary_leaves_time_for_a_quick_second(clock: FakeClock) -> None:
    """Without shares, the first would have eaten it all."""
    for mode in ("async", "async_generator"):
        case = Case(Caller(mode), clock, first=Takes(LONG), second=Takes(4, "in time"))
        told = case.ask(ap.Fallback(case.functions["second"]), deadline=10)
        assert told.value == "in time"
        assert switches(told)[0][2] == "timeout"


def test_a_stream_that_has_begun_outlasts_its_share(clock: FakeClock) -> None:
    """The share bounds the wait for the first content, as the deadline itself does."""
    case = Case(Caller("async_generator"), clock, first="", second="never")
    case.scripts["first"].steps = ([Takes(1), "begun ", Takes(30), "and ended"],)
    told = case.ask(ap.Fallback(case.functions["second"]), deadline=10)
    assert told.value == "begun and ended"


def test_a_target_gets_a_second_at_least(clock: FakeClock) -> None:
    """Less is not worth a request; the deadline itself holds all the same."""
    case = Case(Caller("async"), clock, first=Takes(LONG), second=Takes(LONG), third="never")
    begun = clock.monotonic()
    told = case.ask(ap.Fallback(case.functions["second"], case.functions["third"]), deadline=1.5)
    assert isinstance(told.error, ap.DeadlineExceeded)
    assert [script.started[0] - begun for script in list(case.scripts.values())[:2]] == pytest.approx([0, 1], abs=0.1)
    assert case.calls["third"] == 0


@pytest.mark.parametrize("mode", STREAMS)
def test_scenario_43_after_content_nothing_is_passed_on(mode: str, clock: FakeClock) -> None:
    """What came stays; a second answer would begin anew in the middle of the first."""
    case = Case(Caller(mode), clock, first=["one ", "two ", openai_error(500)], second="never")
    case.scripts["first"].steps = (["one ", "two ", openai_error(500)],)
    told = case.ask(ap.Fallback(case.functions["second"]))
    assert isinstance(told.error, ap.StreamInterrupted)
    assert (told.read, told.error.partial) == (["one ", "two "], "one two ")
    assert case.calls["second"] == 0


@pytest.mark.parametrize("mode", STREAMS)
def test_a_buffered_stream_is_passed_on_to_its_end(mode: str, clock: FakeClock) -> None:
    """Nothing has been delivered, so everything can be asked anew."""
    case = Case(Caller(mode), clock, first="", second="whole")
    case.scripts["first"].steps = (["one ", openai_error(500)],)
    told = case.ask(ap.Fallback(case.functions["second"]), buffer=True)
    assert (told.value, told.read) == ("whole", ["whole"])


def test_scenario_06_a_used_up_quota_goes_to_another_key(provider: Provider) -> None:
    """One attempt, then the target with the other credential; a model's name alone has the same one."""
    answers = iter([b.error(429, code="insufficient_quota"), b.ok("paid for"), b.ok("paid for")])
    provider.script(lambda request: next(answers))
    home = plain_client("openai", "sync", provider, api_key="empty")
    other = plain_client("openai", "sync", provider, api_key="full")
    same = plain_client("openai", "sync", provider, api_key="empty")
    fallback = ap.Fallback("gpt-5-nano", ap.target(same, "gpt-5"), ap.target(other, "gpt-5-mini", name="spare"))
    client = ap.Stack(fallback, ap.Retry(attempts=3), ap.RateLimit()).wrap(home)
    for _ in range(2):
        made = client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}])
        assert made.choices[0].message.content == "paid for"
        assert ap.meta(made).served_by == "spare"
    # The empty credential rests: the second call asks the other one at once.
    assert ["full" in str(request.headers) for request in provider.requests] == [False, True, True]
    for each in (home, other, same):
        each.close()


def test_scenario_04_a_rate_limit_far_off_is_passed_on_at_once(provider: Provider) -> None:
    """Two hours are not waited for when another one can answer now; the next call does not even ask."""
    clock = FakeClock()
    with Provider([b.ok("from there")]) as there:
        provider.script([b.rate_limit(retry_after=7200)])
        home, away = plain_client("openai", "sync", provider), plain_client("openai", "sync", there)
        stack = ap.Stack(ap.Deadline(30), ap.Fallback(ap.target(away, "gpt-5-mini")), ap.Retry(), clock=clock)
        client = stack.wrap(home)
        made: Any = None
        for _ in range(2):
            made = client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}])
            assert made.choices[0].message.content == "from there"
        assert clock.slept == []
        assert len(provider.requests) == 1
        assert ap.meta(made).notes[0].data["reason"] == "resting"
        home.close()
        away.close()


@pytest.fixture
def provider() -> Any:
    """Run a scripted provider for one test."""
    with Provider() as running:
        yield running


def test_another_model_of_a_refused_account_may_answer(provider: Provider) -> None:
    """Providers limit each model on its own: the smaller one is asked at once, though the account is the same."""
    clock = FakeClock()
    provider.script(lambda request: b.ok("small") if request.json["model"] == "small" else b.rate_limit(retry_after=90))
    home = plain_client("openai", "sync", provider)
    client = ap.Stack(ap.Fallback("small"), ap.Retry(), ap.RateLimit(), clock=clock).wrap(home)
    for _ in range(2):
        made = client.chat.completions.create(model="large", messages=[{"role": "user", "content": "Hi"}])
        assert made.choices[0].message.content == "small"
    assert clock.slept == []
    assert [request.json["model"] for request in provider.requests] == ["large", "small", "small"]
    home.close()


# Which faults


PASSED = {
    "connection": ConnectionError(),
    "timeout": TimeoutError(),
    "server": openai_error(500),
    "overloaded": openai_error(503),
    "rate_limit": openai_error(429),
}
KEPT = {
    "bad_request": openai_error(404),
    "conflict": openai_error(409),
    "content_policy": openai_error(400, code="content_filter"),
    "unprocessable": openai_error(422),
}


@pytest.mark.parametrize("fault", PASSED)
def test_faults_of_the_provider_are_passed_on(fault: str, clock: FakeClock) -> None:
    """Another one may not have them."""
    case = Case(Caller("sync"), clock, first=PASSED[fault], second="fine")
    assert case.ask(ap.Fallback(case.functions["second"])).value == "fine"


@pytest.mark.parametrize("fault", KEPT)
def test_faults_of_the_request_are_not(fault: str, clock: FakeClock) -> None:
    """They would come back."""
    case = Case(Caller("sync"), clock, first=KEPT[fault], second="never")
    assert case.ask(ap.Fallback(case.functions["second"])).error is KEPT[fault]


def test_a_refused_credential_is_told_each_time(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """Another key may serve meanwhile, but somebody has to know."""
    case = Case(Caller("sync"), clock, first=openai_error(401), second="fine")
    with caplog.at_level(logging.ERROR, "agentprod"):
        for _ in range(2):
            assert case.ask(ap.Fallback(case.functions["second"])).value == "fine"
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "first refused the credential" in caplog.text


@pytest.mark.parametrize(
    ("refusal", "passed"),
    [
        (ap.CircuitOpen("open"), True),
        (ap.RateLimited("limit"), True),
        (ap.BulkheadFull("full"), True),
        (ap.AllUnavailable("none"), True),
        (ap.BudgetExceeded("spent"), False),
        (ap.Blocked("guard"), False),
        (ap.ShuttingDown("drain"), False),
        (ap.CacheMiss("only"), False),
        (ap.DeadlineExceeded("late"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_refusals_of_one_target_are_passed_on_those_of_all_are_not(
    refusal: Exception, passed: bool, clock: FakeClock
) -> None:
    """An open circuit speaks of one endpoint, a budget of them all."""
    case = Case(Caller("sync"), clock, first="", second="fine")

    async def refuse(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        if str(call.target) == "first":
            raise refusal
        return await call_next(call)

    told = case.ask(ap.Fallback(case.functions["second"]), refuse)
    assert (told.value == "fine") is passed
    assert told.error is (None if passed else refusal)


class Odd(Exception):
    """An error nobody knows."""


def test_an_unknown_error_is_passed_on_when_asked(caller: Caller, clock: FakeClock) -> None:
    """By type, by fault, or by a predicate."""
    for on in (Odd, [Odd], ap.Fault.UNKNOWN, lambda error: isinstance(error, Odd)):
        case = Case(caller, clock, first=Odd(), second="fine")
        assert case.ask(ap.Fallback(case.functions["second"], on=on)).value == "fine"


def test_an_unknown_error_that_is_not_passed_on_is_told_once(clock: FakeClock) -> None:
    """Whoever listed a fallback expects it to be used, and learns how."""
    case = Case(Caller("sync"), clock, first=Odd(), second="never")
    fallback = ap.Fallback(case.functions["second"])
    with pytest.warns(ap.AgentprodWarning, match=r"on=Odd"):
        assert isinstance(case.ask(fallback).error, Odd)
    assert isinstance(case.ask(fallback).error, Odd)


def test_a_content_policy_error_goes_to_its_own_targets(caller: Caller, clock: FakeClock) -> None:
    """A target with another policy may answer; ordinary faults never go there."""
    case = Case(caller, clock, first=openai_error(400, code="content_filter"), second="never", lenient="answered")
    told = case.ask(ap.Fallback(case.functions["second"], on_content_policy=case.functions["lenient"]))
    assert told.value == "answered"
    assert case.calls["second"] == 0
    plain = Case(caller, clock, first=openai_error(500), lenient="never")
    assert plain.ask(ap.Fallback(on_content_policy=[plain.functions["lenient"]])).error is not None


def test_a_reply_that_says_refused_goes_there_too(provider: Provider) -> None:
    """The filter need not raise; when nobody else answers, the refusal itself is returned."""
    provider.script({"/v1/chat/completions": [b.ok("", finish="content_filter"), b.ok("answered"), b.error(500)]})
    home = plain_client("openai", "sync", provider)
    client = ap.Stack(ap.Fallback(on_content_policy=["gpt-5-lenient"])).wrap(home)
    question: Any = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hi"}]}
    made = client.chat.completions.create(**question)
    assert made.choices[0].message.content == "answered"
    assert provider.requests[-1].json["model"] == "gpt-5-lenient"
    assert [attempt.outcome for attempt in ap.meta(made).attempts] == ["ok", "ok"]
    provider.script([b.ok("", finish="content_filter"), b.error(500)])
    refused = client.chat.completions.create(**question)
    assert refused.choices[0].finish_reason == "content_filter"
    home.close()


def test_a_refusal_by_every_lenient_target_returns_the_last(provider: Provider) -> None:
    """Each refusal but the last is discarded."""
    provider.script([b.ok("", finish="content_filter")])
    home = plain_client("openai", "sync", provider)
    ends: list[str] = []

    async def watch(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        reply.on_end(lambda end: ends.append(end.outcome))
        return reply

    client = ap.Stack(ap.Fallback(on_content_policy=["a", "b"]), watch).wrap(home)
    made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert made.choices[0].finish_reason == "content_filter"
    assert ends == ["discarded", "discarded", "complete"]
    home.close()


# To whom


def test_names_are_models_of_the_callers_own_client(provider: Provider) -> None:
    """Also when the first answer came from elsewhere."""
    provider.script(lambda request: b.ok("small") if request.json["model"] == "gpt-5-nano" else b.error(500))
    home = plain_client("openai", "sync", provider)
    client = ap.Stack(ap.Fallback("gpt-5-mini", "gpt-5-nano")).wrap(home)
    made = client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}])
    assert made.choices[0].message.content == "small"
    # The one it was asked of stands in the list as well: it is not asked twice.
    assert [request.json["model"] for request in provider.requests] == ["gpt-5-mini", "gpt-5-nano"]
    home.close()


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_function_may_stand_in_for_a_client(kind: str, stream: bool, provider: Provider) -> None:
    """It gets the request as keywords and returns a text; the caller gets its SDK's own type."""
    import asyncio

    from agentprod.runtime.drive import drive
    from tests.clients.streams import Reading
    from tests.clients.surfaces import result

    provider.script([b.error(500)])
    asked: list[Any] = []

    def canned(messages: list[dict[str, Any]], **rest: Any) -> str:
        asked.append((messages[-1]["content"], rest["model"]))
        return "We are busy. 请稍后再试。"

    async def acanned(messages: list[dict[str, Any]], **rest: Any) -> str:
        return canned(messages, **rest)

    async def case() -> None:
        home = plain_client("openai", kind, provider)
        client = ap.Stack(ap.Fallback(canned if kind == "sync" else acanned)).wrap(home)
        question: Any = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
        made = await result(client.chat.completions.create(**question))
        if stream:
            reading = Reading(made)
            assert "".join(await reading.all()) == "We are busy. 请稍后再试。"
        else:
            assert made.choices[0].message.content == "We are busy. 请稍后再试。"
        assert asked == [("Hi", "gpt-5-mini")]
        meta = ap.meta(made)
        assert (meta.served_by or "").endswith("canned")
        assert meta.usage is not None
        assert meta.usage.total_tokens == 0
        await result(home.close())

    (drive if kind == "sync" else asyncio.run)(case())


def test_a_generator_may_stand_in_for_a_stream(provider: Provider) -> None:
    """Its texts are the pieces of the stream, for either SDK; events in the caller's form pass as they are."""
    provider.script([b.error(500)])

    def pieces(**request: Any) -> Any:
        yield "We are "
        yield "busy."

    for sdk in ("openai", "anthropic"):
        from tests.clients.streams import text_of
        from tests.clients.surfaces import claude

        home = plain_client(sdk, "sync", provider)
        client = ap.Stack(ap.Fallback(pieces)).wrap(home)
        if sdk == "openai":
            stream = client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
            )
        else:
            stream = client.messages.create(stream=True, **claude())
        assert [text for item in stream if (text := text_of(item))] == ["We are ", "busy."]
        home.close()


def test_a_function_may_return_a_whole_reply_or_events(provider: Provider) -> None:
    """In the caller's wire form, as they are; its counts are taken."""
    provider.script([b.error(500)])
    home = plain_client("openai", "sync", provider)
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    message = {"role": "assistant", "content": "stored"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "own", "choices": [choice], "usage": usage}

    def whole(**request: Any) -> Any:
        return body

    def events(**request: Any) -> Any:
        for delta, finish in (({"content": "sto"}, None), ({"content": "red"}, "stop")):
            yield {**body, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}

    question: Any = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    made = ap.Stack(ap.Fallback(whole)).wrap(home).chat.completions.create(**question)
    assert made.choices[0].message.content == "stored"
    assert ap.meta(made).usage == ap.Usage(input_tokens=7, output_tokens=2)
    stream = ap.Stack(ap.Fallback(events)).wrap(home).chat.completions.create(**question, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "stored"
    left = ap.Stack(ap.Fallback(events)).wrap(home).chat.completions.create(**question, stream=True)
    next(left)
    left.close()
    assert ap.meta(left).attempts[-1].outcome == "abandoned"
    home.close()


def test_a_generator_that_fails_is_a_target_that_failed(provider: Provider) -> None:
    """Before its first text the next one is asked; texts have no form in a responses stream."""
    provider.script([b.error(500)])
    home = plain_client("openai", "sync", provider)

    def breaks(**request: Any) -> Any:
        raise ConnectionError
        yield ""

    def texts(**request: Any) -> Any:
        yield "text"

    question: Any = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    stream = ap.Stack(ap.Fallback(breaks, texts)).wrap(home).chat.completions.create(**question, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "text"
    with pytest.raises(openai.InternalServerError) as caught:
        ap.Stack(ap.Fallback(texts)).wrap(home).responses.create(model="m", input="Hi", stream=True)
    assert "texts (bad_request)" in str(caught.value.__notes__)
    home.close()


def test_a_function_that_does_not_take_the_request_is_left_out(provider: Provider) -> None:
    """The reason names the field, in the notes of the error."""
    provider.script([b.error(500)])
    home = plain_client("openai", "sync", provider)

    def narrow(messages: Any) -> str:
        return "never"

    client = ap.Stack(ap.Fallback(narrow)).wrap(home)
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert "left out" in str(caught.value.__notes__)
    assert "takes no" in str(caught.value.__notes__) or "unexpected keyword" in str(caught.value.__notes__)
    home.close()


def test_a_target_without_words_for_the_call_is_left_out(provider: Provider) -> None:
    """The next one is asked; the account says who was not, and why."""
    with Provider([b.ok("from there")]) as there:
        provider.script([b.error(500)])
        home, away = plain_client("openai", "sync", provider), plain_client("openai", "sync", there)
        claude = plain_client("anthropic", "sync", there)
        fallback = ap.Fallback(ap.target(claude, "claude", defaults={"max_tokens": 9}), ap.target(away, "gpt-5"))
        client = ap.Stack(fallback).wrap(home)
        question: Any = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "seed": 7}
        made = client.chat.completions.create(**question)
        assert made.choices[0].message.content == "from there"
        assert [request.path for request in there.requests] == ["/v1/chat/completions"]
        there.script([b.error(500)])
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(**question)
        assert "left out anthropic/claude (its API has no words for seed" in str(caught.value.__notes__)
        for each in (home, away, claude):
            each.close()


def test_scenario_42_what_only_one_provider_knows_stays_behind(provider: Provider) -> None:
    """Cache marks and signed thinking are not sent to a foreign provider."""
    provider.script({"/v1/messages": [b.error(529)], "/v1/chat/completions": [b.ok("from there")]})
    home, away = plain_client("anthropic", "sync", provider), plain_client("openai", "sync", provider)
    client = ap.Stack(ap.Fallback(ap.target(away, "gpt-5-mini"))).wrap(home)
    made = client.messages.create(
        model="claude-sonnet-5",
        max_tokens=50,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "signed"},
                    {"type": "text", "text": "Hello."},
                ],
            },
            {"role": "user", "content": "And now?"},
        ],
    )
    assert made.content[0].text == "from there"
    sent = provider.requests[-1].body.decode()
    assert all(word not in sent for word in ("cache_control", "signature", "signed", "thinking"))
    assert ap.meta(made).dropped == ("message.reasoning",)
    home.close()
    away.close()


def test_a_resting_primary_is_asked_when_nobody_else_can_answer(caller: Caller, clock: FakeClock) -> None:
    """Its rest may be over sooner than it said."""
    case = Case(
        caller, clock, first=(openai_error(429, headers={"retry-after": "60"}), "again"), second=openai_error(500)
    )
    fallback = ap.Fallback(case.functions["second"])
    stack = ap.Stack(fallback, clock=clock)
    decorated = stack.decorate(case.functions["first"])
    assert caller.ask(decorated).error is not None
    told = caller.ask(decorated)
    assert told.value == "again"
    assert told.meta is not None
    assert "degraded" not in told.meta.flags
    assert [target for _, target, _ in switches(told)] == ["second", "first"]


def test_an_open_circuit_is_not_waited_for(caller: Caller, clock: FakeClock) -> None:
    """Who is known to fail is not asked while another one can answer."""
    case = Case(caller, clock, first=openai_error(500), second="fine")
    breaker = ap.CircuitBreaker(min_calls=1)
    stack = ap.Stack(ap.Fallback(case.functions["second"]), breaker, clock=clock)
    decorated = stack.decorate(case.functions["first"])
    for _ in range(3):
        assert caller.ask(decorated).value == "fine"
    assert case.calls == {"first": 1, "second": 3}


def test_retries_come_before_the_next_target(caller: Caller, clock: FakeClock) -> None:
    """Each target gets its own series."""
    case = Case(caller, clock, first=openai_error(500), second=(openai_error(500), "fine"))
    told = case.ask(ap.Fallback(case.functions["second"]), ap.Retry(attempts=3))
    assert told.value == "fine"
    assert case.calls == {"first": 3, "second": 2}


def test_the_account_adds_up_all_targets(provider: Provider) -> None:
    """What the failed ones cost counts, too."""
    provider.script(
        {"/v1/messages": [b.ok("there", usage={"input_tokens": 7, "output_tokens": 3})], "/": [b.error(500)]}
    )
    home, away = plain_client("openai", "sync", provider), plain_client("anthropic", "sync", provider)
    target = ap.target(away, "claude-sonnet-5", defaults={"max_tokens": 9})
    client = ap.Stack(ap.Fallback(target), prices=lambda provider, model, usage: 1).wrap(home)  # type: ignore[arg-type]
    made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    usage = ap.meta(made).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (7, 3)
    assert ap.meta(made).cost == 1
    home.close()
    away.close()


# Mistakes


def test_the_same_target_twice_is_an_error() -> None:
    """It would only be asked again; by name, by client and model, or by function."""

    def backup(prompt: str) -> str:
        return ""

    with openai.OpenAI(api_key="k", base_url="http://h") as one, openai.OpenAI(api_key="k", base_url="http://h") as two:
        for targets in (("a", "b", "a"), (ap.target(one, "m"), ap.target(two, "m")), (backup, backup)):
            with pytest.raises(ap.ConfigError, match="twice; each target is tried once"):
                ap.Fallback(*targets)
        ap.Fallback(ap.target(one, "m"), ap.target(one, "n"), backup, lambda prompt: "")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (ap.Fallback, "needs a target"),
        (lambda: ap.Fallback(7), "not int"),
        (lambda: ap.Fallback(""), "not str"),
        (lambda: ap.Fallback(dict), "not dict"),
        (lambda: ap.Fallback("m", on="server"), "on= takes exception types"),
        (lambda: ap.Fallback("m", on=KeyboardInterrupt), "Fallback never repeats KeyboardInterrupt"),
        (lambda: ap.Fallback("m", on=ap.Fault.CANCELLED), "never repeats cancelled"),
    ],
)
def test_options_that_cannot_work_are_refused(make: Any, words: str) -> None:
    """When the layer is built, with what to write instead."""
    with pytest.raises(ap.ConfigError, match=words):
        make()


def test_a_client_is_not_a_target() -> None:
    """The error says what to write."""
    with openai.OpenAI(api_key="k") as client, pytest.raises(ap.ConfigError, match=r"ap\.target\(client, model\)"):
        ap.Fallback(client)


def test_targets_answer_as_what_they_stand_in_for(provider: Provider) -> None:
    """Sync for sync, generators for generators: told when the stack is attached."""

    async def asynchronous(prompt: str) -> str:
        return ""

    def generator(prompt: str) -> Any:
        yield ""

    def plain(prompt: str) -> str:
        return ""

    home = plain_client("openai", "sync", provider)
    with pytest.raises(ap.ConfigError, match="is async and what the stack is put around is sync"):
        ap.Stack(ap.Fallback(asynchronous)).wrap(home)
    with pytest.raises(ap.ConfigError, match="is a generator and"):
        ap.Stack(ap.Fallback(generator)).decorate(plain)
    with pytest.raises(ap.ConfigError, match="is no generator and"):
        ap.Stack(ap.Fallback(plain)).decorate(generator)
    home.close()


def test_a_model_name_means_nothing_to_a_plain_function(clock: FakeClock) -> None:
    """It is left out, and said so."""
    error = openai_error(500)
    case = Case(Caller("sync"), clock, first=error)
    told = case.ask(ap.Fallback("gpt-5-mini"))
    assert told.error is error
    assert "takes no model name" in str(error.__notes__)


# Around it


def test_a_cancelled_call_asks_nobody(clock: FakeClock) -> None:
    """What is no Exception goes through untouched."""
    case = Case(Caller("sync"), clock, first=KeyboardInterrupt(), second="never")
    with pytest.raises(KeyboardInterrupt):
        case.ask(ap.Fallback(case.functions["second"]))
    assert case.calls["second"] == 0


def test_it_belongs_outside_retry() -> None:
    """The other way round it hides the error."""
    with pytest.raises(ap.OrderError):
        ap.Stack(ap.Retry(), ap.Fallback("m"))


def test_a_cache_does_not_keep_what_a_fallback_said(caller: Caller, clock: FakeClock) -> None:
    """It is not what was asked for."""
    case = Case(caller, clock, first=(openai_error(500), "the real one"), second="stand-in")
    decorated = ap.Stack(ap.Cache(), ap.Fallback(case.functions["second"]), clock=clock).decorate(
        case.functions["first"]
    )
    answers = [caller.ask(decorated).value for _ in range(3)]
    assert answers == ["stand-in", "the real one", "the real one"]
    assert case.calls == {"first": 2, "second": 1}


def test_one_layer_is_a_decorator(clock: FakeClock) -> None:
    """`@Fallback(backup)`."""

    @ap.Fallback(lambda prompt: f"instead of {prompt}")
    def ask(prompt: str) -> str:
        raise ConnectionError

    assert ask("this") == "instead of this"
    assert repr(ap.Fallback("a", on_context_overflow=["b"])) == "Fallback(targets=['a'], on_context_overflow=['b'])"


def test_a_failed_call_leaves_nothing_for_the_collector() -> None:
    """No error keeps itself alive by way of its traceback."""
    seen: list[weakref.ref[Odd]] = []

    def fail(prompt: str) -> str:
        error = Odd(prompt)
        seen.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    @ap.Fallback(fail, on=Odd)
    def ask(prompt: str) -> str:
        return fail(prompt)

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(Odd):
            ask("it")
        assert [error() for error in seen] == [None, None]
    finally:
        gc.enable()


FAULTS = {**PASSED, **KEPT, "fine": "fine"}


@given(st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=5))
def test_all_kinds_of_callables_do_the_same(plan: list[str]) -> None:
    """Sync, async and streams: same calls, same notes, same end, for any series of faults."""
    logs = []
    for mode in MODES:
        names = [f"t{n}" for n in range(len(plan))]
        steps = {name: FAULTS[fault] for name, fault in zip(names, plan, strict=True)}
        case = Case(Caller(mode), FakeClock(), **steps)
        told = case.ask(*([ap.Fallback(*[case.functions[name] for name in names[1:]])] if len(names) > 1 else []))
        logs.append((told.log, case.calls))
        expected = next((n for n, fault in enumerate(plan) if fault == "fine" or fault in KEPT), len(plan) - 1)
        assert list(case.calls.values()) == [1] * (expected + 1) + [0] * (len(plan) - expected - 1)
    assert all(log == logs[0] for log in logs)
