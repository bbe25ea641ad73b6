"""The provider's chat completions, read by the bare OpenAI client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agentprod.testing import Provider, behaviours
from agentprod.usage import Usage

ClientAt = Callable[[Provider], openai.OpenAI]
HELLO: Any = [{"role": "user", "content": "Hello there, 世界"}]
WEATHER = {"name": "get_weather", "arguments": {"city": "北京", "days": 3}}


class Answer(BaseModel):
    """What structured output is parsed into."""

    city: str
    degrees: int


def create(client: openai.OpenAI, **options: Any) -> Any:
    """Ask for a whole completion, or for a stream."""
    return client.chat.completions.create(model="gpt-test", messages=HELLO, **options)


def chunks(client: openai.OpenAI, **options: Any) -> list[Any]:
    """Ask for a stream and read all of it."""
    return list(create(client, stream=True, **options))


def deltas(events: list[Any]) -> list[Any]:
    """Return what the chunks of a stream add to the message."""
    return [event.choices[0].delta for event in events if event.choices]


def test_strict_clients_notice_a_missing_field(openai_at: ClientAt) -> None:
    """The tests here would fail if the provider left out a required field."""
    incomplete = behaviours.json_body({"id": "x", "object": "chat.completion"})
    with Provider(incomplete) as provider, pytest.raises(openai.APIResponseValidationError):
        create(openai_at(provider))


def test_a_completion_is_answered(openai_at: ClientAt, provider: Provider) -> None:
    """Text, finish reason, model, usage and request id are where the SDK looks for them."""
    completion = create(openai_at(provider))
    choice = completion.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Hello from the scripted provider.", "stop")
    assert (completion.model, completion.object) == ("gpt-test", "chat.completion")
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (4, 5)
    assert completion.usage.total_tokens == 9
    assert completion._request_id.startswith("req_")


def test_a_stream_carries_the_same_text(openai_at: ClientAt, provider: Provider) -> None:
    """The role comes first, then the words, then the finish reason; no usage unless it is asked for."""
    events = chunks(openai_at(provider))
    assert events[0].choices[0].delta.role == "assistant"
    assert "".join(delta.content or "" for delta in deltas(events)) == "Hello from the scripted provider."
    assert [event.choices[0].finish_reason for event in events] == [None] * 6 + ["stop"]
    assert {event.usage for event in events} == {None}
    assert len({event.id for event in events}) == 1


def test_usage_comes_last_when_it_is_asked_for(openai_at: ClientAt, provider: Provider) -> None:
    """The chunk with the usage is one more, without choices."""
    *events, last = chunks(openai_at(provider), stream_options={"include_usage": True})
    assert {event.usage for event in events} == {None}
    assert (last.choices, last.usage.prompt_tokens, last.usage.completion_tokens) == ([], 4, 5)


def test_tool_calls_are_answered(openai_at: ClientAt) -> None:
    """Tool calls stand alone, with arguments as JSON text and ids of their own."""
    with Provider(behaviours.ok(tool_calls=[WEATHER, {"name": "now", "arguments": {}}])) as provider:
        choice = create(openai_at(provider)).choices[0]
    assert (choice.message.content, choice.finish_reason) == (None, "tool_calls")
    weather, now = choice.message.tool_calls
    assert (weather.function.name, json.loads(weather.function.arguments)) == ("get_weather", WEATHER["arguments"])
    assert (now.function.name, now.function.arguments) == ("now", "{}")
    assert weather.id != now.id


def test_tool_calls_are_streamed_in_pieces(openai_at: ClientAt) -> None:
    """The name comes with the id, the arguments in at least two pieces that join to the same JSON."""
    with Provider(behaviours.ok("Wait.", tool_calls=[WEATHER, {"name": "now", "arguments": {}}])) as provider:
        events = chunks(openai_at(provider))
    calls = [call for delta in deltas(events) for call in delta.tool_calls or []]
    arguments: dict[int, list[str]] = {0: [], 1: []}
    for call in calls:
        arguments[call.index].append(call.function.arguments)
    assert [call.function.name for call in calls if call.id] == ["get_weather", "now"]
    assert json.loads("".join(arguments[0])) == WEATHER["arguments"]
    assert arguments[1] == ["", "{", "}"]
    assert events[-1].choices[0].finish_reason == "tool_calls"
    assert "".join(delta.content or "" for delta in deltas(events)) == "Wait."


@pytest.mark.parametrize("streaming", [False, True])
def test_every_choice_is_answered(openai_at: ClientAt, streaming: bool) -> None:
    """With n=2 there are two choices, each with the whole text and a finish reason, billed together."""
    with Provider(behaviours.ok("One two")) as provider:
        client = openai_at(provider)
        if streaming:
            with client.chat.completions.stream(
                model="m", messages=HELLO, n=2, stream_options={"include_usage": True}
            ) as stream:
                completion: Any = stream.get_final_completion()
        else:
            completion = create(client, n=2)
    assert [choice.message.content for choice in completion.choices] == ["One two", "One two"]
    assert [choice.finish_reason for choice in completion.choices] == ["stop", "stop"]
    assert completion.usage.completion_tokens == 4


def test_reasoning_has_a_field_of_its_own(openai_at: ClientAt) -> None:
    """Reasoning is `reasoning_content`, before the text, and counted in the output."""
    with Provider(behaviours.ok("Four.", reasoning="Two and two")) as provider:
        completion = create(openai_at(provider))
        pieces = deltas(chunks(openai_at(provider)))
    message = completion.choices[0].message
    assert (message.reasoning_content, message.content) == ("Two and two", "Four.")
    assert completion.usage.completion_tokens_details.reasoning_tokens == 3
    assert completion.usage.completion_tokens == 4
    said = ["r" if getattr(piece, "reasoning_content", None) else "t" for piece in pieces[1:-1]]
    assert said == ["r", "r", "r", "t"]


def test_a_refusal_has_a_field_of_its_own(openai_at: ClientAt) -> None:
    """A refusal is not content, whole or streamed."""
    with Provider(behaviours.ok(refusal="I will not.")) as provider:
        message = create(openai_at(provider)).choices[0].message
        pieces = deltas(chunks(openai_at(provider)))
    assert (message.content, message.refusal) == (None, "I will not.")
    assert "".join(piece.refusal or "" for piece in pieces) == "I will not."
    assert {piece.content for piece in pieces} == {None}


def test_the_finish_reason_is_scripted(openai_at: ClientAt) -> None:
    """`finish` wins over what the content suggests."""
    with Provider(behaviours.ok("cut of", finish="length")) as provider:
        assert create(openai_at(provider)).choices[0].finish_reason == "length"
        assert chunks(openai_at(provider))[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize("usage", [{"input_tokens": 100, "output_tokens": 7, "cache_read_tokens": 90}, None])
def test_usage_is_scripted_or_counted(openai_at: ClientAt, usage: dict[str, int] | None) -> None:
    """Scripted counts are sent as they are; the same request is counted the same every time."""
    with Provider(behaviours.ok("a b", usage=usage)) as provider:
        first, again = create(openai_at(provider)).usage, create(openai_at(provider)).usage
    assert first == again
    assert first.prompt_tokens == (100 if usage else 4)
    assert first.completion_tokens == (7 if usage else 2)
    assert first.prompt_tokens_details.cached_tokens == (90 if usage else 0)


def test_usage_may_be_missing(openai_at: ClientAt) -> None:
    """`usage={}` is a server that counts nothing, whole and streamed, asked or not."""
    with Provider(behaviours.ok("a b", usage={})) as provider:
        assert create(openai_at(provider)).usage is None
        events = chunks(openai_at(provider), stream_options={"include_usage": True})
    assert all(event.choices and event.usage is None for event in events)


def test_usage_may_be_a_usage(openai_at: ClientAt) -> None:
    """The library's own type is taken as well, cache writes included."""
    with Provider(behaviours.ok(usage=Usage(input_tokens=9, output_tokens=1, cache_write_tokens=5))) as provider:
        usage = create(openai_at(provider)).usage
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cache_write_tokens) == (9, 5)


@pytest.mark.parametrize(
    ("script", "pieces"),
    [
        (behaviours.ok("One two. 你好"), ["One", " two.", " 你", "好"]),
        (behaviours.ok("abcdef", chunks=3), ["ab", "cd", "ef"]),
        (behaviours.ok("ab", chunks=9), ["a", "b"]),
        (behaviours.ok(chunks=["[[EMA", "IL_1]]", " end"]), ["[[EMA", "IL_1]]", " end"]),
        (behaviours.ok("same", chunks=["sa", "me"]), ["sa", "me"]),
        (behaviours.echo(chunks=2), ["Hello t", "here, 世界"]),
        (behaviours.ok("  "), ["  "]),
        (behaviours.ok(""), []),
    ],
)
def test_the_text_is_cut_as_scripted(openai_at: ClientAt, script: behaviours.Behaviour, pieces: list[str]) -> None:
    """A stream comes in words, in as many pieces as asked for, or in exactly the pieces given."""
    with Provider(script) as provider:
        events = chunks(openai_at(provider))
        whole = create(openai_at(provider)).choices[0].message.content
    assert [delta.content for delta in deltas(events)[1:-1]] == pieces
    assert whole == "".join(pieces)


def test_echo_answers_with_the_users_last_text(openai_at: ClientAt) -> None:
    """The text of all parts of the last user message comes back, and nothing else of the conversation."""
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": [{"type": "text", "text": "Second "}, {"type": "text", "text": "third"}]},
    ]
    with Provider("echo") as provider:
        completion = openai_at(provider).chat.completions.create(model="m", messages=messages)
    assert completion.choices[0].message.content == "Second third"


def test_echo_of_everything_is_a_list_of_all_text(openai_at: ClientAt) -> None:
    """Instructions, messages, tool calls and tool results come back as JSON, in their order."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"q": "秘密"}'}}
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "the result"},
    ]
    with Provider(behaviours.echo(everything=True)) as provider:
        completion = openai_at(provider).chat.completions.create(model="m", messages=messages)
    content = completion.choices[0].message.content
    assert content is not None
    assert json.loads(content) == ["Be brief.", "First", '{"q": "秘密"}', "the result"]


def test_structured_output_is_parsed(openai_at: ClientAt) -> None:
    """`parse` and the stream helper build the model that was asked for."""
    with Provider(behaviours.ok('{"city": "上海", "degrees": 21}')) as provider:
        client = openai_at(provider)
        parsed = client.chat.completions.parse(model="m", messages=HELLO, response_format=Answer)
        with client.chat.completions.stream(model="m", messages=HELLO, response_format=Answer) as stream:
            streamed = stream.get_final_completion()
    assert parsed.choices[0].message.parsed == Answer(city="上海", degrees=21)
    assert streamed.choices[0].message.parsed == Answer(city="上海", degrees=21)


def test_raw_and_streaming_responses_have_the_vendors_headers(openai_at: ClientAt) -> None:
    """Scripted headers come beside the usual ones, whole and streamed."""
    limits = {"x-ratelimit-remaining-requests": 4999}
    with Provider(behaviours.ok(headers=limits)) as provider:
        client = openai_at(provider)
        raw = client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
        with client.chat.completions.with_streaming_response.create(model="m", messages=HELLO, stream=True) as response:
            lines = list(response.iter_lines())
            streamed = response.headers
    assert raw.parse().choices[0].message.content == "Hello from the scripted provider."
    assert raw.headers["x-ratelimit-remaining-requests"] == "4999"
    assert (raw.headers["content-type"], raw.headers["openai-version"]) == ("application/json", "2020-10-01")
    assert streamed["content-type"] == "text/event-stream; charset=utf-8"
    assert streamed["x-ratelimit-remaining-requests"] == "4999"
    assert lines[-2:] == ["data: [DONE]", ""]


def test_azure_clients_are_answered(provider: Provider) -> None:
    """A deployment in the path changes nothing."""
    with openai.AzureOpenAI(api_key="k", api_version="1", azure_endpoint=provider.url) as client:
        assert create(client).choices[0].message.content == "Hello from the scripted provider."
    assert provider.requests[0].path == "/openai/deployments/gpt-test/chat/completions"


def test_any_text_survives_the_stream(openai_at: ClientAt) -> None:
    """Whatever the text, and however it is cut, the pieces join to it."""
    with Provider() as provider:
        client = openai_at(provider)

        @given(text=st.text(st.characters(codec="utf-8"), max_size=40), chunks=st.none() | st.integers(1, 9))
        def check(text: str, chunks: int | None) -> None:
            provider.script(behaviours.ok(text, chunks=chunks))
            events = list(create(client, stream=True))
            assert "".join(delta.content or "" for delta in deltas(events)) == text

        check()
