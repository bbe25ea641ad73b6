"""Requests and replies as message parts of the GenAI conventions."""

from __future__ import annotations

from typing import Any

import pytest

from agentprod.dialects.messages import input_messages, output_messages, system_instructions, tool_definitions


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


def test_a_chat_with_tools_and_results() -> None:
    """Every role keeps its name; calls and results are parts, arguments are data."""
    request = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "天气?"}], "name": "bo"},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "hm",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
                    {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "free text"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            {"role": "assistant", "content": "", "refusal": "I will not."},
        ]
    }
    assert input_messages(request) == [
        {"role": "system", "parts": [text("Be brief.")]},
        {"role": "user", "parts": [text("天气?")], "name": "bo"},
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "hm"},
                {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"a": 1}},
                {"type": "tool_call", "id": "c2", "name": "g", "arguments": "free text"},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "sunny"}]},
        {"role": "assistant", "parts": [text("I will not.")]},
    ]


def test_an_anthropic_conversation() -> None:
    """Blocks become parts: thinking, calls of either side's tools, and their results."""
    request = {
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "xyz"},
                    {"type": "text", "text": "Looking."},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                    {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
                    {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}]},
        ],
    }
    assert system_instructions(request) == [text("Be brief.")]
    assert input_messages(request) == [
        {"role": "user", "parts": [text("hi")]},
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "hm"},
                text("Looking."),
                {"type": "tool_call", "id": "t1", "name": "f", "arguments": {"a": 1}},
                {"type": "server_tool_call", "id": "s1", "name": "web_search", "server_tool_call": {"query": "x"}},
                {"type": "server_tool_call_response", "id": "s1", "server_tool_call_response": []},
            ],
        },
        {"role": "user", "parts": [{"type": "tool_call_response", "id": "t1", "response": "sunny"}]},
    ]


def test_items_of_the_responses_api() -> None:
    """Items that stand on their own become messages of the side that made them."""
    request = {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1'},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            {"type": "item_reference", "id": "msg_1"},
        ],
    }
    assert system_instructions(request) == [text("Be brief.")]
    assert input_messages(request) == [
        {"role": "user", "parts": [text("hi")]},
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "f", "arguments": '{"a": 1'}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "sunny"}]},
        {"role": "assistant", "parts": [{"type": "item_reference", "id": "msg_1"}]},
    ]
    assert input_messages({"input": "hi"}) == [{"role": "user", "parts": [text("hi")]}]


def test_files_are_blobs_uris_and_ids() -> None:
    """Files keep modality and type; what carries them is told by the part's own type."""
    parts = [
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "input_image", "image_url": "https://x/y.png"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "hologram", "data": 1},
        "plain",
        7,
    ]
    ((message),) = input_messages({"messages": [{"role": "user", "content": parts}]})
    uri = {"type": "uri", "modality": "image", "mime_type": None, "uri": "https://x/y.png"}
    assert message["parts"] == [
        uri,
        uri,
        {"type": "blob", "modality": "audio", "mime_type": "audio/wav", "content": "AAAA"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"},
        uri,
        {"type": "file", "modality": "document", "mime_type": None, "file_id": "file_1"},
        {"type": "hologram", "data": 1},
        text("plain"),
        text("int"),
    ]


def test_a_completion_with_two_choices() -> None:
    """Each choice is a message with its finish reason in the conventions' words."""
    body = {
        "choices": [
            {"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"},
            {
                "message": {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
                "finish_reason": "tool_calls",
            },
        ]
    }
    assert output_messages(body) == [
        {"role": "assistant", "parts": [text("hi")], "finish_reason": "stop"},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c", "name": "f", "arguments": {}}],
            "finish_reason": "tool_call",
        },
    ]


def test_a_message_and_a_response() -> None:
    """Anthropic's message and the items of a response are one message each."""
    message = {"role": "assistant", "content": [{"type": "text", "text": "hi"}], "stop_reason": "max_tokens"}
    assert output_messages(message) == [{"role": "assistant", "parts": [text("hi")], "finish_reason": "length"}]
    items = [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
        {"type": "custom_tool_call", "call_id": "c", "name": "g", "input": "x"},
    ]
    call = {"type": "tool_call", "id": "c", "name": "g", "arguments": "x"}
    assert output_messages({"output": items}) == [{"role": "assistant", "parts": [text("hi"), call]}]


def test_values_of_functions() -> None:
    """A plain text is an answer; other values are none."""
    assert output_messages("hi") == [{"role": "assistant", "parts": [text("hi")]}]
    assert output_messages({"rows": 3}) == output_messages(None) == output_messages([1]) == []
    assert input_messages({"question": "hi", "limit": 3}) == [{"role": "user", "parts": [text("hi")]}]
    assert input_messages({"limit": 3}) == []


def test_tools_of_either_format() -> None:
    """Names, descriptions and schemas are found where each format keeps them."""
    schema = {"type": "object"}
    tools = [
        {"type": "function", "function": {"name": "f", "description": "does f", "parameters": schema}},
        {"name": "g", "input_schema": schema},
        {"type": "custom", "custom": {"name": "h"}, "name": "h"},
        {"type": "web_search_20250305", "name": "web_search"},
        "no tool",
    ]
    assert tool_definitions({"tools": tools}) == [
        {"type": "function", "name": "f", "description": "does f", "parameters": schema},
        {"type": "function", "name": "g", "parameters": schema},
        {"type": "function", "name": "h"},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    assert tool_definitions({}) == []


@pytest.mark.parametrize(
    "broken",
    [
        {"messages": 3},
        {"messages": [None, "hi", {"role": 1, "content": {"a": 1}}, {"tool_calls": [None, {"function": 3}]}]},
        {"input": [None, {"type": "reasoning", "summary": [None]}, {"type": "reasoning"}]},
        {"input": 7, "tools": 3, "system": 9},
        {"messages": [{"content": [{"type": "image", "source": 3}, {"type": "image_url", "image_url": {}}]}]},
        {"messages": [{"content": [{"type": "image", "source": {"type": "new"}}, {"type": "input_audio"}]}]},
    ],
)
def test_nothing_raises(broken: dict[str, Any]) -> None:
    """Whatever a request or reply holds, reading it for a recording does not raise."""
    input_messages(broken)
    system_instructions(broken)
    tool_definitions(broken)
    output_messages(broken)
    output_messages({"choices": [3, {"message": 3}], "content": 3})
    output_messages({"output": [3, None]})
    output_messages({"content": 3})
