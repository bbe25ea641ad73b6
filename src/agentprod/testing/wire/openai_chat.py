"""OpenAI's `POST /v1/chat/completions`, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from agentprod.testing.answers import Answer, Reply
from agentprod.testing.exchange import CREATED, Exchange
from agentprod.testing.plan import Mark, Piece, Plan
from agentprod.testing.wire.http_plans import json_plan, stream_plan
from agentprod.testing.wire.sse import DONE, event
from agentprod.usage import Usage

__all__ = ["plan_chat"]


def plan_chat(exchange: Exchange, answer: Answer) -> Plan:
    """Return the reply to a chat completion request."""
    reply = answer.reply_to(exchange)
    choices = range(_count(exchange.body.get("n")))
    if exchange.streaming:
        return stream_plan(exchange, [*_events(exchange, reply, choices)], answer.headers)
    body = {
        "id": exchange.id("chatcmpl-"),
        "object": "chat.completion",
        "created": CREATED,
        "model": exchange.model,
        "choices": [
            {
                "index": index,
                "message": _message(exchange, reply, index),
                "logprobs": None,
                "finish_reason": reply.finish_reason(),
            }
            for index in choices
        ],
        **({"usage": _usage(reply.usage, len(choices))} if reply.usage_sent else {}),
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
    }
    return json_plan(exchange, body, answer.headers)


def _usage(usage: Usage, choices: int = 1) -> dict[str, Any]:
    """Return token counts as the chat API writes them; every choice adds its own output."""
    output = usage.output_tokens * choices
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": output,
        "total_tokens": usage.input_tokens + output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens, "audio_tokens": usage.input_audio_tokens}
        | ({"cache_write_tokens": usage.cache_write_tokens} if usage.cache_write_tokens else {}),
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens * choices,
            "audio_tokens": usage.output_audio_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _count(n: Any) -> int:
    return n if isinstance(n, int) and n > 0 else 1


def _call_id(exchange: Exchange, choice: int, call: int) -> str:
    return exchange.id("call_", choice * 100 + call)


def _message(exchange: Exchange, reply: Reply, choice: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": reply.refusal, "annotations": []}
    if reply.reasoning is not None:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "id": _call_id(exchange, choice, index),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(reply.tool_calls)
        ]
    return message


def _events(exchange: Exchange, reply: Reply, choices: range) -> Iterator[Piece]:
    options = exchange.body.get("stream_options")
    with_usage = isinstance(options, dict) and options.get("include_usage") is True
    # With usage asked for, every chunk but the last has it as null.
    extra: dict[str, Any] = {"usage": None} if with_usage and reply.usage_sent else {}

    def chunk(choices: list[Any], extra: dict[str, Any], mark: Mark) -> Piece:
        body = {
            "id": exchange.id("chatcmpl-"),
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": exchange.model,
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
            "choices": choices,
            **extra,
        }
        return event(body, mark=mark)

    # The choices of one request come interleaved.
    for row in zip_longest(*(_deltas(exchange, reply, choice) for choice in choices)):
        for index, (delta, mark) in enumerate(row):
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
            yield chunk([choice], extra, mark)
    for index in choices:
        choice = {"index": index, "delta": {}, "logprobs": None, "finish_reason": reply.finish_reason()}
        yield chunk([choice], extra, "terminal")
    if extra:
        yield chunk([], {"usage": _usage(reply.usage, len(choices))}, "terminal")
    yield DONE


def _deltas(exchange: Exchange, reply: Reply, choice: int) -> Iterator[tuple[dict[str, Any], Mark]]:
    opening = "" if reply.text is not None else None
    yield {"role": "assistant", "content": opening, "refusal": None}, "frame"
    if reply.reasoning is not None:
        for piece in reply.reasoning_pieces():
            yield {"reasoning_content": piece}, "content"
    for piece in reply.text_pieces:
        yield {"content": piece}, "content"
    for piece in reply.refusal_pieces():
        yield {"refusal": piece}, "content"
    for index, call in enumerate(reply.tool_calls):
        head = {"name": call.name, "arguments": ""}
        call_id = _call_id(exchange, choice, index)
        yield {"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": head}]}, "content"
        pieces = call.pieces()
        for number, piece in enumerate(pieces, start=1):
            delta = {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            yield delta, "open_tool_call" if number < len(pieces) else "content"
