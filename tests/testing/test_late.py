"""Replies that arrive whole, but late or in an odd rhythm."""

from __future__ import annotations

import time

from agentprod.testing import Provider, behaviours
from tests.testing.callers import MESSAGES, AnthropicAt, Caller, OpenAIAt

TEXT = "one two three four five six seven eight"
EIGHT = behaviours.ok(TEXT)


def test_slow_comes_late_and_whole(caller: Caller) -> None:
    """The delay is before the headers, of whole replies and of streams."""
    with Provider(behaviours.slow(0.03, reply=EIGHT)) as provider:
        for ask in (caller.whole, caller.stream):
            caller.text = ""
            start = time.monotonic()
            ask(provider)
            assert time.monotonic() - start >= 0.03
            assert caller.text == TEXT


def test_slow_may_hold_back_the_first_content_and_the_rest(openai_at: OpenAIAt) -> None:
    """Headers and preamble come at once, the first word late, the others at a distance."""
    script = behaviours.slow(0, 0.15, between=0.02, reply=behaviours.ok("one two three"))
    with Provider(script) as provider:
        start = time.monotonic()
        stream = openai_at(provider).chat.completions.create(model="m", messages=MESSAGES, stream=True)
        times = [time.monotonic() - start for _ in stream]
    assert times[0] < 0.15 <= times[1]
    assert times[3] >= 0.15 + 2 * 0.02


def test_slow_holds_back_the_body_of_a_whole_reply(caller: Caller) -> None:
    """Without a stream the first content is the body."""
    with Provider(behaviours.slow(0, 0.03)) as provider:
        start = time.monotonic()
        caller.whole(provider)
    assert time.monotonic() - start >= 0.03


def test_pings_keep_a_stream_alive(caller: Caller) -> None:
    """They take their time in the middle, no client shows them, and the reply is whole."""
    with Provider(behaviours.pings(0.01, 3, reply=EIGHT)) as provider:
        start = time.monotonic()
        caller.stream(provider)
        assert time.monotonic() - start >= 0.03
        assert caller.text == TEXT
        caller.whole(provider)
    assert caller.text == TEXT


def test_pings_have_the_vendors_form(openai_at: OpenAIAt, anthropic_at: AnthropicAt, provider: Provider) -> None:
    """Anthropic sends events, others comments, where the script puts them."""
    provider.script(behaviours.pings(0, 2, after=1, reply=EIGHT))
    ours = openai_at(provider).chat.completions.with_streaming_response
    with ours.create(model="m", messages=MESSAGES, stream=True) as chunks:
        comments = list(chunks.iter_lines())[2:6]
    theirs = anthropic_at(provider).messages.with_streaming_response
    with theirs.create(model="m", max_tokens=9, messages=MESSAGES, stream=True) as events:
        pings = list(events.iter_lines())[3:9]
    assert comments == [": keep-alive", ""] * 2
    assert pings == ["event: ping", 'data: {"type":"ping"}', ""] * 2


def test_a_dribbled_reply_is_whole(caller: Caller) -> None:
    """However small the writes, headers too, the bytes are those of the reply; they only take long."""
    with Provider(behaviours.dribble(50, 0.001, reply=EIGHT)) as provider:
        start = time.monotonic()
        caller.whole(provider)
    assert time.monotonic() - start >= 0.01
    assert caller.text == TEXT
