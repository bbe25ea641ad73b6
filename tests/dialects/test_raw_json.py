"""An editor with `raw_json` gets the JSON text of a part, so that it can edit numbers and keys too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentprod.dialects.anthropic_messages import MESSAGES
from agentprod.dialects.base import Dialect
from agentprod.dialects.openai_chat import CHAT
from agentprod.dialects.openai_responses import RESPONSES
from agentprod.events import Event
from agentprod.parts import Part

ARGUMENTS = {"to": "Ann", "count": 1, "nested": {"Ann": [1, "Ann"]}}
EDITED = {"to": 2, "count": 1, "nested": {"Bob": [1, 2]}}


class Swap:
    """Makes each value "Ann" the number 2 and each key "Ann" the key "Bob"."""

    raw_json = True

    def __init__(self) -> None:
        self.text = ""

    def feed(self, text: str) -> str:
        """Keep everything: the document is edited whole."""
        self.text += text
        return ""

    def flush(self) -> str:
        """Return the edited document."""
        return self.text.replace('"Ann":', '"Bob":').replace('"Ann"', "2")


class Upper:
    """Upper-cases what it gets: string leaves, since it does not ask for JSON."""

    def feed(self, text: str) -> str:
        """Return it at once."""
        return text.upper()

    def flush(self) -> str:
        """Nothing is kept."""
        return ""


def chat_body(arguments: str) -> dict[str, Any]:
    """Return a completion that calls one tool."""
    call = {"id": "c1", "type": "function", "function": {"name": "send", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}


def bodies() -> list[tuple[Dialect, Any, Any]]:
    """Return each dialect with a reply that calls a tool, and how its arguments are read."""
    text = json.dumps(ARGUMENTS)
    item = {"type": "function_call", "call_id": "c1", "id": "f1", "name": "send", "arguments": text}
    block = {"type": "tool_use", "id": "t1", "name": "send", "input": ARGUMENTS}
    return [
        (CHAT, chat_body(text), lambda body: json.loads(CHAT.tool_calls(body)[0]["arguments"])),
        (RESPONSES, {"output": [item]}, lambda body: json.loads(RESPONSES.tool_calls(body)[0]["arguments"])),
        (MESSAGES, {"content": [block]}, lambda body: MESSAGES.tool_calls(body)[0]["arguments"]),
    ]


@pytest.mark.parametrize(("dialect", "body", "read"), bodies(), ids=["chat", "responses", "messages"])
def test_raw_json_of_a_whole_reply(dialect: Dialect, body: Any, read: Any) -> None:
    """Keys and types of tool arguments change, the caller's own object does not, and the tool is named."""
    seen: list[Part] = []

    def make(part: Part) -> Swap:
        seen.append(part)
        return Swap()

    before = json.dumps(body)
    assert read(dialect.edit_body(body, make, {})) == EDITED
    assert json.dumps(body) == before
    assert [(part.kind, part.tool, part.json) for part in seen] == [("tool_arguments", "send", True)]


@pytest.mark.parametrize(("dialect", "body", "read"), bodies(), ids=["chat", "responses", "messages"])
def test_other_editors_still_get_string_leaves(dialect: Dialect, body: Any, read: Any) -> None:
    """Without the attribute the document's structure is out of reach."""
    edited = read(dialect.edit_body(body, lambda part: Upper(), {}))
    assert edited == {"to": "ANN", "count": 1, "nested": {"Ann": [1, "ANN"]}}


@pytest.mark.parametrize(("dialect", "body", "read"), bodies(), ids=["chat", "responses", "messages"])
def test_no_editor_leaves_a_reply_as_it_is(dialect: Dialect, body: Any, read: Any) -> None:
    """The very same object comes back."""
    assert dialect.edit_body(body, lambda part: None, {}) is body


@pytest.mark.parametrize(("dialect", "body", "read"), bodies(), ids=["chat", "responses", "messages"])
def test_raw_json_of_a_stream(dialect: Dialect, body: Any, read: Any) -> None:
    """The same edit results from the pieces of a stream."""
    stage = dialect.stream_editor(lambda part: Swap(), {})
    whole = {"id": "x", "type": "message", "role": "assistant", "model": "m", "usage": {}, "status": "completed"} | body
    out = [event for data in dialect.split(whole) for event in stage.feed([Event(data)])] + stage.finish()
    assert read(dialect.join([event.data for event in out])) == EDITED


def test_a_message_may_mix_parsed_input_and_text() -> None:
    """Each block gets its own editor."""
    body = {
        "content": [
            {"type": "text", "text": "Ann"},
            {"type": "tool_use", "id": "t1", "name": "send", "input": {"to": "Ann"}},
            {"type": "tool_use", "id": "t2", "name": "send", "input": {}},
        ]
    }
    edited = MESSAGES.edit_body(body, lambda part: Swap() if part.json else Upper(), {})
    assert edited["content"][0]["text"] == "ANN"
    assert edited["content"][1]["input"] == {"to": 2}
    assert edited["content"][2]["input"] == {}
