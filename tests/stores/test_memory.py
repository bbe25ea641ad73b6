"""What is particular to the memory store: its bounds."""

from __future__ import annotations

import threading

import pytest

from agentprod.errors import ConfigError
from agentprod.stores import Claim, MemoryStore
from tests.stores.conftest import Clock


def test_the_least_recently_used_entry_is_pushed_out() -> None:
    """Reading counts as use; its tags go with it."""
    store = MemoryStore(max_entries=3)
    for key in "abc":
        store.set(key, b"v", tags=["t"])
    store.get("a")
    store.set("d", b"v")
    assert sorted(store.scan("")) == ["a", "c", "d"]
    assert store.delete(tag="t") == 2


def test_bytes_are_bounded() -> None:
    """Keys and values count; an entry larger than everything is not stored, and the old one is gone as well."""
    store = MemoryStore(max_bytes=100)
    for key in "abcd":
        store.set(key, b"v" * 29)
    assert sorted(store.scan("")) == ["b", "c", "d"]
    store.set("d", b"v" * 100)
    assert sorted(store.scan("")) == ["b", "c"]
    for _ in range(100):
        store.set("d", b"v" * 29)
    assert sorted(store.scan("")) == ["b", "c", "d"]


def test_what_has_ended_makes_room_before_what_lives() -> None:
    """Ended entries at the old end go at the next writes, two at a time."""
    clock = Clock()
    store = MemoryStore(max_entries=4, now=clock)
    for key in "abcd":
        store.set(key, b"v", ttl=1 if key in "ab" else None)
    clock.move(2)
    store.set("e", b"v")
    store.set("f", b"v")
    assert sorted(store.scan("")) == ["c", "d", "e", "f"]


def test_a_kept_entry_has_the_version_age_and_lifetime_it_had() -> None:
    """It is a copy of another store's, so it ends when that one does."""
    clock = Clock()
    far, near = MemoryStore(now=clock), MemoryStore(now=clock)
    far.set("x", b"v")
    far.set("k", b"v", ttl=10)
    clock.move(4)
    entry = far.get("k")
    assert entry is not None
    near.keep("k", entry)
    clock.move(2)
    assert near.get("k") == far.get("k") == (b"v", 2, 6.0, 4.0)
    clock.move(4)
    assert near.get("k") is None


def test_counters_are_not_pushed_out_by_entries() -> None:
    """What was spent stays spent."""
    store = MemoryStore(max_entries=1)
    store.add("g", "c", 7)
    for index in range(100):
        store.set(f"k{index}", b"v")
    assert store.usage("g", ["c"]) == [(7, 0)]


def test_settled_reservations_leave_nothing_behind() -> None:
    """However long their leases were."""
    store = MemoryStore()
    for index in range(10_000):
        store.reserve("g", f"r{index}", [Claim("c", 1, None, ttl=1e6)], lease=1e6)
        store.settle("g", f"r{index}", [1])
        store.add("g", "c", 1, ttl=1e6 + index)
    assert len(store._groups["g"]._ends) < 300  # pyright: ignore[reportPrivateUsage]
    assert store.usage("g", ["c"]) == [(20_000, 0)]


def test_threads_never_hold_more_than_the_limit() -> None:
    """16 threads for 100 places."""
    store, held = MemoryStore(), [0] * 16

    def work(index: int) -> None:
        for number in range(50):
            held[index] += store.reserve("g", f"{index}-{number}", [Claim("c", 1, 100)], lease=60) is None

    threads = [threading.Thread(target=work, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(held) == 100


@pytest.mark.parametrize("bounds", [{"max_entries": 0}, {"max_bytes": 0}], ids=str)
def test_a_store_for_nothing_is_refused(bounds: dict[str, int]) -> None:
    """When it is made."""
    with pytest.raises(ConfigError, match="max_entries"):
        MemoryStore(**bounds)  # type: ignore[arg-type]
