"""What is never stored, and what is never asked of the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.caching.exact import Cache
from agentprod.testing import Provider, behaviours

OpenAIWith = Callable[..., openai.OpenAI]
AnthropicWith = Callable[..., anthropic.Anthropic]

MESSAGES: Any = [{"role": "user", "content": "Hello"}]
CHAT: dict[str, Any] = {"model": "m", "messages": MESSAGES}
MESSAGE: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": MESSAGES}

BAD_REPLIES: dict[str, tuple[Any, str]] = {
    "truncated": (behaviours.ok("Half an answ", finish="length"), "length"),
    "filtered": (behaviours.ok("Nope", finish="content_filter"), "content_filter"),
    "empty": (behaviours.ok(""), "empty"),
    "blank": (behaviours.ok(" \n"), "empty"),
    "refused": (behaviours.ok(refusal="I must not."), "refusal"),
    "tools": (behaviours.ok(tool_calls=[{"name": "f", "arguments": {}}]), "tool_calls"),
    "odd end": (behaviours.ok("Hm", finish="insufficient_system_resource"), "other"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", BAD_REPLIES)
def test_a_bad_chat_reply_is_not_stored(openai_with: OpenAIWith, kind: str, stream: bool) -> None:
    """Truncated, filtered, empty and refused replies and tool calls are asked for again; the reason is counted."""
    reply, reason = BAD_REPLIES[kind]
    cache = Cache()
    with Provider(reply) as provider:
        client: Any = openai_with(provider, cache)
        for _ in range(2):
            answer = client.chat.completions.create(**CHAT, stream=stream)
            list(answer if stream else [])
        assert len(provider.requests) == 2
    assert cache.stats().refused == {reason: 2}
    assert cache.stats().stored == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("finish", ["length", "pause_turn", "refusal", "model_context_window_exceeded"])
def test_a_bad_message_is_not_stored(anthropic_with: AnthropicWith, finish: str, stream: bool) -> None:
    """Messages that did not end by themselves are asked for again."""
    cache = Cache()
    with Provider(behaviours.ok("Well", finish=finish)) as provider:
        client: Any = anthropic_with(provider, cache)
        for _ in range(2):
            answer = client.messages.create(**MESSAGE, stream=stream)
            list(answer if stream else [])
        assert len(provider.requests) == 2
    assert cache.stats().stored == 0


def test_one_bad_choice_spoils_the_reply(openai_with: OpenAIWith, provider: Provider) -> None:
    """Of several choices each must have ended well."""

    def body(*finishes: str) -> Any:
        choices = [
            {"index": n, "message": {"role": "assistant", "content": "x"}, "finish_reason": finish}
            for n, finish in enumerate(finishes)
        ]
        return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}

    for finishes, asked in ((("stop", "length"), 2), (("stop", "stop"), 1)):
        provider.script(behaviours.json_body(body(*finishes)))
        provider.reset()
        client = openai_with(provider, Cache())
        for _ in range(2):
            assert len(client.chat.completions.create(**CHAT, n=2).choices) == 2
        assert len(provider.requests) == asked


def test_an_error_told_with_200_is_not_stored(openai_with: OpenAIWith, provider: Provider) -> None:
    """Some gateways report errors in a body of status 200."""
    provider.script(behaviours.json_body({"error": {"message": "no"}, "choices": [], "id": "c", "model": "m"}))
    client = openai_with(provider, Cache())
    for _ in range(2):
        client.chat.completions.create(**CHAT)
    assert len(provider.requests) == 2


def test_tool_calls_are_stored_on_request(openai_with: OpenAIWith) -> None:
    """`tool_calls=True` keeps replies that call tools."""
    with Provider(behaviours.ok(tool_calls=[{"name": "f", "arguments": {"a": 1}}])) as provider:
        client = openai_with(provider, Cache(tool_calls=True))
        first, second = (client.chat.completions.create(**CHAT) for _ in range(2))
        assert first == second
        assert len(provider.requests) == 1


def test_errors_are_not_stored(openai_with: OpenAIWith) -> None:
    """A failed call leaves nothing behind: the next one asks."""
    with Provider([behaviours.error(500), behaviours.ok("fine")]) as provider:
        client = openai_with(provider, Cache())
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**CHAT)
        assert client.chat.completions.create(**CHAT).choices[0].message.content == "fine"


STATEFUL: dict[str, Any] = {
    "store": True,
    "web_search_options": {},
    "modalities": ["text", "audio"],
    "tools": [{"type": "web_search"}],
    "model": "gpt-4o-search-preview",
    "extra_body": {"previous_response_id": "r1"},
}


@pytest.mark.parametrize("name", STATEFUL)
def test_requests_about_more_than_themselves_go_past(openai_with: OpenAIWith, provider: Provider, name: str) -> None:
    """What the provider remembers, looks up or renders is never read from or written to the cache."""
    client = openai_with(provider, Cache())
    for _ in range(2):
        answer: Any = client.chat.completions.create(**{**CHAT, name: STATEFUL[name]})
        assert ap.meta(answer).cache == "bypass"
    assert len(provider.requests) == 2


@pytest.mark.parametrize("kind", ["web_search_20250305", "code_execution_20250522", "web_fetch_20250910"])
def test_messages_with_tools_of_the_provider_s_go_past(
    anthropic_with: AnthropicWith, provider: Provider, kind: str
) -> None:
    """Server tools make the answer depend on the world."""
    client: Any = anthropic_with(provider, Cache())
    for _ in range(2):
        client.messages.create(**MESSAGE, tools=[{"type": kind, "name": "x"}])
    assert len(provider.requests) == 2


def test_harmless_forms_of_those_parameters_are_cached(openai_with: OpenAIWith, provider: Provider) -> None:
    """`store=False` and text alone keep nothing from being cached."""
    client = openai_with(provider, Cache())
    for _ in range(2):
        client.chat.completions.create(**CHAT, store=False, modalities=["text"])
    assert len(provider.requests) == 1


@pytest.mark.parametrize(("temperature", "asked"), [(None, 2), (0.7, 2), (0, 1), (0.0, 1)])
def test_sampling_can_be_kept_out(
    openai_with: OpenAIWith, provider: Provider, temperature: float | None, asked: int
) -> None:
    """With `nondeterministic="bypass"` only temperature 0 is cached."""
    client = openai_with(provider, Cache(nondeterministic="bypass"))
    options: Any = {} if temperature is None else {"temperature": temperature}
    for _ in range(2):
        client.chat.completions.create(**CHAT, **options)
    assert len(provider.requests) == asked


def test_an_abandoned_stream_is_not_stored(openai_with: OpenAIWith, provider: Provider) -> None:
    """Wherever the reader stops, nothing is kept; read to the end, everything is."""
    provider.script(behaviours.ok(chunks=["a ", "b ", "c ", "d"]))
    cache = Cache()
    client: Any = openai_with(provider, cache)
    whole = len(list(client.chat.completions.create(**CHAT, stream=True)))
    cache.invalidate(where=lambda entry: True)
    for stop in range(1, whole):
        with client.chat.completions.create(**CHAT, stream=True) as stream:
            for _ in range(stop):
                next(stream)
        assert cache.stats().entries == 0
    assert len(provider.requests) == whole


def test_an_abandoned_message_stream_is_not_stored(anthropic_with: AnthropicWith, provider: Provider) -> None:
    """Wherever the reader stops, nothing is kept."""
    cache = Cache()
    client: Any = anthropic_with(provider, cache)
    whole = len(list(client.messages.create(**MESSAGE, stream=True)))
    cache.invalidate(where=lambda entry: True)
    for stop in range(1, whole - 1):
        with client.messages.create(**MESSAGE, stream=True) as stream:
            for _ in range(stop):
                next(stream)
    assert cache.stats().entries == 0


@pytest.mark.parametrize("after", [2, 4])
def test_a_broken_stream_is_not_stored(openai_with: OpenAIWith, after: int) -> None:
    """A stream cut by the network, or without its end marker, is asked for again."""
    cut = behaviours.cut(after=after, reply=behaviours.ok(chunks=["a ", "b ", "c ", "d"]))
    truncated = behaviours.truncate(after=after, reply=behaviours.ok(chunks=["a ", "b ", "c ", "d"]))
    with Provider([cut, truncated, behaviours.ok("fine")]) as provider:
        cache = Cache()
        client: Any = openai_with(provider, cache)
        for _ in range(2):
            with pytest.raises(ap.StreamInterrupted):
                list(client.chat.completions.create(**CHAT, stream=True))
        assert cache.stats().entries == 0
        list(client.chat.completions.create(**CHAT, stream=True))
        assert cache.stats().entries == 1


def test_a_dropped_reply_is_taken_back(openai_with: OpenAIWith, provider: Provider) -> None:
    """What a layer further out discards, or flags, does not stay in the cache."""

    async def discards(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        await (await call_next(call)).discard()
        return call.reply("mine")

    async def flags(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        call.ledger.flag("pii")
        return reply

    for layer in (discards, flags):
        cache = Cache()
        client = openai_with(provider, layer, cache)
        client.chat.completions.create(**CHAT)
        assert cache.stats().entries == 0


def test_a_flagged_reply_is_not_stored(openai_with: OpenAIWith, provider: Provider) -> None:
    """What a layer inside flags is not kept, streamed or whole; remarks on token counts are no flag."""

    def flagging(remark: str) -> Any:
        async def layer(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            call.ledger.flag(remark)
            return await call_next(call)

        return layer

    for remark, kept in (("suspicious", 0), ("usage_estimated", 1)):
        for stream in (False, True):
            cache = Cache()
            client: Any = openai_with(provider, cache, flagging(remark))
            list(client.chat.completions.create(**CHAT, stream=stream))
            assert cache.stats().entries == kept


def test_a_fallback_s_reply_is_not_stored(openai_with: OpenAIWith, provider: Provider) -> None:
    """An answer of another model than the one asked for is not kept under its name."""

    async def fallback(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        call.ledger.note("Fallback", "switch", to="other")
        return await call_next(call.with_model("other"))

    cache = Cache()
    client = openai_with(provider, cache, fallback)
    for _ in range(2):
        client.chat.completions.create(**CHAT)
    assert len(provider.requests) == 2
    assert cache.stats().refused == {"fallback": 2}


def test_a_semantic_cache_s_guess_is_not_stored(openai_with: OpenAIWith, provider: Provider) -> None:
    """What the semantic cache answered stays its own, so that it can be taken back."""

    async def semantic(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        call.ledger.cache = "hit_semantic"
        return call.reply("a guess")

    cache = Cache()
    openai_with(provider, cache, semantic).chat.completions.create(**CHAT)
    assert cache.stats().refused == {"semantic": 1}


def test_a_stored_prompt_counts_with_its_version(openai_with: OpenAIWith, provider: Provider) -> None:
    """A prompt kept at the provider may change behind its name, but not behind its version."""
    client = openai_with(provider, Cache())
    for prompt, cache in (({"id": "p"}, "bypass"), ({"id": "p", "version": "2"}, "miss")):
        answer = client.chat.completions.create(**CHAT, extra_body={"prompt": prompt})
        assert ap.meta(answer).cache == cache


def test_what_goes_past_needs_no_name(openai_with: OpenAIWith, provider: Provider) -> None:
    """A partition by user asks for one only where the cache has a say."""
    client = openai_with(provider, Cache(by="user"))
    assert ap.meta(client.chat.completions.create(**CHAT, store=True)).cache == "bypass"


def test_sound_and_images_in_a_reply_are_not_stored(openai_with: OpenAIWith, provider: Provider) -> None:
    """A model that answers in sound or images though only text was asked for is not kept."""
    for extra in ({"audio": {"id": "a"}}, {"images": [{"url": "x"}]}):
        message = {"role": "assistant", "content": "here", **extra}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        provider.script(behaviours.json_body({"id": "c", "model": "m", "choices": [choice]}))
        cache = Cache()
        openai_with(provider, cache).chat.completions.create(**CHAT)
        assert cache.stats().refused == {"refusal": 1}


def test_a_function_s_plain_answer_is_kept_unless_empty() -> None:
    """A function of chat's arguments may answer in texts; an empty one is no answer."""
    for answer, stored in (("Hello", 1), ("", 0), ({"error": "no"}, 0)):
        cache = Cache()

        @cache
        def completion(model: str, messages: list[Any], answer: Any = answer) -> Any:
            return answer

        completion("m", [])
        assert cache.stats().stored == stored


def test_an_event_that_cannot_be_written_down_breaks_no_stream(openai_with: OpenAIWith, provider: Provider) -> None:
    """A layer may leave anything in an event; then the stream is delivered, and not kept."""

    class Odd:
        def feed(self, events: list[Any]) -> list[Any]:
            for event in events:
                if event.data is not None:
                    event.data = {**event.data, "seen": {1, 2}}
            return events

        def finish(self) -> list[Any]:
            return []

    async def odd(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        assert reply.stream is not None
        reply.stream.add(Odd())
        return reply

    cache = Cache()
    client: Any = openai_with(provider, cache, odd)
    assert len(list(client.chat.completions.create(**CHAT, stream=True))) > 3
    assert cache.stats().refused == {"unreadable": 1}


def test_other_traffic_does_not_meet_the_cache(openai_with: OpenAIWith, provider: Provider) -> None:
    """Requests that are no model calls are not cached."""
    cache = Cache()
    client = openai_with(provider, cache)
    for _ in range(2):
        client.models.list()
    assert len(provider.requests) == 2
    assert cache.stats().misses == 0
