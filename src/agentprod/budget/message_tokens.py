"""Count a whole request: messages of the three wire formats, system prompts, tools, images.

The overhead of messages and tools follows OpenAI's cookbook on counting tokens; it is what providers do not document
further, and what `learn` corrects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agentprod.budget.media_tokens import audio_tokens, document_tokens, image_size, image_tokens

__all__ = ["REPLY", "count_message", "count_messages", "count_tools"]

Count = Callable[[str], int]

_PER_MESSAGE = 3
REPLY = 3
"""Tokens that begin the reply."""
_DEEPEST = 32
_BARE = (str, int, list)
"""What stands in the input of an embedding, and adds nothing to it."""
_PER_TOOL, _PER_PROPERTY, _PER_ENUM, _TOOLS_END = 7, 3, 3, 12

# Identifiers, settings and encrypted bytes: not part of what the model reads as text.
_SILENT = frozenset(
    "type id index role status call_id tool_call_id tool_use_id tool_calls cache_control signature encrypted_content "
    "data detail format annotations logprobs phase is_error citations strict".split()
)


def count_messages(messages: object, count: Count, model: str) -> int:
    """Count messages.

    Args:
        messages: one text, or a list of OpenAI chat messages, Responses items or Anthropic messages.

        count: counts one text.

        model: the name as it stands in the request, for the size of images.

    Returns:
        Tokens, with what every message and the beginning of the reply add.
    """
    if isinstance(messages, str):
        return count(messages)
    if isinstance(messages, Mapping):
        messages = [messages]
    if not isinstance(messages, Iterable):
        return 0
    total, framed = 0, False
    for message in messages:
        total += count_message(message, count, model)
        framed = framed or not isinstance(message, _BARE)
    return total + REPLY * framed


def count_message(message: object, count: Count, model: str) -> int:
    """Count one message of a list.

    Args:
        message: a message or item, or one of the texts, tokens or token lists of an embedding.

        count: counts one text.

        model: the name as it stands in the request, for the size of images.

    Returns:
        Tokens, with what the message adds but not what begins the reply.
    """
    plain = _plain(message, count) if type(message) is dict else None
    if plain is not None:
        return _PER_MESSAGE + plain
    if isinstance(message, _BARE):
        return _part(message, count, model)
    return _PER_MESSAGE + _message(message, count, model)


def count_tools(tools: object, count: Count, preamble: int = 0) -> int:
    """Count tool definitions, as the model reads them.

    Args:
        tools: the request's list of tools, in either provider's form.

        count: counts one text.

        preamble: tokens the provider adds once when there are tools.

    Returns:
        Tokens; 0 without tools.
    """
    if not isinstance(tools, Iterable) or isinstance(tools, str | Mapping):
        return 0
    total, number = 0, 0
    for tool in tools:
        number += 1
        total += _tool(tool, count)
    return total + _TOOLS_END + preamble if number else 0


def _plain(message: dict[str, Any], count: Count) -> int | None:
    """Count a message of the usual forms in a fraction of the time; `None` for any other."""
    content, size = message.get("content"), len(message)
    if type(content) is str and "role" in message:
        if size == 2 or (size == 3 and "tool_call_id" in message):
            return 1 + count(content)
        return None
    calls = message.get("tool_calls")
    if content is not None or size != 3 or type(calls) is not list or "content" not in message:
        return None
    total = 1
    for call in calls:
        function = call.get("function") if type(call) is dict else None
        if type(function) is not dict or len(function) != 2:
            return None
        name, arguments = function.get("name"), function.get("arguments")
        if type(name) is not str or type(arguments) is not str:
            return None
        total += _PER_TOOL + count(name) + count(arguments)
    return total


def _message(message: object, count: Count, model: str) -> int:
    dump = getattr(message, "model_dump", None)
    if callable(dump):  # an SDK's own message object, taken from a reply into the next request
        message = dump()
    if not isinstance(message, Mapping):
        return _part(message, count, model)
    if "role" not in message:
        return _part(message, count, model)
    total = 1 + _part(message.get("content"), count, model)
    if "name" in message:
        total += 1 + count(str(message["name"]))
    calls = message.get("tool_calls")
    if isinstance(calls, list | tuple):
        total += sum(_PER_TOOL + _part(_called(call), count, model) for call in calls)
    return total + _rest(message, count, model, skip=("content", "name"))


def _called(call: object) -> object:
    return call.get("function", call.get("custom", call)) if isinstance(call, Mapping) else call


def _part(part: object, count: Count, model: str, depth: int = 0) -> int:
    """Count one piece of content: text, a typed part, or a list of them."""
    if isinstance(part, str):
        return count(part)
    if depth > _DEEPEST:
        return count(_as_json(part))
    if isinstance(part, Mapping):
        return _typed(part, count, model, depth)
    if isinstance(part, list | tuple):
        return sum(_part(each, count, model, depth + 1) for each in part)
    return 0 if part is None or isinstance(part, bool) else 1


def _as_json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):  # a value that holds itself
        return ""


def _typed(part: Mapping[str, Any], count: Count, model: str, depth: int) -> int:
    kind = part.get("type")
    if kind in ("image_url", "input_image", "image", "computer_screenshot"):
        where = part.get("image_url") or part.get("source") or part
        detail = part.get("detail") or (where.get("detail") if isinstance(where, Mapping) else None)
        address = where.get("url", where) if isinstance(where, Mapping) else where
        size = image_size(address) if isinstance(address, str | Mapping) else None
        return image_tokens(model, size, str(detail or "auto"))
    if kind == "input_audio":
        audio = part.get("input_audio")
        return audio_tokens(str(audio.get("data", "")), str(audio.get("format"))) if isinstance(audio, Mapping) else 0
    if kind in ("file", "input_file", "document"):
        return _document(part, count, model)
    if kind in ("tool_use", "server_tool_use"):
        return _PER_TOOL + count(str(part.get("name", ""))) + count(_as_json(part.get("input")))
    return _rest(part, count, model, depth=depth)


def _document(part: Mapping[str, Any], count: Count, model: str) -> int:
    source = part.get("source")
    if isinstance(source, Mapping) and source.get("type") in ("text", "content"):
        title = _rest(part, count, model, skip=("source",))
        return title + _part(source.get("data") or source.get("content"), count, model)
    file = part.get("file")
    holder = next((each for each in (source, file, part) if isinstance(each, Mapping)), part)
    data = holder.get("data") or holder.get("file_data") or ""
    return document_tokens(str(data).rpartition(",")[2])


def _rest(part: Mapping[str, Any], count: Count, model: str, skip: tuple[str, ...] = (), depth: int = 0) -> int:
    """Count every text of a mapping; a part of a kind not known here is not free."""
    texts = (value for name, value in part.items() if name not in _SILENT and name not in skip)
    return sum(_part(value, count, model, depth + 1) for value in texts)


def _tool(tool: object, count: Count) -> int:
    if not isinstance(tool, Mapping):
        return 0
    definition = tool.get("function", tool)
    if not isinstance(definition, Mapping):
        return _PER_TOOL
    schema = definition.get("parameters") or definition.get("input_schema")
    text = f"{definition.get('name', tool.get('type', ''))}:{definition.get('description') or ''}"
    return _PER_TOOL + count(text) + _schema(schema, count)


def _schema(schema: object, count: Count, depth: int = 0) -> int:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return 0
    total = 0
    properties = schema.get("properties")
    for name, value in properties.items() if isinstance(properties, Mapping) else ():
        kind = value.get("type", "") if isinstance(value, Mapping) else ""
        about = value.get("description", "") if isinstance(value, Mapping) else ""
        total += _PER_PROPERTY + count(f"{name}:{kind}:{about}") + _schema(value, count, depth + 1)
    enum = schema.get("enum")
    total += sum(_PER_ENUM + count(str(each)) for each in enum) if isinstance(enum, list) else 0
    for name in ("items", "additionalProperties"):
        total += _schema(schema.get(name), count, depth + 1)
    for name in ("anyOf", "oneOf", "allOf"):
        choices = schema.get(name)
        total += sum(_schema(each, count, depth + 1) for each in choices) if isinstance(choices, list) else 0
    for name in ("$defs", "definitions"):
        named = schema.get(name)
        total += sum(_schema(each, count, depth + 1) for each in named.values()) if isinstance(named, Mapping) else 0
    return total
