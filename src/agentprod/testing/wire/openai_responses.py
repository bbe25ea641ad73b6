"""OpenAI's `POST /v1/responses`, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from agentprod.testing.answers import Answer, Reply
from agentprod.testing.exchange import CREATED, Exchange
from agentprod.testing.plan import Mark, Piece, Plan
from agentprod.testing.wire.http_plans import json_plan, stream_plan
from agentprod.testing.wire.sse import event

__all__ = ["failed_event", "plan_responses"]

# Parameters that come back in the response, with what stands there when the request does not name them.
_ECHOED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_INCOMPLETE_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def plan_responses(exchange: Exchange, answer: Answer) -> Plan:
    """Return the reply to a responses request."""
    reply = answer.reply_to(exchange)
    if exchange.streaming:
        return stream_plan(exchange, [*_events(exchange, reply)], answer.headers)
    return json_plan(exchange, _finished(exchange, reply), answer.headers)


def failed_event(exchange: Exchange, *, code: str, message: str, position: int) -> Piece:
    """Return the event that ends a stream whose response failed."""
    response = _response(exchange, status="failed", error={"code": code, "message": message})
    return _event({"type": "response.failed", "sequence_number": position, "response": response})


def _response(exchange: Exchange, *, status: str, **fields: Any) -> dict[str, Any]:
    echoed = {name: exchange.body.get(name, usual) for name, usual in _ECHOED.items()}
    return {
        "id": exchange.id("resp_"),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": exchange.model,
        "output": [],
        "usage": None,
        **echoed,
        # The format comes back beside what else was asked of the text.
        "text": {**_ECHOED["text"], **(echoed["text"] or {})},
        **fields,
    }


def _finished(exchange: Exchange, reply: Reply) -> dict[str, Any]:
    reason = _INCOMPLETE_REASONS.get(reply.finish_reason())
    return _response(
        exchange,
        status="incomplete" if reason else "completed",
        incomplete_details={"reason": reason} if reason else None,
        completed_at=None if reason else CREATED,
        output=[item for item, _ in _items(exchange, reply)],
        usage=_usage(reply) if reply.usage_sent else None,
    )


def _usage(reply: Reply) -> dict[str, Any]:
    usage = reply.usage
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def _items(exchange: Exchange, reply: Reply) -> list[tuple[dict[str, Any], list[str]]]:
    """Return the output items, each with the pieces its text or arguments come in."""
    items: list[tuple[dict[str, Any], list[str]]] = []
    if reply.reasoning is not None:
        summary = [{"type": "summary_text", "text": reply.reasoning}]
        items.append(({"id": exchange.id("rs_"), "type": "reasoning", "summary": summary}, reply.reasoning_pieces()))
    for index, (part, pieces) in enumerate(_content(reply)):
        message = {"id": exchange.id("msg_", index), "type": "message", "status": "completed", "role": "assistant"}
        items.append(({**message, "content": [part]}, pieces))
    for index, call in enumerate(reply.tool_calls):
        item = {
            "id": exchange.id("fc_", index),
            "type": "function_call",
            "status": "completed",
            "arguments": call.arguments,
            "call_id": exchange.id("call_", index),
            "name": call.name,
        }
        items.append((item, call.pieces()))
    return items


def _content(reply: Reply) -> Iterator[tuple[dict[str, Any], list[str]]]:
    if reply.text is not None:
        yield {"type": "output_text", "annotations": [], "logprobs": [], "text": reply.text}, reply.text_pieces
    if reply.refusal is not None:
        yield {"type": "refusal", "refusal": reply.refusal}, reply.refusal_pieces()


def _events(exchange: Exchange, reply: Reply) -> Iterator[Piece]:
    numbers = count()

    def send(type: str, fields: dict[str, Any], mark: Mark = "frame") -> Piece:
        return _event({"type": type, "sequence_number": next(numbers), **fields}, mark)

    opened = _response(exchange, status="in_progress")
    yield send("response.created", {"response": opened})
    yield send("response.in_progress", {"response": opened})
    for index, (item, pieces) in enumerate(_items(exchange, reply)):
        place = {"output_index": index}
        yield send("response.output_item.added", {**place, "item": _opened(item)})
        for type, fields, mark in _inside(item, pieces):
            yield send(type, {"item_id": item["id"], **place, **fields}, mark)
        yield send("response.output_item.done", {**place, "item": item})
    finished = _finished(exchange, reply)
    yield send(f"response.{finished['status']}", {"response": finished}, "terminal")


def _opened(item: dict[str, Any]) -> dict[str, Any]:
    empty = {"status": "in_progress", "content": [], "arguments": "", "summary": []}
    return {name: empty.get(name, value) for name, value in item.items()}


_Inside = Iterator[tuple[str, dict[str, Any], Mark]]


def _inside(item: dict[str, Any], pieces: list[str]) -> _Inside:
    """Return the events between the opening and the end of one output item."""
    if item["type"] == "function_call":
        for number, piece in enumerate(pieces, start=1):
            mark: Mark = "open_tool_call" if number < len(pieces) else "content"
            yield "response.function_call_arguments.delta", {"delta": piece}, mark
        done = {"name": item["name"], "arguments": item["arguments"]}
        yield "response.function_call_arguments.done", done, "frame"
    elif item["type"] == "reasoning":
        yield from _part("reasoning_summary_part", "reasoning_summary_text", "summary", item["summary"][0], pieces)
    elif item["content"][0]["type"] == "refusal":
        yield from _part("content_part", "refusal", "content", item["content"][0], pieces)
    else:
        yield from _part("content_part", "output_text", "content", item["content"][0], pieces)


def _part(part_event: str, text_event: str, where: str, part: dict[str, Any], pieces: list[str]) -> _Inside:
    place: dict[str, Any] = {f"{where}_index": 0}
    key = "refusal" if "refusal" in part else "text"
    more: dict[str, Any] = {"logprobs": []} if "logprobs" in part else {}
    yield f"response.{part_event}.added", {**place, "part": {**part, key: ""}}, "frame"
    for piece in pieces:
        yield f"response.{text_event}.delta", {**place, "delta": piece, **more}, "content"
    yield f"response.{text_event}.done", {**place, key: part[key], **more}, "frame"
    yield f"response.{part_event}.done", {**place, "part": part}, "frame"


def _event(data: dict[str, Any], mark: Mark = "frame") -> Piece:
    return event(data, name=data["type"], mark=mark)
