"""Taking a wrong answer back, also for other processes and after a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import agentprod as ap
from agentprod.stores import SqliteStore, Store, StoreUnavailable
from tests.caching.semantic_callers import FIRST, SIMILAR, answering, reason


def test_a_wrong_answer_is_not_given_again() -> None:
    """The entry goes, and the two texts never meet again, whichever of them is stored."""
    cache = ap.SemanticCache()
    answer = answering(cache)
    answer(FIRST)
    assert answer(SIMILAR) == FIRST
    cache.report_wrong(ap.last())
    assert answer(SIMILAR) == SIMILAR
    assert answer(FIRST) == FIRST
    assert reason(ap.last()) == ("miss", "reported")
    assert answer(FIRST) == FIRST
    assert reason(ap.last()) == ("hit_exact", "same")
    assert answer("What is the capital of France?") == "What is the capital of France?"


def test_a_wrong_reply_of_an_sdk_client(openai_with: Any, provider: Any) -> None:
    """The result itself tells what is meant."""
    cache = ap.SemanticCache()
    client = openai_with(provider, cache)

    def ask(text: str) -> Any:
        return client.chat.completions.create(model="m", temperature=0, messages=[{"role": "user", "content": text}])

    ask(FIRST)
    cache.report_wrong(ask(SIMILAR))
    assert ap.meta(ask(SIMILAR)).cache == "miss"


def test_a_wrong_answer_to_the_very_same_text() -> None:
    """The entry goes; asking again stores a new one."""
    cache = ap.SemanticCache()
    answer = answering(cache)
    answer(FIRST)
    answer(FIRST)
    cache.report_wrong(ap.last())
    answer(FIRST)
    assert reason(ap.last()) == ("miss", "none")
    answer(FIRST)
    assert reason(ap.last()) == ("hit_exact", "same")


def test_only_what_it_served_can_be_wrong() -> None:
    """A first answer, another cache's, and a result without an account are refused with what to do."""
    cache, other = ap.SemanticCache(), ap.SemanticCache()
    answer = answering(cache)
    answer(FIRST)
    with pytest.raises(ap.ConfigError, match="invalidate"):
        cache.report_wrong(ap.last())
    answer(SIMILAR)
    with pytest.raises(ap.ConfigError, match="invalidate"):
        other.report_wrong(ap.last())
    with pytest.raises(ap.ConfigError, match=r"ap\.last"):
        cache.report_wrong("text")


def test_it_is_still_wrong_after_a_restart_from_a_file(tmp_path: Path) -> None:
    """A dump holds entries with their vectors, and reports."""
    cache = ap.SemanticCache()
    answer = answering(cache)
    answer(FIRST)
    answer("How do I delete my account?")
    answer(SIMILAR)
    cache.report_wrong(ap.last())
    answer(SIMILAR)
    assert cache.dump(tmp_path / "answers.jsonl") == 2
    again = ap.SemanticCache()
    assert again.load(tmp_path / "answers.jsonl") == 2
    answer = answering(again)
    answer("How do I delete the account?")
    assert reason(ap.last()) == ("hit_semantic", "similar")
    answer(FIRST)
    assert reason(ap.last()) == ("miss", "reported")


def test_another_embedder_finds_loaded_entries_by_nothing(tmp_path: Path) -> None:
    """Vectors of two embedders never meet; what cannot be used is loaded and found by nobody."""
    cache = ap.SemanticCache()
    answering(cache)(FIRST)
    cache.dump(tmp_path / "answers.jsonl")
    other = ap.SemanticCache(embedder=ap.embedders.of(lambda texts: [[1.0, 0.0] for _ in texts], threshold=0.9))
    other.load(tmp_path / "answers.jsonl")
    answering(other)(FIRST)
    assert reason(ap.last()) == ("miss", "none")


def test_a_file_with_lines_that_are_no_entries(tmp_path: Path) -> None:
    """They are left out with one warning, those of an exact cache and broken reports among them."""
    exact = ap.Cache()
    answering(exact)(FIRST)
    path = tmp_path / "answers.jsonl"
    exact.dump(path)
    path.write_text(path.read_text() + '{"wrong": ["h", "not hex", 1]}\n{"wrong": 3}\nnonsense\n')
    with pytest.warns(ap.AgentprodWarning, match="left out 3 lines"):
        assert ap.SemanticCache().load(path) == 0


def test_all_processes_hear_of_it(tmp_path: Path) -> None:
    """Two caches on one store, as two processes: a report made by one holds for the other, and for a third later."""
    store = SqliteStore(tmp_path / "store.db")
    one, two = ap.SemanticCache(store=store), ap.SemanticCache(store=store)
    answering(one)(FIRST)
    assert one.flush()
    answer = answering(two)
    answer(SIMILAR)
    assert reason(ap.last()) == ("hit_semantic", "similar")
    asyncio.run(two.areport_wrong(ap.last()))
    assert two.flush()
    answering(two)(SIMILAR)
    assert two.flush()
    for cache in (one, ap.SemanticCache(store=store)):
        answer = answering(cache)
        answer(FIRST)
        assert reason(ap.last()) == ("miss", "reported")
        cache.invalidate(key=ap.last())
    store.close()


class Down(SqliteStore):
    """A store whose reports cannot be written."""

    def update(self, *args: Any, **kwargs: Any) -> Any:
        """Fail."""
        raise StoreUnavailable("down")


def test_a_report_that_reaches_no_store_says_so(tmp_path: Path) -> None:
    """This process knows all the same."""
    store: Store = Down(tmp_path / "store.db")
    cache = ap.SemanticCache(store=store)
    answer = answering(cache)
    answer(FIRST)
    assert cache.flush()
    answer(SIMILAR)
    with pytest.raises(StoreUnavailable):
        cache.report_wrong(ap.last())
    answer(SIMILAR)
    assert reason(ap.last())[0] == "miss"
    assert cache.flush()
    store.close()
