"""The tool calls of a reply, and the messages that answer them, in each provider's form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from agentprod.errors import ConfigError
from agentprod.safety.tools.decisions import Asked
from agentprod.safety.tools.tool import Tool

__all__ = ["Done", "Turn", "definition", "turn_of"]


class Done(NamedTuple):
    """The result of one call.

    Args:
        asked: the call.

        content: what the model reads.

        failed: whether it was refused or raised.
    """

    asked: Asked
    content: str
    failed: bool


class Turn(Protocol):
    """One reply with tool calls."""

    calls: list[Asked]

    def messages(self, results: Sequence[Done]) -> list[dict[str, Any]]:
        """Return what to add to the history: the reply, then the results."""
        ...


def turn_of(response: Any) -> Turn:
    """Return the turn of a reply: a chat completion, a response or a message, of the SDKs or as JSON.

    Raises:
        ConfigError: it is none of them.
    """
    body = response if isinstance(response, Mapping) else _dumped(response)
    if isinstance(body, Mapping):
        if isinstance(body.get("choices"), Sequence):
            return _Chat(body)
        if isinstance(body.get("output"), Sequence):
            return _Responses(body)
        if isinstance(body.get("content"), Sequence) and not isinstance(body.get("content"), str):
            return _Messages(body)
    raise ConfigError(
        f"a {type(response).__name__} is no reply with tool calls: pass a chat completion, a response or a message "
        "(of a stream, its final one)"
    )


def _dumped(response: Any) -> Any:
    dump = getattr(response, "model_dump", None)
    if not callable(dump) or isinstance(response, type):
        return None
    try:
        return dump(mode="json", exclude_unset=True, warnings=False)
    except TypeError:  # pydantic 1, and what only looks like a model
        return dump()


class _Chat:
    def __init__(self, body: Mapping[str, Any]) -> None:
        choice = body["choices"][0] if body["choices"] else {}
        self._message = dict(choice.get("message") or {})
        self.calls: list[Asked] = []
        for call in self._message.get("tool_calls") or ():
            function = call.get("function") or call.get("custom") or {}
            arguments = function.get("arguments", function.get("input"))
            self.calls.append(Asked(str(call.get("id")), str(function.get("name")), arguments))

    def messages(self, results: Sequence[Done]) -> list[dict[str, Any]]:
        kept = ("role", "content", "refusal", "tool_calls", "name", "audio", "reasoning_content", "reasoning")
        said = {key: value for key, value in self._message.items() if key in kept and (value or key == "content")}
        for call in said.get("tool_calls", ()):
            if isinstance(call.get("function"), dict):
                call["function"].pop("parsed_arguments", None)  # what the SDK's `parse` adds, and no API takes
        answers = [{"role": "tool", "tool_call_id": done.asked.id, "content": done.content} for done in results]
        return [{"role": "assistant", "content": None, **said}, *answers]


class _Responses:
    def __init__(self, body: Mapping[str, Any]) -> None:
        self._items = [dict(item) for item in body["output"] if isinstance(item, Mapping)]
        self.calls = [
            Asked(str(item.get("call_id")), str(item.get("name")), item.get("arguments", item.get("input")))
            for item in self._items
            if item.get("type") in ("function_call", "custom_tool_call")
        ]
        self._custom = {item.get("call_id") for item in self._items if item.get("type") == "custom_tool_call"}

    def messages(self, results: Sequence[Done]) -> list[dict[str, Any]]:
        for item in self._items:
            item.pop("parsed_arguments", None)
        answers = []
        for done in results:
            kind = "custom_tool_call_output" if done.asked.id in self._custom else "function_call_output"
            answers.append({"type": kind, "call_id": done.asked.id, "output": done.content})
        return [*self._items, *answers]


class _Messages:
    def __init__(self, body: Mapping[str, Any]) -> None:
        self._content = [dict(block) for block in body["content"] if isinstance(block, Mapping)]
        self.calls = [
            Asked(str(block.get("id")), str(block.get("name")), block.get("input"))
            for block in self._content
            if block.get("type") == "tool_use"
        ]

    def messages(self, results: Sequence[Done]) -> list[dict[str, Any]]:
        for block in self._content:
            block.pop("parsed_output", None)
        answers = []
        for done in results:
            answer: dict[str, Any] = {"type": "tool_result", "tool_use_id": done.asked.id, "content": done.content}
            answers.append({**answer, "is_error": True} if done.failed else answer)
        return [{"role": "assistant", "content": self._content}, {"role": "user", "content": answers}]


def definition(tool: Tool[..., Any], form: str) -> dict[str, Any]:
    """Return how a tool is told to a provider.

    Args:
        tool: the tool.

        form: `"openai"` (chat), `"responses"` or `"anthropic"`.
    """
    schema = json.loads(json.dumps(tool.schema))
    if form == "anthropic":
        return {"name": tool.name, "description": tool.description, "input_schema": schema}
    function = {"name": tool.name, "description": tool.description, "parameters": schema}
    return {"type": "function", "function": function} if form == "openai" else {"type": "function", **function}
