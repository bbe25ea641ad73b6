"""Fallback across providers: real clients, real sockets; streams that open elsewhere, deadlines that hold."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.conftest import Run
from tests.clients.plain_http import plain_client
from tests.clients.streams import SDKS, Reading, open_stream
from tests.clients.surfaces import claude, items, opened, result, shut

OTHER = {"openai": "anthropic", "anthropic": "openai"}
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


@pytest.fixture(params=SDKS)
def sdk(request: pytest.FixtureRequest) -> str:
    """Run the test for callers with either client."""
    return str(request.param)


def target(sdk: str, kind: str, provider: Provider) -> tuple[Any, ap.Target]:
    """Return a client of an SDK and a model there."""
    client = plain_client(sdk, kind, provider)
    return client, ap.target(client, "m", defaults={"max_tokens": 100} if sdk == "anthropic" else {})


@pytest.mark.parametrize("fault", ["sse_error", "cut", "truncate", "error"])
def test_scenario_14_a_stream_that_dies_before_content_opens_at_the_other_provider(
    sdk: str, fault: str, kind: str, run: Run, provider: Provider
) -> None:
    """The reader sees one clean stream of its own SDK, with one beginning and one end."""
    dies = b.error(500) if fault == "error" else getattr(b, fault)(after=1)
    provider.script({PATHS[sdk]: [dies], PATHS[OTHER[sdk]]: [b.ok(chunks=["from ", "there"])]})

    async def case() -> None:
        home = plain_client(sdk, kind, provider)
        away, there = target(OTHER[sdk], kind, provider)
        client = ap.Stack(ap.Fallback(there)).wrap(home)
        reading = Reading(await open_stream(client, sdk))
        assert await reading.all() == ["from ", "there"]
        if sdk == "anthropic":
            kinds = [item.type for item in reading.items]
            assert (kinds.count("message_start"), kinds.count("message_stop")) == (1, 1)
        else:
            assert [bool(chunk.choices[0].delta.role) for chunk in reading.items].count(True) == 1
        meta = ap.meta(reading.stream)
        assert meta.served_by == str(there)
        assert "degraded" in meta.flags
        assert [attempt.outcome for attempt in meta.attempts] == ["failed", "ok"]
        await shut(home)
        await shut(away)

    run(case())


def test_the_helper_falls_back_too(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """`.stream()` puts the other provider's reply together."""
    calls = [{"name": "send_mail", "arguments": {"to": "wei@example.org"}}]
    provider.script({PATHS[sdk]: [b.error(529)], PATHS[OTHER[sdk]]: [b.ok("I will.", tool_calls=calls)]})

    async def case() -> None:
        home = plain_client(sdk, kind, provider)
        away, there = target(OTHER[sdk], kind, provider)
        client = ap.Stack(ap.Fallback(there), ap.Retry(attempts=1)).wrap(home)
        if sdk == "openai":
            question: Any = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
            async with opened(client.chat.completions.stream(**question)) as stream:
                await items(stream)
                final = await result(stream.get_final_completion())
            assert final.choices[0].message.tool_calls[0].function.name == "send_mail"
        else:
            async with opened(client.messages.stream(**claude())) as stream:
                await items(stream)
                final = await result(stream.get_final_message())
            assert [block.type for block in final.content] == ["text", "tool_use"]
        await shut(home)
        await shut(away)

    run(case())


def test_scenario_43_after_content_a_stream_is_not_moved(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """The other provider is not even asked."""
    provider.script({PATHS[sdk]: [b.cut(reply=b.ok(chunks=["one ", "two ", "three ", "four"]))]})

    async def case() -> None:
        home = plain_client(sdk, kind, provider)
        away, there = target(OTHER[sdk], kind, provider)
        client = ap.Stack(ap.Fallback(there)).wrap(home)
        reading = Reading(await open_stream(client, sdk))
        with pytest.raises(ap.StreamInterrupted):
            await reading.all()
        assert [request.path for request in provider.requests] == [PATHS[sdk]]
        await shut(home)
        await shut(away)

    run(case())


def test_scenario_42_hanging_providers_share_the_deadline(kind: str, run: Run, provider: Provider) -> None:
    """Two that never answer take no longer than one was allowed; of streams the first content."""
    provider.script([b.black_hole()])

    async def case() -> None:
        home = plain_client("openai", kind, provider)
        away, there = target("anthropic", kind, provider)
        client = ap.Stack(ap.Deadline(2.2), ap.Fallback(there), ap.Retry()).wrap(home)
        begun = time.monotonic()
        with pytest.raises(ap.DeadlineExceeded) as caught:
            question: Any = {"model": "x", "messages": [{"role": "user", "content": "Hi"}]}
            await result(client.chat.completions.create(**question, stream=kind == "async"))
        assert 2.0 < time.monotonic() - begun < 4.2  # twice the deadline, had each had all of it
        assert len(provider.requests) == 2
        assert isinstance(caught.value.__cause__, openai.APIError)
        await shut(home)
        await shut(away)

    run(case())


def test_embeddings_go_to_the_same_model_alone(provider: Provider) -> None:
    """Vectors of two models have nothing in common; the same model at another client serves."""
    with Provider() as there:
        provider.script([b.error(500)])
        home, away = plain_client("openai", "sync", provider), plain_client("openai", "sync", there)
        same, another = ap.target(away, "text-embedding-3-small"), ap.target(away, "text-embedding-3-large")
        client = ap.Stack(ap.Fallback("gpt-5-mini", another, same)).wrap(home)
        made = client.embeddings.create(model="text-embedding-3-small", input="Hello")
        assert made.data[0].embedding
        assert [request.json["model"] for request in there.requests] == ["text-embedding-3-small"]
        with pytest.raises(openai.InternalServerError) as caught:
            client.embeddings.create(model="another", input="Hello")
        assert "vectors of another model" in str(caught.value.__notes__)
        home.close()
        away.close()


def test_a_chat_shaped_function_falls_back_to_a_client(provider: Provider) -> None:
    """Its arguments are a chat request; what comes back is what the function is said to return."""
    provider.script([b.ok("from the client")])
    away, there = target("anthropic", "sync", provider)

    @ap.Fallback(there)
    def ask(model: str, messages: list[dict[str, str]]) -> str:
        raise ConnectionError

    @ap.Fallback(there)
    def complete(model: str, messages: list[dict[str, str]]) -> dict[str, Any]:
        raise ConnectionError

    @ap.Fallback(there)
    def strange(model: str, messages: list[dict[str, str]], callback: object) -> str:
        raise ConnectionError

    messages = [{"role": "user", "content": "Hi"}]
    assert ask("gpt-5", messages) == "from the client"
    assert complete("gpt-5", messages)["choices"][0]["message"]["content"] == "from the client"
    with pytest.raises(ConnectionError) as caught:
        strange("gpt-5", messages, callback=print)
    assert "no words for callback" in str(caught.value.__notes__)
    away.close()


def test_a_function_without_a_chat_shape_has_no_words_for_a_client(provider: Provider) -> None:
    """It is left out, and the reason stands in the notes."""
    away, there = target("openai", "sync", provider)

    @ap.Fallback(there)
    def ask(prompt: str) -> str:
        raise ConnectionError

    with pytest.raises(ConnectionError) as caught:
        ask("Hi")
    assert "a function request has no words" in str(caught.value.__notes__)
    assert provider.requests == []
    away.close()
