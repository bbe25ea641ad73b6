"""SDKs that are built like the two we name are wrapped by their structure: here Groq's, which no module knows."""

from __future__ import annotations

from typing import Any

import pytest

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.conftest import Run
from tests.clients.surfaces import MESSAGES, items, opened, result, shut

groq = pytest.importorskip("groq")


def make(kind: str, provider: Provider) -> Any:
    """Return a bare client."""
    made = groq.Groq if kind == "sync" else groq.AsyncGroq
    return made(base_url=provider.url, api_key="test-key", max_retries=0)


async def ask(client: Any, **extra: Any) -> Any:
    """Ask for a completion."""
    return await result(client.chat.completions.create(model="llama-3.3-70b", messages=MESSAGES, **extra))


def text_of(chunks: list[Any]) -> str:
    """Return the text of a stream."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_its_client_passes_the_stack_with_its_own_types(kind: str, run: Run, provider: Provider) -> None:
    """Whole, streamed, raw and through a copy; the classes are Groq's, and so is the provider's name."""
    seen: list[ap.Call] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        seen.append(call)
        return await call_next(call)

    async def scenario() -> None:
        bare = make(kind, provider)
        client = ap.Stack(look).wrap(bare)
        made = await ask(client)
        assert isinstance(made, groq.types.chat.ChatCompletion)
        assert ap.meta(made).usage.input_tokens > 0
        stream = await ask(client, stream=True)
        assert isinstance(stream, groq.Stream if kind == "sync" else groq.AsyncStream)
        assert text_of(await items(stream)) == made.choices[0].message.content
        raw = await result(client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES))
        assert (await result(raw.parse())).choices
        async with opened(
            client.chat.completions.with_streaming_response.create(model="m", messages=MESSAGES)
        ) as response:
            assert (await result(response.parse())).choices
        assert (await ask(client.with_options(timeout=9))).choices
        await result(client.models.list())
        await shut(bare)

    run(scenario())
    assert len(seen) == 5
    assert len(provider.requests) == 6
    assert {call.target.provider for call in seen} == {"groq"}
    assert [call.streaming for call in seen] == [False, True, False, False, False]


def test_its_errors_are_its_own(kind: str, run: Run, provider: Provider) -> None:
    """`except groq.RateLimitError` works; what breaks a stream is one of Groq's errors as well."""
    provider.script([b.rate_limit(1), b.sse_error(after=2), b.cut(after=2)])

    async def scenario() -> None:
        bare = make(kind, provider)
        client = ap.Stack(ap.Tracer()).wrap(bare)
        with pytest.raises(groq.RateLimitError):
            await ask(client)
        for _ in range(2):
            with pytest.raises(ap.StreamInterrupted) as caught:
                await items(await ask(client, stream=True))
            assert isinstance(caught.value, groq.APIError)
        await shut(bare)

    run(scenario())


def test_its_requests_are_retried_and_cached(kind: str, run: Run, provider: Provider) -> None:
    """Layers need to know nothing about it."""
    provider.script([b.error(503), "ok"])

    async def scenario() -> None:
        bare = make(kind, provider)
        client = ap.Stack(ap.Cache(), ap.Retry(wait=0)).wrap(bare)
        first, second = await ask(client), await ask(client)
        assert len(ap.meta(first).attempts) == 2
        assert ap.meta(second).cache == "hit_exact"
        assert second == first
        await shut(bare)

    run(scenario())
    assert len(provider.requests) == 2
