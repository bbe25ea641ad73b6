"""Requests and replies as the message parts of OpenTelemetry's GenAI conventions, for recording.

Reads OpenAI chat completions, OpenAI responses and Anthropic messages by their shape. What has no part of its own is
kept under its own type, so nothing is lost and nothing raises. The schema: `gen-ai-input-messages.json` and
`gen-ai-output-messages.json` of `open-telemetry/semantic-conventions-genai`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["input_messages", "output_messages", "system_instructions", "tool_definitions"]

Json = dict[str, Any]

_FINISH = {
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "tool_use": "tool_call",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "refusal": "content_filter",
}
_TEXT = ("text", "input_text", "output_text")
_CALLS = ("function_call", "custom_tool_call")
_CALL_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def system_instructions(request: Mapping[str, Any]) -> list[Json]:
    """Return the parts of instructions that stand outside the messages: `system`, `instructions`."""
    for name in ("system", "instructions"):
        if request.get(name):
            return _parts(request[name])
    return []


def input_messages(request: Mapping[str, Any]) -> list[Json]:
    """Return the messages of a request, each with `role` and `parts`.

    A plain function's arguments are one user message: each string a part.
    """
    if "messages" in request:
        return [_message(message) for message in _list(request["messages"])]
    given = request.get("input")
    if isinstance(given, str):
        return [{"role": "user", "parts": [_text(given)]}]
    if isinstance(given, list | tuple):
        return [_item(item) for item in given]
    parts = [_text(value) for value in request.values() if isinstance(value, str)]
    return [{"role": "user", "parts": parts}] if parts else []


def output_messages(body: Any) -> list[Json]:
    """Return the messages of a whole reply, each with `role`, `parts` and, when it was said, `finish_reason`."""
    if isinstance(body, str):
        return [{"role": "assistant", "parts": [_text(body)]}]
    if not isinstance(body, Mapping):
        return []
    if isinstance(body.get("choices"), list | tuple):
        return [_choice(choice) for choice in body["choices"] if isinstance(choice, Mapping)]
    if isinstance(body.get("output"), list | tuple):
        parts = [part for item in body["output"] for part in _item(item)["parts"]]
        return [{"role": "assistant", "parts": parts}]
    if "content" in body:
        return [
            _finished({"role": body.get("role", "assistant"), "parts": _parts(body["content"])}, body, "stop_reason")
        ]
    return []


def tool_definitions(request: Mapping[str, Any]) -> list[Json]:
    """Return the tools offered to the model, each with `type`, `name`, `description` and `parameters`."""
    found = []
    for tool in _list(request.get("tools")):
        if not isinstance(tool, Mapping):
            continue
        function = tool.get("function") if isinstance(tool.get("function"), Mapping) else tool
        assert isinstance(function, Mapping)
        definition: Json = {"type": tool.get("type") or "function", "name": function.get("name")}
        if definition["type"] == "custom":
            definition["type"] = "function"
        for ours, theirs in (
            ("description", "description"),
            ("parameters", "parameters"),
            ("parameters", "input_schema"),
        ):
            if function.get(theirs) is not None:
                definition[ours] = function[theirs]
        found.append(definition)
    return found


def _choice(choice: Mapping[str, Any]) -> Json:
    message = choice.get("message")
    return _finished(_message(message if isinstance(message, Mapping) else {}), choice, "finish_reason")


def _finished(message: Json, body: Mapping[str, Any], key: str) -> Json:
    reason = body.get(key)
    if isinstance(reason, str):
        message["finish_reason"] = _FINISH.get(reason, reason)
    return message


def _message(message: Any) -> Json:
    if not isinstance(message, Mapping):
        return {"role": "user", "parts": _parts(message)}
    role = str(message.get("role", "assistant"))
    if role in ("tool", "function"):
        response = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": message.get("content")}
        return {"role": "tool", "parts": [response]}
    parts = [
        {"type": "reasoning", "content": message[name]}
        for name in ("reasoning_content", "reasoning")
        if isinstance(message.get(name), str) and message[name]
    ]
    parts += _parts(message.get("content"))
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        parts.append(_text(message["refusal"]))
    parts += [_tool_call(call) for call in _list(message.get("tool_calls")) if isinstance(call, Mapping)]
    made: Json = {"role": role, "parts": parts}
    if isinstance(message.get("name"), str):
        made["name"] = message["name"]
    return made


def _item(item: Any) -> Json:
    """Read one item of the Responses API: a message, or a call, a result or reasoning on its own."""
    if not isinstance(item, Mapping):
        return {"role": "user", "parts": _parts(item)}
    kind = item.get("type", "message")
    if kind == "message":
        return _message(item)
    if kind in _CALLS:
        arguments = item.get("arguments", item.get("input"))
        return {"role": "assistant", "parts": [_call_part(item.get("call_id"), item.get("name"), arguments)]}
    if kind in _CALL_OUTPUTS:
        response = {"type": "tool_call_response", "id": item.get("call_id"), "response": item.get("output")}
        return {"role": "tool", "parts": [response]}
    if kind == "reasoning":
        texts = [part.get("text") for part in _list(item.get("summary")) if isinstance(part, Mapping)]
        return {"role": "assistant", "parts": [{"type": "reasoning", "content": text} for text in texts if text]}
    return {"role": "assistant", "parts": [dict(item)]}


def _tool_call(call: Mapping[str, Any]) -> Json:
    payload = call.get("function") or call.get("custom")
    if not isinstance(payload, Mapping):
        return dict(call)
    return _call_part(call.get("id"), payload.get("name"), payload.get("arguments", payload.get("input")))


def _call_part(identity: Any, tool: Any, arguments: Any) -> Json:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            pass  # a custom tool's free text, or arguments that were cut short
    return {"type": "tool_call", "id": identity, "name": tool, "arguments": arguments}


def _parts(content: Any) -> list[Json]:
    if content is None:
        return []
    if isinstance(content, str):
        return [_text(content)] if content else []
    return [_part(block) for block in _list(content)]


def _part(block: Any) -> Json:
    if not isinstance(block, Mapping):
        return _text(block if isinstance(block, str) else str(type(block).__name__))
    kind = block.get("type")
    if kind in _TEXT:
        return _text(block.get("text"))
    if kind == "refusal":
        return _text(block.get("refusal"))
    if kind == "thinking":
        return {"type": "reasoning", "content": block.get("thinking")}
    if kind == "tool_use":
        return _call_part(block.get("id"), block.get("name"), block.get("input"))
    if kind == "tool_result":
        return {"type": "tool_call_response", "id": block.get("tool_use_id"), "response": block.get("content")}
    if kind in ("server_tool_use", "mcp_tool_use"):
        return {
            "type": "server_tool_call",
            "id": block.get("id"),
            "name": block.get("name"),
            "server_tool_call": block.get("input"),
        }
    if isinstance(kind, str) and kind.endswith("_tool_result"):
        return {
            "type": "server_tool_call_response",
            "id": block.get("tool_use_id"),
            "server_tool_call_response": block.get("content"),
        }
    return _file(block) or dict(block)


def _file(block: Mapping[str, Any]) -> Json | None:
    kind = block.get("type")
    if kind in ("image_url", "input_image"):
        image = block.get("image_url")
        uri = image.get("url") if isinstance(image, Mapping) else image
        return {"type": "uri", "modality": "image", "mime_type": None, "uri": uri} if isinstance(uri, str) else None
    if kind == "input_audio" and isinstance(block.get("input_audio"), Mapping):
        audio = block["input_audio"]
        return {
            "type": "blob",
            "modality": "audio",
            "mime_type": f"audio/{audio.get('format')}",
            "content": audio.get("data"),
        }
    source = block.get("source")
    if kind in ("image", "document") and isinstance(source, Mapping):
        made: Json = {"modality": kind, "mime_type": source.get("media_type")}
        if source.get("type") == "base64":
            return {"type": "blob", **made, "content": source.get("data")}
        if source.get("type") == "url":
            return {"type": "uri", **made, "uri": source.get("url")}
        if source.get("type") == "file":
            return {"type": "file", **made, "file_id": source.get("file_id")}
    return None


def _text(text: Any) -> Json:
    return {"type": "text", "content": text}


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else ()
