"""Streams that AWS frames in a binary format of its own, and telling them from server-sent events.

The format is `application/vnd.amazon.eventstream`: each frame begins with its length, four bytes, big-endian
(Amazon Transcribe developer guide, "Event stream encoding"). What is in a frame, its checksums included,
is read by the SDK's own decoder; what leaves the onion are server-sent events.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from typing import Any

from agentprod.dialects.sse import encode
from agentprod.events import Event

__all__ = ["EitherDecoder", "FrameParser", "is_framed"]

_LEAST = 16
"""Bytes of a frame without headers and payload."""


def is_framed(response: Any) -> bool:
    """Whether a response's body is framed by AWS."""
    return str(response.headers.get("content-type", "")).startswith("application/vnd.amazon.eventstream")


class FrameParser:
    """Cuts a byte stream into frames, wherever the network cut it.

    Args:
        decoder: the SDK's own, which reads whole frames.
    """

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._rest = b""

    def feed(self, chunk: bytes) -> list[Event]:
        """Take a piece and return the events of the frames it completes.

        Raises:
            ValueError: this is no such stream; or what the SDK's decoder raises, for a wrong checksum.
        """
        data = self._rest + chunk
        frames, start = [], 0
        while len(data) - start >= _LEAST:
            length = int.from_bytes(data[start : start + 4], "big")
            if length < _LEAST:
                raise ValueError("the body is not framed as application/vnd.amazon.eventstream says")
            if len(data) - start < length:
                break
            frames.append(data[start : start + length])
            start += length
        self._rest = data[start:]
        return [_plain(event) for event in self._decoder.iter_bytes(iter(frames))]

    def flush(self) -> list[Event]:
        """Return nothing: half a frame tells nothing, and a stream that ends in one has no end of its own."""
        return []


def _plain(event: Any) -> Event:
    data = json.loads(event.data)
    return Event(data, encode(data, event.event))


class EitherDecoder:
    """Reads what passed the stack, as server-sent events, and what came past it, by the SDK's own decoder.

    Args:
        framed: the SDK's decoder of frames.

        plain: a decoder of server-sent events.
    """

    def __init__(self, framed: Any, plain: Any) -> None:
        self._framed = framed
        self._plain = plain

    def iter_bytes(self, pieces: Iterator[bytes]) -> Iterator[Any]:
        """Yield the events of a body."""
        for first in pieces:
            yield from self._for(first).iter_bytes(chain((first,), pieces))

    async def aiter_bytes(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """Yield the events of a body that is read asynchronously."""
        async for first in pieces:
            async for event in self._for(first).aiter_bytes(_chain(first, pieces)):
                yield event

    def _for(self, first: bytes) -> Any:
        # A frame is shorter than 16 MiB, so that its length begins with a zero byte.
        return self._framed if first.startswith(b"\0") else self._plain


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
