"""Memory in front of a shared store."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence

import pytest

from agentprod.stores import Entry, LayeredStore, MemoryStore, StoreUnavailable
from tests.stores.conftest import Clock


class Far(MemoryStore):
    """A shared store that counts reads, and can be down, slow, or interrupted."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(now=clock)
        self.reads = 0
        self.is_down = False
        self.during_get: list[object] = []
        self.gate = threading.Event()
        self.gate.set()
        self.writing = threading.Event()

    def get(self, key: str, *, fresh: bool = False) -> Entry | None:
        self.reads += 1
        if self.is_down:
            raise StoreUnavailable("down")
        entry = super().get(key)
        while self.during_get:
            self.during_get.pop()()  # type: ignore[operator]
        return entry

    def set(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        self.writing.set()
        assert self.gate.wait(10)
        if self.is_down:
            raise StoreUnavailable("down")
        super().set(key, value, ttl=ttl, tags=tags)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def far(clock: Clock) -> Far:
    return Far(clock)


def process(far: Far, clock: Clock, **options: int) -> LayeredStore:
    """Return what one process has: a memory of its own in front of the shared store."""
    return LayeredStore(MemoryStore(now=clock), far, now=clock, **options)


def value(store: LayeredStore, key: str) -> bytes | None:
    entry = store.get(key)
    return None if entry is None else entry.value


def test_a_hit_in_the_far_store_is_kept_near(far: Far, clock: Clock) -> None:
    """The next read does not ask the far store, and the copy ends with the original."""
    store = process(far, clock)
    far.set("k", b"v", ttl=10)
    clock.move(4)
    assert [value(store, "k") for _ in range(3)] == [b"v"] * 3
    assert far.reads == 1
    clock.move(6)
    assert value(store, "k") is None
    assert far.reads == 2


def test_a_write_reaches_the_far_store_soon_and_this_process_at_once(far: Far, clock: Clock) -> None:
    """With its lifetime and its tags; a fresh read sees it before it is there."""
    store = process(far, clock)
    far.gate.clear()
    store.set("k", b"v", ttl=10, tags=["t"])
    assert value(store, "k") == b"v"
    assert far.scan("") == []
    fresh = store.get("k", fresh=True)
    assert fresh is not None
    far.gate.set()
    assert store.writes.flush()
    assert far.delete(tag="t") == 1


def test_the_lifetime_runs_while_a_write_waits(far: Far, clock: Clock) -> None:
    """What has ended by its turn is not written any more."""
    store = process(far, clock)
    far.gate.clear()
    store.set("first", b"v")
    assert far.writing.wait(10)
    store.set("short", b"v", ttl=1)
    store.set("long", b"v", ttl=10)
    clock.move(4)
    far.gate.set()
    assert store.writes.flush()
    assert far.scan("") == ["first", "long"]
    entry = far.get("long")
    assert entry is not None
    assert entry.expires_in == 6.0


def test_only_the_latest_value_of_a_key_waits(far: Far, clock: Clock) -> None:
    """What does not fit in the queue is dropped and counted, the oldest first."""
    store = process(far, clock, max_pending=2)
    far.gate.clear()
    store.set("under way", b"v")
    assert far.writing.wait(10)
    for number in range(3):
        store.set("a", b"%d" % number)
    store.set("b", b"v")
    store.set("c", b"v")
    far.gate.set()
    assert store.writes.flush()
    assert far.scan("") == ["under way", "b", "c"]
    assert store.writes.dropped == 1


def test_a_deletion_overtakes_a_write_that_waits(far: Far, clock: Clock) -> None:
    """Neither it nor one that is under way comes back after it."""
    store = process(far, clock)
    far.gate.clear()
    store.set("a", b"v", tags=["t"])
    assert far.writing.wait(10)
    store.set("b", b"v", tags=["t"])
    store.set("c", b"v")
    threading.Timer(0.05, far.gate.set).start()
    assert store.delete(tag="t") == 2
    assert store.writes.flush()
    assert far.scan("") == ["c"]
    assert store.scan("") == ["c"]


def test_what_one_process_deletes_the_others_stop_reading(far: Far, clock: Clock) -> None:
    """By key, prefix and tag, within a second."""
    here, there = process(far, clock), process(far, clock)
    for key in ("key", "prefix:1", "tagged", "other"):
        far.set(key, b"v", tags=["t"] if key == "tagged" else [])
    for store in (here, there):
        assert all(value(store, key) for key in ("key", "prefix:1", "tagged", "other"))
    here.delete("key")
    here.delete(prefix="prefix:")
    here.delete(tag="t")
    assert value(there, "key") == b"v"
    clock.move(1)
    assert [value(there, key) for key in ("key", "prefix:1", "tagged", "other")] == [None, None, None, b"v"]


def test_own_deletions_are_not_obeyed_twice(far: Far, clock: Clock) -> None:
    """What was set after them stays."""
    store = process(far, clock)
    store.get("k")
    store.delete("k")
    store.set("k", b"new")
    store.writes.flush()
    clock.move(1)
    reads = far.reads
    assert value(store, "k") == b"new"
    assert far.reads == reads


def test_a_process_that_missed_too_much_forgets_everything(far: Far, clock: Clock) -> None:
    """The log keeps the last 1,000 deletions."""
    here, there = process(far, clock), process(far, clock)
    far.set("kept", b"v")
    assert value(there, "kept") == b"v"
    for index in range(1001):
        here.delete(f"k{index}")
    far.delete("kept")
    clock.move(1)
    assert value(there, "kept") is None


def test_a_deletion_during_a_read_is_not_undone_by_it(far: Far, clock: Clock) -> None:
    """What was read before it is returned, but not kept."""
    store = process(far, clock)
    far.set("k", b"old")
    far.during_get.append(lambda: store.delete("k"))
    assert value(store, "k") == b"old"
    assert value(store, "k") is None


def test_a_far_store_that_is_down_leaves_what_is_near(far: Far, clock: Clock) -> None:
    """Misses fail, hits do not; writes are dropped and counted."""
    store = process(far, clock)
    store.set("k", b"v")
    store.writes.flush()
    far.is_down = True
    assert value(store, "k") == b"v"
    with pytest.raises(StoreUnavailable):
        store.get("other")
    store.set("lost", b"v")
    assert store.writes.flush()
    assert store.writes.dropped == 1
    assert value(store, "lost") == b"v"


def test_compare_and_set_is_the_far_stores(far: Far, clock: Clock) -> None:
    """A copy near is dropped by it, whoever wins."""
    store = process(far, clock)
    version = store.compare_and_set("k", b"a", version=0)
    assert version
    assert value(store, "k") == b"a"
    far.compare_and_set("k", b"b", version=version)
    assert store.compare_and_set("k", b"c", version=version) is None
    assert value(store, "k") == b"b"


def test_closing_writes_what_waits(far: Far, clock: Clock) -> None:
    """Sync and async."""
    store = process(far, clock)
    store.set("a", b"v")
    store.close()
    assert far.scan("") == ["a"]
    store.set("b", b"v")
    asyncio.run(store.aclose())
    assert far.scan("") == ["a", "b"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_writes_with_a_thread_of_its_own(far: Far, clock: Clock) -> None:
    """The parent's is not there."""
    store = process(far, clock)
    store.set("a", b"v")
    store.writes.flush()
    child = os.fork()
    if child == 0:
        store.set("b", b"v")
        os._exit(0 if store.writes.flush(timeout=10) and far.scan("") == ["a", "b"] else 1)
    assert os.waitpid(child, 0)[1] == 0
