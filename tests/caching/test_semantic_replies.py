"""What a similar request gets is what the first one got: every surface of both SDKs, whole and streamed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.testing import Provider, behaviours
from tests.caching.semantic_callers import FIRST, SIMILAR
from tests.caching.surfaces import (
    ASYNC_CHAT_SURFACES,
    ASYNC_MESSAGE_SURFACES,
    ASYNC_RESPONSE_SURFACES,
    CHAT_SURFACES,
    MESSAGE_SURFACES,
    MESSAGES,
    RESPONSE_SURFACES,
    AsyncSurface,
    Surface,
)

ANSWERS: dict[str, Any] = {
    "text": behaviours.ok("Grüße, 世界 😀", chunks=["", "Grüße", "", ", 世", "界 ", "😀"]),
    "reasoning": behaviours.ok("So be it.", reasoning="Let me think it over."),
    "usage": behaviours.ok(
        "Yes.", usage={"input_tokens": 50, "output_tokens": 7, "cache_read_tokens": 30, "reasoning_tokens": 2}
    ),
}
Asks = Callable[[str], None]


@pytest.fixture(params=ANSWERS)
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    """Run a provider that gives one kind of answer."""
    with Provider(ANSWERS[request.param]) as running:
        yield running


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> Asks:
    """Return what changes the text that all surfaces ask."""
    return lambda text: monkeypatch.setitem(MESSAGES[0], "content", text)


def new_cache() -> ap.SemanticCache:
    """Return a cache that also answers requests without a temperature."""
    return ap.SemanticCache(nondeterministic="cache")


@pytest.mark.parametrize("surface", [*CHAT_SURFACES, *RESPONSE_SURFACES, *MESSAGE_SURFACES])
def test_a_similar_request_gets_the_same_reply(
    provider: Provider,
    surface: Surface,
    asks: Asks,
    openai_with: Callable[..., openai.OpenAI],
    anthropic_with: Callable[..., anthropic.Anthropic],
) -> None:
    """What the caller sees of the second answer is what they saw of the first."""
    make: Any = anthropic_with if surface in MESSAGE_SURFACES else openai_with
    client = make(provider, new_cache())
    asks(FIRST)
    first = surface(client)
    asks(SIMILAR)
    assert surface(client) == first
    assert len(provider.requests) == 1


@pytest.mark.parametrize("surface", [*ASYNC_CHAT_SURFACES, *ASYNC_RESPONSE_SURFACES, *ASYNC_MESSAGE_SURFACES])
def test_an_async_similar_request_gets_the_same_reply(provider: Provider, surface: AsyncSurface, asks: Asks) -> None:
    """What the caller sees of the second answer is what they saw of the first."""
    bare: Any
    if surface in ASYNC_MESSAGE_SURFACES:
        bare = anthropic.AsyncAnthropic(api_key="k", base_url=provider.anthropic_url, max_retries=0)
    else:
        bare = openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url, max_retries=0)

    async def ask() -> None:
        async with bare:
            client = ap.Stack(new_cache()).wrap(bare)
            asks(FIRST)
            first = await surface(client)
            asks(SIMILAR)
            assert await surface(client) == first

    asyncio.run(ask())
    assert len(provider.requests) == 1


@pytest.mark.parametrize("stored_as", ["whole", "stream"])
def test_whole_and_streamed_share_one_entry(stored_as: str, openai_with: Callable[..., openai.OpenAI]) -> None:
    """A stored stream answers a whole request, and the other way round."""
    with Provider(behaviours.ok("So be it.", chunks=["So", " be", " it."])) as provider:
        client: Any = openai_with(provider, new_cache())

        def ask(text: str, *, stream: bool) -> str:
            messages = [{"role": "user", "content": text}]
            found = client.chat.completions.create(model="m", messages=messages, stream=stream)
            if not stream:
                return str(found.choices[0].message.content)
            return "".join(chunk.choices[0].delta.content or "" for chunk in found if chunk.choices)

        assert ask(FIRST, stream=stored_as == "stream") == "So be it."
        assert ask(SIMILAR, stream=stored_as == "whole") == "So be it."
        assert len(provider.requests) == 1


def test_tool_calls_are_not_kept(asks: Asks, openai_with: Callable[..., openai.OpenAI]) -> None:
    """A reply that calls tools speaks of one request's arguments alone."""
    with Provider(behaviours.ok(tool_calls=[{"name": "find", "arguments": {"q": "x"}}])) as provider:
        cache = new_cache()
        client: Any = openai_with(provider, cache)
        for text in (FIRST, SIMILAR):
            asks(text)
            CHAT_SURFACES[0](client)
        assert len(provider.requests) == 2
        assert cache.stats().refused == {"tool_calls": 2}
