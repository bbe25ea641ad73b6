"""Anthropic messages as events, and events as a message, without loss."""

from __future__ import annotations

import json
from typing import Any

from agentprod.dialects.usage import merge_anthropic_usage

__all__ = ["join_events", "split_message"]


def split_message(body: Any) -> list[Any]:
    """Return the events the provider would stream for this message."""
    usage = body.get("usage") or {}
    final = {key: body.get(key) for key in ("stop_reason", "stop_sequence")}
    final.update({key: body[key] for key in ("container", "stop_details") if body.get(key) is not None})
    start = {**body, "content": [], "stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 0}}
    events: list[Any] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(body.get("content") or ()):
        events.extend(_split_block(index, block))
    events.append({"type": "message_delta", "delta": final, "usage": {"output_tokens": usage.get("output_tokens", 0)}})
    events.append({"type": "message_stop"})
    return events


def _split_block(index: int, block: Any) -> list[Any]:
    kind = block.get("type")
    deltas: list[Any] = []
    start = dict(block)
    if kind == "text":
        start["text"] = ""
        deltas.append({"type": "text_delta", "text": block.get("text") or ""})
        citations = start.pop("citations", None)
        if citations is not None:
            start["citations"] = []
            deltas.extend({"type": "citations_delta", "citation": citation} for citation in citations)
        elif "citations" in block:
            start["citations"] = None
    elif kind == "thinking":
        start.update(thinking="", signature="")
        deltas.append({"type": "thinking_delta", "thinking": block.get("thinking") or ""})
        if block.get("signature"):
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        start["input"] = {}
        text = json.dumps(block.get("input") or {}, ensure_ascii=False)
        deltas.append({"type": "input_json_delta", "partial_json": text})
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def join_events(events: list[Any]) -> Any:
    """Return the message these events carry."""
    body: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    arguments: dict[int, str] = {}
    for event in events:
        kind = event.get("type") if isinstance(event, dict) else None
        index = event.get("index", 0) if isinstance(event, dict) else 0
        if kind == "message_start":
            body = {**event["message"]}
        elif kind == "content_block_start":
            blocks[index] = dict(event["content_block"])
        elif kind == "content_block_delta" and index in blocks:
            _merge(blocks[index], event["delta"], arguments, index)
        elif kind == "message_delta":
            body.update(event.get("delta") or {})
            body["usage"] = merge_anthropic_usage(body.get("usage"), event.get("usage") or {})
            body.update({k: v for k, v in event.items() if k not in ("type", "delta", "usage")})
    for index, text in arguments.items():
        try:
            blocks[index]["input"] = json.loads(text) if text else {}
        except ValueError:
            blocks[index]["input"] = {}
    body["content"] = [block for _, block in sorted(blocks.items())]
    return body


def _merge(block: dict[str, Any], delta: dict[str, Any], arguments: dict[int, str], index: int) -> None:
    kind = delta.get("type")
    if kind == "text_delta":
        block["text"] = (block.get("text") or "") + delta["text"]
    elif kind == "thinking_delta":
        block["thinking"] = (block.get("thinking") or "") + delta["thinking"]
    elif kind == "signature_delta":
        block["signature"] = delta["signature"]
    elif kind == "input_json_delta":
        arguments[index] = arguments.get(index, "") + delta["partial_json"]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
