"""Requests and replies of one provider in the words of the other, by way of the neutral form."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

import agentprod as ap
from agentprod.dialects.anthropic_messages import MESSAGES
from agentprod.dialects.neutral import NeutralReply
from agentprod.dialects.openai_chat import CHAT

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_REQUEST: dict[str, Any] = {
    "model": "gpt-5-mini",
    "max_completion_tokens": 200,
    "temperature": 0.5,
    "stop": ["END"],
    "safety_identifier": "u1",
    "parallel_tool_calls": False,
    "tool_choice": "required",
    "tools": [{"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA}}],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "北京和上海的天气？"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "北京"}'}},
                {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": '{"city": "上海"}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": "rain"},
    ],
}


def test_a_chat_request_becomes_a_messages_request() -> None:
    """System text, images, parallel calls and their results, choices and limits all arrive."""
    neutral = CHAT.to_neutral(CHAT_REQUEST)
    made = MESSAGES.from_neutral(neutral)
    assert neutral.lost == []
    assert made == {
        "model": "gpt-5-mini",
        "max_tokens": 200,
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
        "system": "Be brief.",
        "tools": [{"name": "weather", "description": "Tells it.", "input_schema": SCHEMA}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "北京和上海的天气？"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "北京"}},
                    {"type": "tool_use", "id": "c2", "name": "weather", "input": {"city": "上海"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"},
                    {"type": "tool_result", "tool_use_id": "c2", "content": "rain"},
                ],
            },
        ],
    }


def test_there_and_back_a_chat_request_says_the_same() -> None:
    """Through the other provider's form and back, the neutral form is unchanged."""
    first = CHAT.to_neutral(CHAT_REQUEST)
    there = MESSAGES.to_neutral(MESSAGES.from_neutral(first))
    back = CHAT.from_neutral(there)
    again = CHAT.to_neutral(back)
    assert again.system == first.system
    assert again.tools == first.tools
    assert (again.tool_choice, again.max_tokens, again.stop, again.user) == ("any", 200, ["END"], "u1")
    assert again.parallel_tool_calls is False
    assert json.loads(back["messages"][2]["tool_calls"][1]["function"]["arguments"]) == {"city": "上海"}
    assert [message["role"] for message in back["messages"]] == ["system", "user", "assistant", "tool", "tool"]


@pytest.mark.parametrize(
    ("more", "lost"),
    [
        ({"logit_bias": {"1": 2}}, ["logit_bias"]),
        ({"n": 2}, ["n"]),
        ({"seed": 7}, ["seed"]),
        ({"response_format": {"type": "json_object"}}, ["response_format"]),
        ({"seed": 1}, ["seed"]),
        ({"seed": 0}, ["seed"]),
        ({"logprobs": True}, ["logprobs"]),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, ["tool_choice"]),
        ({"tools": [{"type": "custom", "custom": {"name": "sql"}}]}, ["custom_tools"]),
        ({"store": True, "metadata": {"a": "b"}}, []),
        ({"n": 1, "logprobs": False, "presence_penalty": 0, "modalities": ["text"]}, []),
    ],
)
def test_what_has_no_counterpart_is_named(more: dict[str, Any], lost: list[str]) -> None:
    """Nothing that decides the answer is dropped in silence."""
    assert CHAT.to_neutral({**CHAT_REQUEST, **more}).lost == lost


def test_a_temperature_that_anthropic_does_not_know_is_capped_and_named() -> None:
    """OpenAI's scale ends at 2, Anthropic's at 1."""
    neutral = CHAT.to_neutral({**CHAT_REQUEST, "temperature": 1.6})
    assert MESSAGES.from_neutral(neutral)["temperature"] == 1.0
    assert neutral.lost == ["temperature above 1"]


def test_a_schema_for_the_answer_is_carried_over() -> None:
    """Structured output has a form in both."""
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
    made = MESSAGES.from_neutral(CHAT.to_neutral({**CHAT_REQUEST, "response_format": wanted}))
    assert made["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    back = CHAT.from_neutral(MESSAGES.to_neutral(made))
    assert back["response_format"]["json_schema"]["schema"] == SCHEMA


USAGE = ap.Usage(input_tokens=1105, output_tokens=20, cache_read_tokens=1000, cache_write_tokens=100)
PARTS = [
    {"type": "text", "content": "It rains. 下雨。"},
    {"type": "tool_call", "id": "c9", "name": "weather", "arguments": {"city": "上海"}},
]


def test_a_reply_comes_out_as_either_providers_own_type() -> None:
    """Text, tool call, reason and counts with their cache parts read the same from both forms."""
    reply = NeutralReply(PARTS, "tool_calls", USAGE, "m", "id1")
    chat, message = CHAT.reply_from_neutral(reply), MESSAGES.reply_from_neutral(reply)
    completion = ChatCompletion.model_validate(chat)
    assert completion.choices[0].message.content == "It rains. 下雨。"
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 1105
    claude = anthropic.types.Message.model_validate(message)
    assert claude.stop_reason == "tool_use"
    assert claude.usage.input_tokens == 5
    for dialect, body in ((CHAT, chat), (MESSAGES, message)):
        read = dialect.reply_to_neutral(body)
        assert read is not None
        assert (read.parts, read.finish) == (PARTS, "tool_calls")
        assert read.usage is not None
        assert (read.usage.input_tokens, read.usage.cache_read_tokens, read.usage.cache_write_tokens) == (
            1105,
            1000,
            100,
        )


def test_reasoning_is_dropped_and_named() -> None:
    """Signed reasoning means nothing to another provider."""
    reply = NeutralReply([{"type": "reasoning", "content": "hm"}, *PARTS], "stop")
    assert CHAT.reply_from_neutral(reply)["choices"][0]["message"]["content"] == "It rains. 下雨。"
    assert reply.lost == ["reply.reasoning"]


PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}
DOCUMENT = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}


def test_documents_are_carried_over() -> None:
    """A PDF in the request, both ways."""
    asked = {"role": "user", "content": [{"type": "text", "text": "Read it."}, PDF]}
    made = MESSAGES.from_neutral(CHAT.to_neutral({"model": "m", "messages": [asked]}))
    assert made["messages"][0]["content"][1] == DOCUMENT
    back = CHAT.from_neutral(MESSAGES.to_neutral(made))
    assert back["messages"][0]["content"][1]["file"]["file_data"] == PDF["file"]["file_data"]  # type: ignore[index]


def test_what_a_message_cannot_hold_is_named_by_what_it_is() -> None:
    """Audio has no place in Anthropic's messages, a picture none in a chat's tool result, a file id none anywhere."""
    audio = {"type": "input_audio", "input_audio": {"format": "wav", "data": "AAAA"}}
    neutral = CHAT.to_neutral({"model": "m", "messages": [{"role": "user", "content": [audio]}]})
    assert MESSAGES.from_neutral(neutral)["messages"] == []
    assert neutral.lost == ["message.audio"]
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "See:"}, picture]}
    neutral = MESSAGES.to_neutral({"model": "m", "messages": [{"role": "user", "content": [result]}]})
    assert CHAT.from_neutral(neutral)["messages"] == [{"role": "tool", "tool_call_id": "c1", "content": "See:"}]
    assert neutral.lost == ["tool_result.image"]
    known = {"type": "file", "file": {"file_id": "file_1"}}
    neutral = CHAT.to_neutral({"model": "m", "messages": [{"role": "user", "content": [known]}]})
    MESSAGES.from_neutral(neutral)
    assert neutral.lost == ["message.file"]


@pytest.mark.parametrize(
    ("more", "lost"),
    [
        ({"thinking": {"type": "disabled"}}, []),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, ["thinking"]),
        ({"top_k": 5}, ["top_k"]),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, ["server_tools"]),
        ({"cache_control": {"type": "ephemeral"}, "service_tier": "auto"}, []),
        ({"stop_sequences": list("abcde")}, ["stop_sequences beyond the fourth"]),
    ],
)
def test_what_chat_has_no_words_for_is_named(more: dict[str, Any], lost: list[str]) -> None:
    """The other way."""
    request = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], **more}
    neutral = MESSAGES.to_neutral(request)
    CHAT.from_neutral(neutral)
    assert neutral.lost == lost


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False}, False),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, False),
        ({"type": "array", "items": {"type": "object"}}, False),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, True),
    ],
)
def test_a_schema_is_strict_where_openai_can_hold_to_it(schema: dict[str, Any], strict: bool) -> None:
    """A strict schema that is open would be refused."""
    request = {"model": "m", "messages": [], "output_config": {"format": {"type": "json_schema", "schema": schema}}}
    made = CHAT.from_neutral(MESSAGES.to_neutral(request))
    assert made["response_format"]["json_schema"]["strict"] is strict


def test_tools_stay_strict() -> None:
    """What holds a model to a tool's schema holds there, too."""
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA, "strict": True}}
    made = MESSAGES.from_neutral(CHAT.to_neutral({"model": "m", "messages": [], "tools": [tool]}))
    assert made["tools"][0]["strict"] is True
    back = CHAT.from_neutral(MESSAGES.to_neutral(made))
    assert back["tools"][0]["function"]["strict"] is True


def test_pictures_by_address_and_odd_results_arrive() -> None:
    """An address stays one; what a tool returned is text or blocks; arguments cut short are kept as they are."""
    messages: list[Any] = [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": None},
    ]
    made = MESSAGES.from_neutral(CHAT.to_neutral({"model": "m", "messages": messages}))
    user, assistant, result = made["messages"]
    assert user["content"][0]["source"] == {"type": "url", "url": "https://example.org/a.png"}
    assert assistant["content"][0]["input"] == {"input": '{"a": '}
    assert result["content"][0]["content"] == ""
    back = CHAT.from_neutral(MESSAGES.to_neutral(made))
    assert back["messages"][0]["content"][0]["image_url"]["url"] == "https://example.org/a.png"


def test_ids_of_calls_have_signs_that_anthropic_takes() -> None:
    """Call and result still belong together."""
    call = {"id": "functions.weather:0", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages: list[Any] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "functions.weather:0", "content": "sunny"},
    ]
    made = MESSAGES.from_neutral(CHAT.to_neutral({"model": "m", "messages": messages}))
    assert made["messages"][1]["content"][0]["id"] == "functions_weather_0"
    assert made["messages"][2]["content"][0]["tool_use_id"] == "functions_weather_0"


def test_a_message_without_content_is_left_out() -> None:
    """Anthropic refuses such; it says nothing."""
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": "?"},
    ]
    made = MESSAGES.from_neutral(CHAT.to_neutral({"model": "m", "messages": messages}))
    assert [message["role"] for message in made["messages"]] == ["user"]


texts = st.text(min_size=1, max_size=40)
turns = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), texts), min_size=1, max_size=6)


@given(turns)
def test_any_talk_survives_the_way_there_and_back(talk: list[tuple[str, str]]) -> None:
    """Every text arrives, in order, by its speaker."""
    request = {"model": "m", "messages": [{"role": role, "content": text} for role, text in talk]}
    back = CHAT.from_neutral(MESSAGES.to_neutral(MESSAGES.from_neutral(CHAT.to_neutral(request))))
    said: list[tuple[str, str]] = []
    for message in back["messages"]:
        content = message["content"]
        pieces = [content] if isinstance(content, str) else [block["text"] for block in content]
        said.extend((message["role"], piece) for piece in pieces)
    assert said == talk
