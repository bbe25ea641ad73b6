"""OpenAI chat completions, the format most providers and frameworks speak."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from agentprod.dialects import neutral_openai
from agentprod.dialects.base import Dialect, Fragment, Reader, whole_body
from agentprod.dialects.chat_stream import join_chunks, split_completion
from agentprod.dialects.content import content_fragments, text_of
from agentprod.dialects.neutral import NeutralReply, NeutralRequest
from agentprod.dialects.neutral_chat_stream import ChatTeller, ChatWriter
from agentprod.dialects.usage import openai_chat_usage
from agentprod.parts import Part
from agentprod.usage import Usage

__all__ = ["CHAT", "ChatReader", "OpenAIChat"]

_FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_TEXTS = (("reasoning_content", "reasoning"), ("reasoning", "reasoning"), ("content", "text"), ("refusal", "refusal"))


class OpenAIChat(Dialect):
    """`POST /chat/completions`."""

    name: ClassVar[str] = "openai_chat"
    operation: ClassVar[str] = "chat"
    sentinel: ClassVar[bytes] = b"data: [DONE]\n\n"

    # Requests

    def request_fragments(self, request: Mapping[str, Any]) -> Iterator[Fragment]:
        """Yield message texts, tool results and tool-call arguments."""
        names: dict[str, str] = {}
        for index, message in enumerate(_list(request.get("messages"))):
            if not isinstance(message, Mapping):
                continue
            role = message.get("role")
            role = "system" if role == "developer" else role if isinstance(role, str) else "user"
            part = Part("text", role, 0, index)
            if role in ("tool", "function"):
                tool = names.get(str(message.get("tool_call_id")), message.get("name"))
                part = Part("tool_result", "tool", 0, index, tool)
            yield from content_fragments(message.get("content"), part, ("messages", index, "content"))
            if isinstance(message.get("refusal"), str):
                yield Fragment(Part("refusal", role, 0, index), message["refusal"], ("messages", index, "refusal"))
            for position, call in enumerate(_list(message.get("tool_calls"))):
                function, slot = _function(call)
                if function is None:
                    continue
                name = str(function.get("name"))
                if isinstance(call.get("id"), str):
                    names[call["id"]] = name
                if isinstance(function.get(slot), str):
                    yield Fragment(
                        Part("tool_arguments", role, 0, index, name, slot == "arguments"),
                        function[slot],
                        ("messages", index, "tool_calls", position, "custom" if slot == "input" else "function", slot),
                    )
        prediction = request.get("prediction")
        if isinstance(prediction, Mapping):
            yield from content_fragments(prediction.get("content"), Part("text", "user"), ("prediction", "content"))

    def last_user_text(self, request: Mapping[str, Any]) -> str | None:
        """Return the last message's text when it is a user's and all text."""
        messages = _list(request.get("messages"))
        if not messages or not isinstance(messages[-1], Mapping) or messages[-1].get("role") != "user":
            return None
        return text_of(messages[-1].get("content"), strict=True)

    def tools(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the tool definitions."""
        return [tool for tool in _list(request.get("tools")) if isinstance(tool, dict)]

    def wants_json(self, request: Mapping[str, Any]) -> bool:
        """Whether `response_format` asks for JSON."""
        wanted = request.get("response_format")
        return isinstance(wanted, Mapping) and wanted.get("type") in ("json_object", "json_schema")

    def user(self, request: Mapping[str, Any]) -> str | None:
        """Return `safety_identifier` or `user`."""
        for name in ("safety_identifier", "user"):
            if isinstance(request.get(name), str):
                return request[name]  # type: ignore[no-any-return]
        return None

    # Replies

    def text(self, body: Any) -> str:
        """Return the first choice's text."""
        for choice in _choices(body):
            return text_of(_mapping(choice.get("message")).get("content")) or ""
        return body if isinstance(body, str) else ""

    def usage(self, body: Any) -> Usage | None:
        """Return the token counts, when the body carries any."""
        return openai_chat_usage(body)

    def finish(self, body: Any) -> str | None:
        """Return why the first choice ended."""
        for choice in _choices(body):
            reason = choice.get("finish_reason")
            return None if reason is None else _FINISH.get(str(reason), "other")
        return None

    def tool_calls(self, body: Any) -> list[dict[str, Any]]:
        """Return the first choice's tool calls."""
        calls = []
        for choice in _choices(body):
            for call in _list(_mapping(choice.get("message")).get("tool_calls")):
                function, slot = _function(call)
                if function is not None:
                    calls.append({"id": call.get("id"), "name": function.get("name"), "arguments": function.get(slot)})
            break
        return calls

    def body_fragments(self, body: Any, request: Mapping[str, Any]) -> Iterator[Fragment]:
        """Yield the texts of every choice."""
        json_text = self.wants_json(request)
        for position, choice in enumerate(_choices(body)):
            yield from _choice_fragments(choice, "message", ("choices", position), json_text)

    def forget_details(self, body: Any) -> Any:
        """Drop log-probabilities: they speak of the text before the edit."""
        choices = _choices(body)
        if not any(isinstance(choice.get("logprobs"), Mapping) for choice in choices):
            return body
        plain = [{**choice, "logprobs": None} if "logprobs" in choice else choice for choice in choices]
        return {**body, "choices": plain}

    def make_body(self, request: Mapping[str, Any], text_or_body: Any) -> Any:
        """Return a completion that says `text_or_body`, or the body as given."""
        if not isinstance(text_or_body, str):
            return whole_body(text_or_body)
        import uuid

        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.model(request) or "",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text_or_body, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        }

    # The neutral form

    def to_neutral(self, request: Mapping[str, Any]) -> NeutralRequest:
        """Return the request in the neutral form."""
        return neutral_openai.request_to_neutral(request)

    def from_neutral(self, neutral: NeutralRequest) -> dict[str, Any]:
        """Return a request of this format."""
        return neutral_openai.request_from_neutral(neutral)

    def reply_to_neutral(self, body: Any) -> NeutralReply:
        """Return a whole reply in the neutral form."""
        return neutral_openai.reply_to_neutral(body)

    def reply_from_neutral(self, neutral: NeutralReply) -> Any:
        """Return a whole reply of this format."""
        return neutral_openai.reply_from_neutral(neutral)

    def stream_to_neutral(self) -> ChatTeller:
        """Return what tells what a stream's events say."""
        return ChatTeller()

    def stream_from_neutral(self) -> ChatWriter:
        """Return what writes a stream's events."""
        return ChatWriter()

    # Streams

    def reader(self) -> Reader:
        """Return a reader of chat chunks."""
        return ChatReader()

    def event_fragments(self, event: Any, json_text: bool = False) -> Iterator[Fragment]:
        """Yield the deltas of a chunk."""
        for position, choice in enumerate(_choices(event)):
            yield from _choice_fragments(choice, "delta", ("choices", position), json_text)

    def ends(self, event: Any, open_parts: Iterable[Part]) -> list[Part]:
        """A part ends at its choice's finish reason, or where the choice turns to another part."""
        ending = []
        open_parts = list(open_parts)
        for choice in _choices(event):
            index = choice.get("index", 0)
            here = [part for part in open_parts if part.choice == index]
            if choice.get("finish_reason") is not None:
                ending += here
                continue
            now = [part for part, _, _ in _choice_fragments(choice, "delta", (), False)]
            if now:
                kinds = {(part.kind, part.index) for part in now}
                ending += [part for part in here if (part.kind, part.index) not in kinds]
        return ending

    def text_event(self, part: Part, text: str, like: Any) -> Any:
        """Return a chunk with one delta."""
        if part.kind == "tool_arguments":
            delta: dict[str, Any] = {"tool_calls": [{"index": part.index, "function": {"arguments": text}}]}
        else:
            delta = {_slot(part, like): text}
        chunk = {key: value for key, value in like.items() if key not in ("choices", "usage")}
        return {**chunk, "choices": [{"index": part.choice, "delta": delta, "finish_reason": None}]}

    def tool_names(self, event: Any) -> Iterator[tuple[int, int, str]]:
        """Yield the tool calls that a chunk names: the first piece of each does."""
        for choice in _choices(event):
            for position, call in enumerate(_list(_mapping(choice.get("delta")).get("tool_calls"))):
                function, _ = _function(call)
                if function is not None and isinstance(function.get("name"), str):
                    yield choice.get("index", 0), call.get("index", position), function["name"]

    def is_usage_only(self, event: Any) -> bool:
        """Whether this is the last chunk of `include_usage`, which has no choices."""
        return type(event) is dict and not event.get("choices") and isinstance(event.get("usage"), dict)

    def asks_usage(self, request: Mapping[str, Any]) -> bool:
        """Whether `stream_options.include_usage` is set."""
        return bool(_mapping(request.get("stream_options")).get("include_usage"))

    def ask_usage(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request with `stream_options.include_usage` set."""
        return {**request, "stream_options": {**_mapping(request.get("stream_options")), "include_usage": True}}

    def split(self, body: Any) -> list[Any]:
        """Return the chunks that carry a completion."""
        return split_completion(body)

    def join(self, events: list[Any]) -> Any:
        """Return the completion that chunks carry."""
        return join_chunks(events)


class ChatReader(Reader):
    """Reads chat chunks."""

    __slots__ = ("_calls", "_finished", "_seen")

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._calls: dict[tuple[int, int], str] = {}

    def feed(self, event: Any) -> bool:
        """See `Reader.feed`."""
        if type(event) is not dict:
            return self.other(event)
        try:  # most chunks bring one more piece of the first choice's text, and nothing else
            (choice,) = event["choices"]
            delta = choice["delta"]
            text = delta.get("content")
            if (
                type(text) is str
                and len(delta) == 1
                and self.texts
                and choice.get("index", 0) == 0
                and choice.get("finish_reason") is None
                and not (event.get("usage") or event.get("error") or "x_groq" in event)
            ):
                self.texts.append(text)
                return False
        except (AttributeError, KeyError, TypeError, ValueError):  # of another form
            pass
        return self._look(event)

    def _look(self, event: dict[str, Any]) -> bool:
        """Look for everything a chunk may bring."""
        choices = event.get("choices")
        if choices is None:
            return self.other(event)
        if event.get("error"):
            return True
        if event.get("usage") or "x_groq" in event:
            self.usage = openai_chat_usage(event) or self.usage
        for choice in choices:
            index = choice.get("index", 0)
            self._delta(index, choice.get("delta") or {})
            self._seen.add(index)
            if choice.get("finish_reason") is not None:
                self._finished.add(index)
                self.done = self._finished >= self._seen
        return False

    def other(self, event: Any) -> bool:
        """Look at what is no chunk of choices; return whether it is an error event."""
        if type(event) is not dict:
            return False
        if event.get("usage") or "x_groq" in event:
            self.usage = openai_chat_usage(event) or self.usage
        return bool(event.get("error"))

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        """Look at what one choice brings."""
        text = delta.get("content")
        if text:
            self.content = True
            if index == 0 and type(text) is str:
                self.texts.append(text)
        calls = delta.get("tool_calls")
        if calls:
            self.content = True
            for call in calls:
                name = _mapping(call.get("function")).get("name")
                key = (index, call.get("index", 0))
                if name or key not in self._calls:
                    self._calls[key] = name or "unnamed"
        elif delta.get("refusal") or delta.get("reasoning_content") or delta.get("reasoning"):
            self.content = True

    def mark(self, raw: bytes | None) -> None:
        """See `Reader.mark`."""
        if raw is not None and b"[DONE]" in raw:
            self.sealed = True

    def open_tool_calls(self) -> tuple[str, ...]:
        """See `Reader.open_tool_calls`."""
        return tuple(name for (index, _), name in self._calls.items() if index not in self._finished)


def _choice_fragments(choice: Any, key: str, path: tuple[Any, ...], json_text: bool) -> Iterator[Fragment]:
    message = _mapping(_mapping(choice).get(key))
    index = _mapping(choice).get("index", 0)
    for slot, kind in _TEXTS:
        text = message.get(slot)
        if isinstance(text, str) and text:
            part = Part(kind, "assistant", index, 0, None, json_text and kind == "text")  # type: ignore[arg-type]
            yield Fragment(part, text, (*path, key, slot))
    for position, call in enumerate(_list(message.get("tool_calls"))):
        function, slot = _function(call)
        if function is not None and isinstance(function.get(slot), str) and function[slot]:
            # In a stream only the first piece carries the name, and all pieces are one part.
            name = function.get("name") if key == "message" else None
            part = Part("tool_arguments", "assistant", index, call.get("index", position), name, slot == "arguments")
            kind = "custom" if slot == "input" else "function"
            yield Fragment(part, function[slot], (*path, key, "tool_calls", position, kind, slot))


def _slot(part: Part, like: Any) -> str:
    if part.kind == "reasoning":
        deltas = [_mapping(choice.get("delta")) for choice in _choices(like)]
        return "reasoning" if any("reasoning" in delta for delta in deltas) else "reasoning_content"
    return "refusal" if part.kind == "refusal" else "content"


def _function(call: Any) -> tuple[Mapping[str, Any] | None, str]:
    """Return a tool call's payload and the key of its text: custom tools carry free `input`, functions JSON."""
    call = _mapping(call)
    if isinstance(call.get("custom"), Mapping):
        return call["custom"], "input"
    function = call.get("function")
    return (function, "arguments") if isinstance(function, Mapping) else (None, "arguments")


def _choices(body: Any) -> list[Any]:
    return [choice for choice in _list(_mapping(body).get("choices")) if isinstance(choice, Mapping)]


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


CHAT = OpenAIChat()
