"""Every fault, as the bare SDK clients see it, on every surface with a stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import anthropic
import openai
import pytest

from agentprod.testing import Provider, behaviours
from tests.testing.callers import (
    MESSAGES,
    AnthropicAt,
    Caller,
    Chat,
    Messages,
    OpenAIAt,
    Responses,
    broken,
    failure_of,
    timed_out,
)

TEXT = "one two three four five six seven eight"
EIGHT = behaviours.ok(TEXT)
PATIENCE = 0.2  # seconds until a client gives up on a reply that does not come
CALL = behaviours.ok(tool_calls=[{"name": "get_weather", "arguments": {"city": "Berlin", "days": 3}}])


def goes_unnoticed(caller: Caller, fault: str) -> bool:
    """Return whether a bare client raises nothing at a fault: what a middleware is for."""
    # The failure of a response is an event to OpenAI's client, and not an error.
    return fault == "truncate" or (fault == "sse_error" and isinstance(caller, Responses))


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("words", [0, 1, 8])
def test_a_cut_stream_delivers_its_first_events(caller: Caller, how: Any, words: int) -> None:
    """Exactly the events before the cut arrive, then the connection breaks."""
    cut = behaviours.cut(after=caller.preamble + words if words else 0, how=how, reply=EIGHT)
    with Provider(cut) as provider:
        assert broken(failure_of(caller.stream, provider))
    assert caller.text == " ".join(TEXT.split()[:words])
    assert not caller.finished


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("after", [0, None])
def test_a_cut_body_breaks(caller: Caller, how: Any, after: int | None) -> None:
    """A whole reply that is cut, before its body or within, is a broken connection."""
    with Provider(behaviours.cut(after, how)) as provider:
        assert broken(failure_of(caller.whole, provider))


def test_a_cut_after_everything_still_breaks_the_body(anthropic_at: AnthropicAt) -> None:
    """With more events than there are, the reply is complete but its HTTP body is not."""
    caller = Messages(None, anthropic_at)  # type: ignore[arg-type]
    with Provider(behaviours.cut(after=99)) as provider:
        assert broken(failure_of(caller.stream, provider))
    assert caller.finished


@pytest.mark.parametrize("fault", ["cut", "truncate", "malformed", "sse_error", "stall"])
def test_faults_strike_in_the_middle_by_default(caller: Caller, fault: str) -> None:
    """Without a position, some of the text arrives, and not all of it."""
    caller.timeout = PATIENCE if fault == "stall" else caller.timeout
    with Provider([fault]) as provider:
        assert (failure_of(caller.stream, provider) is None) == goes_unnoticed(caller, fault)
    assert caller.text == "Hello from the"
    assert not caller.finished


@pytest.mark.parametrize("fault", ["cut", "truncate", "malformed", "sse_error", "stall"])
def test_one_word_is_delivered_before_a_fault(caller: Caller, fault: str) -> None:
    """A reply of one piece is delivered, and what says that it is complete is not."""
    caller.timeout = PATIENCE if fault == "stall" else caller.timeout
    script = getattr(behaviours, fault)(reply=behaviours.ok("Word"))
    with Provider(script) as provider:
        assert (failure_of(caller.stream, provider) is None) == goes_unnoticed(caller, fault)
    assert caller.text == "Word"
    assert not caller.finished


def test_a_refused_connection_breaks(caller: Caller) -> None:
    """A reset before any byte is a broken connection, and the request was received all the same."""
    with Provider("refuse") as provider:
        for ask in (caller.whole, caller.stream):
            assert broken(failure_of(ask, provider))
        assert [request.behaviour for request in provider.requests] == ["refuse", "refuse"]


@pytest.mark.parametrize("after", [0, 5, 99])
def test_a_truncated_stream_ends_as_if_nothing_was_wrong(caller: Caller, after: int) -> None:
    """No client notices: no error, no finish, and never what says that the reply is complete."""
    with Provider(behaviours.truncate(after, reply=EIGHT)) as provider:
        caller.stream(provider)
        assert provider.connections == 1
    assert not caller.finished
    assert caller.text == " ".join(TEXT.split()[: max(0, after - caller.preamble)])


def test_a_truncated_body_is_not_json(caller: Caller) -> None:
    """A whole reply is cut short with a length that fits: the client cannot parse it."""
    with Provider("truncate") as provider, pytest.raises(json.JSONDecodeError):
        caller.whole(provider)
    with Provider(behaviours.truncate(0)) as provider, pytest.raises(ValueError):  # noqa: PT011  # whichever
        caller.whole(provider)


@pytest.mark.parametrize("after", [None, 0, 99])
def test_a_tool_call_is_truncated_inside_its_arguments(caller: Caller, after: int | None) -> None:
    """Some of the arguments arrive, not all of them, wherever the stream is to stop."""
    with Provider(behaviours.truncate(after, inside_tool_call=True, reply=CALL)) as provider:
        caller.stream(provider)
    complete = '{"city": "Berlin", "days": 3}'
    assert complete.startswith(caller.arguments)
    assert 0 < len(caller.arguments) < len(complete)
    assert not caller.finished
    assert (len(caller.arguments) > 8) == (after == 99)


def test_a_tool_call_to_truncate_may_be_the_defaults(caller: Caller) -> None:
    """Without a reply of its own there is a tool call to stop inside of, even for a whole reply."""
    with Provider(behaviours.truncate(inside_tool_call=True)) as provider:
        caller.stream(provider)
        with pytest.raises(json.JSONDecodeError):
            caller.whole(provider)
    assert caller.arguments == '{"city":'


def test_a_tool_call_that_never_began_cannot_be_truncated_inside(caller: Caller) -> None:
    """What another fault has taken away is not brought back."""
    cut = behaviours.cut(0, reply=CALL)
    with Provider(behaviours.truncate(inside_tool_call=True, reply=cut)) as provider:
        assert broken(failure_of(caller.stream, provider))
    assert (caller.text, caller.arguments) == ("", "")


def test_a_malformed_event_is_not_json(caller: Caller) -> None:
    """The events before it arrive, and the client's parser fails at it."""
    broken = behaviours.malformed(caller.preamble + 2, reply=EIGHT)
    with Provider(broken) as provider, pytest.raises(json.JSONDecodeError):
        caller.stream(provider)
    assert caller.text == "one two"


def test_a_malformed_body_is_not_json(caller: Caller) -> None:
    """The whole body is unreadable, under a status and type that promise JSON."""
    with Provider("malformed") as provider, pytest.raises(json.JSONDecodeError):
        caller.whole(provider)


def test_events_after_a_malformed_one_follow(openai_at: OpenAIAt, provider: Provider) -> None:
    """A client that skips what it cannot read gets the whole reply."""
    provider.script(behaviours.malformed(2, reply=EIGHT))
    create = openai_at(provider).chat.completions.with_streaming_response.create
    with create(model="m", messages=MESSAGES, stream=True) as response:
        lines = [line for line in response.iter_lines() if line]
    assert len(lines) == 1 + 8 + 1 + 1 + 1
    assert lines[2] == 'data: {"id": not JSON'


@pytest.mark.parametrize("after", [None, 0])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_stalled_reply_times_out(caller: Caller, after: int | None, streaming: bool) -> None:
    """What came before arrives, and the client waits until it gives up."""
    caller.timeout = PATIENCE
    with Provider(behaviours.stall(after, reply=EIGHT)) as provider:
        assert timed_out(failure_of(caller.stream if streaming else caller.whole, provider))
    assert caller.text == ("one two three four" if streaming and after is None else "")


def test_a_black_hole_never_answers(caller: Caller) -> None:
    """The request is received, and the client waits until it gives up."""
    caller.timeout = PATIENCE
    with Provider("black_hole") as provider:
        assert timed_out(failure_of(caller.whole, provider))
        assert len(provider.requests) == 1


def test_http_errors_are_the_sdks_own(openai_at: OpenAIAt, anthropic_at: AnthropicAt) -> None:
    """Statuses become the classes that users catch."""
    script: list[behaviours.Behaviour | str] = ["rate_limit", "error", behaviours.error(529), behaviours.error(404)]
    expected: dict[type[Caller], list[type[Exception]]] = {
        Chat: [openai.RateLimitError, openai.InternalServerError, openai.InternalServerError, openai.NotFoundError],
        Messages: [
            anthropic.RateLimitError,
            anthropic.InternalServerError,
            anthropic.APIStatusError,  # "overloaded" has a class of its own, in some versions not a server error
            anthropic.NotFoundError,
        ],
    }
    for kind, errors in expected.items():
        with Provider(script) as provider:
            for error in errors:
                with pytest.raises(error):
                    kind(openai_at, anthropic_at).stream(provider)


def test_the_sdks_own_retries_see_the_script(provider: Provider) -> None:
    """A rate limit and a reset are tried again, and the third request is answered."""
    provider.script([behaviours.rate_limit(retry_after_ms=1), "refuse", "ok"])
    with openai.OpenAI(api_key="k", base_url=provider.openai_url, max_retries=2) as client:
        client._calculate_retry_timeout = lambda *_: 0.0  # type: ignore[method-assign]
        client.chat.completions.create(model="m", messages=MESSAGES)
    assert [request.behaviour for request in provider.requests] == ["rate_limit", "refuse", "ok"]


@pytest.mark.parametrize("script", ["cut", "refuse", "stall", "black_hole", "sse_error", "truncate", "malformed"])
def test_async_clients_see_the_same_faults(script: str) -> None:
    """Each fault ends an async stream, and none is mistaken for a complete reply."""
    patience = PATIENCE if script in ("stall", "black_hole") else 10

    async def openai_stream(provider: Provider) -> str:
        text = ""
        async with openai.AsyncOpenAI(
            api_key="k", base_url=provider.openai_url, max_retries=0, timeout=patience
        ) as client:
            with contextlib.suppress(Exception):
                async for chunk in await client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
                    text += chunk.choices[0].delta.content or chunk.choices[0].finish_reason or ""
        return text

    async def anthropic_stream(provider: Provider) -> str:
        text = ""
        async with anthropic.AsyncAnthropic(
            api_key="k", base_url=provider.anthropic_url, max_retries=0, timeout=patience
        ) as client:
            with contextlib.suppress(Exception):
                async with client.messages.stream(model="m", max_tokens=9, messages=MESSAGES) as stream:
                    async for piece in stream.text_stream:
                        text += piece
        return text

    async def main(provider: Provider) -> set[str]:
        return set(await asyncio.gather(openai_stream(provider), anthropic_stream(provider)))

    with Provider(script) as provider:
        texts = asyncio.run(main(provider))
    assert texts == {"" if script in ("refuse", "black_hole") else "Hello from the"}


def test_faults_can_be_nested(caller: Caller) -> None:
    """A late, dribbled, cut reply is late, dribbled and cut, and goes by the outermost name."""
    inner = behaviours.cut(caller.preamble + 2, reply=EIGHT)
    script = behaviours.slow(0.02, reply=behaviours.dribble(100, 0.0001, reply=inner))
    with Provider(script) as provider:
        start = time.monotonic()
        assert broken(failure_of(caller.stream, provider))
        assert [request.behaviour for request in provider.requests] == ["slow"]
    assert time.monotonic() - start >= 0.02
    assert caller.text == "one two"


def test_a_fault_may_strike_what_is_not_a_faithful_reply(openai_at: OpenAIAt) -> None:
    """Events of one's own can be cut as well."""
    chunk = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}],
    }
    caller = Chat(openai_at, None)  # type: ignore[arg-type]
    with Provider(behaviours.cut(2, reply=behaviours.sse_events([chunk] * 5))) as provider:
        assert broken(failure_of(caller.stream, provider))
    assert caller.text == "xx"
