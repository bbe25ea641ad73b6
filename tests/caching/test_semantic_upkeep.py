"""A semantic cache is filled, asked about, written down and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

import agentprod as ap
from agentprod.testing import FakeClock, Provider
from tests.caching.semantic_callers import FIRST, SIMILAR, answering, reason

OpenAIWith = Callable[..., openai.OpenAI]
OTHER = "Where can I find the invoice of last month?"


async def upstream(prompt: str) -> str:
    """Answer with the question."""
    return prompt


def chat(text: str, **options: Any) -> dict[str, Any]:
    return {"model": "m", "temperature": 0, "messages": [{"role": "user", "content": text}], **options}


def test_a_warm_up_asks_what_nothing_answers_yet(openai_with: OpenAIWith, provider: Provider) -> None:
    """Requests go through the wrapped client; one in other words is not asked, and an error stops nothing."""
    cache = ap.SemanticCache()
    client = openai_with(provider, cache)
    requests: list[Any] = [chat(FIRST), chat(SIMILAR), "no request", chat(OTHER)]
    done = cache.warm_up(requests, client.chat.completions.create, concurrency=1)
    assert (done.done, sorted(done.failed)) == (3, [2])
    assert isinstance(done.failed[2], ap.ConfigError)
    assert len(provider.requests) == 2
    assert ap.meta(client.chat.completions.create(**chat(SIMILAR))).cache == "hit_semantic"


def test_a_warm_up_asks_through_async_functions() -> None:
    """The twin takes what can be awaited."""
    cache = ap.SemanticCache()
    calls: list[str] = []

    @cache
    async def answer(prompt: str) -> str:
        calls.append(prompt)
        return prompt

    async def main() -> str:
        done = await cache.awarm_up([{"prompt": FIRST}, {"prompt": SIMILAR}], answer, concurrency=1)
        assert done.done == 2
        return await answer(SIMILAR)

    assert asyncio.run(main()) == FIRST
    assert calls == [FIRST]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (FIRST, ("hit", "same")),
        (SIMILAR, ("hit", "similar")),
        (OTHER, ("miss", "none")),
        ("How can I not reset my password please?", ("miss", "guard:negation")),
        ("Thanks!", ("miss", "refused:short")),
    ],
)
def test_a_text_is_explained(text: str, told: tuple[str, str]) -> None:
    """What would happen is told with its reason, and happens then; asking counts as nothing."""
    clock = FakeClock()
    cache = ap.SemanticCache(threshold=0.8)
    answer = answering(cache, clock=clock)
    answer(FIRST)
    clock.advance(60)
    before = cache.stats()
    found = cache.explain({"prompt": text})
    assert (found.answer, found.reason) == told
    assert cache.stats() == before
    assert f"{told[0]}: {told[1]}" in str(found)
    if found.answer == "hit":
        assert found.similarity is not None
        assert 0.8 <= found.similarity <= 1
        assert found.age == pytest.approx(60)
        assert found.expires_in is not None
        assert 750 - 60 - 1 < found.expires_in < 990
        assert cache.invalidate(key=found.key) == 1
    else:
        answer(text)
        assert reason(ap.last()) == (found.answer, found.reason)


def test_what_goes_past_and_what_is_unknown_is_explained(openai_with: OpenAIWith, provider: Provider) -> None:
    """Before the first call nobody knows where a request goes; a request that may sample goes past."""
    cache = ap.SemanticCache()
    client = openai_with(provider, cache)
    assert cache.explain(chat(FIRST)).answer == "unknown"
    client.chat.completions.create(**chat(FIRST))
    sampling = cache.explain(chat(FIRST, temperature=1))
    assert (sampling.answer, sampling.similarity) == ("bypass", None)
    assert cache.explain(chat(SIMILAR)).answer == "hit"
    assert cache.explain(chat(SIMILAR, model="other")).answer == "miss"
    with ap.context(tenant="somebody"):
        assert cache.explain(chat(FIRST)).answer == "miss"


def test_a_text_that_cannot_be_embedded_is_explained() -> None:
    """An embedder that fails is a miss here, too."""

    def broken(texts: list[str]) -> list[list[float]]:
        raise RuntimeError("no model")

    cache = ap.SemanticCache(embedder=ap.embedders.of(broken, threshold=0.9))
    answer = answering(cache)
    with pytest.warns(ap.AgentprodWarning):
        answer(FIRST)
    found = cache.explain({"prompt": SIMILAR})
    assert (found.answer, found.reason) == ("miss", "no_vector")


@pytest.mark.parametrize("kind", [ap.Cache, ap.SemanticCache])
def test_async_twins_do_the_same(kind: Any, tmp_path: Path) -> None:
    """`aexplain`, `adump`, `aload` and `aflush` do what their namesakes do, beside the loop."""
    path = tmp_path / "entries.jsonl"
    clock = FakeClock()
    one, two = kind(store=f"sqlite:///{tmp_path}/store.db"), kind()

    async def main() -> None:
        answer, again = (ap.Stack(cache, clock=clock).decorate(upstream) for cache in (one, two))
        await answer(FIRST)
        assert await one.aflush()
        assert (await one.aexplain({"prompt": FIRST})).answer == "hit"
        assert await one.adump(path) == 1
        assert await two.aload(path) == 1
        assert await again(FIRST) == FIRST

    asyncio.run(main())
    assert (two.stats().hits, two.stats().misses) == (1, 0)


def test_what_no_vector_stands_for_is_kept_word_for_word(tmp_path: Path) -> None:
    """Short, long and empty texts are found when they come again, after a dump, too, and dropped by their key."""
    texts = ["Thanks!", "?!", "word " * 900 + "end", "x" * 3000]
    path = tmp_path / "entries.jsonl"
    clock = FakeClock()
    cache, other = ap.SemanticCache(), ap.SemanticCache()
    answer = answering(cache, clock=clock)
    again = answering(other, clock=clock)
    for text in texts:
        assert answer(text) == text
    for text in texts:
        assert answer(text) == text
        assert reason(ap.last()) == ("hit_exact", "same")
    assert cache.dump(path) == 4
    assert other.load(path) == 4
    for text in texts:
        assert again(text) == text
        assert reason(ap.last()) == ("hit_exact", "same")
        assert other.invalidate(key=ap.last()) == 1
    assert other.stats().entries == 0
    assert other.stats().bytes == 0


def test_entries_go_when_they_are_too_many_or_too_old() -> None:
    """The least recently used goes first; `stats` counts what was pushed out, what expired, and what is there."""
    clock = FakeClock()
    cache = ap.SemanticCache(max_entries=2, ttl=100)
    answer = answering(cache, clock=clock)
    texts = [FIRST, OTHER, "Which planet has the most moons of all?"]
    for text in texts[:2]:
        answer(text)
    answer(FIRST)  # now the other one is the coldest
    answer(texts[2])
    stats = cache.stats()
    assert (stats.entries, stats.evicted, stats.expired) == (2, 1, 0)
    assert stats.bytes is not None
    assert stats.bytes > 2000
    answer(FIRST)
    assert reason(ap.last()) == ("hit_exact", "same")
    answer(OTHER)
    assert reason(ap.last())[0] == "miss"
    clock.advance(111)
    answer(FIRST)
    assert reason(ap.last())[0] == "miss"
    assert cache.stats().expired >= 1
    cache.invalidate(where=lambda entry: True)
    assert (cache.stats().entries, cache.stats().bytes) == (0, 0)


def test_a_hit_tells_who_answered_and_when(openai_with: OpenAIWith, provider: Provider) -> None:
    """What was known of an entry when it was stored is known of its copies: model, tenant, labels, time, tokens."""
    clock = FakeClock()
    cache = ap.SemanticCache()
    client = openai_with(provider, cache, clock=clock)
    with ap.context(tenant="acme", tags={"prompt": "B"}):
        first = client.chat.completions.create(**chat(FIRST))
        clock.advance(30)
        again = client.chat.completions.create(**chat(SIMILAR))
    assert ap.meta(again).cache == "hit_semantic"
    assert again.model_dump() == first.model_dump()
    seen: list[Any] = []

    def look(entry: Any) -> bool:
        seen.append(entry)
        return False

    assert cache.invalidate(where=look) == 0
    (entry,) = seen
    assert (entry.tenant, dict(entry.tags), entry.asked, entry.operation) == ("acme", {"prompt": "B"}, "m", "chat")
    assert entry.stored == pytest.approx(clock.wall() - 30)
    assert entry.usage == ap.meta(first).usage
    assert cache.invalidate(tags={"prompt": "B"}, tenant="acme", model="m") == 1
