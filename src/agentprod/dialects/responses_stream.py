"""A whole response as the events that would have streamed it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["split_response"]

_TEXTS = {"output_text": ("text", "output_text"), "refusal": ("refusal", "refusal")}
_ARGUMENTS = {
    "function_call": ("arguments", "function_call_arguments"),
    "mcp_call": ("arguments", "mcp_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
}


def split_response(body: Any) -> list[Any]:
    """Return the events: opened, each item with its pieces, ended."""
    opened = {**body, "status": "in_progress", "output": [], "usage": None}
    events: list[Any] = [
        {"type": "response.created", "response": opened},
        {"type": "response.in_progress", "response": opened},
    ]
    for index, item in enumerate(body.get("output") or ()):
        events.extend(_item_events(index, item))
    status = body.get("status") if body.get("status") in ("completed", "incomplete", "failed") else "completed"
    events.append({"type": f"response.{status}", "response": body})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _item_events(index: int, item: Any) -> Iterator[Any]:
    kind = item.get("type")
    place = {"output_index": index}
    inner = {**place, "item_id": item.get("id")}
    started = {**item, "status": "in_progress"} if "status" in item else dict(item)
    if kind == "message":
        started["content"] = []
    elif kind in _ARGUMENTS:
        started[_ARGUMENTS[kind][0]] = ""
    yield {"type": "response.output_item.added", **place, "item": started}
    if kind == "message":
        for position, part in enumerate(item.get("content") or ()):
            yield from _part_events({**inner, "content_index": position}, part)
    elif kind in _ARGUMENTS:
        key, name = _ARGUMENTS[kind]
        yield {"type": f"response.{name}.delta", **inner, "delta": item.get(key) or ""}
        yield {"type": f"response.{name}.done", **inner, key: item.get(key) or "", "name": item.get("name")}
    yield {"type": "response.output_item.done", **place, "item": item}


def _part_events(place: dict[str, Any], part: Any) -> Iterator[Any]:
    key, name = _TEXTS.get(part.get("type"), (None, None))
    if key is None:
        yield {"type": "response.content_part.added", **place, "part": part}
    else:
        logprobs: dict[str, Any] = {"logprobs": part.get("logprobs") or []} if key == "text" else {}
        yield {"type": "response.content_part.added", **place, "part": {**part, key: ""}}
        yield {"type": f"response.{name}.delta", **place, "delta": part.get(key) or "", **logprobs}
        yield {"type": f"response.{name}.done", **place, key: part.get(key) or "", **logprobs}
    yield {"type": "response.content_part.done", **place, "part": part}
