"""The provider's messages, read by the bare Anthropic client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agentprod.testing import Provider, behaviours

ClientAt = Callable[[Provider], anthropic.Anthropic]
HELLO: Any = [{"role": "user", "content": "Hello there, 世界"}]
WEATHER = {"name": "get_weather", "arguments": {"city": "北京", "days": 3}}
ASKED: dict[str, Any] = {"model": "claude-test", "max_tokens": 64, "messages": HELLO}


class Answer(BaseModel):
    """What structured output is parsed into."""

    city: str


def events(client: anthropic.Anthropic, **options: Any) -> list[Any]:
    """Ask for a stream and read all of it."""
    return list(client.messages.create(stream=True, **{**ASKED, **options}))


def test_strict_clients_notice_a_missing_field(anthropic_at: ClientAt) -> None:
    """The tests here would fail if the provider left out a required field."""
    incomplete = behaviours.json_body({"id": "x", "type": "message"})
    with Provider(incomplete) as provider, pytest.raises(anthropic.APIResponseValidationError):
        anthropic_at(provider).messages.create(**ASKED)


def test_a_message_is_answered(anthropic_at: ClientAt, provider: Provider) -> None:
    """Text, stop reason, model, usage and request id are where the SDK looks for them."""
    message = anthropic_at(provider).messages.create(**ASKED)
    assert [block.type for block in message.content] == ["text"]
    assert message.content[0].text == "Hello from the scripted provider."
    assert (message.stop_reason, message.model, message.role) == ("end_turn", "claude-test", "assistant")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 5)
    assert message._request_id is not None


def test_a_stream_has_the_vendors_order(anthropic_at: ClientAt, provider: Provider) -> None:
    """Message start, block start, deltas, block stop, message delta with the counts, message stop."""
    seen = events(anthropic_at(provider))
    kinds = [event.type for event in seen]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[2:-3] == ["content_block_delta"] * 5
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert "".join(event.delta.text for event in seen[2:-3]) == "Hello from the scripted provider."
    start, delta = seen[0].message, seen[-2]
    assert (start.content, start.stop_reason, start.usage.input_tokens) == ([], None, 4)
    assert (delta.delta.stop_reason, delta.usage.output_tokens) == ("end_turn", 5)


def test_the_helper_builds_the_same_message(anthropic_at: ClientAt) -> None:
    """Streamed by the helper, thinking, text and tool calls are those of the whole message."""
    answer = behaviours.ok(
        "Let me see.", reasoning="Where is it?", tool_calls=[WEATHER, {"name": "n", "arguments": {}}]
    )
    with Provider(answer) as provider:
        whole = anthropic_at(provider).messages.create(**ASKED)
        with anthropic_at(provider).messages.stream(**ASKED) as stream:
            texts = list(stream.text_stream)
            streamed = stream.get_final_message()
    assert texts == ["Let", " me", " see."]
    assert [block.type for block in whole.content] == ["thinking", "text", "tool_use", "tool_use"]
    ignored: Any = {"id": True, "content": {"__all__": {"id", "parsed_output"}}}
    assert streamed.model_dump(exclude=ignored) == whole.model_dump(exclude=ignored)
    assert whole.content[0].signature
    assert whole.content[2].input == WEATHER["arguments"]
    assert whole.stop_reason == "tool_use"
    assert whole.model_dump()["usage"]["output_tokens_details"]["thinking_tokens"] == 3


def test_tool_input_is_streamed_in_pieces(anthropic_at: ClientAt) -> None:
    """Partial JSON begins empty and joins to the arguments."""
    with Provider(behaviours.ok(tool_calls=[WEATHER])) as provider:
        seen = events(anthropic_at(provider))
    deltas = [event.delta.partial_json for event in seen if event.type == "content_block_delta"]
    assert (deltas[0], len(deltas) > 2) == ("", True)
    assert json.loads("".join(deltas)) == WEATHER["arguments"]


def test_a_refusal_is_a_stop_reason(anthropic_at: ClientAt) -> None:
    """A refusal is told in the stop details and as text, whole and streamed."""
    with Provider(behaviours.ok(refusal="I will not.")) as provider:
        whole = anthropic_at(provider).messages.create(**ASKED)
        with anthropic_at(provider).messages.stream(**ASKED) as stream:
            streamed = stream.get_final_message()
    for message in (whole, streamed):
        assert message.stop_reason == "refusal"
        assert message.content[0].text == "I will not."  # type: ignore[union-attr]
    assert whole.model_dump()["stop_details"]["explanation"] == "I will not."


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_tokens"), ("content_filter", "refusal"), ("pause_turn", "pause_turn")]
)
def test_the_stop_reason_is_scripted(anthropic_at: ClientAt, finish: str, reason: str) -> None:
    """OpenAI's words are translated, Anthropic's own are taken as they are."""
    with Provider(behaviours.ok(finish=finish)) as provider:
        assert anthropic_at(provider).messages.create(**ASKED).stop_reason == reason
        assert events(anthropic_at(provider))[-2].delta.stop_reason == reason


def test_cached_tokens_stand_beside_the_input(anthropic_at: ClientAt) -> None:
    """Anthropic's input tokens leave out what came from the cache or was written to it."""
    counts = {
        "input_tokens": 100,
        "output_tokens": 7,
        "cache_read_tokens": 60,
        "cache_write_tokens": 30,
        "cache_write_1h_tokens": 10,
    }
    with Provider(behaviours.ok(usage=counts)) as provider:
        usage = anthropic_at(provider).messages.create(**ASKED).usage
        streamed = events(anthropic_at(provider))[-2].usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (10, 60, 30)
    assert usage.cache_creation is not None
    assert usage.cache_creation.ephemeral_5m_input_tokens == 20
    assert usage.cache_creation.ephemeral_1h_input_tokens == 10
    assert (streamed.input_tokens, streamed.cache_read_input_tokens, streamed.output_tokens) == (10, 60, 7)


def test_counts_cannot_be_missing(anthropic_at: ClientAt) -> None:
    """The wire format has no message without counts: `usage={}` counts."""
    with Provider(behaviours.ok("a b", usage={})) as provider:
        assert anthropic_at(provider).messages.create(**ASKED).usage.output_tokens == 2


def test_tokens_are_counted(anthropic_at: ClientAt, provider: Provider) -> None:
    """The count is the one that a message of the same request reports."""
    client = anthropic_at(provider)
    counted = client.messages.count_tokens(model="m", messages=HELLO, system="Be brief.").input_tokens
    assert counted == client.messages.create(**ASKED, system="Be brief.").usage.input_tokens == 6
    assert client.beta.messages.count_tokens(model="m", messages=HELLO).input_tokens == 4


def test_beta_messages_are_answered(anthropic_at: ClientAt, provider: Provider) -> None:
    """The beta surface gets the same message, whole and streamed, and with the query older clients send."""
    client = anthropic_at(provider)
    assert client.beta.messages.create(**ASKED, extra_query={"beta": "true"}).stop_reason == "end_turn"
    with client.beta.messages.stream(**ASKED) as stream:
        assert stream.get_final_text() == "Hello from the scripted provider."
    assert (provider.requests[0].path, provider.requests[0].query) == ("/v1/messages", "beta=true")


def test_structured_output_is_parsed(anthropic_at: ClientAt) -> None:
    """`parse` builds the model that was asked for."""
    with Provider(behaviours.ok('{"city": "上海"}')) as provider:
        parsed = anthropic_at(provider).messages.parse(**ASKED, output_format=Answer)
    assert parsed.parsed_output == Answer(city="上海")


def test_raw_and_streaming_responses_have_the_vendors_headers(anthropic_at: ClientAt) -> None:
    """Scripted headers come beside the usual ones."""
    limits = {"anthropic-ratelimit-requests-remaining": 49}
    with Provider(behaviours.ok(headers=limits)) as provider:
        client = anthropic_at(provider)
        raw = client.messages.with_raw_response.create(**ASKED)
        with client.messages.with_streaming_response.create(**ASKED, stream=True) as response:
            lines = list(response.iter_lines())
    assert raw.parse().stop_reason == "end_turn"
    assert raw.headers["anthropic-ratelimit-requests-remaining"] == "49"
    assert raw.headers["request-id"].startswith("req_")
    assert "x-request-id" not in raw.headers
    assert lines[-3:] == ["event: message_stop", 'data: {"type":"message_stop"}', ""]


def test_echo_reads_every_kind_of_block(anthropic_at: ClientAt) -> None:
    """System blocks, text blocks, tool input and tool results are text; a tool result is not the user's own."""
    messages: Any = [
        {"role": "user", "content": [{"type": "text", "text": "What is in it?"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "read", "input": {"path": "密"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "a secret"}]},
    ]
    asked: dict[str, Any] = {**ASKED, "messages": messages, "system": [{"type": "text", "text": "Be brief."}]}
    with Provider(["echo", behaviours.echo(everything=True)]) as provider:
        client = anthropic_at(provider)
        last: Any = client.messages.create(**asked).content[0]
        everything: Any = client.messages.create(**asked).content[0]
        recorded = provider.requests[0]
    assert last.text == recorded.text == "What is in it?"
    assert json.loads(everything.text) == ["Be brief.", "What is in it?", '{"path": "密"}', "a secret"]
    assert recorded.texts == json.loads(everything.text)


def test_any_text_survives_the_stream(anthropic_at: ClientAt) -> None:
    """Whatever the text, and however it is cut, the pieces join to it."""
    with Provider() as provider:
        client = anthropic_at(provider)

        @given(text=st.text(st.characters(codec="utf-8"), max_size=40), chunks=st.none() | st.integers(1, 9))
        def check(text: str, chunks: int | None) -> None:
            provider.script(behaviours.ok(text, chunks=chunks))
            with client.messages.stream(**ASKED) as stream:
                assert "".join(stream.text_stream) == text

        check()
