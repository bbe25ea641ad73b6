"""Server-sent events: any cut of the bytes gives the same events, with the bytes they came in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentprod.dialects.sse import EventParser, dump, encode
from agentprod.events import Event
from tests.dialects.strategies import ANY_TEXT, CUTS, JSON, OBJECT, cut


def parsed(pieces: list[bytes]) -> list[Event]:
    """Return the events of a stream that arrives in these pieces."""
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.flush()


def told(events: list[Event]) -> list[tuple[Any, bytes | None]]:
    """Return the data and the bytes of events."""
    return [(event.data, event.raw) for event in events]


LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Any]]:
    """Return a byte stream and the data of its events."""
    whole, expected = b"", []
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["data", "named", "tight", "lines", "comment", "done", "more"]))
        data = draw(OBJECT)
        payload = dump(data)
        lines = {
            "data": [b"data: " + payload],
            "named": [b"event: message", b"data: " + payload],
            "tight": [b"data:" + payload],
            "lines": [b"data: {", b"data: " + payload[1:]],
            "comment": [b": ping"],
            "done": [b"data: [DONE]"],
            "more": [b"id: 7", b"data: " + payload, b"retry: 3000"],
        }[kind]
        end = draw(LINE_ENDS)
        whole += b"".join(line + end for line in lines) + draw(LINE_ENDS if end != b"\r" else st.just(b"\r"))
        expected.append(None if kind in ("comment", "done") else data)
    return whole, expected


@given(streams(), CUTS)
@example((b'data: {"a":1}\n\n', [{"a": 1}]), [1])
@example((b'data: {"a":1}\r\n\r\n', [{"a": 1}]), [14, 15, 16])
def test_any_cut_gives_the_same_events(stream: tuple[bytes, list[Any]], cuts: list[int]) -> None:
    """Wherever the network cuts, the data are the same, and the bytes of all events are those that came."""
    whole, expected = stream
    events = parsed(cut(whole, cuts))
    assert [event.data for event in events] == expected
    assert b"".join(event.raw or b"" for event in events) == whole
    assert told(events) == told(parsed([bytes([byte]) for byte in whole]))


@given(
    st.lists(JSON.filter(lambda data: data is not None), max_size=5), st.sampled_from([None, "message", "ping"]), CUTS
)
def test_what_is_written_is_read(items: list[Any], name: str | None, cuts: list[int]) -> None:
    """Any JSON goes through `encode` and the parser unchanged."""
    whole = b"".join(encode(item, name) for item in items)
    assert [event.data for event in parsed(cut(whole, cuts))] == items


@given(ANY_TEXT)
def test_any_text_can_be_written(text: str) -> None:
    """A lone surrogate, which UTF-8 cannot hold, goes as an escape; everything else as itself."""
    written = dump({"text": text})
    assert json.loads(written) == {"text": text}
    (event,) = parsed([encode({"text": text})])
    assert event.data == {"text": text}


def test_chinese_is_written_as_itself() -> None:
    """Text is not escaped into ASCII: it would cost three times the bytes."""
    assert dump({"a": "你好"}) == '{"a":"你好"}'.encode()


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_the_last_event_may_lack_its_blank_line(end: bytes) -> None:
    """A stream that ends without the blank line still completes its last event."""
    assert told(parsed([b'data: {"a": 1}' + end])) == [({"a": 1}, b'data: {"a": 1}' + end)]


@pytest.mark.parametrize("blank", [b"", b"\n", b"\r\n"])
def test_blank_ends_are_no_events(blank: bytes) -> None:
    """What is blank at the end of a stream is nothing."""
    events = parsed([b'data: {"a": 1}\n\n' + blank])
    assert [event.data for event in events] == [{"a": 1}]


@pytest.mark.parametrize(
    "bad", [b"data: {broken\n\n", b"data: <html>\n\n", b'data: {"a": "\xff"}\n\n', b"data: nope\r\n\r\n"]
)
@given(cuts=CUTS)
def test_an_event_that_is_no_json(bad: bytes, cuts: list[int]) -> None:
    """Good events before a broken one are delivered first, wherever it is cut; then the error is raised, for good."""
    parser = EventParser()
    read: list[Any] = []
    with pytest.raises(ValueError, match=r".") as raised:
        for piece in cut(b'data: {"n": 1}\n\ndata: {"n": 2}\n\n' + bad + b'data: {"n": 3}\n\n', cuts):
            read.extend(event.data for event in parser.feed(piece))
        read.extend(event.data for event in parser.flush())
    assert read == [{"n": 1}, {"n": 2}]
    assert isinstance(raised.value, json.JSONDecodeError | UnicodeDecodeError)


def test_a_broken_event_is_raised_by_flush() -> None:
    """Without another piece to come, the end of the stream raises it."""
    parser = EventParser()
    assert [event.data for event in parser.feed(b'data: {"n": 1}\n\ndata: {\n\n')] == [{"n": 1}]
    with pytest.raises(ValueError, match=r"."):
        parser.flush()
    with pytest.raises(ValueError, match=r"."):
        EventParser().feed(b"data: {\n\n")


@pytest.mark.parametrize("installed", [True, False])
def test_with_and_without_the_fast_parser(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDKs' JSON parser is used where it is installed; without it the same is read."""
    if not installed:
        monkeypatch.setitem(__import__("sys").modules, "jiter", None)
    text = '{"a": [1, 2.5, true, null, "\\ud83c\\udf89"], "lone": "\\ud800"}'
    assert [event.data for event in parsed([f"data: {text}\n\n".encode()])] == [json.loads(text)]
