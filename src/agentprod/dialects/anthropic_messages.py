"""Anthropic messages, plain and beta."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from agentprod.dialects import neutral_anthropic
from agentprod.dialects.anthropic_stream import join_events, split_message
from agentprod.dialects.base import Dialect, Fragment, Reader, whole_body
from agentprod.dialects.content import content_fragments, text_of
from agentprod.dialects.editing import takes_raw_json
from agentprod.dialects.neutral import NeutralReply, NeutralRequest
from agentprod.dialects.neutral_messages_stream import MessagesTeller, MessagesWriter
from agentprod.dialects.paths import put
from agentprod.dialects.sse import encode
from agentprod.dialects.usage import anthropic_usage, merge_anthropic_usage
from agentprod.parts import Editor, MakeEditor, Part
from agentprod.usage import Usage

__all__ = ["MESSAGES", "AnthropicMessages"]

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "other",
}
_TOOL_BLOCKS = ("tool_use", "server_tool_use", "mcp_tool_use")


class AnthropicMessages(Dialect):
    """`POST /v1/messages`."""

    name: ClassVar[str] = "anthropic_messages"
    operation: ClassVar[str] = "messages"

    # Requests

    def request_fragments(self, request: Mapping[str, Any]) -> Iterator[Fragment]:
        """Yield system and message texts, tool results and tool-call arguments."""
        yield from content_fragments(request.get("system"), Part("text", "system"), ("system",))
        names: dict[str, str] = {}
        messages = request.get("messages")
        for index, message in enumerate(messages if isinstance(messages, list | tuple) else ()):
            if not isinstance(message, Mapping):
                continue
            role = message.get("role")
            part = Part("text", role if isinstance(role, str) else "user", 0, index)
            for fragment in content_fragments(message.get("content"), part, ("messages", index, "content")):
                yield _named_result(fragment, message, names)
            names.update(_tool_names(message))

    def last_user_text(self, request: Mapping[str, Any]) -> str | None:
        """Return the last message's text when it is a user's and all text."""
        messages = request.get("messages") or ()
        if not messages or not isinstance(messages[-1], Mapping) or messages[-1].get("role") != "user":
            return None
        return text_of(messages[-1].get("content"), strict=True)

    def tools(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the tool definitions."""
        return [tool for tool in request.get("tools") or () if isinstance(tool, dict)]

    def wants_json(self, request: Mapping[str, Any]) -> bool:
        """Whether `output_format` or `output_config.format` asks for JSON."""
        config = request.get("output_config")
        wanted = request.get("output_format") or (config.get("format") if isinstance(config, Mapping) else None)
        return isinstance(wanted, Mapping) and wanted.get("type") == "json_schema"

    def user(self, request: Mapping[str, Any]) -> str | None:
        """Return `metadata.user_id`."""
        metadata = request.get("metadata")
        user = metadata.get("user_id") if isinstance(metadata, Mapping) else None
        return user if isinstance(user, str) else None

    # Replies

    def text(self, body: Any) -> str:
        """Return the text blocks, joined."""
        if isinstance(body, str):
            return body
        return text_of(body.get("content")) or "" if isinstance(body, Mapping) else ""

    def usage(self, body: Any) -> Usage | None:
        """Return the token counts, cache parts counted into the input."""
        return anthropic_usage(body)

    def finish(self, body: Any) -> str | None:
        """Return why the message ended."""
        reason = body.get("stop_reason") if isinstance(body, Mapping) else None
        return None if reason is None else _FINISH.get(str(reason), "other")

    def tool_calls(self, body: Any) -> list[dict[str, Any]]:
        """Return the `tool_use` blocks."""
        return [
            {"id": block.get("id"), "name": block.get("name"), "arguments": block.get("input")}
            for block in _blocks(body)
            if block.get("type") == "tool_use"
        ]

    def body_fragments(self, body: Any, request: Mapping[str, Any]) -> Iterator[Fragment]:
        """Yield the texts of every block."""
        json_text = self.wants_json(request)
        for index, block in enumerate(_blocks(body)):
            part = Part("text", "assistant", 0, index, None, json_text and block.get("type") == "text")
            yield from _rooted(block, part, index)

    def edit_body(self, body: Any, make: MakeEditor, request: Mapping[str, Any]) -> Any:
        """Return the message rewritten; an editor that wants JSON text gets the `input` of a call written out."""
        content = body.get("content") if isinstance(body, Mapping) else None
        raw: set[int] = set()
        changed = body
        for index, block in enumerate(content if isinstance(content, list | tuple) else ()):
            given = block.get("input") if isinstance(block, Mapping) and block.get("type") in _TOOL_BLOCKS else None
            if not isinstance(given, Mapping | list | tuple):
                continue
            editor = make(Part("tool_arguments", "assistant", 0, index, block.get("name"), True))
            if editor is None or not takes_raw_json(editor):
                continue
            raw.add(index)
            text = json.dumps(given, ensure_ascii=False)
            edited = editor.feed(text) + editor.flush()
            if edited != text:
                changed = put(changed, ("content", index, "input"), json.loads(edited))

        def others(part: Part) -> Editor | None:
            return None if part.kind == "tool_arguments" and part.index in raw else make(part)

        return super().edit_body(changed, others if raw else make, request)

    def make_body(self, request: Mapping[str, Any], text_or_body: Any) -> Any:
        """Return a message that says `text_or_body`, or the body as given."""
        if not isinstance(text_or_body, str):
            return whole_body(text_or_body)
        import uuid

        return {
            "id": f"msg_{uuid.uuid4().hex[:24]}",
            "type": "message",
            "role": "assistant",
            "model": self.model(request) or "",
            "content": [{"type": "text", "text": text_or_body}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }

    # The neutral form

    def to_neutral(self, request: Mapping[str, Any]) -> NeutralRequest:
        """Return the request in the neutral form."""
        return neutral_anthropic.request_to_neutral(request)

    def from_neutral(self, neutral: NeutralRequest) -> dict[str, Any]:
        """Return a request of this format."""
        return neutral_anthropic.request_from_neutral(neutral)

    def reply_to_neutral(self, body: Any) -> NeutralReply:
        """Return a whole reply in the neutral form."""
        return neutral_anthropic.reply_to_neutral(body)

    def reply_from_neutral(self, neutral: NeutralReply) -> Any:
        """Return a whole reply of this format."""
        return neutral_anthropic.reply_from_neutral(neutral)

    def stream_to_neutral(self) -> MessagesTeller:
        """Return what tells what a stream's events say."""
        return MessagesTeller()

    def stream_from_neutral(self) -> MessagesWriter:
        """Return what writes a stream's events."""
        return MessagesWriter()

    # Streams

    def reader(self) -> Reader:
        """Return a reader of message events."""
        return _MessagesReader()

    def event_fragments(self, event: Any, json_text: bool = False) -> Iterator[Fragment]:
        """Yield the delta of an event."""
        kind = event.get("type") if isinstance(event, Mapping) else None
        if kind == "content_block_start":
            block = event.get("content_block") or {}
            if block.get("type") == "text" and block.get("text"):
                part = Part("text", "assistant", 0, event.get("index", 0), None, json_text)
                yield Fragment(part, block["text"], ("content_block", "text"))
        elif kind == "content_block_delta":
            delta = event.get("delta") or {}
            index = event.get("index", 0)
            if delta.get("type") == "text_delta" and delta.get("text"):
                yield Fragment(Part("text", "assistant", 0, index, None, json_text), delta["text"], ("delta", "text"))
            elif delta.get("type") == "input_json_delta" and delta.get("partial_json"):
                part = Part("tool_arguments", "assistant", 0, index, None, True)
                yield Fragment(part, delta["partial_json"], ("delta", "partial_json"))

    def ends(self, event: Any, open_parts: Iterable[Part]) -> list[Part]:
        """A part ends at its `content_block_stop`."""
        if isinstance(event, Mapping) and event.get("type") == "content_block_stop":
            return [part for part in open_parts if part.index == event.get("index", 0)]
        return []

    def text_event(self, part: Part, text: str, like: Any) -> Any:
        """Return a delta event."""
        if part.kind == "tool_arguments":
            delta = {"type": "input_json_delta", "partial_json": text}
        else:
            delta = {"type": "text_delta", "text": text}
        return {"type": "content_block_delta", "index": part.index, "delta": delta}

    def tool_names(self, event: Any) -> Iterable[tuple[int, int, str]]:
        """Return the tool whose call a block opens."""
        block = event.get("content_block") if isinstance(event, Mapping) else None
        if isinstance(block, Mapping) and block.get("type") in _TOOL_BLOCKS and isinstance(block.get("name"), str):
            return [(0, event.get("index", 0), block["name"])]
        return ()

    def encode(self, event: Any) -> bytes:
        """Return the event under its own name."""
        return encode(event, event.get("type") if isinstance(event, Mapping) else None)

    def split(self, body: Any) -> list[Any]:
        """Return the events that carry a message."""
        return split_message(body)

    def join(self, events: list[Any]) -> Any:
        """Return the message that events carry."""
        return join_events(events)


class _MessagesReader(Reader):
    __slots__ = ("_open", "_raw_usage")

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[int, str] = {}
        self._raw_usage: Any = None

    def feed(self, event: Any) -> bool:
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "content_block_delta":
            self.content = True
            delta = event.get("delta") or {}
            if delta.get("type") == "text_delta":
                self.texts.append(delta.get("text") or "")
        elif kind == "content_block_start":
            self._start(event)
        elif kind == "content_block_stop":
            self._open.pop(event.get("index", 0), None)
        elif kind == "message_delta":
            self._count(event.get("usage"))
            if (event.get("delta") or {}).get("stop_reason"):
                self.done = True
        elif kind == "message_start":
            self._count((event.get("message") or {}).get("usage"))
        elif kind == "message_stop":
            self.done = self.sealed = True
        return kind == "error"

    def _start(self, event: Any) -> None:
        block = event.get("content_block") or {}
        if block.get("type") in _TOOL_BLOCKS:
            self.content = True
            self._open[event.get("index", 0)] = block.get("name") or "unnamed"
        elif block.get("text"):
            self.content = True
            self.texts.append(block["text"])
        elif block.get("type") not in ("text", "thinking"):
            self.content = True

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._raw_usage = merge_anthropic_usage(self._raw_usage, usage)
            self.usage = anthropic_usage(self._raw_usage)

    def open_tool_calls(self) -> tuple[str, ...]:
        return tuple(self._open.values())


def _rooted(block: Mapping[str, Any], part: Part, index: int) -> Iterator[Fragment]:
    """Yield one block's texts with paths from the root of the body."""
    for fragment in content_fragments([block], part, ()):
        yield fragment._replace(path=("content", index, *fragment.path[1:]))


def _named_result(fragment: Fragment, message: Mapping[str, Any], names: dict[str, str]) -> Fragment:
    """Name the tool whose result a text is: the block says only the id of the call."""
    if fragment.part.kind != "tool_result" or len(fragment.path) < 4:
        return fragment
    block = message["content"][fragment.path[3]]
    tool = names.get(str(block.get("tool_use_id"))) if isinstance(block, Mapping) else None
    if tool is None:
        return fragment
    part = fragment.part
    return fragment._replace(part=Part(part.kind, part.role, part.choice, part.index, tool, part.json))


def _tool_names(message: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(block.get("id")): str(block.get("name")) for block in _blocks(message) if block.get("type") in _TOOL_BLOCKS
    }


def _blocks(body: Any) -> list[Mapping[str, Any]]:
    content = body.get("content") if isinstance(body, Mapping) else None
    return [block for block in content if isinstance(block, Mapping)] if isinstance(content, list | tuple) else []


MESSAGES = AnthropicMessages()
