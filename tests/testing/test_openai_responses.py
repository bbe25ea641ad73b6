"""The provider's responses, read by the bare OpenAI client."""

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

ClientAt = Callable[[Provider], openai.OpenAI]
WEATHER = {"name": "get_weather", "arguments": {"city": "北京", "days": 3}}
EVERYTHING = behaviours.ok("It is sunny.", reasoning="Look outside first", tool_calls=[WEATHER])


class Answer(BaseModel):
    """What structured output is parsed into."""

    city: str


def events(client: openai.OpenAI, **options: Any) -> list[Any]:
    """Ask for a stream and read all of it."""
    return list(client.responses.create(model="m", input="Hello there", stream=True, **options))


def test_a_response_is_answered(openai_at: ClientAt, provider: Provider) -> None:
    """Text, status, model and usage are where the SDK looks for them; parameters come back."""
    response = openai_at(provider).responses.create(
        model="gpt-test", input="Hello there", instructions="Be brief.", temperature=0.5, metadata={"a": "b"}
    )
    assert (response.output_text, response.status) == ("Hello from the scripted provider.", "completed")
    assert (response.model, response.instructions, response.temperature) == ("gpt-test", "Be brief.", 0.5)
    assert response.metadata == {"a": "b"}
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (4, 5, 9)


def test_reasoning_text_and_tool_calls_are_items(openai_at: ClientAt) -> None:
    """Each is an output item of its own, in that order."""
    with Provider(EVERYTHING) as provider:
        response: Any = openai_at(provider).responses.create(model="m", input="Hello there")
    reasoning, message, call = response.output
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert reasoning.summary[0].text == "Look outside first"
    assert message.content[0].text == "It is sunny."
    assert (call.name, json.loads(call.arguments)) == ("get_weather", WEATHER["arguments"])
    assert response.usage.output_tokens_details.reasoning_tokens == 3


def test_a_stream_has_the_vendors_order(openai_at: ClientAt) -> None:
    """Every item is added, filled and done, under consecutive sequence numbers."""
    with Provider(EVERYTHING) as provider:
        seen = events(openai_at(provider))
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    names = [event.type.removeprefix("response.") for event in seen]
    assert [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    deltas = [event.delta for event in seen if event.type == "response.function_call_arguments.delta"]
    assert json.loads("".join(deltas)) == WEATHER["arguments"]
    assert seen[0].response.usage is None
    assert seen[-1].response.usage.output_tokens > 0


def test_the_helper_builds_the_same_response(openai_at: ClientAt) -> None:
    """What the helper accumulates from the stream is what the last event says."""
    with Provider(EVERYTHING) as provider, openai_at(provider).responses.stream(model="m", input="Hi") as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert snapshots == ["It", "It is", "It is sunny."]
    assert (final.output_text, len(final.output)) == ("It is sunny.", 3)


def test_a_refusal_is_a_content_part(openai_at: ClientAt) -> None:
    """A refusal has events of its own and no text."""
    with Provider(behaviours.ok(refusal="I will not.")) as provider:
        response: Any = openai_at(provider).responses.create(model="m", input="Hello there")
        seen = events(openai_at(provider))
    assert (response.output_text, response.output[0].content[0].refusal) == ("", "I will not.")
    assert "".join(event.delta for event in seen if event.type == "response.refusal.delta") == "I will not."


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_early_end_is_incomplete(openai_at: ClientAt, finish: str, reason: str) -> None:
    """Status, details and last event tell why the response ended."""
    with Provider(behaviours.ok(finish=finish)) as provider:
        response = openai_at(provider).responses.create(model="m", input="Hello there")
        last = events(openai_at(provider))[-1]
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == reason
    assert last.type == "response.incomplete"


def test_usage_may_be_missing(openai_at: ClientAt) -> None:
    """`usage={}` is a server that counts nothing."""
    with Provider(behaviours.ok(usage={})) as provider:
        assert openai_at(provider).responses.create(model="m", input="Hello there").usage is None


def test_structured_output_is_parsed(openai_at: ClientAt) -> None:
    """`parse` builds the model that was asked for, and the format comes back."""
    with Provider(behaviours.ok('{"city": "上海"}')) as provider:
        parsed = openai_at(provider).responses.parse(model="m", input="Hello there", text_format=Answer)
    assert parsed.output_parsed == Answer(city="上海")
    assert parsed.text is not None
    assert parsed.text.format is not None
    assert parsed.text.format.type == "json_schema"


def test_input_items_are_read(openai_at: ClientAt) -> None:
    """The user's last text is found among input items; tool outputs are text of the request."""
    items: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "First"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "a result"},
        {"role": "user", "content": "Second"},
    ]
    with Provider(["echo", behaviours.echo(everything=True), "echo"]) as provider:
        client = openai_at(provider)
        assert client.responses.create(model="m", input=items).output_text == "Second"
        everything = client.responses.create(model="m", input=items, instructions="Be brief.").output_text
        assert client.responses.create(model="m", input="Only text").output_text == "Only text"
    assert json.loads(everything) == ["Be brief.", "First", "{}", "a result", "Second"]


def test_any_text_survives_the_stream(openai_at: ClientAt) -> None:
    """Whatever the text, and however it is cut, the pieces join to it."""
    with Provider() as provider:
        client = openai_at(provider)

        @given(text=st.text(st.characters(codec="utf-8"), max_size=40), chunks=st.none() | st.integers(1, 9))
        def check(text: str, chunks: int | None) -> None:
            provider.script(behaviours.ok(text, chunks=chunks))
            seen = events(client)
            assert "".join(event.delta for event in seen if event.type == "response.output_text.delta") == text
            assert seen[-1].response.output_text == text

        check()
