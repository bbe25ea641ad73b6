"""Streams of one provider in the events of the other: the same reply, however it was cut."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk
from pydantic import TypeAdapter

import agentprod as ap
from agentprod.dialects.anthropic_messages import MESSAGES
from agentprod.dialects.base import Dialect
from agentprod.dialects.neutral import NeutralReply
from agentprod.dialects.openai_chat import CHAT
from tests.dialects.strategies import CUTS, OBJECT, cut

DONE = b"data: [DONE]\n\n"
EVENT: TypeAdapter[Any] = TypeAdapter(anthropic.types.RawMessageStreamEvent)


def retell(there: Dialect, here: Dialect, events: list[Any], *, done: bool = True) -> list[Any]:
    """Return a stream of one dialect in the events of the other."""
    teller, writer = there.stream_to_neutral(), here.stream_from_neutral()
    assert teller is not None
    assert writer is not None
    said = [each for event in events for each in teller.feed(event)]
    said += teller.mark(DONE if done else b": ping")
    said += teller.end()
    return [event for each in said for event in writer.feed(each)]


def shown(body: Any, dialect: Dialect) -> Any:
    """Return what a reply says, in no dialect."""
    return dialect.text(body), dialect.tool_calls(body), dialect.finish(body), dialect.usage(body)


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
CALLS = st.lists(st.tuples(st.sampled_from(["search", "查询"]), OBJECT), max_size=3)
USAGE = st.builds(
    lambda rest, read, write, out: ap.Usage(rest + read + write, out, read, write),
    *[st.integers(0, 10_000) for _ in range(4)],
)


@st.composite
def replies(draw: st.DrawFn) -> NeutralReply:
    """Draw a reply: some text, some calls, a reason, counts."""
    calls = draw(CALLS)
    parts = [{"type": "text", "content": draw(TEXTS)}] if draw(st.booleans()) or not calls else []
    parts += [
        {"type": "tool_call", "id": f"call_{n}", "name": name, "arguments": arguments}
        for n, (name, arguments) in enumerate(calls)
    ]
    finish = "tool_calls" if calls else draw(st.sampled_from(["stop", "length", "content_filter"]))
    return NeutralReply(parts, finish, draw(USAGE), "m", "id1")


def chunks_of(reply: NeutralReply, cuts: list[int], order: st.DataObject | None = None) -> list[Any]:
    """Return the chat chunks of a reply, its texts and arguments cut up; pieces of several calls may be mixed."""
    [first, *middle, last, usage] = CHAT.split(CHAT.reply_from_neutral(reply))
    pieces: list[list[Any]] = []
    for chunk in middle:
        delta = chunk["choices"][0]["delta"]
        if "tool_calls" in delta:
            [call] = delta["tool_calls"]
            texts = cut(call["function"]["arguments"], cuts)
            head = {**call, "function": {**call["function"], "arguments": ""}}
            rest = [{"index": call["index"], "function": {"arguments": text}} for text in texts]
            pieces.append([_with(chunk, {"tool_calls": [each]}) for each in (head, *rest)])
        else:
            pieces.append([_with(chunk, {"content": text}) for text in cut(delta["content"], cuts)])
    return [first, *(_mixed(pieces, order) if order else [each for some in pieces for each in some]), last, usage]


def _with(chunk: Any, delta: Any) -> Any:
    return {**chunk, "choices": [{**chunk["choices"][0], "delta": delta}]}


def _mixed(pieces: list[list[Any]], order: st.DataObject) -> list[Any]:
    """Return the pieces with those of several calls mixed, each call's own in order."""
    texts = [some for some in pieces if "content" in some[0]["choices"][0]["delta"]]
    calls = [list(some) for some in pieces if some not in texts]
    mixed = [each for some in texts for each in some]
    while any(calls):
        mixed.append(order.draw(st.sampled_from([some for some in calls if some])).pop(0))
    return mixed


def events_of(reply: NeutralReply, cuts: list[int]) -> list[Any]:
    """Return the message events of a reply, its texts and arguments cut up."""
    made: list[Any] = []
    for event in MESSAGES.split(MESSAGES.reply_from_neutral(reply)):
        delta = event.get("delta", {}) if event["type"] == "content_block_delta" else {}
        slot = next((name for name in ("text", "partial_json") if name in delta), None)
        made += (
            [event] if slot is None else [{**event, "delta": {**delta, slot: text}} for text in cut(delta[slot], cuts)]
        )
    return made


@given(replies(), CUTS)
def test_a_chat_stream_becomes_the_message_that_the_whole_reply_becomes(reply: NeutralReply, cuts: list[int]) -> None:
    """Piece by piece or at once, the caller gets the same; every event is one that Anthropic's SDK knows."""
    events = retell(CHAT, MESSAGES, chunks_of(reply, cuts))
    assert shown(MESSAGES.join(events), MESSAGES) == shown(MESSAGES.reply_from_neutral(reply), MESSAGES)
    reader = MESSAGES.reader()
    for event in events:
        EVENT.validate_python(event)
        assert not reader.feed(event)
    assert reader.done
    assert reader.sealed
    assert reader.open_tool_calls() == ()


@given(replies(), CUTS)
def test_a_message_stream_becomes_the_completion_that_the_whole_reply_becomes(
    reply: NeutralReply, cuts: list[int]
) -> None:
    """The same the other way; every chunk is one that OpenAI's SDK knows."""
    chunks = retell(MESSAGES, CHAT, events_of(reply, cuts), done=False)
    text, calls, finish, usage = shown(CHAT.join(chunks), CHAT)
    expected = shown(CHAT.reply_from_neutral(reply), CHAT)
    assert (text, finish, usage) == (expected[0], expected[2], expected[3])
    assert [_read(call) for call in calls] == [_read(call) for call in expected[1]]
    reader = CHAT.reader()
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)
        assert not reader.feed(chunk)
    assert reader.done


def _read(call: dict[str, Any]) -> dict[str, Any]:
    return {**call, "arguments": json.loads(call["arguments"])}


@given(replies(), CUTS, st.data())
def test_mixed_pieces_of_calls_become_blocks_one_after_the_other(
    reply: NeutralReply, cuts: list[int], order: st.DataObject
) -> None:
    """Anthropic's blocks do not overlap, so a call waits until the one before it is whole."""
    events = retell(CHAT, MESSAGES, chunks_of(reply, cuts, order))
    text, calls, finish, usage = shown(MESSAGES.join(events), MESSAGES)
    expected = shown(MESSAGES.reply_from_neutral(reply), MESSAGES)
    assert (text, finish, usage) == (expected[0], expected[2], expected[3])
    assert sorted(calls, key=str) == sorted(expected[1], key=str)
    open_block: int | None = None
    for event in events:
        if event["type"] == "content_block_start":
            assert open_block is None
            open_block = event["index"]
        elif event["type"] == "content_block_stop":
            assert event["index"] == open_block
            open_block = None
        elif event["type"] == "content_block_delta":
            assert event["index"] == open_block


@given(replies(), CUTS, st.integers(0, 200))
def test_a_stream_that_stops_early_never_looks_whole(reply: NeutralReply, cuts: list[int], at: int) -> None:
    """Wherever it was cut, the other format's terminal marker is missing as well."""
    for there, here, events in (
        (CHAT, MESSAGES, chunks_of(reply, cuts)[:-2]),
        (MESSAGES, CHAT, [event for event in events_of(reply, cuts) if event["type"] != "message_stop"][:-1]),
    ):
        reader = here.reader()
        for event in retell(there, here, events[: at % (len(events) + 1)], done=False):
            reader.feed(event)
        assert not reader.done


def test_counts_may_come_before_or_beside_the_reason() -> None:
    """Some providers put them on the last chunk with text, or on every chunk."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    chunk = {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    events = retell(CHAT, MESSAGES, [{**chunk, "usage": usage}])
    assert events[-2]["usage"]["input_tokens"] == 3
    assert events[-2]["delta"]["stop_reason"] == "end_turn"


def test_a_call_without_arguments_has_an_empty_object() -> None:
    """Anthropic sends none at all then; OpenAI's callers parse what stands there."""
    events = [
        {"type": "message_start", "message": {"id": "1", "model": "m", "usage": {"input_tokens": 1}}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "c", "name": "now", "input": {}},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    [call] = CHAT.tool_calls(CHAT.join(retell(MESSAGES, CHAT, events, done=False)))
    assert call == {"id": "c", "name": "now", "arguments": "{}"}


def test_arguments_that_come_with_the_start_of_a_block_are_taken() -> None:
    """Gateways that do not stream arguments put them there."""
    block = {"type": "tool_use", "id": "c", "name": "say", "input": {"it": "你好"}}
    events = [
        {"type": "message_start", "message": {"id": "1", "model": "m"}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    ]
    [call] = CHAT.tool_calls(CHAT.join(retell(MESSAGES, CHAT, events, done=False)))
    assert json.loads(call["arguments"]) == {"it": "你好"}


@pytest.mark.parametrize(
    ("there", "events", "lost"),
    [
        (CHAT, [{"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}], "reply.reasoning"),
        (CHAT, [{"choices": [{"index": 1, "delta": {"content": "x"}}]}], "n"),
        (MESSAGES, [{"type": "content_block_start", "content_block": {"type": "thinking"}}], "reply.reasoning"),
        (
            MESSAGES,
            [{"type": "content_block_start", "content_block": {"type": "server_tool_use"}}],
            "reply.server_tool_use",
        ),
        (MESSAGES, [{"type": "content_block_delta", "delta": {"type": "citations_delta"}}], "reply.citations"),
    ],
)
def test_what_has_no_words_is_named(there: Dialect, events: list[Any], lost: str) -> None:
    """Nothing is left out in silence."""
    teller = there.stream_to_neutral()
    assert teller is not None
    assert [said.text for event in events for said in teller.feed(event) if said.kind == "lost"] == [lost]


@pytest.mark.parametrize("junk", [None, "text", 7, [], {"type": "ping"}, {"choices": None}, {"type": "unheard_of"}])
def test_events_of_no_meaning_say_nothing(junk: Any) -> None:
    """A stream may carry what nobody knows."""
    for dialect in (CHAT, MESSAGES):
        teller = dialect.stream_to_neutral()
        assert teller is not None
        assert [said.kind for said in teller.feed(junk)] in ([], ["start"])


def test_a_format_without_a_way_there_says_so() -> None:
    """Plain functions have none."""
    assert Dialect().stream_to_neutral() is None
    assert Dialect().stream_from_neutral() is None
