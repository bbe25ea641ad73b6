"""What a wrapped client's streams read: the very events that the SDK's own decoder reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import agentprod as ap
from agentprod.dialects.sse import encode
from tests.dialects.strategies import CUTS, OBJECT, cut

BARE: list[Any] = [openai.OpenAI(api_key="k"), anthropic.Anthropic(api_key="k")]
WRAPPED = [ap.Stack().wrap(client) for client in BARE]

BLOCKS = st.sampled_from(
    [
        'data: {"a": 1}',
        'data: {"text": "你好"}',
        'event: message_stop\ndata: {"type": "message_stop"}',
        "event: ping\ndata: {}",
        "event: \ndata: {}",
        "event: thread.created\ndata: {}",
        "data: [DONE]",
        "data:{}",
        "data: {\ndata: }",
        "data: {}\nevent: late",
        "id: 7\nretry: 3000\ndata: {}",
        "event: error\nid: 1\ndata: {}",
        ": comment",
        "event: alone",
        "data",
        "",
    ]
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Return the body of a stream: blocks that end as they should, nearly always."""
    end = draw(st.sampled_from(["\n\n"] * 4 + ["\r\n\r\n", "\r\r"]))
    blocks = draw(st.lists(BLOCKS, max_size=6))
    tail = draw(st.sampled_from(["", "", "", "data: {", "\n"]))
    return (end.join([*blocks, ""]) + tail).encode()


def seen(event: Any) -> tuple[Any, ...]:
    """Return all that an event tells."""
    return event.event, event.data, event.id, event.retry, repr(event)


async def later(pieces: list[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces."""
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("sdk", [0, 1], ids=["openai", "anthropic"])
@given(bodies(), CUTS)
@example(b'data: {"a":1}\n\n', [])
@example(b"data: {}\n\ndata: {}\r\n\r\ndata: {}\n\n", [10])
def test_events_are_those_of_the_sdk(sdk: int, body: bytes, cuts: list[int]) -> None:
    """However a body is cut and written, sync and async: the same events of the same class."""
    pieces = cut(body, cuts)
    ours, theirs = WRAPPED[sdk]._make_sse_decoder(), BARE[sdk]._make_sse_decoder()
    expected = [seen(event) for event in theirs.iter_bytes(iter(pieces))]
    events = list(ours.iter_bytes(iter(pieces)))
    assert [seen(event) for event in events] == expected

    async def read() -> list[Any]:
        return [seen(event) async for event in WRAPPED[sdk]._make_sse_decoder().aiter_bytes(later(pieces))]

    assert asyncio.run(read()) == expected
    bases = {cls.__module__ for event in events for cls in type(event).__mro__ if cls.__name__ == "ServerSentEvent"}
    assert bases <= {type(theirs).__module__, "agentprod.edge.event_decoder"}


@pytest.mark.parametrize("sdk", [0, 1], ids=["openai", "anthropic"])
@given(OBJECT)
def test_json_is_that_of_the_sdk(sdk: int, data: Any) -> None:
    """Whatever JSON an event carries, it is read as the SDK reads it."""
    body = encode(data)
    [ours] = WRAPPED[sdk]._make_sse_decoder().iter_bytes(iter([body]))
    [theirs] = BARE[sdk]._make_sse_decoder().iter_bytes(iter([body]))
    assert ours.json() == theirs.json()


def test_another_format_is_left_to_its_own_decoder() -> None:
    """What reads something else than server-sent events goes on reading its frames, and events that layers made."""

    class Frames:
        """Another wire format."""

        def iter_bytes(self, pieces: Any) -> Any:
            """Read."""
            yield from (f"frame {piece!r}" for piece in pieces)

    class Client(openai.OpenAI):
        def _make_sse_decoder(self) -> Any:
            return Frames()

    decoder = ap.Stack().wrap(Client(api_key="k"))._make_sse_decoder()
    assert list(decoder.iter_bytes(iter([b"\0\0a"]))) == ["frame b'\\x00\\x00a'"]
    assert [event.data for event in decoder.iter_bytes(iter([b"data: {}\n\n"]))] == ["{}"]
