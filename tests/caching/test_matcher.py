"""Decisions about similar texts: partitions, guards, time, limits, reports."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentprod.caching.decision import Decision, StoredEntry
from agentprod.caching.embedders import Embedder, Identity, hashed
from agentprod.caching.guards import Sentence, Side
from agentprod.caching.index import PrunedIndex
from agentprod.caching.matcher import SemanticMatcher
from agentprod.errors import ConfigError


class Clock:
    """Time that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Angles:
    """An embedder for tests: `at 12 degrees` lies at 12 degrees, so that cosines are known."""

    remote = False
    identity = Identity("angles", "1", 8)
    threshold: float | None = 0.95

    def refuse(self, text: str) -> str | None:
        """Refuse what does not name an angle."""
        return None if text.endswith("degrees") else "unknown"

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return (cos, sin, 0 …)."""
        angles = np.radians([float(text.split()[-2]) for text in texts])
        rows = np.zeros((len(texts), 8), np.float32)
        rows[:, 0], rows[:, 1] = np.cos(angles), np.sin(angles)
        return rows

    async def aembed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Do the same."""
        return self.embed(texts)


class Cache:
    """A matcher with its embedder, as a caller puts them together."""

    def __init__(self, embedder: Embedder | None = None, **options: Any) -> None:
        self.matcher: SemanticMatcher[str] = SemanticMatcher(embedder or hashed(), **options)

    def _vector(self, text: str) -> tuple[Any, Any]:
        probe = self.matcher.read(text)
        return probe, None if probe.refusal else self.matcher.embedder.embed([probe.text])[0]

    def find(self, text: str, partition: str = "p") -> Decision[str]:
        """Look a text up."""
        return self.matcher.find(partition, *self._vector(text))

    def put(self, text: str, value: str, partition: str = "p", **options: Any) -> bool:
        """Store a text."""
        return self.matcher.put(partition, *self._vector(text), value, **options)


def _angles(**options: Any) -> Cache:
    return Cache(Angles(), guards="off", **options)


def test_the_same_text_is_served_and_a_similar_one_with_its_cosine() -> None:
    """A hit says how near it was, and to what."""
    cache = Cache()
    cache.put("How do I reset my password?", "click here")
    same = cache.find("How do I  reset my password?")
    assert (same.hit, same.reason, same.value) == (True, "same", "click here")
    similar = cache.find("How can I reset my password please")
    assert similar.hit
    assert similar.reason == "similar"
    assert similar.value == "click here"
    assert similar.matched == "How do I reset my password?"
    assert similar.similarity is not None
    assert similar.threshold == 0.92 <= similar.similarity < 1
    assert str(similar) == f"similar {similar.similarity:.3f}"


def test_chinese_paraphrases_are_served() -> None:
    """Other forms of one Chinese question find each other without a model."""
    cache = Cache()
    cache.put("请问怎么重置密码？", "点这里")
    assert cache.find("如何重置密码").value == "点这里"
    assert cache.find("怎么注销账号").value is None


def test_a_miss_says_why() -> None:
    """Nothing near, just below, and a guard's objection are told apart."""
    cache = _angles()
    assert cache.find("at 0 degrees").reason == "none"
    cache.put("at 0 degrees", "zero")
    assert cache.find("at 90 degrees").reason == "none"
    below = cache.find("at 20 degrees")
    assert (below.hit, below.reason, below.value) == (False, "below", None)
    assert below.similarity == pytest.approx(np.cos(np.radians(20)), abs=1e-4)
    assert str(cache.find("at 90 degrees")) == "none"


def test_a_guard_blocks_and_the_next_candidate_is_served() -> None:
    """The nearest entry may be blocked while a farther one is right."""
    cache = Cache(threshold=0.5)
    cache.put("turn on the light in the kitchen", "lit")
    blocked = cache.find("turn off the light in the kitchen")
    assert (blocked.hit, blocked.reason) == (False, "guard:antonym")
    cache.put("please turn off the kitchen light", "dark")
    assert cache.find("turn off the light in the kitchen").value == "dark"


def test_own_guards_are_asked() -> None:
    """A guard of one's own is named like the built-in ones."""

    class Never:
        name = "never"

        def read(self, sentence: Sentence) -> str:
            return sentence.plain

        def conflict(self, one: Side, other: Side) -> bool:
            return True

    cache = Cache(guards=[Never()])
    cache.put("How do I reset my password?", "x")
    assert cache.find("How can I reset my password?").reason == "guard:never"
    assert cache.find("How do I reset my password?").hit


@pytest.mark.parametrize(
    ("text", "why"), [("13", "short"), ("", "empty"), ("word " * 70, "window"), ("a ```b```", "code")]
)
def test_a_refused_text_is_not_found_by_a_similar_one(text: str, why: str) -> None:
    """What cannot be embedded misses with the reason."""
    cache = Cache()
    cache.put(text + ".", "x")
    assert cache.find(text).reason == f"refused:{why}"


@pytest.mark.parametrize("text", ["13", "word " * 70, "a ```b```", "怎么"])
def test_a_refused_text_is_found_by_the_very_same_text(text: str) -> None:
    """Repeating a text after the same context is the same question, embedded or not."""
    cache = Cache()
    assert cache.put(text, "x", partition="people?")
    assert cache.put(text, "y", partition="people?")
    assert len(cache.matcher) == 1
    found = cache.find(text, partition="people?")
    assert (found.reason, found.value, found.similarity) == ("same", "y", 1.0)
    assert cache.find(text, partition="time?").reason.startswith("refused:")
    assert cache.matcher.remove("people?", text)
    assert not cache.find(text, partition="people?").hit


@pytest.mark.parametrize("text", ["", "?!", "a ```" + "b" * 1000 + "```"])
def test_long_refused_texts_and_empty_ones_are_not_kept(text: str) -> None:
    """They would cost memory or mean nothing."""
    cache = Cache()
    assert not cache.put(text, "x")
    assert len(cache.matcher) == 0


def test_the_very_same_text_needs_no_vector() -> None:
    """A caller may look before it embeds."""
    clock = Clock()
    cache = _angles(now=clock, ttl=10)
    probe = cache.matcher.read("at 0 degrees")
    assert cache.matcher.find_same("p", probe) is None
    cache.put("at 0 degrees", "zero")
    cache.put("one", "refused but kept")
    found = cache.matcher.find_same("p", probe)
    assert found is not None
    assert (found.value, found.reason) == ("zero", "same")
    assert cache.matcher.find_same("p", cache.matcher.read("at 1 degrees")) is None
    clock.now += 10
    assert cache.matcher.find_same("p", probe) is None
    assert len(cache.matcher) == 1


def test_partitions_never_mix() -> None:
    """An entry is found in its own partition only."""
    cache = Cache()
    cache.put("How do I reset my password?", "a", partition="tenant a")
    assert cache.find("How do I reset my password?", partition="tenant b").reason == "none"
    assert cache.find("How do I reset my password?", partition="tenant a").value == "a"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 359)), max_size=60))
def test_no_entry_crosses_a_partition(writes: list[tuple[int, int]]) -> None:
    """Whatever is stored where, a hit comes from the partition asked."""
    cache = _angles()
    for partition, angle in writes:
        cache.put(f"at {angle} degrees", f"{partition}", partition=f"{partition}")
    for partition, angle in writes:
        assert cache.find(f"at {angle + 1} degrees", partition=f"{partition}").value in (None, f"{partition}")


def test_a_text_stored_again_replaces_its_value_and_its_deadline() -> None:
    """There is one entry per text and partition."""
    clock = Clock()
    cache = _angles(now=clock, ttl=100)
    cache.put("at 0 degrees", "old")
    clock.now += 90
    cache.put("at 0 degrees", "new")
    assert len(cache.matcher) == 1
    clock.now += 90
    assert cache.find("at 0 degrees").value == "new"


def test_an_entry_dies_at_its_deadline_and_a_hit_does_not_extend_it() -> None:
    """Time to live counts from the writing."""
    clock = Clock()
    cache = _angles(now=clock, ttl=100)
    cache.put("at 0 degrees", "x")
    clock.now += 99
    assert cache.find("at 0 degrees").hit
    clock.now += 1
    assert cache.find("at 0 degrees").reason == "none"
    assert len(cache.matcher) == 0


def test_expired_neighbours_do_not_hide_a_live_one() -> None:
    """More expired entries than are looked at still leave the live one found."""
    clock = Clock()
    cache = _angles(now=clock, ttl=None)
    for tenth in range(20):
        cache.put(f"at 0.{tenth:02d} degrees", "dead", ttl=10)
    cache.put("at 9 degrees", "alive")
    clock.now += 10
    assert cache.find("at 0 degrees").value == "alive"


def test_own_time_to_live_beats_the_default() -> None:
    """One entry may live shorter or longer than the others."""
    clock = Clock()
    cache = _angles(now=clock, ttl=100)
    cache.put("at 0 degrees", "short", ttl=10)
    cache.put("at 90 degrees", "long", ttl=1000)
    clock.now += 500
    assert cache.find("at 0 degrees").value is None
    assert cache.find("at 90 degrees").value == "long"


def test_writing_and_sweeping_remove_expired_entries() -> None:
    """Expired entries go without being asked for."""
    clock = Clock()
    cache = _angles(now=clock, ttl=10)
    for angle in range(0, 360, 36):
        cache.put(f"at {angle} degrees", "x", partition=f"{angle}")
    clock.now += 10
    cache.put("at 5 degrees", "y", partition="new")
    assert len(cache.matcher) == 7
    assert cache.matcher.sweep() == 6
    assert cache.matcher.sweep() == 0
    assert len(cache.matcher) == 1


def test_the_least_recently_used_entry_of_all_partitions_goes_first() -> None:
    """The cap counts all partitions; a hit makes an entry young again."""
    cache = _angles(max_entries=3)
    for angle in (0, 90, 180):
        cache.put(f"at {angle} degrees", f"{angle}", partition=f"{angle}")
    assert cache.find("at 0 degrees", partition="0").hit
    cache.put("at 270 degrees", "270", partition="270")
    assert len(cache.matcher) == 3
    assert [entry.partition for entry in cache.matcher.entries()] == ["180", "0", "270"]


def test_a_wrong_hit_never_comes_back() -> None:
    """The entry goes, and the pair stays apart even when both texts are stored again."""
    cache = _angles()
    cache.put("at 0 degrees", "zero")
    wrong = cache.find("at 10 degrees")
    assert wrong.hit
    cache.matcher.report_wrong(wrong)
    assert cache.find("at 10 degrees").reason == "none"
    cache.put("at 0 degrees", "zero")
    assert cache.find("at 10 degrees").reason == "reported"
    assert cache.find("at -10 degrees").reason == "reported"
    assert cache.find("at 5 degrees").hit
    cache.put("at 10 degrees", "ten")
    assert cache.find("at 10 degrees").value == "ten"
    assert cache.find("at 0 degrees").value == "zero"


def test_a_wrong_answer_to_the_very_text_only_loses_the_entry() -> None:
    """The answer was wrong, not the match: the text may be stored again."""
    cache = _angles()
    cache.put("at 0 degrees", "bad")
    cache.matcher.report_wrong(cache.find("at 0 degrees"))
    assert cache.find("at 0 degrees").reason == "none"
    cache.put("at 0 degrees", "good")
    assert cache.find("at 1 degrees").value == "good"
    assert len(cache.matcher.wrong) == 0


def test_only_a_hit_can_be_reported() -> None:
    """A miss served nothing that could be wrong."""
    cache = _angles()
    with pytest.raises(ValueError, match="only a hit"):
        cache.matcher.report_wrong(cache.find("at 0 degrees"))


def test_entries_are_removed_by_text_by_condition_and_all() -> None:
    """Invalidation reaches one entry, some, or all."""
    cache = _angles()
    for angle in (0, 90, 180, 270):
        cache.put(f"at {angle} degrees", f"{angle}", partition="low" if angle < 100 else "high")
    assert cache.matcher.remove("low", " at 0  degrees")
    assert not cache.matcher.remove("low", "at 0 degrees")
    assert not cache.matcher.remove("nowhere", "at 0 degrees")
    assert cache.matcher.remove_where(lambda partition, value: partition == "high" and value != "180") == 1
    assert [entry.value for entry in cache.matcher.entries()] == ["90", "180"]
    cache.matcher.clear()
    assert len(cache.matcher) == 0
    assert cache.find("at 90 degrees", partition="low").reason == "none"


def test_entries_are_exported_with_the_time_they_have_left() -> None:
    """An export holds what a store needs to bring the entry back, and nothing that has expired."""
    clock = Clock()
    cache = _angles(now=clock, ttl=100)
    cache.put("at 0 degrees", "x")
    cache.put("at 90 degrees", "y", ttl=30)
    clock.now += 40
    assert list(cache.matcher.entries()) == [StoredEntry("p", "at 0 degrees", "x", 60.0)]
    endless = _angles(ttl=None)
    endless.put("at 0 degrees", "x")
    assert next(endless.matcher.entries()).expires_in is None


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 0},
        {"threshold": 1.01},
        {"threshold": float("nan")},
        {"ttl": 0},
        {"max_entries": 0},
        {"guards": "maybe"},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """A wrong option fails when the matcher is made."""
    with pytest.raises(ConfigError):
        SemanticMatcher(hashed(), **options)


def test_an_embedder_without_a_measured_threshold_needs_one() -> None:
    """There is no default that fits any embedder."""
    embedder = Angles()
    embedder.threshold = None
    with pytest.raises(ConfigError, match="threshold"):
        SemanticMatcher(embedder)
    assert SemanticMatcher(embedder, threshold=0.9).threshold == 0.9


def test_a_vector_is_needed_and_must_fit() -> None:
    """A caller who forgets to embed, or changes the embedder, is told; nothing is half stored."""
    cache = _angles()
    probe = cache.matcher.read("at 0 degrees")
    for call in (lambda: cache.matcher.find("p", probe, None), lambda: cache.matcher.put("p", probe, None, "x")):
        with pytest.raises(ValueError, match="vector"):
            call()
    with pytest.raises(ValueError, match="length 1"):
        cache.matcher.put("p", probe, np.ones(8, np.float32), "x")
    assert len(cache.matcher) == 0
    assert cache.find("at 0 degrees").reason == "none"


def test_another_index_can_take_the_place_of_ours() -> None:
    """The index is made by a function of the number of dimensions."""
    made: list[int] = []

    def make(dims: int) -> PrunedIndex[Any]:
        made.append(dims)
        return PrunedIndex(dims)

    cache = _angles(index=make)
    cache.put("at 0 degrees", "x")
    assert made == [8]


def test_threads_store_and_find_together() -> None:
    """Concurrent use keeps the cap and never raises."""
    cache = _angles(max_entries=50)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for step in range(150):
                angle = (seed * 37 + step * 11) % 360
                cache.put(f"at {angle} degrees", f"{angle}", partition=f"{step % 3}")
                decision = cache.find(f"at {angle} degrees", partition=f"{step % 3}")
                assert decision.value is None or abs((int(decision.value) - angle + 180) % 360 - 180) < 20
        except BaseException as error:  # the test shows it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(cache.matcher) == len(list(cache.matcher.entries())) <= 50


def test_an_entry_beside_its_text_and_value_takes_under_1300_bytes() -> None:
    """Vector, guard readings, recency and bookkeeping together."""
    random = np.random.default_rng(0)
    # Three whole blocks: tracemalloc counts room that is not written to, which takes no memory.
    rows = random.standard_normal((3 * 4096, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    matcher: SemanticMatcher[None] = SemanticMatcher(hashed())
    probes = [
        matcher.read(f"How do I change setting {number} of my account in the app?") for number in range(len(rows))
    ]
    tracemalloc.start()
    for probe, row in zip(probes, rows, strict=True):
        matcher.put("p", probe, row, None)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used / len(rows) < 1300
