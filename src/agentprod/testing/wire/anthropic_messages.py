"""Anthropic's `POST /v1/messages` and `POST /v1/messages/count_tokens`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from agentprod.testing.answers import Answer, Reply
from agentprod.testing.exchange import Exchange
from agentprod.testing.plan import Mark, Piece, Plan
from agentprod.testing.wire.http_plans import json_plan, stream_plan
from agentprod.testing.wire.sse import event

__all__ = ["PING", "plan_count_tokens", "plan_messages"]

PING = event({"type": "ping"}, name="ping")
"""What Anthropic sends to keep a stream alive."""

_SIGNATURE = "c2NyaXB0ZWQtc2lnbmF0dXJl"
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def plan_messages(exchange: Exchange, answer: Answer) -> Plan:
    """Return the reply to a messages request."""
    reply = answer.reply_to(exchange)
    if exchange.streaming:
        return stream_plan(exchange, [*_events(exchange, reply)], answer.headers)
    message = _message(exchange, content=_blocks(exchange, reply), usage=_usage(reply), **_stop(reply))
    return json_plan(exchange, message, answer.headers)


def plan_count_tokens(exchange: Exchange, answer: Answer) -> Plan:
    """Return the reply to a request to count tokens."""
    return json_plan(exchange, {"input_tokens": answer.reply_to(exchange).usage.input_tokens}, answer.headers)


def _message(exchange: Exchange, *, content: list[Any], usage: dict[str, Any], **stop: Any) -> dict[str, Any]:
    return {
        "id": exchange.id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": exchange.model,
        "content": content,
        **stop,
        "usage": usage,
    }


def _stop(reply: Reply) -> dict[str, Any]:
    finish = reply.finish_reason()
    reason = "refusal" if reply.refusal is not None and reply.finish is None else _STOP_REASONS.get(finish, finish)
    stop: dict[str, Any] = {"stop_reason": reason, "stop_sequence": None}
    if reply.refusal is not None:
        stop["stop_details"] = {"type": "refusal", "category": None, "explanation": reply.refusal}
    return stop


def _usage(reply: Reply) -> dict[str, Any]:
    usage = reply.usage
    written_1h = usage.cache_write_1h_tokens
    return {
        # Anthropic counts cached tokens beside its input tokens, not within them.
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens - written_1h,
            "ephemeral_1h_input_tokens": written_1h,
        },
        "output_tokens": usage.output_tokens,
        "service_tier": usage.service_tier or "standard",
    } | ({"output_tokens_details": {"thinking_tokens": usage.reasoning_tokens}} if usage.reasoning_tokens else {})


def _blocks(exchange: Exchange, reply: Reply) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reply.reasoning is not None:
        blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": _SIGNATURE})
    # A refusal has no place of its own in the content: it is told as text.
    blocks.extend({"type": "text", "text": text} for text in (reply.text, reply.refusal) if text is not None)
    blocks.extend(
        {"type": "tool_use", "id": exchange.id("toolu_", n), "name": call.name, "input": json.loads(call.arguments)}
        for n, call in enumerate(reply.tool_calls)
    )
    return blocks


def _events(exchange: Exchange, reply: Reply) -> Iterator[Piece]:
    usage = _usage(reply)
    start = _message(exchange, content=[], stop_reason=None, stop_sequence=None, usage={**usage, "output_tokens": 1})
    yield _named({"type": "message_start", "message": start})
    for index, (block, deltas) in enumerate(_streamed_blocks(exchange, reply)):
        yield _named({"type": "content_block_start", "index": index, "content_block": block})
        if index == 0:
            yield PING
        for delta, mark in deltas:
            yield _named({"type": "content_block_delta", "index": index, "delta": delta}, mark)
        yield _named({"type": "content_block_stop", "index": index})
    counts = {name: usage[name] for name in usage if name.endswith(("_tokens", "_details"))}
    yield _named({"type": "message_delta", "delta": _stop(reply), "usage": counts}, "terminal")
    yield _named({"type": "message_stop"}, "terminal")


def _named(data: dict[str, Any], mark: Mark = "frame") -> Piece:
    return event(data, name=data["type"], mark=mark)


_Deltas = list[tuple[dict[str, str], Mark]]


def _streamed_blocks(exchange: Exchange, reply: Reply) -> Iterator[tuple[dict[str, Any], _Deltas]]:
    if reply.reasoning is not None:
        deltas: _Deltas = [({"type": "thinking_delta", "thinking": p}, "content") for p in reply.reasoning_pieces()]
        deltas.append(({"type": "signature_delta", "signature": _SIGNATURE}, "frame"))
        yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
    for text, pieces in ((reply.text, reply.text_pieces), (reply.refusal, reply.refusal_pieces())):
        if text is not None:
            yield {"type": "text", "text": ""}, [({"type": "text_delta", "text": p}, "content") for p in pieces]
    for index, call in enumerate(reply.tool_calls):
        pieces = call.pieces()
        deltas = [({"type": "input_json_delta", "partial_json": ""}, "content")]
        deltas.extend(
            ({"type": "input_json_delta", "partial_json": p}, "open_tool_call" if n < len(pieces) else "content")
            for n, p in enumerate(pieces, start=1)
        )
        yield {"type": "tool_use", "id": exchange.id("toolu_", index), "name": call.name, "input": {}}, deltas
