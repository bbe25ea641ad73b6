"""Read server-sent events for an SDK's stream: the SDK's own events, taken apart in fewer steps.

What the onion hands to the SDK comes event by event, so most of what a line decoder is prepared for cannot
occur; what does occur goes to the SDK's own decoder.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain
from typing import Any

from agentprod.dialects.sse import json_loader
from agentprod.edge.framed import EitherDecoder

__all__ = ["EventDecoder", "decoder_for"]


class EventDecoder:
    """Stands in for an SDK's decoder.

    Args:
        sdk: the SDK's decoder, which reads all that is not plain.

        event: class of the events, a kind of the SDK's own.
    """

    def __init__(self, sdk: Any, event: type[Any]) -> None:
        self._sdk = sdk
        self._event = event

    def iter_bytes(self, pieces: Iterator[bytes]) -> Iterator[Any]:
        """Yield the events of a body."""
        for piece in pieces:
            events, rest = self._take(piece)
            yield from events
            if rest:
                yield from self._sdk.iter_bytes(chain((rest,), pieces))
                return

    async def aiter_bytes(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """Yield the events of a body that is read asynchronously."""
        async for piece in pieces:
            events, rest = self._take(piece)
            for event in events:
                yield event
            if rest:
                async for event in self._sdk.aiter_bytes(_chain(rest, pieces)):
                    yield event
                return

    def _take(self, piece: bytes) -> tuple[list[Any], bytes]:
        """Return the plain events at the start of a piece, and what the SDK's decoder has to read from there on."""
        events: list[Any] = []
        start = 0
        if b"\r" in piece:
            return events, piece
        while (end := piece.find(b"\n\n", start)) >= 0:
            event = self._read(piece[start:end])
            if event is None:
                break
            events.append(event)
            start = end + 2
        return events, piece[start:]

    def _read(self, block: bytes) -> Any:
        """Return the event of one data line, at most after one event line; `None` for every other form."""
        if block.startswith(b"data: "):
            return None if b"\n" in block else self._event(None, block[6:])
        name, line, payload = block.partition(b"\ndata: ")
        if not line or b"\n" in payload or b"\n" in name or not name.startswith(b"event: "):
            return None
        return self._event(name[7:].decode() or None, payload)


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


class _PlainEvent:
    """An event of an event name and one line of data; its JSON is read by the SDKs' fast parser."""

    _load: Callable[[bytes], Any]

    def __init__(self, name: str | None, payload: bytes) -> None:
        self._event = name
        self._payload = payload
        self._id = None
        self._retry = None

    @property
    def data(self) -> str:
        return self._payload.decode()

    def json(self) -> Any:
        return self._load(self._payload)


_events: dict[type, type[Any]] = {}


def decoder_for(own: Any, sdk: str) -> Any:
    """Return a decoder in place of an SDK's; for one of another format, one that reads either.

    Args:
        own: the SDK's decoder.

        sdk: name of the SDK's package.
    """
    kind = type(own)
    if kind.__name__ != "SSEDecoder":
        return EitherDecoder(own, sys.modules[f"{sdk}._streaming"].SSEDecoder())
    event = _events.get(kind)
    if event is None:
        plain = sys.modules[kind.__module__].ServerSentEvent
        event = _events[kind] = type(plain.__name__, (_PlainEvent, plain), {"_load": staticmethod(json_loader())})
    return EventDecoder(own, event)
