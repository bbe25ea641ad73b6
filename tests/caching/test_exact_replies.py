"""A hit is what the miss was: every surface of both SDKs, whole and streamed, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.caching.exact import Cache
from agentprod.testing import Provider, behaviours
from tests.caching.surfaces import (
    ASYNC_CHAT_SURFACES,
    ASYNC_MESSAGE_SURFACES,
    ASYNC_RESPONSE_SURFACES,
    CHAT_SURFACES,
    MESSAGE_SURFACES,
    RESPONSE_SURFACES,
    AsyncSurface,
    Surface,
)

ANSWERS: dict[str, Any] = {
    "text": behaviours.ok("Grüße, 世界 😀", chunks=["", "Grüße", "", ", 世", "界 ", "😀"]),
    "reasoning": behaviours.ok("So be it.", reasoning="Let me think it over."),
    "tools": behaviours.ok(
        tool_calls=[{"name": "find", "arguments": {"q": "北京", "n": 3}}, {"name": "look", "arguments": {}}]
    ),
    "text and tools": behaviours.ok("Wait.", tool_calls=[{"name": "find", "arguments": {"q": "x"}}]),
    "usage": behaviours.ok(
        "Yes.", usage={"input_tokens": 50, "output_tokens": 7, "cache_read_tokens": 30, "reasoning_tokens": 2}
    ),
}


@pytest.fixture(params=ANSWERS)
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    """Run a provider that gives one kind of answer."""
    with Provider(ANSWERS[request.param]) as running:
        yield running


@pytest.mark.parametrize("surface", [*CHAT_SURFACES, *RESPONSE_SURFACES])
def test_an_openai_hit_equals_its_miss(
    provider: Provider, surface: Surface, openai_with: Callable[..., openai.OpenAI]
) -> None:
    """What the caller sees of the second answer is what they saw of the first."""
    client = openai_with(provider, Cache(tool_calls=True))
    first = surface(client)
    assert surface(client) == first
    assert len(provider.requests) == 1


@pytest.mark.parametrize("surface", MESSAGE_SURFACES)
def test_a_message_hit_equals_its_miss(
    provider: Provider, surface: Surface, anthropic_with: Callable[..., anthropic.Anthropic]
) -> None:
    """What the caller sees of the second answer is what they saw of the first."""
    client = anthropic_with(provider, Cache(tool_calls=True))
    first = surface(client)
    assert surface(client) == first
    assert len(provider.requests) == 1


@pytest.mark.parametrize("surface", [*ASYNC_CHAT_SURFACES, *ASYNC_RESPONSE_SURFACES])
def test_an_async_openai_hit_equals_its_miss(provider: Provider, surface: AsyncSurface) -> None:
    """What the caller sees of the second answer is what they saw of the first."""

    async def ask() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url, max_retries=0) as bare:
            client = ap.Stack(Cache(tool_calls=True)).wrap(bare)
            first = await surface(client)
            assert await surface(client) == first

    asyncio.run(ask())
    assert len(provider.requests) == 1


@pytest.mark.parametrize("surface", ASYNC_MESSAGE_SURFACES)
def test_an_async_message_hit_equals_its_miss(provider: Provider, surface: AsyncSurface) -> None:
    """What the caller sees of the second answer is what they saw of the first."""

    async def ask() -> None:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=provider.anthropic_url, max_retries=0) as bare:
            client = ap.Stack(Cache(tool_calls=True)).wrap(bare)
            first = await surface(client)
            assert await surface(client) == first

    asyncio.run(ask())
    assert len(provider.requests) == 1


@pytest.mark.parametrize("surface", [*CHAT_SURFACES, *RESPONSE_SURFACES, *MESSAGE_SURFACES])
def test_a_miss_equals_the_bare_client(
    provider: Provider,
    surface: Surface,
    bare_openai: openai.OpenAI,
    bare_anthropic: anthropic.Anthropic,
    openai_with: Callable[..., openai.OpenAI],
    anthropic_with: Callable[..., anthropic.Anthropic],
) -> None:
    """A cache in between changes nothing of a first answer."""
    bare: Any = bare_anthropic.with_options(base_url=provider.anthropic_url)
    client: Any = anthropic_with(provider, Cache())
    if surface not in MESSAGE_SURFACES:
        bare, client = bare_openai.with_options(base_url=provider.openai_url), openai_with(provider, Cache())
    seen = str(surface(bare)).replace("00000001", "N")
    assert str(surface(client)).replace("00000002", "N") == seen
