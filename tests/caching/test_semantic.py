"""A similar text gets the stored answer, or a reason why it does not: partitions, guards, modes, time."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import agentprod as ap
from agentprod.testing import FakeClock, Provider, behaviours
from tests.caching.semantic_callers import FIRST, SIMILAR, answering, reason
from tests.callers import MODES, STREAMS, Caller, Script

OpenAIWith = Callable[..., openai.OpenAI]


def ask(client: Any, *texts: str, **options: Any) -> tuple[str | None, str]:
    """Ask as a conversation, its last message the user's; return what the cache did, and why."""
    roles = ["user", "assistant"] * len(texts)
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    found = client.chat.completions.create(**{"model": "m", "messages": messages, "temperature": 0, **options})
    return reason(ap.meta(found))


@pytest.mark.parametrize("mode", MODES)
def test_a_similar_text_is_answered_in_every_kind_of_function(mode: str) -> None:
    """Sync and async functions and generators: one call upstream, the decision with its cosine in the notes."""
    caller, script = Caller(mode), Script(["So ", "be it."] if mode in STREAMS else "So be it.")
    cache = ap.SemanticCache()
    fn = caller.decorate(ap.Stack(cache), script)
    first, second = caller.ask(fn, FIRST), caller.ask(fn, SIMILAR)
    assert (first.value, first.read) == (second.value, second.read)
    assert script.calls == 1
    assert reason(first.meta) == ("miss", "none")
    assert reason(second.meta) == ("hit_semantic", "similar")
    assert second.meta is not None
    similarity = second.meta.similarity
    assert similarity is not None
    assert 0.92 <= similarity < 1
    assert second.meta.attempts == []
    assert second.meta.cost == 0
    stats = cache.stats()
    assert (stats.hits, stats.similar, stats.misses, stats.entries) == (1, 1, 1, 1)
    assert stats.decided == {"none": 1, "similar": 1}


@pytest.mark.parametrize(
    ("stored", "asked", "why"),
    [
        (
            "Convert 100 dollars to euros for my account please",
            "Convert 150 dollars to euros for my account please",
            "number",
        ),
        ("Turn on the lights in the living room please", "Turn off the lights in the living room please", "antonym"),
        (
            "Can I cancel my order after it was shipped to me",
            "Can I cancel my order before it was shipped to me",
            "antonym",
        ),
        ("请问怎么打开手机的蓝牙功能", "请问怎么关闭手机的蓝牙功能", "antonym"),
        ("明天上午从北京到上海的火车票多少钱", "后天上午从北京到上海的火车票多少钱", "date"),
        ("这款手机能不能用三年以上的时间", "这款手机能不能用五年以上的时间", "number"),
    ],
)
def test_a_guard_stops_what_is_near_and_different(stored: str, asked: str, why: str) -> None:
    """The reason names the guard, and the reply is a new one."""

    @ap.SemanticCache(threshold=0.5)
    def answer(prompt: str) -> str:
        return prompt

    assert answer(stored) == stored
    assert answer(asked) == asked
    assert reason(ap.last()) == ("miss", f"guard:{why}")


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("怎么重置我的密码？", "如何重置我的密码"),
        ("花呗怎么还款", "请问花呗如何还款呢"),
        ("我想知道怎么取消订单", "我想知道如何取消订单"),
    ],
)
def test_chinese_is_found_in_other_words(stored: str, asked: str) -> None:
    """Chinese has no spaces, and is compared by characters, words and ways to ask."""

    @ap.SemanticCache()
    def answer(prompt: str) -> str:
        return prompt

    answer(stored)
    assert answer(asked) == stored
    assert reason(ap.last()) == ("hit_semantic", "similar")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Thanks!", "short"),
        ("?!", "empty"),
        ("What does this do: ```print(1)```", "code"),
        ("Fix it: {" + '"key": "value", ' * 20 + "}", "json"),
        ("word " * 80, "window"),
    ],
)
def test_what_cannot_be_compared_is_found_word_for_word(text: str, why: str) -> None:
    """Such a text is answered when it comes again as it was, and never for another."""
    count = 0

    @ap.SemanticCache(guards="off", threshold=0.1)
    def answer(prompt: str) -> int:
        nonlocal count
        count += 1
        return count

    assert answer(text) == 1
    assert reason(ap.last()) == ("miss", f"refused:{why}")
    assert answer(text + " ") == 1
    assert reason(ap.last()) == ("hit_exact", "same")
    assert answer(text + " again") == 2


def test_everything_but_the_last_text_must_be_equal(openai_with: OpenAIWith, provider: Provider) -> None:
    """Model, parameters, tools, system prompt, history and tenant are walls."""
    client: Any = openai_with(provider, ap.SemanticCache())
    tools = [{"type": "function", "function": {"name": "find", "parameters": {}}}]
    assert ask(client, FIRST) == ("miss", "none")
    assert ask(client, SIMILAR) == ("hit_semantic", "similar")
    for options in (
        {"model": "n"},
        {"max_tokens": 5},
        {"seed": 1},
        {"tools": tools},
        {"response_format": {"type": "json_object"}},
        {"extra_body": {"some_new_parameter": 1}},
    ):
        assert ask(client, SIMILAR, **options) == ("miss", "none"), options
    assert ask(client, "Hi there", "Hello, what can I do?", SIMILAR) == ("miss", "none")
    with ap.context(tenant="acme"):
        assert ask(client, SIMILAR) == ("miss", "none")
        assert ask(client, FIRST) == ("hit_semantic", "similar")
        with ap.context(user="ann"):
            assert ask(client, FIRST) == ("miss", "none")
    # What never changes an answer is no wall.
    assert ask(client, SIMILAR, stream_options=None, metadata={"a": "b"}, prompt_cache_key="k") == (
        "hit_semantic",
        "similar",
    )


def test_the_same_words_after_another_question_are_another_request(openai_with: OpenAIWith, provider: Provider) -> None:
    """What the assistant had asked decides what "at eight with my family" means."""
    client: Any = openai_with(provider, ap.SemanticCache())
    text = "at eight with my family"
    assert ask(client, "Book a table", "What time?", text) == ("miss", "none")
    assert ask(client, "Book a table", "How many people?", text) == ("miss", "none")
    assert ask(client, "Book a table", "What time?", text) == ("hit_exact", "same")


BYPASSED: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 0.7}, "temperature"),
    ({"store": True}, "store"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"n": 2}, "several_answers"),
    ({"model": "gpt-4o-search-preview"}, "searching_model"),
    ({"messages": [{"role": "user", "content": "a b"}, {"role": "assistant", "content": "c d"}]}, "no_text"),
    ({"messages": [{"role": "tool", "tool_call_id": "1", "content": "21 degrees"}]}, "no_text"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
        "no_text",
    ),
]


@pytest.mark.parametrize("number", range(len(BYPASSED)))
def test_requests_that_go_past(openai_with: OpenAIWith, provider: Provider, number: int) -> None:
    """What Cache does not take, what samples, and what does not end with a user's text is neither read nor kept."""
    options, why = BYPASSED[number]
    cache = ap.SemanticCache()
    client: Any = openai_with(provider, cache)
    for _ in range(2):
        assert ask(client, FIRST, **options) == ("bypass", why)
    assert len(provider.requests) == 2
    assert cache.stats().bypassed == {why: 2}


def test_embeddings_go_past(openai_with: OpenAIWith, provider: Provider) -> None:
    """A similar text has another vector."""
    client: Any = openai_with(provider, ap.SemanticCache(nondeterministic="cache"))
    for text in (FIRST, FIRST):
        found = client.embeddings.create(model="m", input=text)
        assert reason(ap.meta(found)) == ("bypass", "embeddings")


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (behaviours.ok("cut", finish="length"), "length"),
        (behaviours.ok(""), "empty"),
        (behaviours.ok("no", finish="content_filter"), "content_filter"),
    ],
)
def test_replies_that_are_not_kept(openai_with: OpenAIWith, behaviour: Any, why: str) -> None:
    """Truncated, filtered and empty replies answer nobody else."""
    with Provider(behaviour) as provider:
        cache = ap.SemanticCache()
        client: Any = openai_with(provider, cache)
        for text in (FIRST, SIMILAR):
            assert ask(client, text)[0] == "miss"
        assert cache.stats().refused == {why: 2}


def test_modes_of_a_call(openai_with: OpenAIWith, provider: Provider) -> None:
    """`bypass`, `refresh` and `only` mean what they mean for Cache."""
    client: Any = openai_with(provider, ap.SemanticCache())
    with ap.context(cache="only"), pytest.raises(ap.CacheMiss, match="like it"):
        ask(client, FIRST)
    with ap.context(cache="only"), pytest.raises(ap.CacheMiss, match="never stored"):
        ask(client, FIRST, store=True)
    ask(client, FIRST)
    with ap.context(cache="only"):
        assert ask(client, SIMILAR) == ("hit_semantic", "similar")
    with ap.context(cache="bypass"):
        assert ask(client, SIMILAR) == ("bypass", "asked")
    with ap.context(cache="refresh"):
        found = client.chat.completions.create(
            model="m", temperature=0, messages=[{"role": "user", "content": SIMILAR}]
        )
        assert ap.meta(found).cache == "miss"
    assert ask(client, SIMILAR) == ("hit_exact", "same")
    assert len(provider.requests) == 3


def test_behind_an_exact_cache(openai_with: OpenAIWith, provider: Provider) -> None:
    """Equal requests never reach it; its guesses are not kept as exact; `only` asks both."""
    exact, semantic = ap.Cache(), ap.SemanticCache()
    client: Any = openai_with(provider, exact, semantic)

    def said(text: str, **options: Any) -> str | None:
        messages = [{"role": "user", "content": text}]
        found = client.chat.completions.create(**{"model": "m", "messages": messages, "temperature": 0, **options})
        return ap.meta(found).cache

    assert said(FIRST) == "miss"
    assert said(FIRST) == "hit_exact"
    assert said(SIMILAR) == "hit_semantic"
    assert exact.stats().refused == {"semantic": 1}
    with ap.context(cache="only"):
        assert said(SIMILAR) == "hit_semantic"
        with pytest.raises(ap.CacheMiss) as caught:
            said("What is the capital of France?")
        assert caught.value.layer == "SemanticCache"
    assert said(FIRST, temperature=1) == "miss"  # kept by the exact one, past the other
    assert said(FIRST, store=True) == "bypass"
    exact.invalidate(where=lambda entry: True)
    assert said(FIRST) == "hit_exact"
    assert exact.stats().stored == 2  # what the semantic cache remembers is not made younger
    assert len(provider.requests) == 3


def test_an_answer_has_its_time(openai_with: OpenAIWith, provider: Provider) -> None:
    """Time is fixed at storing, within ±10 %: hits do not prolong it."""
    clock = FakeClock()
    client: Any = openai_with(provider, ap.SemanticCache(ttl=100), clock=clock)
    ask(client, FIRST)
    clock.advance(60)
    assert ask(client, SIMILAR) == ("hit_semantic", "similar")
    assert ask(client, FIRST) == ("hit_exact", "same")
    clock.advance(60)
    assert ask(client, SIMILAR) == ("miss", "none")
    clock.advance(120)
    assert ask(client, SIMILAR) == ("miss", "none")


def test_the_least_recently_used_goes_first() -> None:
    """Exact hits and similar ones count as use."""

    @ap.SemanticCache(max_entries=2)
    def answer(prompt: str) -> str:
        return prompt

    answer(FIRST)
    answer("What is the capital of France?")
    answer(FIRST)
    answer("Who wrote the novel Moby Dick?")
    answer(SIMILAR)
    assert reason(ap.last()) == ("hit_semantic", "similar")
    answer("Please tell me what the capital of France is")
    assert reason(ap.last())[0] == "miss"


def test_many_insertions_leave_no_more_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries, vectors and texts stay bounded however many come, replaced ones and expired ones included."""
    monkeypatch.setattr("agentprod.caching.embedding._MOST_READ", 20)  # reached within the first part
    clock = FakeClock()
    cache = ap.SemanticCache(max_entries=50, ttl=1000)
    answer = answering(cache, clock=clock)
    sizes = []
    tracemalloc.start()
    for number in range(1, 601):
        answer(f"What is said of topic{number % 37} and of theme{number % 41}?")  # embedders remember words
        clock.advance(1)
        if number % 150 == 0:
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert cache.stats().entries == 50
    assert len(cache._matcher) == 50
    # What grows with the entries grows in every part; a table that other tests have filled may be made anew in one.
    assert min(later - earlier for earlier, later in pairwise(sizes)) < 50_000


def test_a_popular_wording_is_embedded_once() -> None:
    """It is answered by a similar text, so it has no entry of its own; its vector is remembered all the same."""
    embedded: list[str] = []

    def vectors(texts: Sequence[str]) -> list[list[float]]:
        embedded.extend(texts)
        return [[1.0, 0.0] for _ in texts]

    answer = answering(ap.SemanticCache(embedder=ap.embedders.of(vectors, threshold=0.9)))
    for text in (FIRST, SIMILAR, SIMILAR, SIMILAR):
        assert answer(text) == FIRST
    assert embedded == [FIRST, SIMILAR]


def test_what_is_invalidated_answers_no_similar_text(openai_with: OpenAIWith, provider: Provider) -> None:
    """By key, tags, tenant, model and predicate, as with Cache."""
    cache = ap.SemanticCache()
    client: Any = openai_with(provider, cache)
    found = client.chat.completions.create(model="m", temperature=0, messages=[{"role": "user", "content": FIRST}])
    assert cache.invalidate(key=found) == 1
    assert ask(client, SIMILAR) == ("miss", "none")
    assert cache.invalidate(model="m") == 1
    with ap.context(tenant="acme", tags={"prompt": "B"}):
        ask(client, FIRST)
        assert cache.invalidate(tags={"prompt": "B"}) == 1
        assert ask(client, SIMILAR) == ("miss", "none")
        assert cache.invalidate(tenant="acme") == 1
    ask(client, FIRST)
    assert cache.invalidate(where=lambda entry: entry.question is not None and "password" in entry.question.text) == 1
    assert ask(client, SIMILAR) == ("miss", "none")


def test_the_question_in_a_prompt_full_of_text() -> None:
    """`query` picks the text compared; the rest has to be equal."""

    @ap.SemanticCache(query=lambda call: call.request["question"])
    def answer(question: str, *, documents: list[str]) -> str:
        return question

    answer(FIRST, documents=["a"])
    assert answer(SIMILAR, documents=["a"]) == FIRST
    assert answer(SIMILAR, documents=["b"]) == SIMILAR


def test_the_question_in_a_message(openai_with: OpenAIWith, provider: Provider) -> None:
    """What is picked is cut out where it stands last; a text that does not stand there stays word for word."""
    client: Any = openai_with(
        provider, ap.SemanticCache(query=lambda call: call.request["messages"][-1]["content"].rpartition("Q: ")[2])
    )
    assert ask(client, f"Text: cats. Q: {FIRST}") == ("miss", "none")
    assert ask(client, f"Text: cats. Q: {SIMILAR}") == ("hit_semantic", "similar")
    assert ask(client, f"Text: dogs. Q: {SIMILAR}") == ("miss", "none")
    other: Any = openai_with(
        provider, ap.SemanticCache(query=lambda call: call.request["messages"][-1]["content"].upper())
    )
    assert ask(other, FIRST) == ("miss", "none")
    assert ask(other, SIMILAR) == ("miss", "none")
    assert ask(other, FIRST) == ("hit_exact", "same")


def test_several_texts_need_a_query() -> None:
    """A function with two texts goes past, and one with none too: which would be compared?"""

    @ap.SemanticCache()
    def answer(prompt: str, context: str) -> str:
        return prompt

    answer(FIRST, "a")
    answer(FIRST, "a")
    assert reason(ap.last()) == ("bypass", "no_text")


def test_by_shares_and_parts(openai_with: OpenAIWith, provider: Provider) -> None:
    """`global` shares among tenants; `user` parts and must be named; a callable draws any line."""
    client: Any = openai_with(provider, ap.SemanticCache(by="global"))
    ask(client, FIRST)
    with ap.context(tenant="acme", user="ann"):
        assert ask(client, SIMILAR) == ("hit_semantic", "similar")
    client = openai_with(provider, ap.SemanticCache(by="user"))
    with pytest.raises(ap.ConfigError, match="names no user"):
        ask(client, FIRST)
    client = openai_with(provider, ap.SemanticCache(by=lambda call: str(call.context.tenant)))
    with ap.context(tenant="acme", user="ann"):
        ask(client, FIRST)
    with ap.context(tenant="acme", user="bob"):
        assert ask(client, SIMILAR) == ("hit_semantic", "similar")


OPTIONS: list[dict[str, Any]] = [
    {"threshold": 0},
    {"threshold": 1.1},
    {"ttl": 0},
    {"max_entries": 0},
    {"nondeterministic": "maybe"},
    {"query": "text"},
    {"by": "planet"},
    {"embedder": lambda texts: texts},
    {"embedder": ap.embedders.of(lambda texts: texts)},
    {"guards": ["no such guard"]},
    {"secret": "short"},
    {"embed_within": 0},
]


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_options_out_of_range(number: int) -> None:
    """A wrong option is refused when the layer is built, and the message names what is allowed."""
    with pytest.raises(ap.ConfigError):
        ap.SemanticCache(**OPTIONS[number])


def test_what_it_shows_of_itself() -> None:
    """Options that differ from the defaults."""
    assert repr(ap.SemanticCache()) == "SemanticCache()"
    told = repr(ap.SemanticCache(threshold=0.9, guards="off", ttl=60, embedder=ap.embedders.hashed()))
    assert told == "SemanticCache(threshold=0.9, embedder='hashed-ngrams@1', guards='off', ttl=60.0)"


def test_the_span_says_what_was_decided_and_why() -> None:
    """Outcome, cosine, threshold and reason stand on the span of a hit and of a miss."""
    exporter = InMemorySpanExporter()
    spans = TracerProvider()
    spans.add_span_processor(SimpleSpanProcessor(exporter))

    @ap.Stack(ap.Tracer(tracer_provider=spans), ap.SemanticCache(threshold=0.8))
    def answer(prompt: str) -> str:
        return prompt

    for text in (FIRST, SIMILAR, "How do I not reset my password?"):
        answer(text)
    _, hit, miss = (span.attributes or {} for span in exporter.get_finished_spans() if span.parent is None)
    assert hit["agentprod.cache.outcome"] == "hit_semantic"
    assert hit["agentprod.cache.hit.reason"] == "similar"
    assert hit["agentprod.cache.threshold"] == 0.8
    assert float(str(hit["agentprod.cache.similarity"])) > 0.9
    assert miss["agentprod.cache.outcome"] == "miss"
    assert miss["agentprod.cache.miss.reason"] == "guard:negation"
    spans.shutdown()


def test_callers_of_one_text_share_a_call() -> None:
    """200 tasks that ask the same at once, whole and streamed, make one upstream call."""

    async def run() -> None:
        with Provider(behaviours.ok("So be it.", chunks=["So", " be", " it."])) as provider:
            async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url, max_retries=0) as bare:
                client: Any = ap.Stack(ap.SemanticCache()).wrap(bare)

                async def one(number: int) -> None:
                    messages = [{"role": "user", "content": FIRST}]
                    found = await client.chat.completions.create(
                        model="m", temperature=0, messages=messages, stream=number % 4 == 1
                    )
                    if number % 4 == 1:
                        async for _ in found:
                            pass

                await asyncio.gather(*(one(number) for number in range(200)))
            assert len(provider.requests) == 1

    asyncio.run(run())
