"""Server-sent events: bytes in, events out, and back (WHATWG HTML §9.2)."""

from __future__ import annotations

import json
import re
from typing import Any

from agentprod.events import Event

__all__ = ["EventParser", "dump", "encode"]

_BOUNDARY = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE = re.compile(rb"\r\n|\n|\r")


class EventParser:
    """Cuts a byte stream into events, each with its own bytes, wherever the network cut it.

    The bytes of an event are kept as they came, so what nobody edits leaves as it arrived.
    """

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[Event]:
        """Take a piece and return the events it completes.

        Raises:
            json.JSONDecodeError: an event's data is neither JSON nor `[DONE]`.
        """
        data = self._rest + chunk if self._rest else chunk
        events: list[Event] = []
        start = 0
        for match in _BOUNDARY.finditer(data):
            end = match.end()
            events.append(_event(data[start:end], data[start : match.start()]))
            start = end
        # A lone CR at the end may be the first half of a boundary; it simply waits here.
        self._rest = data[start:]
        return events

    def flush(self) -> list[Event]:
        """Return the event that the end of the stream completes, if one was open."""
        rest, self._rest = self._rest, b""
        return [_event(rest, rest)] if rest.strip() else []


def _event(raw: bytes, block: bytes) -> Event:
    if block.startswith(b"data: {") and b"\n" not in block and b"\r" not in block:
        return Event(json.loads(block[6:]), raw)
    lines = [line[5:] for line in _LINE.split(block) if line.startswith(b"data:")]
    payload = b"\n".join(line.removeprefix(b" ") for line in lines)
    if not payload or payload.startswith(b"[DONE]"):
        return Event(None, raw)
    return Event(json.loads(payload), raw)


def encode(data: Any, name: str | None = None) -> bytes:
    """Write one event; `name` is its `event:` line."""
    payload = dump(data)
    if name is None:
        return b"data: " + payload + b"\n\n"
    return b"event: " + name.encode() + b"\ndata: " + payload + b"\n\n"


def dump(data: Any) -> bytes:
    """Write compact JSON; a lone surrogate, which UTF-8 cannot hold, stays an escape."""
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":")).encode()
