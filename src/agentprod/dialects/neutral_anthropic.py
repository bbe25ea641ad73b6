"""Anthropic messages to and from the neutral form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from agentprod.dialects.messages import input_messages, output_messages, system_instructions, tool_definitions
from agentprod.dialects.neutral import Json, NeutralReply, NeutralRequest, system_text
from agentprod.dialects.usage import anthropic_usage
from agentprod.usage import Usage

__all__ = [
    "FINISH",
    "STOP",
    "call_identity",
    "message_usage",
    "reply_from_neutral",
    "reply_to_neutral",
    "request_from_neutral",
    "request_to_neutral",
]

_KNOWN = frozenset(
    {
        *("model", "system", "messages", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "stream"),
        *("stop_sequences", "metadata", "output_format", "output_config"),
    }
)
_HARMLESS = frozenset({"cache_control", "service_tier", "inference_geo"})
FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_ODD = re.compile(r"[^a-zA-Z0-9_-]")
_DATA_URL = re.compile(r"data:([\w/+.-]+);base64,(.*)", re.DOTALL)


def request_to_neutral(request: Mapping[str, Any]) -> NeutralRequest:
    """Read a messages request."""
    metadata = request.get("metadata")
    made = NeutralRequest(
        model=request.get("model"),
        system=system_instructions(request),
        max_tokens=request.get("max_tokens"),
        temperature=request.get("temperature"),
        top_p=request.get("top_p"),
        stop=list(request.get("stop_sequences") or ()),
        stream=bool(request.get("stream")),
        user=metadata.get("user_id") if isinstance(metadata, Mapping) else None,
        tools=[tool for tool in tool_definitions(request) if "parameters" in tool],
    )
    strict = {
        tool.get("name") for tool in request.get("tools") or () if isinstance(tool, Mapping) and tool.get("strict")
    }
    for tool in made.tools:
        if tool.get("name") in strict:
            tool["strict"] = True
    made.messages = [message for message in input_messages(request) if message["parts"]]
    choice = request.get("tool_choice")
    if isinstance(choice, Mapping):
        made.tool_choice = choice.get("name") if choice.get("type") == "tool" else choice.get("type")
        if choice.get("disable_parallel_tool_use"):
            made.parallel_tool_calls = False
    config = request.get("output_config")
    wanted = request.get("output_format") or (config.get("format") if isinstance(config, Mapping) else None)
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        made.schema = wanted.get("schema")
    if any("parameters" not in tool for tool in tool_definitions(request)):
        made.lost.append("server_tools")
    thinking = request.get("thinking")
    silent = {"thinking"} if isinstance(thinking, Mapping) and thinking.get("type") == "disabled" else set()
    known = _KNOWN | _HARMLESS | silent
    made.lost += sorted(name for name, value in request.items() if name not in known and value is not None)
    return made


def request_from_neutral(neutral: NeutralRequest) -> Json:
    """Write a messages request; `neutral.lost` is extended by what messages cannot say.

    Anthropic requires `max_tokens`: without one in the request it is left out here, and the target's
    `defaults=` must give it.
    """
    made: Json = {
        "model": neutral.model,
        # A message without content is an error there.
        "messages": _merged([said for each in neutral.messages if (said := _message(each, neutral.lost))["content"]]),
    }
    if neutral.system:
        made["system"] = system_text(neutral.system)
    if neutral.tools:
        made["tools"] = [_tool(tool) for tool in neutral.tools]
    choice: Json = {}
    if neutral.tool_choice is not None:
        plain = neutral.tool_choice in ("auto", "none", "any")
        choice = {"type": neutral.tool_choice} if plain else {"type": "tool", "name": neutral.tool_choice}
    if neutral.parallel_tool_calls is False and neutral.tools:
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    if choice:
        made["tool_choice"] = choice
    if neutral.schema is not None:
        made["output_config"] = {"format": {"type": "json_schema", "schema": neutral.schema}}
    temperature = neutral.temperature
    if temperature is not None and temperature > 1:
        _lose(neutral.lost, "temperature above 1")
        temperature = 1.0
    for name, value in (
        ("max_tokens", neutral.max_tokens),
        ("temperature", temperature),
        ("top_p", neutral.top_p),
        ("stop_sequences", neutral.stop or None),
        ("metadata", None if neutral.user is None else {"user_id": neutral.user}),
        ("stream", neutral.stream or None),
    ):
        if value is not None:
            made[name] = value
    return made


def reply_to_neutral(body: Mapping[str, Any]) -> NeutralReply:
    """Read a message."""
    reason = body.get("stop_reason")
    parts = [part for message in output_messages(body) for part in message["parts"]]
    finish = None if reason is None else FINISH.get(reason, "other")
    return NeutralReply(parts, finish, anthropic_usage(body), body.get("model"), body.get("id"))


def reply_from_neutral(neutral: NeutralReply) -> Json:
    """Write a message."""
    content: list[Json] = []
    for part in neutral.parts:
        block = _block(part, neutral.lost) if part.get("type") in ("text", "tool_call") else None
        if block is None:
            _lose(neutral.lost, f"reply.{part.get('type')}")
        else:
            content.append(block)
    return {
        "id": neutral.id or "msg_translated",
        "type": "message",
        "role": "assistant",
        "model": neutral.model or "",
        "content": content,
        "stop_reason": STOP.get(neutral.finish or "stop", "end_turn"),
        "stop_sequence": None,
        "usage": message_usage(neutral.usage or Usage()),
    }


def message_usage(usage: Usage) -> Json:
    """Write token counts as messages do: cached tokens stand beside the input."""
    made: Json = {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
    }
    if usage.reasoning_tokens:
        made["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return made


def _tool(tool: Json) -> Json:
    made = {"name": tool.get("name"), "input_schema": tool.get("parameters") or {"type": "object", "properties": {}}}
    return {**made, **{key: tool[key] for key in ("description", "strict") if tool.get(key)}}


def _message(message: Json, lost: list[str]) -> Json:
    role = "assistant" if message["role"] == "assistant" else "user"
    blocks = []
    for part in message["parts"]:
        block = _block(part, lost)
        if block is None:
            _lose(lost, f"message.{part.get('modality') or part.get('type')}")
        else:
            blocks.append(block)
    only_text = len(blocks) == 1 and blocks[0]["type"] == "text"
    return {"role": role, "content": blocks[0]["text"] if only_text else blocks}


def _merged(messages: list[Json]) -> list[Json]:
    """Join neighbours of one role: parallel tool results are one user message here."""
    merged: list[Json] = []
    for message in messages:
        if merged and merged[-1]["role"] == message["role"]:
            merged[-1] = {**message, "content": _blocks(merged[-1]["content"]) + _blocks(message["content"])}
        else:
            merged.append(message)
    return merged


def _blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _block(part: Json, lost: list[str]) -> Json | None:
    kind = part.get("type")
    if kind == "text":
        return {"type": "text", "text": part.get("content") or ""}
    if kind == "tool_call":
        arguments = part.get("arguments")
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except ValueError:
                arguments = {"input": arguments}
        return {
            "type": "tool_use",
            "id": call_identity(part.get("id")),
            "name": part.get("name"),
            "input": arguments or {},
        }
    if kind == "tool_call_response":
        response = "" if part.get("response") is None else part["response"]
        content = response if isinstance(response, str | list) else json.dumps(response, ensure_ascii=False)
        return {"type": "tool_result", "tool_use_id": call_identity(part.get("id")), "content": content}
    if kind == "uri" and part.get("modality") == "image":
        inline = _DATA_URL.fullmatch(part.get("uri") or "")
        if inline is None:
            return {"type": "image", "source": {"type": "url", "url": part.get("uri")}}
        return {"type": "image", "source": {"type": "base64", "media_type": inline[1], "data": inline[2]}}
    if kind == "file" and isinstance(part.get("file"), Mapping):
        inline = _DATA_URL.fullmatch(part["file"].get("file_data") or "")
        if inline is None:
            return None
        return {"type": "document", "source": {"type": "base64", "media_type": inline[1], "data": inline[2]}}
    if kind == "blob" and part.get("modality") == "image":
        source = {"type": "base64", "media_type": part.get("mime_type"), "data": part.get("content")}
        return {"type": "image", "source": source}
    return None


def call_identity(given: Any) -> Any:
    """Return a call's id with only the signs that Anthropic takes; some gateways use others, such as `f.weather:0`."""
    return _ODD.sub("_", given) if isinstance(given, str) else given


def _lose(lost: list[str], what: str) -> None:
    if what not in lost:
        lost.append(what)
