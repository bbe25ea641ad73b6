"""Embedders that fail, stores that answer garbage: a miss that is counted and told of once, never a wrong answer."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import agentprod as ap
from agentprod.caching.embedders import Identity
from agentprod.stores import MemoryStore
from agentprod.testing import Provider
from tests.caching.semantic_callers import FIRST, SIMILAR, answering, reason


def embedder(function: Callable[[Sequence[str]], Any]) -> Any:
    """Return an embedder of a function, which finds everything alike that has the same vector."""
    return ap.embedders.of(function, threshold=0.9)


def ask_all(answer: Callable[[str], str], *texts: str) -> list[tuple[str, tuple[str | None, str]]]:
    """Ask each text; return the answers, and what the cache did."""
    return [(answer(text), reason(ap.last())) for text in texts]


def raises(texts: Sequence[str]) -> Any:
    """Fail."""
    raise RuntimeError("no vectors today")


def grows(texts: Sequence[str], lengths: list[int] = []) -> Any:  # noqa: B006 - one list for all calls, by intent
    """Return longer vectors each time."""
    lengths.append(1)
    return np.ones((len(texts), 1 + len(lengths)))


TROUBLE: dict[str, Callable[[Sequence[str]], Any]] = {
    "raises": raises,
    "NaN": lambda texts: [[float("nan"), 1.0] for _ in texts],
    "infinity": lambda texts: [[float("inf"), 1.0] for _ in texts],
    "length 0": lambda texts: [[0.0, 0.0] for _ in texts],
    "one dimension": lambda texts: [1.0 for _ in texts],
    "too many rows": lambda texts: [[1.0, 0.0] for _ in range(3)],
    "too few rows": lambda texts: np.zeros((0, 2)),
    "text": lambda texts: ["a vector" for _ in texts],
    "bytes": lambda texts: b"\0\1",
    "nothing": lambda texts: None,
    "exits": lambda texts: exec("raise KeyError('x')"),
}


@pytest.mark.parametrize("kind", TROUBLE)
def test_an_embedder_that_gives_no_vector(kind: str) -> None:
    """Every call is answered, each failure is counted, one warning is given, and equal texts are found all the same."""
    cache = ap.SemanticCache(embedder=embedder(TROUBLE[kind]))
    answer = answering(cache)
    with pytest.warns(ap.AgentprodWarning, match="at embedding a text") as given:
        told = ask_all(answer, FIRST, SIMILAR)
    assert told == [(FIRST, ("miss", "no_vector")), (SIMILAR, ("miss", "no_vector"))]
    assert len(given) == 1
    assert cache.stats().errors == 2
    assert answer(FIRST) == FIRST
    assert reason(ap.last()) == ("hit_exact", "same")


def test_an_embedder_whose_vectors_change_their_length() -> None:
    """The first length stays; others are misses."""
    cache = ap.SemanticCache(embedder=embedder(grows))
    answer = answering(cache)
    with pytest.warns(ap.AgentprodWarning, match="ValueError") as given:
        told = ask_all(answer, FIRST, SIMILAR, "And a third text here")
    assert [text for text, _ in told] == [FIRST, SIMILAR, "And a third text here"]
    assert len(given) == 1
    assert cache.stats().errors == 2


class Changing:
    """An embedder of one's own that checks nothing."""

    identity = Identity("changing", "1", None)
    threshold = 0.9
    remote = False

    def __init__(self) -> None:
        self.rows: list[Any] = [[1.0, 0.0], [0.0, 0.6, 0.8], [3.0, 4.0], [float("nan")] * 2, "text", None]

    def refuse(self, text: str) -> str | None:
        """Refuse nothing."""
        return None

    def embed(self, texts: Sequence[str]) -> Any:
        """Return another kind of vector each time."""
        return [np.array(self.rows.pop(0))] if isinstance(self.rows[0], list) else [self.rows.pop(0)]

    async def aembed(self, texts: Sequence[str]) -> Any:
        """Do the same."""
        return self.embed(texts)


def test_an_embedder_of_one_s_own_that_checks_nothing() -> None:
    """Vectors of another length than 1, another shape or another kind are neither compared nor kept."""
    made: Any = Changing()
    cache = ap.SemanticCache(embedder=made)
    answer = answering(cache)
    texts = [FIRST, *(f"{SIMILAR} {word}" for word in ("now", "today", "here", "there", "again"))]
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        for text in texts:
            assert answer(text) == text
    assert cache.stats().errors >= 5
    assert not made.rows


def test_a_failing_embedder_is_left_alone() -> None:
    """After three failures in a row it is not asked for a while."""
    asked = []

    def fails(texts: Sequence[str]) -> Any:
        asked.append(texts)
        raise TimeoutError

    cache = ap.SemanticCache(embedder=embedder(fails))
    answer = answering(cache)
    with pytest.warns(ap.AgentprodWarning):
        ask_all(answer, *(f"What is the answer to question {number}?" for number in range(20)))
    assert len(asked) == 3
    assert cache.stats().decided == {"no_vector": 20}


class BadGuard:
    """A guard that cannot read."""

    name = "bad"

    def read(self, sentence: Any) -> str:
        """Fail."""
        raise RuntimeError("cannot read")

    def conflict(self, one: Any, other: Any) -> bool:
        """Not reached."""
        return False


def test_a_guard_that_raises() -> None:
    """It is a miss: what cannot be judged is not served."""
    cache = ap.SemanticCache(guards=[BadGuard()])
    answer = answering(cache)
    with pytest.warns(ap.AgentprodWarning, match="reading a text") as given:
        told = ask_all(answer, FIRST, SIMILAR)
    assert told == [(FIRST, ("miss", "no_vector")), (SIMILAR, ("miss", "no_vector"))]
    assert len(given) == 1
    assert cache.stats().errors == 2


def test_a_query_that_fails() -> None:
    """Raising, and returning something else than text, goes past the cache."""
    queries: list[Any] = [lambda call: call.request["no such argument"], lambda call: 3]
    for query in queries:
        cache = ap.SemanticCache(query=query)
        answer = answering(cache)
        with pytest.warns(ap.AgentprodWarning, match="picking the text"):
            assert answer(FIRST) == FIRST
        assert reason(ap.last()) == ("bypass", "error")
        assert cache.stats().errors == 1


def test_arguments_without_a_form_go_past() -> None:
    """An object that is no data has no key, and what is NaN equals itself."""
    cache = ap.SemanticCache()

    @cache
    def answer(prompt: str, extra: Any) -> str:
        return prompt

    with pytest.warns(ap.AgentprodWarning, match="no stable key"):
        answer(FIRST, object())
    assert reason(ap.last()) == ("bypass", "uncacheable")
    for extra in (float("nan"), b"bytes", {1, 2}):
        answer(FIRST, extra)
        assert answer(SIMILAR, extra) == FIRST
        assert answer(SIMILAR, "another") == SIMILAR
        cache.invalidate(where=lambda entry: True)


def test_text_that_is_no_unicode() -> None:
    """Half a surrogate pair in the text, or in a report, breaks nothing."""
    cache = ap.SemanticCache()
    answer = answering(cache)
    odd = FIRST + " \ud83d"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ap.AgentprodWarning)
        assert answer(odd) == odd
        assert answer(odd) == odd
    assert reason(ap.last()) == ("hit_exact", "same")


@pytest.mark.parametrize("garbage", [b"", b"nonsense", b"\0" * 40, b"{}"])
def test_a_store_that_answers_garbage(garbage: bytes) -> None:
    """Changed values, announcements and reports are no answer: counted, told of once."""
    store = MemoryStore()
    cache = ap.SemanticCache(store=store)
    answer = answering(cache)
    answer(FIRST)
    for name in store.scan("semantic:"):
        store.set(name, garbage)
    for topic in range(64):
        store.publish(f"semantic:{topic}", garbage)
    with pytest.warns(ap.AgentprodWarning, match="did not write"):
        assert answer(SIMILAR) == SIMILAR
    assert cache.stats().tampered >= 1
    assert answer(SIMILAR) == SIMILAR
    assert reason(ap.last()) == ("hit_exact", "same")


def test_embedding_does_not_run_on_the_event_loop() -> None:
    """A model that computes for long holds up nobody else; in a synchronous call it runs where the caller is."""
    threads: list[int] = []

    def slow(texts: Sequence[str]) -> Any:
        threads.append(threading.get_ident())
        return [[1.0, 0.0] for _ in texts]

    cache = ap.SemanticCache(embedder=embedder(slow))

    @cache
    async def answer(prompt: str) -> str:
        return prompt

    asyncio.run(answer(FIRST))
    answering(ap.SemanticCache(embedder=embedder(slow)))(FIRST)
    assert threads[0] != threading.get_ident()
    assert threads[1] == threading.get_ident()


def test_a_slow_service_is_a_miss_in_time() -> None:
    """Embedding by a service ends after `embed_within`, in a task and on a thread."""
    release = threading.Event()

    def waits(texts: Sequence[str]) -> Any:
        release.wait(10)
        return [[1.0, 0.0] for _ in texts]

    cache = ap.SemanticCache(embedder=ap.embedders.of(waits, threshold=0.9, remote=True), embed_within=0.05)
    answer = answering(cache)

    @cache
    async def later(prompt: str) -> str:
        return prompt

    begun = time.monotonic()
    with pytest.warns(ap.AgentprodWarning, match="TimeoutError"):
        assert answer(FIRST) == FIRST

    async def run() -> str:
        try:
            return await later(SIMILAR)
        finally:
            release.set()  # a loop waits for its threads when it is closed

    assert asyncio.run(run()) == SIMILAR
    assert time.monotonic() - begun < 5
    assert cache.stats().errors == 2


def test_an_embedding_model_of_a_service(openai_with: Any, provider: Provider) -> None:
    """Its requests do not pass the stack they are made for, though its client may be wrapped in it."""
    cache_of: list[ap.SemanticCache] = []
    client: Any = openai_with(provider)
    cache_of.append(ap.SemanticCache(embedder=ap.embedders.openai(client, "text-embedding-3-small"), threshold=0.99))
    asking: Any = openai_with(provider, cache_of[0])
    for text in (FIRST, FIRST + "!"):
        found = asking.chat.completions.create(model="m", temperature=0, messages=[{"role": "user", "content": text}])
    assert reason(ap.meta(found))[0] in ("miss", "hit_semantic")
    assert [request.path for request in provider.requests].count("/v1/embeddings") == 2


def test_an_asynchronous_embedder_needs_an_asynchronous_client() -> None:
    """A synchronous function is refused where it is decorated, not at its first call."""

    async def vectors(texts: Sequence[str]) -> Any:
        return [[1.0, 0.0] for _ in texts]

    cache = ap.SemanticCache(embedder=embedder(vectors))
    with pytest.raises(ap.ConfigError, match="can only be awaited"):
        answering(cache)

    @cache
    async def answer(prompt: str) -> str:
        return prompt

    async def run() -> list[str]:
        return [await answer(FIRST), await answer(SIMILAR)]

    assert asyncio.run(run()) == [FIRST, FIRST]


def test_a_service_that_fails_in_its_time() -> None:
    """What it raises on its thread is counted, and a call's own deadline ends the wait sooner."""
    asked: list[str] = []

    def fails(texts: Sequence[str]) -> Any:
        asked.extend(texts)
        raise ConnectionError

    cache = ap.SemanticCache(embedder=ap.embedders.of(fails, threshold=0.9, remote=True), embed_within=5)
    answer = answering(cache)
    with ap.context(deadline=10), pytest.warns(ap.AgentprodWarning, match="ConnectionError"):
        told = ask_all(answer, FIRST, *(f"What is the answer to {number}?" for number in range(5)))
    assert {why for _, why in told} == {("miss", "no_vector")}
    assert len(asked) == 3


def test_a_large_cache_is_searched_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that takes milliseconds holds up nobody else."""
    monkeypatch.setattr("agentprod.caching.questions._LARGE", 1)
    cache = ap.SemanticCache()

    @cache
    async def answer(prompt: str) -> str:
        return prompt

    async def run() -> list[str]:
        return [await answer(FIRST), await answer(SIMILAR)]

    assert asyncio.run(run()) == [FIRST, FIRST]


def test_a_loaded_vector_that_is_none(tmp_path: Any) -> None:
    """An entry whose vector cannot be read is found word for word."""
    cache = ap.SemanticCache()
    answering(cache)(FIRST)
    path = tmp_path / "answers.jsonl"
    cache.dump(path)
    head, line = path.read_text().splitlines()
    row = json.loads(line)
    row["question"][2] = "AAAA"
    path.write_text(f"{head}\n{json.dumps(row)}\n")
    again = ap.SemanticCache()
    with pytest.warns(ap.AgentprodWarning, match="learning an entry"):
        assert again.load(path) == 1
    answer = answering(again)
    assert answer(FIRST) == FIRST
    assert reason(ap.last()) == ("hit_exact", "same")
    assert answer(SIMILAR) == SIMILAR


def test_announcements_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of partitions that nobody asks about, the oldest announcements are forgotten."""
    monkeypatch.setattr("agentprod.caching.exchange._MOST_ANNOUNCED", 3)
    monkeypatch.setattr("agentprod.caching.exchange._TOPICS", 1)
    monkeypatch.setattr("agentprod.caching.exchange._MOST_HOMES", 2)
    store = MemoryStore()
    one, two = ap.SemanticCache(store=store), ap.SemanticCache(store=store)
    for number in range(6):
        with ap.context(tenant=f"t{number}"):
            answering(one)(FIRST)
    found = []
    for number in range(6):
        with ap.context(tenant=f"t{number}"):
            answering(two)(SIMILAR)
            found.append(reason(ap.last())[0])
    assert found == ["miss"] * 3 + ["hit_semantic"] * 3
