"""The pruned index against brute force."""

from __future__ import annotations

import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from numpy.typing import NDArray

from agentprod.caching.index import Neighbour, PrunedIndex

Vectors = NDArray[np.float32]


def _unit(rows: NDArray[Any]) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)


def _clustered(count: int, dims: int, seed: int) -> Vectors:
    """Return vectors with near-duplicates and a few strong directions, as texts of one domain have."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((max(1, count // 20), 24)) @ random.standard_normal((24, dims))
    spread = random.choice([0.05, 0.3, 2.0], size=(count, 1))
    return _unit(centres[random.integers(0, len(centres), count)] + spread * random.standard_normal((count, dims)))


def _same(found: list[Neighbour[int]], similarities: Vectors, threshold: float, k: int) -> None:
    """Check an answer against the cosines of all rows; rounding to 16 bits is off by less than 7e-5."""
    exact = np.sort(similarities[similarities >= threshold])[::-1][:k]
    assert [near.similarity for near in found] == pytest.approx(exact.tolist()[: len(found)], abs=7e-5)
    assert abs(len(found) - len(exact)) <= int((np.abs(similarities - threshold) < 7e-5).sum())
    for near in found:
        assert near.similarity == pytest.approx(float(similarities[near.item]), abs=7e-5)


@pytest.mark.parametrize("threshold", [0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("kind", ["random", "clustered"])
def test_twenty_thousand_vectors_give_what_brute_force_gives(kind: str, threshold: float) -> None:
    """Pruning never loses a neighbour, for random vectors, near-duplicates and queries that are near nothing."""
    random = np.random.default_rng(7)
    rows = _unit(random.standard_normal((20_000, 64))) if kind == "random" else _clustered(20_000, 64, seed=3)
    index: PrunedIndex[int] = PrunedIndex(64)
    for number, row in enumerate(rows):
        index.insert(number, row, number)
    near = _unit(rows[random.integers(0, len(rows), 30)] + 0.02 * random.standard_normal((30, 64)))
    for query in np.concatenate([near, _unit(random.standard_normal((5, 64)))]):
        _same(index.search(query, threshold, 5), rows @ query, threshold, 5)
        _same(index.search(query, threshold, 1), rows @ query, threshold, 1)


def test_of_equal_vectors_the_first_is_the_nearest() -> None:
    """Alone or among others, of items with one cosine the one inserted first is found."""
    rows = _clustered(5_000, 64, seed=11)
    index: PrunedIndex[int] = PrunedIndex(64)
    for number, row in enumerate(rows):
        index.insert(number, row, number)
    for number in (300, 301, 4_500):
        index.insert(f"again {number}", rows[number], 5_000 + number)
        assert [near.item for near in index.search(rows[number], 0.999, 1)] == [number]
        assert [near.item for near in index.search(rows[number], 0.999, 2)] == [number, 5_000 + number]


def test_room_is_given_back_when_most_rows_are_gone() -> None:
    """A block that held thousands of vectors, and holds a hundred, takes room for about so many."""
    rows = _clustered(3_000, 96, seed=2)
    index: PrunedIndex[int] = PrunedIndex(96)
    tracemalloc.start()
    try:
        for number, row in enumerate(rows):
            index.insert(number, row, number)
        full = tracemalloc.get_traced_memory()[0]
        for number in range(2_900):
            index.delete(number)
        assert tracemalloc.get_traced_memory()[0] < full / 5
    finally:
        tracemalloc.stop()
    assert index.search(rows[2_950], 0.99, 1)[0].item == 2_950


def test_a_low_threshold_scores_everything() -> None:
    """When no bound excludes a row, all are scored, and the best k returned."""
    rows = _clustered(3_000, 40, seed=5)
    index: PrunedIndex[int] = PrunedIndex(40)
    for number, row in enumerate(rows):
        index.insert(number, row, number)
    _same(index.search(rows[17], -1.0, 12), rows @ rows[17], -1.0, 12)


class IndexMachine(RuleBasedStateMachine):
    """Insert, replace, delete and search in any order, beside a dictionary."""

    keys = Bundle("keys")

    @initialize(dims=st.sampled_from([3, 8, 96]), seed=st.integers(0, 99), grown=st.booleans())
    def start(self, dims: int, seed: int, grown: bool) -> None:
        """Begin empty, or large enough that rows are pruned and lie in two blocks."""
        self.random = np.random.default_rng(seed)
        self.dims = dims
        self.index: PrunedIndex[tuple[int, int]] = PrunedIndex(dims)
        self.model: dict[int, tuple[Vectors, tuple[int, int]]] = {}
        for key in range(4_200 if grown else 0):
            self.put(key, 0)

    def put(self, key: int, version: int) -> None:
        """Store a vector, often near one that is stored."""
        vector = _unit(self.random.standard_normal(self.dims))
        if self.model and self.random.random() < 0.5:
            base = next(iter(self.model.values()))[0]
            vector = _unit(base + 0.01 * self.random.standard_normal(self.dims))
        before = self.model.get(key)
        assert self.index.insert(key, vector, (key, version)) == (None if before is None else before[1])
        self.model[key] = (vector, (key, version))

    @rule(target=keys, key=st.integers(0, 40), version=st.integers(1, 9))
    def insert(self, key: int, version: int) -> int:
        """Insert or replace."""
        self.put(key, version)
        return key

    @rule(key=st.one_of(keys, st.integers(0, 5_000)))
    def delete(self, key: int) -> None:
        """Delete what is there, or nothing."""
        before = self.model.pop(key, None)
        assert self.index.delete(key) == (None if before is None else before[1])
        assert self.index.get(key) is None

    @rule(key=keys, threshold=st.sampled_from([-1.0, 0.5, 0.9, 0.99]), k=st.integers(1, 7))
    def search(self, key: int, threshold: float, k: int) -> None:
        """Find exactly what a scan finds."""
        if key not in self.model:
            return
        query = self.model[key][0]
        rows = np.stack([vector for vector, _ in self.model.values()])
        places = {item: place for place, (_, item) in enumerate(self.model.values())}
        found = self.index.search(query, threshold, k)
        assert len({near.item for near in found}) == len(found)
        _same([Neighbour(places[near.item], near.similarity) for near in found], rows @ query, threshold, k)

    @invariant()
    def same_items(self) -> None:
        """Hold what the dictionary holds."""
        if hasattr(self, "model"):
            assert len(self.index) == len(self.model)
            assert set(self.index) == {item for _, item in self.model.values()}


TestIndex = IndexMachine.TestCase
TestIndex.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_equal_vectors_come_in_the_order_of_insertion() -> None:
    """A tie is broken the same way every time."""
    index: PrunedIndex[str] = PrunedIndex(4)
    vector = _unit(np.ones(4))
    for name in "abc":
        index.insert(name, vector, name)
    assert [near.item for near in index.search(vector, 0.9, 2)] == ["a", "b"]
    assert index.search(vector, 0.9, 1)[0].similarity <= 1.0


def test_large_vectors_are_pruned_too() -> None:
    """The 1,536 dimensions of an embedding service work like 384."""
    rows = _clustered(600, 1536, seed=2)
    index: PrunedIndex[int] = PrunedIndex(1536)
    for number, row in enumerate(rows):
        index.insert(number, row, number)
    _same(index.search(rows[5], 0.9, 5), rows @ rows[5], 0.9, 5)


@pytest.mark.parametrize(
    "vector", [np.ones(3, np.float32), np.zeros(4, np.float32), np.full(4, np.nan, np.float32), [0.5, 0.5, 0.5, 0.5]]
)
def test_what_is_no_unit_vector_is_refused(vector: Any) -> None:
    """A wrong shape or length is an error for both insert and search, and stores nothing."""
    index: PrunedIndex[int] = PrunedIndex(4)
    with pytest.raises(ValueError, match="expected a vector"):
        index.insert("a", vector, 1)
    with pytest.raises(ValueError, match="expected a vector"):
        index.search(vector, 0.9)
    assert len(index) == 0


def test_an_entry_of_384_dimensions_takes_under_1300_bytes() -> None:
    """Vector, bounds and bookkeeping together stay small."""
    rows = _clustered(10_000, 384, seed=1)
    tracemalloc.start()
    index: PrunedIndex[None] = PrunedIndex(384)
    for number, row in enumerate(rows):
        index.insert(number, row, None)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used / len(rows) < 1300


def test_a_partition_of_one_entry_is_small() -> None:
    """Most partitions hold one conversation; they must not reserve room for thousands."""
    vector = _unit(np.arange(1.0, 385.0))
    tracemalloc.start()
    indexes = []
    for number in range(200):
        index: PrunedIndex[None] = PrunedIndex(384)
        index.insert(number, vector, None)
        indexes.append(index)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used / len(indexes) < 2600


def test_room_is_given_back_when_most_entries_go() -> None:
    """An index that shrank does not keep the memory of its largest size."""
    rows = _clustered(2_000, 384, seed=1)
    tracemalloc.start()
    index: PrunedIndex[None] = PrunedIndex(384)
    for number, row in enumerate(rows):
        index.insert(number, row, None)
    full = tracemalloc.get_traced_memory()[0]
    for number in range(1_950):
        index.delete(number)
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert left < full / 4


def test_threads_insert_delete_and_search_together() -> None:
    """Concurrent use never raises, and leaves what the last writers left."""
    rows = _clustered(1_200, 48, seed=9)
    index: PrunedIndex[int] = PrunedIndex(48)
    failures: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for number in range(first, len(rows), 4):
                index.insert(number, rows[number], number)
                found = index.search(rows[number], 0.9999, 50)
                assert number in [near.item for near in found]
                if number % 3 == 0:
                    assert index.delete(number) == number
        except BaseException as error:  # the test shows it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(index) == {number for number in range(len(rows)) if number % 3}
