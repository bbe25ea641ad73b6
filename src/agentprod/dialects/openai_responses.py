"""OpenAI responses: items in, items out, and a stream that repeats itself in snapshots."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from agentprod.dialects.base import Dialect, Fragment, Reader, whole_body
from agentprod.dialects.content import content_fragments, text_of
from agentprod.dialects.paths import put
from agentprod.dialects.responses_stream import split_response
from agentprod.dialects.sse import encode
from agentprod.dialects.usage import openai_responses_usage
from agentprod.parts import Part
from agentprod.usage import Usage

__all__ = ["RESPONSES", "OpenAIResponses"]

_ENDS = ("response.completed", "response.incomplete", "response.failed")
_DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "tool_arguments",
    "response.mcp_call_arguments.delta": "tool_arguments",
    "response.custom_tool_call_input.delta": "tool_arguments",
}
_CALLS = {"function_call": "arguments", "mcp_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = ("function_call_output", "custom_tool_call_output")


class OpenAIResponses(Dialect):
    """`POST /responses`."""

    name: ClassVar[str] = "openai_responses"
    operation: ClassVar[str] = "responses"

    # Requests

    def request_fragments(self, request: Mapping[str, Any]) -> Iterator[Fragment]:
        """Yield instructions, messages, tool results, tool-call arguments and prompt variables."""
        if isinstance(request.get("instructions"), str):
            yield Fragment(Part("text", "system"), request["instructions"], ("instructions",))
        given = request.get("input")
        if isinstance(given, str):
            yield Fragment(Part("text", "user"), given, ("input",))
        names: dict[str, str] = {}
        for index, item in enumerate(given if isinstance(given, list | tuple) else ()):
            if not isinstance(item, Mapping):
                continue
            if item.get("type") in _CALLS and isinstance(item.get("call_id"), str):
                names[item["call_id"]] = str(item.get("name"))
            yield from _item_fragments(item, index, ("input", index), names, slots=False)
        prompt = request.get("prompt")
        variables = prompt.get("variables") if isinstance(prompt, Mapping) else None
        for name, value in variables.items() if isinstance(variables, Mapping) else ():
            yield from content_fragments(value, Part("text", "user"), ("prompt", "variables", name))

    def last_user_text(self, request: Mapping[str, Any]) -> str | None:
        """Return the last item's text when it is a user's and all text."""
        given = request.get("input")
        if isinstance(given, str):
            return given
        last = given[-1] if isinstance(given, list | tuple) and given else None
        if not isinstance(last, Mapping) or last.get("role") != "user":
            return None
        return text_of(last.get("content"), strict=True)

    def tools(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the tool definitions."""
        return [tool for tool in request.get("tools") or () if isinstance(tool, dict)]

    def wants_json(self, request: Mapping[str, Any]) -> bool:
        """Whether `text.format` asks for JSON."""
        text = request.get("text")
        wanted = text.get("format") if isinstance(text, Mapping) else None
        return isinstance(wanted, Mapping) and wanted.get("type") in ("json_object", "json_schema")

    def user(self, request: Mapping[str, Any]) -> str | None:
        """Return `safety_identifier` or `user`."""
        for name in ("safety_identifier", "user"):
            if isinstance(request.get(name), str):
                return request[name]  # type: ignore[no-any-return]
        return None

    # Replies

    def text(self, body: Any) -> str:
        """Return the text of all messages, joined."""
        if isinstance(body, str):
            return body
        return "".join(text_of(item.get("content")) or "" for item in _output(body) if item.get("type") == "message")

    def usage(self, body: Any) -> Usage | None:
        """Return the token counts."""
        return openai_responses_usage(body)

    def finish(self, body: Any) -> str | None:
        """Return why the response ended."""
        if not isinstance(body, Mapping):
            return None
        if body.get("status") == "incomplete":
            reason = (body.get("incomplete_details") or {}).get("reason")
            return {"max_output_tokens": "length", "content_filter": "content_filter"}.get(str(reason), "other")
        if body.get("status") != "completed":
            return None if body.get("status") is None else "other"
        return "tool_calls" if self.tool_calls(body) else "stop"

    def tool_calls(self, body: Any) -> list[dict[str, Any]]:
        """Return the function calls."""
        return [
            {"id": item.get("call_id"), "name": item.get("name"), "arguments": item.get(_CALLS[item["type"]])}
            for item in _output(body)
            if item.get("type") in ("function_call", "custom_tool_call")
        ]

    def body_fragments(self, body: Any, request: Mapping[str, Any]) -> Iterator[Fragment]:
        """Yield the texts of every item."""
        json_text = self.wants_json(request)
        for index, item in enumerate(_output(body)):
            yield from _item_fragments(item, index, ("output", index), {}, slots=True, json_text=json_text)

    def make_body(self, request: Mapping[str, Any], text_or_body: Any) -> Any:
        """Return a response that says `text_or_body`, or the body as given."""
        if not isinstance(text_or_body, str):
            return whole_body(text_or_body)
        import uuid

        part = {"type": "output_text", "text": text_or_body, "annotations": []}
        message = {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "role": "assistant", "status": "completed"}
        return {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self.model(request) or "",
            "output": [{**message, "content": [part]}],
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": None,
        }

    # Streams

    def reader(self) -> Reader:
        """Return a reader of response events."""
        return _ResponsesReader()

    def event_fragments(self, event: Any, json_text: bool = False) -> Iterator[Fragment]:
        """Yield the delta of an event."""
        kind = event.get("type") if isinstance(event, Mapping) else None
        part_kind = _DELTAS.get(kind or "")
        if part_kind is None or not isinstance(event.get("delta"), str):
            return
        in_json = (part_kind == "tool_arguments" and "custom" not in str(kind)) or (json_text and part_kind == "text")
        yield Fragment(_part(part_kind, _slot(event), in_json), event["delta"], ("delta",))

    def ends(self, event: Any, open_parts: Iterable[Part]) -> list[Part]:
        """A part ends at its own `done`, at its item's, or at the response's."""
        kind = event.get("type") if isinstance(event, Mapping) else None
        if kind in _ENDS:
            return list(open_parts)
        if kind == "response.output_item.done":
            item = event.get("output_index", 0)
            return [part for part in open_parts if part.index // _SLOTS == item]
        if isinstance(kind, str) and kind.endswith(".done"):
            return [part for part in open_parts if part.index == _slot(event)]
        return []

    def text_event(self, part: Part, text: str, like: Any) -> Any:
        """Return a delta event."""
        return {**like, "delta": text}

    def tool_names(self, event: Any) -> Iterable[tuple[int, int, str]]:
        """Return the name of the tool whose call this event opens."""
        item = event.get("item") if isinstance(event, Mapping) and event.get("type") == _ADDED else None
        if isinstance(item, Mapping) and item.get("type") in _CALLS and isinstance(item.get("name"), str):
            return [(0, event.get("output_index", 0) * _SLOTS, item["name"])]
        return ()

    def rewrite_snapshots(self, event: Any, finals: Mapping[Part, str]) -> Any:
        """Put edited texts where `done` events and the final response repeat them."""
        if not finals or not isinstance(event, Mapping):
            return event
        changed: Any = event
        for fragment in _snapshots(event):
            for in_json in (False, True):
                key = _part(fragment.part.kind, fragment.part.index, in_json)
                if key in finals and finals[key] != fragment.text:
                    changed = put(changed, fragment.path, finals[key])
        return changed

    def encode(self, event: Any) -> bytes:
        """Return the event under its own name."""
        return encode(event, event.get("type") if isinstance(event, Mapping) else None)

    def split(self, body: Any) -> list[Any]:
        """Return the events that carry a response."""
        return split_response(body)

    def join(self, events: list[Any]) -> Any:
        """Return the response that events carry: the last one says it whole."""
        for event in reversed(events):
            if isinstance(event, Mapping) and event.get("type") in _ENDS:
                return event["response"]
        return None


_ADDED = "response.output_item.added"
_SLOTS = 1000
"""Contents of one item are numbered below this, so that item and content make one index."""


class _ResponsesReader(Reader):
    __slots__ = ("_open",)

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[int, str] = {}

    def feed(self, event: Any) -> bool:
        kind = event.get("type") if type(event) is dict else None
        if not isinstance(kind, str):
            return isinstance(event, dict) and bool(event.get("error"))
        if kind.endswith(".delta"):
            self.content = True
            if kind == "response.output_text.delta":
                self.texts.append(event.get("delta") or "")
        elif kind == _ADDED:
            item = event.get("item") or {}
            if item.get("type") in _CALLS:
                self._open[event.get("output_index", 0)] = item.get("name") or "unnamed"
            self.content = self.content or item.get("type") not in ("message", "reasoning")
        elif kind == "response.output_item.done":
            self._open.pop(event.get("output_index", 0), None)
        elif kind in _ENDS:
            self.done = self.sealed = True
            self.usage = openai_responses_usage(event)
        return kind == "error" and bool(event.get("error"))

    def open_tool_calls(self) -> tuple[str, ...]:
        return tuple(self._open.values())


def _part(kind: Any, index: int, in_json: bool, tool: str | None = None) -> Part:
    return Part(kind, "assistant", 0, index, tool, in_json)


def _slot(event: Mapping[str, Any]) -> int:
    return int(event.get("output_index", 0)) * _SLOTS + int(event.get("content_index") or 0)


def _output(body: Any) -> list[Mapping[str, Any]]:
    output = body.get("output") if isinstance(body, Mapping) else None
    return [item for item in output if isinstance(item, Mapping)] if isinstance(output, list | tuple) else []


def _snapshots(event: Mapping[str, Any]) -> Iterator[Fragment]:
    """Yield the whole texts that an event repeats."""
    kind = event.get("type")
    if kind in _ENDS and isinstance(event.get("response"), Mapping):
        for index, item in enumerate(_output(event["response"])):
            yield from _item_fragments(item, index, ("response", "output", index), {}, slots=True)
    elif kind == "response.output_item.done" and isinstance(event.get("item"), Mapping):
        yield from _item_fragments(event["item"], event.get("output_index", 0), ("item",), {}, slots=True)
    elif kind == "response.content_part.done" and isinstance(event.get("part"), Mapping):
        for slot, name in (("text", "text"), ("refusal", "refusal")):
            if isinstance(event["part"].get(slot), str):
                yield Fragment(_part(name, _slot(event), False), event["part"][slot], ("part", slot))
    elif isinstance(kind, str) and kind.endswith(".done"):
        part_kind = _DELTAS.get(kind.removesuffix("done") + "delta")
        for slot in ("text", "refusal", "arguments", "input"):
            if part_kind is not None and isinstance(event.get(slot), str):
                yield Fragment(_part(part_kind, _slot(event), False), event[slot], (slot,))


def _item_fragments(
    item: Mapping[str, Any],
    index: int,
    path: tuple[Any, ...],
    names: Mapping[str, str],
    *,
    slots: bool,
    json_text: bool = False,
) -> Iterator[Fragment]:
    """Yield the texts of one item; in a reply each content has an index of its own."""
    kind = item.get("type", "message")
    place = index * _SLOTS if slots else index
    if kind in _CALLS:
        key = _CALLS[kind]
        if isinstance(item.get(key), str) and item[key]:
            in_json = kind != "custom_tool_call"
            yield Fragment(_part("tool_arguments", place, in_json, item.get("name")), item[key], (*path, key))
    elif kind in _OUTPUTS:
        part = Part("tool_result", "tool", 0, place, names.get(str(item.get("call_id"))))
        yield from content_fragments(item.get("output"), part, (*path, "output"))
    elif kind == "message":
        role = item.get("role")
        role = "system" if role == "developer" else role if isinstance(role, str) else "user"
        if not slots:
            yield from content_fragments(item.get("content"), Part("text", role, 0, place), (*path, "content"))
            return
        content = item.get("content")
        for position, block in enumerate(content if isinstance(content, list | tuple) else ()):
            for slot, name in (("text", "text"), ("refusal", "refusal")):
                if isinstance(block, Mapping) and isinstance(block.get(slot), str) and block[slot]:
                    part = _part(name, place + position, json_text and name == "text")
                    yield Fragment(part, block[slot], (*path, "content", position, slot))
    elif kind != "reasoning":
        # Reasoning may be encrypted beside its summary; an item of any other kind must not carry text past an editor.
        yield from content_fragments([item], Part("text", "assistant", 0, place), path[:-1])


RESPONSES = OpenAIResponses()
