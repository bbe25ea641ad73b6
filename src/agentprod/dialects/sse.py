"""Server-sent events: bytes in, events out, and back (WHATWG HTML §9.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from agentprod.events import Event

__all__ = ["EventParser", "dump", "encode", "json_loader"]

# A blank line, whatever ends lines; a CR at the very end may be the first half of a CRLF, and waits.
_BOUNDARY = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n|\Z))")
_LINE = re.compile(rb"\r\n|\n|\r")


class EventParser:
    """Cuts a byte stream into events, each with its own bytes, wherever the network cut it.

    The bytes of an event are kept as they came, so what nobody edits leaves as it arrived.
    """

    __slots__ = ("_broken", "_load", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._load = json_loader()
        self._broken: ValueError | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """Take a piece and return the events it completes.

        Raises:
            ValueError: an event's data is neither JSON nor `[DONE]`; events before it are returned first,
                and the error is raised by the next call.
        """
        if self._broken is not None:
            raise self._broken
        data = self._rest + chunk if self._rest else chunk
        if b"\r" in data:
            return self._feed_any(data)
        if data.endswith(b"\n\n"):
            end = len(data) - 2
            if data.find(b"\n") == end and data.startswith(b"data: {"):
                self._rest = b""  # one event of one line: how it nearly always arrives
                return [Event(self._load(data[6:end]), data)]
            if data.find(b"\n\n") == end:
                self._rest = b""
                return [self._event(data[:end], data)]
        blocks = data.split(b"\n\n")
        self._rest = blocks.pop()
        return self._events([(block, block + b"\n\n") for block in blocks])

    def _feed_any(self, data: bytes) -> list[Event]:
        """Take data whose lines may end in CR or CRLF."""
        blocks: list[tuple[bytes, bytes]] = []
        start = 0
        for match in _BOUNDARY.finditer(data):
            blocks.append((data[start : match.start()], data[start : match.end()]))
            start = match.end()
        self._rest = data[start:]
        return self._events(blocks)

    def _events(self, blocks: list[tuple[bytes, bytes]]) -> list[Event]:
        events: list[Event] = []
        for block, raw in blocks:
            try:
                events.append(self._event(block, raw))
            except ValueError as error:
                if not events:
                    raise
                self._broken = error
                break
        return events

    def flush(self) -> list[Event]:
        """Return the event that the end of the stream completes, if one was open.

        Raises:
            ValueError: as `feed`.
        """
        if self._broken is not None:
            raise self._broken
        rest, self._rest = self._rest, b""
        return [self._event(rest, rest)] if rest.strip() else []

    def _event(self, block: bytes, raw: bytes) -> Event:
        # One data line, at most after an event line, is the rule; anything else is taken apart line by line.
        if block.startswith(b"data: "):
            payload = block[6:]
        elif block.startswith(b"event: ") and (start := block.find(b"\ndata: ")) > 0:
            payload = block[start + 7 :]
        else:
            payload = b"\n"
        if b"\n" in payload or b"\r" in payload:
            payload = _payload(block)
        if payload.startswith(b"{"):
            return Event(self._load(payload), raw)
        return Event(self._load(payload) if payload and not payload.startswith(b"[DONE]") else None, raw)


def _payload(block: bytes) -> bytes:
    """Return the data of an event of any form: several lines, none, comments between them."""
    lines = [line[5:] for line in _LINE.split(block) if line.startswith(b"data:")]
    return b"\n".join(line.removeprefix(b" ") for line in lines)


def json_loader() -> Callable[[bytes], Any]:
    """Return what decodes an event's JSON: the SDKs' own fast parser where they brought it."""
    try:
        from jiter import from_json
    except ImportError:
        return json.loads

    def load(payload: bytes) -> Any:
        try:
            return from_json(payload)
        except ValueError:
            # The standard library reads what Python itself may have written, such as lone surrogates,
            # and says better what is wrong with the rest.
            return json.loads(payload)

    return load


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
