"""Scripts: which behaviour answers which request, and what is refused when a script is given."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from agentprod.errors import ConfigError
from agentprod.testing import Provider, RecordedRequest, behaviours
from tests.testing.callers import AnthropicAt, OpenAIAt, until


def ask(client: openai.OpenAI, text: str = "Hello") -> str:
    """Ask one question and return the answer, or the status of the error."""
    messages: Any = [{"role": "user", "content": text}]
    try:
        return client.chat.completions.create(model="m", messages=messages).choices[0].message.content or ""
    except openai.APIStatusError as error:
        return str(error.status_code)


def names(provider: Provider) -> list[str]:
    """Return the behaviours used so far."""
    return [request.behaviour for request in provider.requests]


@pytest.mark.parametrize("script", [None, [], "ok", ["ok"], ("ok",), behaviours.ok(), [behaviours.ok()]])
def test_a_provider_answers_by_default(openai_at: OpenAIAt, script: Any) -> None:
    """No script, an empty one, a name, a behaviour or a list of one: each answers every request."""
    with Provider(script) as provider:
        assert [ask(openai_at(provider)) for _ in range(2)] == ["Hello from the scripted provider."] * 2


def test_each_request_takes_the_next_behaviour(openai_at: OpenAIAt) -> None:
    """The last one repeats."""
    with Provider(["rate_limit", behaviours.error(503), "ok"]) as provider:
        answers = [ask(openai_at(provider)) for _ in range(4)]
        assert names(provider) == ["rate_limit", "error", "ok", "ok"]
    assert answers[:2] == ["429", "503"]


def test_a_callable_chooses_by_the_request(openai_at: OpenAIAt) -> None:
    """It sees method, path, headers, body and text, and may return a behaviour or a name."""
    seen: list[RecordedRequest] = []

    def choose(request: RecordedRequest) -> behaviours.Behaviour | str:
        seen.append(request)
        return "echo" if "please" in request.text else behaviours.error(400)

    with Provider(choose) as provider:
        client = openai_at(provider)
        assert [ask(client, "now"), ask(client, "now please")] == ["400", "now please"]
    assert (seen[0].method, seen[0].path, seen[0].json["model"]) == ("POST", "/v1/chat/completions", "m")
    assert seen[0].headers["authorization"] == "Bearer k"


def test_a_mapping_has_a_script_for_each_path(openai_at: OpenAIAt, anthropic_at: AnthropicAt) -> None:
    """The longest prefix wins, each list goes at its own pace, and other paths are answered."""
    script: Any = {
        "/v1/messages": ["rate_limit", "ok"],
        "/v1/messages/count_tokens": "ok",
        "/v1/chat": lambda request: "echo",
    }
    with Provider(script) as provider:
        assert ask(openai_at(provider), "me") == "me"
        assert anthropic_at(provider).messages.count_tokens(model="m", messages=[]).input_tokens == 0
        assert len(list(openai_at(provider).models.list())) > 0
        with pytest.raises(anthropic.RateLimitError):
            anthropic_at(provider).messages.create(model="m", max_tokens=9, messages=[])
        anthropic_at(provider).messages.create(model="m", max_tokens=9, messages=[])
        assert names(provider) == ["echo", "ok", "ok", "rate_limit", "ok"]


def test_a_script_can_be_replaced_and_begun_again(openai_at: OpenAIAt) -> None:
    """`script` goes on by another one; `reset` forgets the past and begins the script from its start."""
    with Provider(["rate_limit", "ok"]) as provider:
        client = openai_at(provider)
        ask(client)
        provider.script([behaviours.error(500), "echo"])
        assert [ask(client, "x"), ask(client, "x")] == ["500", "x"]
        assert (len(provider.requests), provider.connections) == (3, 1)
        provider.reset()
        assert (provider.requests, provider.connections) == ([], 0)
        assert ask(client) == "500"
        assert (names(provider), provider.open_connections) == (["error"], 1)


def test_a_bad_replacement_leaves_the_script(openai_at: OpenAIAt) -> None:
    """A script that is refused changes nothing."""
    with Provider("echo") as provider:
        with pytest.raises(ConfigError):
            provider.script(["no such thing"])
        assert ask(openai_at(provider), "still") == "still"


def test_requests_at_once_each_take_one_behaviour(openai_at: OpenAIAt) -> None:
    """Of a list, no behaviour is given twice or left out, however many ask at once."""
    script = [behaviours.ok(str(number)) for number in range(20)]
    answers: list[str] = []
    with Provider(script) as provider:
        client = openai_at(provider)
        threads = [threading.Thread(target=lambda: answers.append(ask(client))) for _ in script]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers, key=int) == [str(number) for number in range(20)]


def test_a_callable_may_wait_for_the_test(openai_at: OpenAIAt) -> None:
    """A request that is being chosen for is recorded already, and holds up no other connection."""
    gate = threading.Event()

    def choose(request: RecordedRequest) -> str:
        if request.text == "wait":
            gate.wait(5)
        return "echo"

    with Provider(choose) as provider:
        client = openai_at(provider)
        waiting = threading.Thread(target=ask, args=(client, "wait"))
        waiting.start()
        until(lambda: bool(provider.requests))
        assert names(provider) == [""]
        assert ask(client, "other") == "other"
        gate.set()
        waiting.join()
        assert names(provider) == ["echo", "echo"]


def test_the_error_of_a_callable_fails_the_test(openai_at: OpenAIAt) -> None:
    """The client gets a 500, and the provider raises the error at its end, unless another one is on its way."""

    def choose(request: RecordedRequest) -> str:
        raise KeyError(request.path)

    with pytest.raises(KeyError), Provider(choose) as provider:
        assert ask(openai_at(provider)) == "500"
    with pytest.raises(ZeroDivisionError), Provider(choose) as provider:
        ask(openai_at(provider))
        _ = 1 / 0


def test_a_callable_that_returns_nonsense_fails_the_test(openai_at: OpenAIAt) -> None:
    """It is refused when it is returned, and not taken for an answer."""
    with pytest.raises(ConfigError, match="NoneType"), Provider(lambda request: None) as provider:  # type: ignore[arg-type]
        assert ask(openai_at(provider)) == "500"


def test_forgetting_the_past_forgets_its_errors(openai_at: OpenAIAt) -> None:
    """After `reset` an earlier error of a callable is not raised."""
    with Provider(lambda request: "no such thing") as provider:
        ask(openai_at(provider))
        provider.reset()
        assert not provider.requests


def test_a_request_that_is_forgotten_while_it_waits_stays_forgotten(openai_at: OpenAIAt) -> None:
    """`reset` while a callable chooses does not bring the request back."""
    with Provider() as provider:

        def choose(_request: RecordedRequest) -> str:
            provider.reset()
            return "ok"

        provider.script(choose)
        ask(openai_at(provider))
        assert not provider.requests


class Teapot:
    """A behaviour made by a user: a name and a plan."""

    name = "teapot"

    def plan(self, exchange: Any) -> Any:
        """Return what `error` plans, with a status of its own."""
        return behaviours.error(418).plan(exchange)


def test_a_behaviour_may_be_the_users_own(openai_at: OpenAIAt) -> None:
    """Anything with a name and a plan is a behaviour, alone and inside another."""
    with Provider([Teapot(), behaviours.slow(0, reply=Teapot())]) as provider:
        assert [ask(openai_at(provider)) for _ in range(2)] == ["418", "418"]
        assert names(provider) == ["teapot", "slow"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("no such thing", "no behaviour is called 'no such thing'; there are black_hole, cut"),
        (["ok", "raw"], "no behaviour is called 'raw'"),
        ([None], "NoneType"),
        ([Teapot], "not type"),
        ([behaviours.ok], "not function"),
        (7, "not int"),
        ({"v1": "ok"}, "'v1'"),
        ({3: "ok"}, "3"),
        ({"/v1": {"/x": "ok"}}, "not dict"),
    ],
)
def test_a_bad_script_is_refused_when_it_is_given(script: Any, message: str) -> None:
    """What is no behaviour is refused before any request comes, with what is known."""
    with pytest.raises(ConfigError, match=message):
        Provider(script)


BAD_OPTIONS: list[tuple[Callable[[], Any], str]] = [
    (lambda: behaviours.ok(5), r"ok\(text=\) must be text or None, not int"),  # type: ignore[arg-type]
    (lambda: behaviours.ok(tool_calls=["f"]), "tool_calls"),  # type: ignore[list-item]
    (lambda: behaviours.ok(tool_calls=[{"name": "f"}]), "tool_calls"),
    (lambda: behaviours.ok(tool_calls=[{"name": "f", "arguments": "{}"}]), "a mapping"),
    (lambda: behaviours.ok(tool_calls=[{"name": "f", "arguments": {"a": object()}}]), "JSON"),
    (lambda: behaviours.ok(usage={"prompt_tokens": 3}), "prompt_tokens"),
    (lambda: behaviours.ok(chunks=0), "chunks"),
    (lambda: behaviours.ok(chunks="ab"), "chunks"),
    (lambda: behaviours.ok(chunks=[1]), "chunks"),  # type: ignore[list-item]
    (lambda: behaviours.ok("a", chunks=["b"]), "different things"),
    (lambda: behaviours.ok(headers={"a": "b\r\nc: d"}), "line breaks"),
    (lambda: behaviours.error(headers={"a": "二"}), "ASCII"),
    (lambda: behaviours.ok(headers=["a"]), "not be a list"),  # type: ignore[arg-type]
    (lambda: behaviours.error(200), "from 400 to 599"),
    (lambda: behaviours.error(True), "True"),
    (lambda: behaviours.cut(-1), r"cut\(after=\)"),
    (lambda: behaviours.cut(1.5), "whole number"),  # type: ignore[arg-type]
    (lambda: behaviours.cut(how="gone"), "how"),  # type: ignore[arg-type]
    (lambda: behaviours.cut(reply="no such thing"), "no such thing"),
    (lambda: behaviours.cut(reply=4), "not int"),  # type: ignore[arg-type]
    (lambda: behaviours.stall(after=-1), "stall"),
    (lambda: behaviours.truncate(after=-1), "truncate"),
    (lambda: behaviours.truncate(inside_tool_call=True, reply="echo"), "tool_calls"),
    (lambda: behaviours.truncate(inside_tool_call=True, reply="error"), "tool_calls"),
    (lambda: behaviours.malformed(after=-1), "malformed"),
    (lambda: behaviours.sse_error(after=-1), "sse_error"),
    (lambda: behaviours.slow(-1), "seconds"),
    (lambda: behaviours.slow(0, float("nan")), "first"),
    (lambda: behaviours.slow(0, between="1"), "between"),  # type: ignore[arg-type]
    (lambda: behaviours.dribble(0), "bytes_per_write"),
    (lambda: behaviours.dribble(1, -1), "interval"),
    (lambda: behaviours.pings(-1), "every"),
    (lambda: behaviours.pings(1, 0), "count"),
    (lambda: behaviours.pings(1, 1, after=-1), "after"),
    (lambda: behaviours.json_body(object()), "JSON"),
    (lambda: behaviours.json_body({}, 99), "from 200 to 599"),
    (lambda: behaviours.sse_events([3]), "not int"),  # type: ignore[list-item]
    (lambda: behaviours.raw("text"), "not str"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "message"), BAD_OPTIONS, ids=range(len(BAD_OPTIONS)))
def test_a_bad_option_is_refused_when_it_is_given(make: Callable[[], Any], message: str) -> None:
    """The error names the behaviour or the option, and what is allowed."""
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_tool_call_deep_inside_can_be_truncated() -> None:
    """The reply with the tool call may stand inside other behaviours."""
    call = behaviours.ok(tool_calls=[{"name": "f", "arguments": {}}])
    script = behaviours.truncate(inside_tool_call=True, reply=behaviours.slow(0, reply=call))
    assert script.name == "truncate"
