"""OpenAI chat completions to and from the neutral form."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from agentprod.dialects.messages import input_messages, output_messages, tool_definitions
from agentprod.dialects.neutral import Json, NeutralReply, NeutralRequest
from agentprod.dialects.usage import openai_chat_usage
from agentprod.usage import Usage

__all__ = [
    "FINISH",
    "chat_usage",
    "reply_from_neutral",
    "reply_to_neutral",
    "request_from_neutral",
    "request_to_neutral",
]

_KNOWN = frozenset(
    {
        *("model", "messages", "tools", "tool_choice", "parallel_tool_calls", "max_tokens", "max_completion_tokens"),
        *("temperature", "top_p", "stop", "response_format", "user", "safety_identifier", "stream", "stream_options"),
    }
)
_HARMLESS = frozenset({"metadata", "prompt_cache_key", "prompt_cache_options", "store", "service_tier"})
"""Parameters that do not change what is answered."""
_DEFAULTS = {"n": 1, "frequency_penalty": 0, "presence_penalty": 0, "logit_bias": {}, "modalities": ["text"]}
"""Values that say what goes without saying."""
FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def request_to_neutral(request: Mapping[str, Any]) -> NeutralRequest:
    """Read a chat request."""
    made = NeutralRequest(
        model=request.get("model"),
        max_tokens=request.get("max_completion_tokens") or request.get("max_tokens"),
        temperature=request.get("temperature"),
        top_p=request.get("top_p"),
        parallel_tool_calls=request.get("parallel_tool_calls"),
        user=request.get("safety_identifier") or request.get("user"),
        stream=bool(request.get("stream")),
        tools=tool_definitions(request),
    )
    _mark_strict(made.tools, request.get("tools"))
    for message in input_messages(request):
        if message["role"] in ("system", "developer"):
            made.system.extend(message["parts"])
        else:
            made.messages.append(message)
    stop = request.get("stop")
    made.stop = [stop] if isinstance(stop, str) else list(stop or ())
    choice = request.get("tool_choice")
    if isinstance(choice, Mapping):
        made.tool_choice = (choice.get("function") or {}).get("name")
        if made.tool_choice is None:
            made.lost.append("tool_choice")
    elif isinstance(choice, str):
        made.tool_choice = "any" if choice == "required" else choice
    wanted = request.get("response_format")
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        schema = wanted.get("json_schema") or {}
        made.schema, made.schema_name = schema.get("schema"), schema.get("name")
    elif isinstance(wanted, Mapping) and wanted.get("type") == "json_object":
        made.lost.append("response_format")
    if any(isinstance(tool, Mapping) and tool.get("type") == "custom" for tool in request.get("tools") or ()):
        made.lost.append("custom_tools")
    made.lost += sorted(name for name, value in request.items() if _says_more(name, value))
    return made


def _says_more(name: str, value: Any) -> bool:
    """Whether a field says something that the neutral form does not."""
    if name in _KNOWN or name in _HARMLESS or value is None or value is False:
        return False
    return name not in _DEFAULTS or value != _DEFAULTS[name]


def _mark_strict(tools: list[Json], given: Any) -> None:
    strict = {
        (tool.get("function") or {}).get("name")
        for tool in given or ()
        if isinstance(tool, Mapping) and (tool.get("function") or {}).get("strict") is True
    }
    for tool in tools:
        if tool.get("name") in strict:
            tool["strict"] = True


def request_from_neutral(neutral: NeutralRequest) -> Json:
    """Write a chat request; `neutral.lost` is extended by what chat cannot say."""
    messages: list[Json] = []
    if neutral.system:
        messages.append({"role": "system", "content": _content(neutral.system, neutral.lost)})
    for message in neutral.messages:
        messages.extend(_messages(message, neutral.lost))
    made: Json = {"model": neutral.model, "messages": messages}
    if neutral.tools:
        made["tools"] = [
            {"type": "function", "function": {key: tool[key] for key in _FUNCTION if tool.get(key) is not None}}
            for tool in neutral.tools
        ]
    if neutral.tool_choice is not None:
        named = {"type": "function", "function": {"name": neutral.tool_choice}}
        made["tool_choice"] = {"auto": "auto", "none": "none", "any": "required"}.get(neutral.tool_choice, named)
    if neutral.schema is not None:
        schema = {"name": neutral.schema_name or "answer", "schema": neutral.schema, "strict": _closed(neutral.schema)}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    for name, value in (
        ("max_completion_tokens", neutral.max_tokens),
        ("temperature", neutral.temperature),
        ("top_p", neutral.top_p),
        ("parallel_tool_calls", neutral.parallel_tool_calls),
        ("safety_identifier", neutral.user),
        ("stop", neutral.stop or None),
        ("stream", neutral.stream or None),
    ):
        if value is not None:
            made[name] = value
    if len(neutral.stop) > _MOST_STOPS:
        _lose(neutral.lost, "stop_sequences beyond the fourth")
        made["stop"] = neutral.stop[:_MOST_STOPS]
    return made


_MOST_STOPS = 4
_FUNCTION = ("name", "description", "parameters", "strict")


def _closed(schema: Any) -> bool:
    """Whether OpenAI takes this schema as a strict one: every object closed, every property required."""
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, Mapping):
        return True
    if isinstance(schema.get("properties"), Mapping):
        required = schema.get("required")
        if schema.get("additionalProperties") is not False or not isinstance(required, list):
            return False
        if set(required) != set(schema["properties"]):
            return False
    elif schema.get("type") == "object":
        return False
    return all(map(_closed, schema.values()))


def reply_to_neutral(body: Mapping[str, Any]) -> NeutralReply:
    """Read a completion; of several choices the first."""
    choices = body.get("choices") or ()
    made = NeutralReply(usage=openai_chat_usage(body), model=body.get("model"), id=body.get("id"))
    if len(choices) > 1:
        made.lost.append("n")
    for message in output_messages({**body, "choices": list(choices)[:1]}):
        made.parts = message["parts"]
    for choice in list(choices)[:1]:
        reason = choice.get("finish_reason")
        made.finish = None if reason is None else FINISH.get(reason, "other")
    return made


def reply_from_neutral(neutral: NeutralReply) -> Json:
    """Write a completion."""
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    calls = []
    for part in neutral.parts:
        kind = part.get("type")
        if kind == "text":
            message["content"] = (message["content"] or "") + (part.get("content") or "")
        elif kind == "tool_call":
            calls.append(_call(part))
        else:
            _lose(neutral.lost, f"reply.{kind}")
    if calls:
        message["tool_calls"] = calls
    finish = {"other": "stop", None: "stop"}.get(neutral.finish, neutral.finish)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    made: Json = {
        "id": neutral.id or "chatcmpl-translated",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": neutral.model or "",
        "choices": [choice],
    }
    if neutral.usage is not None:
        made["usage"] = chat_usage(neutral.usage)
    return made


def chat_usage(usage: Usage) -> Json:
    """Write token counts as chat completions do."""
    inside: Json = {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens}
    if usage.cache_write_1h_tokens:
        inside["cache_creation"] = {"ephemeral_1h_input_tokens": usage.cache_write_1h_tokens}
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": inside,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _messages(message: Json, lost: list[str]) -> list[Json]:
    """Return the chat messages of one neutral message: each tool result is a message of its own."""
    results = [part for part in message["parts"] if part.get("type") == "tool_call_response"]
    made = [
        {"role": "tool", "tool_call_id": part.get("id"), "content": _result(part.get("response"), lost)}
        for part in results
    ]
    rest = [part for part in message["parts"] if part.get("type") != "tool_call_response"]
    if not rest:
        return made
    if message["role"] != "assistant":
        return [
            *made,
            {"role": message["role"] if message["role"] != "tool" else "user", "content": _content(rest, lost)},
        ]
    calls = [_call(part) for part in rest if part.get("type") == "tool_call"]
    texts = [part for part in rest if part.get("type") != "tool_call"]
    content = _content(texts, lost) if texts else None
    return [*made, {"role": "assistant", "content": content or None, **({"tool_calls": calls} if calls else {})}]


def _content(parts: list[Json], lost: list[str]) -> Any:
    blocks = []
    for part in parts:
        kind = part.get("type")
        if kind == "text":
            blocks.append({"type": "text", "text": part.get("content") or ""})
        elif kind in ("uri", "blob") and part.get("modality") == "image":
            url = part.get("uri") or f"data:{part.get('mime_type')};base64,{part.get('content')}"
            blocks.append({"type": "image_url", "image_url": {"url": url}})
        elif kind == "blob" and part.get("mime_type") == "application/pdf":
            data = f"data:application/pdf;base64,{part.get('content')}"
            blocks.append({"type": "file", "file": {"filename": "document.pdf", "file_data": data}})
        else:
            _lose(lost, f"message.{part.get('modality') or kind}")
    if all(block["type"] == "text" for block in blocks):
        return "".join(block["text"] for block in blocks) if len(blocks) <= 1 else blocks
    return blocks


def _call(part: Json) -> Json:
    arguments = part.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
    return {"id": part.get("id"), "type": "function", "function": {"name": part.get("name"), "arguments": text}}


def _result(response: Any, lost: list[str]) -> str:
    if isinstance(response, str):
        return response
    if not isinstance(response, list):
        return "" if response is None else json.dumps(response, ensure_ascii=False)
    texts = []
    for block in response:
        if isinstance(block, Mapping) and isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif isinstance(block, Mapping) and isinstance(block.get("type"), str):
            _lose(lost, f"tool_result.{block['type']}")  # a tool message holds text alone
        else:
            texts.append(json.dumps(block, ensure_ascii=False))
    return "".join(texts)


def _lose(lost: list[str], what: str) -> None:
    if what not in lost:
        lost.append(what)
