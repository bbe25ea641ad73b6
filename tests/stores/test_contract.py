"""What every store does, whichever it is and whichever way it is called."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from agentprod.stores import Claim, CounterState, Entry, Exhausted, Store
from tests.stores.conftest import Kept, ThroughTwins

NOTHING = CounterState(0, 0)


def value(store: Any, key: str) -> bytes | None:
    entry = store.get(key)
    return None if entry is None else entry.value


def test_what_is_set_can_be_read(kept: Kept) -> None:
    """Bytes come back as they were, and a key that was never set is not there."""
    blob = bytes(range(256)) * 10
    kept.store.set("k", blob)
    assert value(kept.store, "k") == blob
    assert kept.store.get("other") is None


def test_keys_may_be_any_text(kept: Kept) -> None:
    """Chinese, spaces, glob characters and braces are part of the name."""
    for key in ("缓存:键", "a b", "a*b[c]?", "{x}", "\\"):
        kept.store.set(key, key.encode())
    assert value(kept.store, "缓存:键") == "缓存:键".encode()
    assert value(kept.store, "a*b[c]?") == b"a*b[c]?"
    assert kept.store.scan("a*") == ["a*b[c]?"]
    assert kept.store.scan("\\") == ["\\"]


def test_an_entry_tells_its_age_and_what_is_left(kept: Kept) -> None:
    """By the store's clock; without a lifetime it lives for ever."""
    kept.store.set("k", b"v", ttl=10)
    kept.store.set("for ever", b"v")
    kept.wait(0.05)
    entry = kept.store.get("k")
    assert 0.04 < entry.age < 5
    assert entry.age + entry.expires_in == pytest.approx(10, abs=0.02)
    assert kept.store.get("for ever").expires_in is None


def test_an_entry_ends_with_its_lifetime(kept: Kept) -> None:
    """Reading it does not prolong it, and setting it again does."""
    kept.store.set("k", b"v", ttl=0.3)
    kept.store.set("again", b"v", ttl=0.3)
    kept.store.get("k")
    kept.store.set("again", b"w", ttl=100)
    kept.wait(0.31)
    assert kept.store.get("k") is None
    assert value(kept.store, "again") == b"w"
    assert kept.store.scan("") == ["again"]


def test_setting_without_a_lifetime_ends_the_old_one(kept: Kept) -> None:
    """The new entry lives for ever."""
    kept.store.set("k", b"v", ttl=0.04)
    kept.store.set("k", b"w")
    kept.wait(0.06)
    assert value(kept.store, "k") == b"w"


def test_compare_and_set_lets_one_writer_win(kept: Kept) -> None:
    """Version 0 means that there is no entry; every write gives a new version."""
    store = kept.store
    first = store.compare_and_set("k", b"a", version=0)
    assert first
    assert store.compare_and_set("k", b"b", version=0) is None
    second = store.compare_and_set("k", b"b", version=first)
    assert second not in (None, first)
    assert store.compare_and_set("k", b"c", version=first) is None
    entry = store.get("k", fresh=True)
    assert (entry.value, entry.version) == (b"b", second)


def test_compare_and_set_takes_an_entry_that_has_ended_for_none(kept: Kept) -> None:
    """So a lease that ran out can be taken over, and its old holder notices."""
    old = kept.store.compare_and_set("lease", b"me", version=0, ttl=0.03)
    kept.wait(0.05)
    assert kept.store.compare_and_set("lease", b"me", version=old, ttl=10) is None
    assert kept.store.compare_and_set("lease", b"you", version=0, ttl=10)


def test_a_version_does_not_come_again_after_deletion(kept: Kept) -> None:
    """Else a slow writer would overwrite what it has not read."""
    old = kept.store.compare_and_set("k", b"a", version=0)
    kept.store.delete("k")
    kept.wait(0.001)
    new = kept.store.compare_and_set("k", b"b", version=0)
    assert new != old
    assert kept.store.compare_and_set("k", b"c", version=old) is None


def test_an_update_reads_changes_and_writes_in_one_step(kept: Kept) -> None:
    """The change gets what is there, and its answer comes back; where it fails, nothing is written."""

    def count(entry: Entry | None) -> tuple[bytes, int]:
        number = 1 if entry is None else int(entry.value) + 1
        return b"%d" % number, number

    def fail(entry: Entry | None) -> tuple[bytes, int]:
        raise LookupError("change")

    store = kept.store
    assert [store.update("n", count) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(LookupError, match="change"):
        store.update("n", fail)
    assert store.get("n", fresh=True).value == b"3"
    assert store.update("n", count, ttl=0.02) == 4
    kept.wait(0.03)
    assert store.update("n", count) == 1
    with pytest.raises(ValueError, match="lifetime"):
        store.update("n", count, ttl=0)


def test_updates_of_many_threads_are_all_there(kept: Kept) -> None:
    """None is lost, none is made twice."""
    if "-async" in kept.kind:
        return  # one event loop runs in one thread

    def count(entry: Entry | None) -> tuple[bytes, int]:
        number = 1 if entry is None else int(entry.value) + 1
        return b"%d" % number, number

    seen: list[int] = []
    threads = [
        threading.Thread(target=lambda: seen.extend(kept.store.update("n", count) for _ in range(25))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 101))


def test_deleting_by_key_prefix_and_tag(kept: Kept) -> None:
    """Each finds its own, and tells how many there were."""
    store = kept.store
    for key in ("a:1", "a:2", "b:1", "c:1"):
        store.set(key, b"v", tags=["even"] if key.endswith("2") else ["odd"])
    assert sorted(store.scan("")) == ["a:1", "a:2", "b:1", "c:1"]
    assert store.delete("c:1", "never") == 1
    assert store.delete(prefix="a:") == 2
    assert store.delete(tag="even") == 0
    assert value(store, "b:1") == b"v"
    assert store.delete(tag="odd") == 1
    assert store.scan("") == []
    assert store.delete() == 0


def test_deleting_by_prefix_takes_it_literally(kept: Kept) -> None:
    """Characters that are patterns elsewhere are none here."""
    kept.store.set("a*", b"v")
    kept.store.set("ab", b"v")
    assert kept.store.delete(prefix="a*") == 1
    assert value(kept.store, "ab") == b"v"


def test_more_entries_than_one_batch(kept: Kept) -> None:
    """700 entries are found and deleted."""
    for index in range(700):
        kept.store.set(f"n:{index}", b"v", tags=["all"])
    assert len(kept.store.scan("n:")) == 700
    assert len(kept.store.scan("n:", limit=7)) == 7
    assert kept.store.delete(prefix="n:1") + kept.store.delete(tag="all") == 700


def test_a_log_is_read_on_from_a_point(kept: Kept) -> None:
    """First the point to begin from, then what came after."""
    store = kept.store
    store.publish("t", b"before")
    start = store.read_log("t", None)
    assert start.messages == []
    store.publish("t", b"one")
    store.publish("u", b"elsewhere")
    store.publish("t", b"two:\x00:")
    news = store.read_log("t", start.last)
    assert (news.messages, news.complete) == ([b"one", b"two:\x00:"], True)
    assert store.read_log("t", news.last) == ([], news.last, True)
    assert store.read_log("empty", None).messages == []


def test_a_log_that_has_dropped_news_says_so(kept: Kept) -> None:
    """It keeps the last 1,000; who comes later than that has missed some."""
    store = kept.store
    store.publish("t", b"0")
    start = store.read_log("t", None).last
    for index in range(1001):
        store.publish("t", b"%d" % index)
    news = store.read_log("t", start)
    assert len(news.messages) == 1000
    assert news.messages[-1] == b"1000"
    assert not news.complete


def test_a_reservation_holds_until_it_is_settled(kept: Kept) -> None:
    """What was used replaces what was held, in every counter."""
    store = kept.store
    claims = [Claim("user", 100, 1000), Claim("global", 100, None)]
    assert store.reserve("g", "r1", claims, lease=10) is None
    assert store.usage("g", ["user", "global", "other"]) == [(0, 100), (0, 100), NOTHING]
    assert store.settle("g", "r1", [60, 70]) == "settled"
    assert store.usage("g", ["user", "global"]) == [(60, 0), (70, 0)]


def test_all_claims_are_held_or_none(kept: Kept) -> None:
    """The first that does not fit is named, with what its counter holds; nobody else's is touched."""
    store = kept.store
    store.reserve("g", "r1", [Claim("team", 80, 100)], lease=10)
    store.settle("g", "r1", [50])
    store.reserve("g", "r2", [Claim("team", 30, 100)], lease=10)
    claims = [Claim("user", 30, 1000), Claim("team", 30, 100), Claim("run", 30, 1)]
    assert store.reserve("g", "r3", claims, lease=10) == Exhausted(claims[1], 50, 30)
    assert store.usage("g", ["user", "team", "run"]) == [NOTHING, (50, 30), NOTHING]
    assert store.settle("g", "r3", [1, 1, 1]) == "unknown"


def test_other_counters_may_count_against_a_limit(kept: Kept) -> None:
    """A window of several buckets is full when they are full together; only the newest is written."""
    store = kept.store
    store.reserve("g", "r1", [Claim("bucket 1", 40, 100, ttl=60)], lease=10)
    store.settle("g", "r1", [40])
    store.reserve("g", "r2", [Claim("bucket 2", 30, 100, also=("bucket 1", "bucket 0"))], lease=10)
    third = [Claim("bucket 3", 31, 100, also=("bucket 2", "bucket 1")), Claim("total", 31, None)]
    assert store.reserve("g", "r3", third, lease=10) == Exhausted(third[0], 40, 30)
    assert store.usage("g", ["bucket 3", "total"]) == [NOTHING, NOTHING]
    fits = [Claim("bucket 3", 30, 100, also=("bucket 2", "bucket 1")), Claim("total", 31, None)]
    assert store.reserve("g", "r4", fits, lease=10) is None
    assert store.settle("g", "r4", [5, 5]) == "settled"
    assert store.usage("g", ["bucket 1", "bucket 2", "bucket 3", "total"]) == [(40, 0), (0, 30), (5, 0), (5, 0)]


def test_a_limit_may_be_filled_exactly(kept: Kept) -> None:
    """And not by one unit more; an exhausted counter still takes a claim of nothing."""
    store = kept.store
    assert store.reserve("g", "r1", [Claim("c", 100, 100)], lease=10) is None
    assert store.reserve("g", "r2", [Claim("c", 1, 100)], lease=10) is not None
    assert store.reserve("g", "r3", [Claim("c", 0, 100)], lease=10) is None


def test_usage_above_the_reservation_is_seen_by_the_next_one(kept: Kept) -> None:
    """It is recorded as it was, and the limit is then overdrawn."""
    store = kept.store
    store.reserve("g", "r1", [Claim("c", 10, 100)], lease=10)
    store.settle("g", "r1", [150])
    assert store.reserve("g", "r2", [Claim("c", 0, 100)], lease=10) == Exhausted(Claim("c", 0, 100), 150, 0)


def test_a_release_gives_everything_back(kept: Kept) -> None:
    """Nothing was processed."""
    store = kept.store
    store.reserve("g", "r1", [Claim("c", 10, 100)], lease=10)
    assert store.settle("g", "r1", None) == "settled"
    assert store.usage("g", ["c"]) == [NOTHING]


def test_settling_twice_has_no_effect(kept: Kept) -> None:
    """Nor does reserving twice under one name, as after a lost answer."""
    store = kept.store
    for _ in range(2):
        assert store.reserve("g", "r1", [Claim("c", 60, 100)], lease=10) is None
    assert store.usage("g", ["c"]) == [(0, 60)]
    assert [store.settle("g", "r1", [10]) for _ in range(2)] == ["settled", "unknown"]
    assert store.settle("g", "r1", None) == "unknown"
    assert store.usage("g", ["c"]) == [(10, 0)]


def test_a_lapsed_lease_counts_as_spent_by_its_floor(kept: Kept) -> None:
    """The rest is free again; a settlement that comes late corrects it, once."""
    store = kept.store
    store.reserve("g", "r1", [Claim("c", 100, 100, floor=30)], lease=0.02)
    kept.wait(0.03)
    assert store.usage("g", ["c"]) == [(30, 0)]
    assert store.reserve("g", "r2", [Claim("c", 70, 100)], lease=10) is None
    assert store.settle("g", "r1", [45]) == "late"
    assert store.usage("g", ["c"]) == [(45, 70)]
    assert store.settle("g", "r1", [45]) == "unknown"


def test_a_late_release_takes_the_floor_back(kept: Kept) -> None:
    """Nothing was processed after all."""
    store = kept.store
    store.reserve("g", "r1", [Claim("c", 100, 100, floor=30)], lease=0.02)
    kept.wait(0.04)
    assert store.settle("g", "r1", None) == "late"
    assert store.usage("g", ["c"]) == [NOTHING]


def test_a_lease_can_be_renewed_while_it_runs(kept: Kept) -> None:
    """A long stream keeps what it holds; a lease that has ended, or was settled, cannot be renewed."""
    store = kept.store
    store.reserve("g", "r1", [Claim("c", 100, 100)], lease=1)
    assert store.renew("g", "r1", lease=100)
    kept.wait(1.01)
    assert store.usage("g", ["c"]) == [(0, 100)]
    assert store.renew("g", "r1", lease=0.02)
    kept.wait(0.03)
    assert not store.renew("g", "r1", lease=10)
    assert store.usage("g", ["c"]) == [NOTHING]
    assert not store.renew("g", "never", lease=10)


def test_a_counter_ends_with_its_window(kept: Kept) -> None:
    """A settlement that comes after it does not bring it back."""
    store = kept.store
    store.reserve("g", "r1", [Claim("today", 100, 100, ttl=0.04), Claim("total", 100, None)], lease=10)
    kept.wait(0.06)
    assert store.usage("g", ["today", "total"]) == [NOTHING, (0, 100)]
    assert store.settle("g", "r1", [50, 50]) == "settled"
    assert store.usage("g", ["today", "total"]) == [NOTHING, (50, 0)]


def test_a_counter_lives_as_long_as_its_longest_claim_said(kept: Kept) -> None:
    """A later, shorter one does not shorten it, and one without an end keeps it for ever."""
    store = kept.store
    store.add("g", "long", 1, ttl=10)
    store.add("g", "long", 1, ttl=0.3)
    store.add("g", "ever", 1, ttl=0.3)
    store.add("g", "ever", 1)
    store.add("g", "short", 1, ttl=0.3)
    kept.wait(0.35)
    assert store.usage("g", ["long", "ever", "short"]) == [(2, 0), (2, 0), NOTHING]
    assert [store.add("g", name, 1, ttl=10) for name in ("long", "ever", "short")] == [(3, 0), (3, 0), (1, 0)]


def test_adding_spends_without_a_limit(kept: Kept) -> None:
    """And gives back by a negative amount; what is held stays."""
    store = kept.store
    store.reserve("g", "r1", [Claim("c", 5, 10)], lease=10)
    assert store.add("g", "c", 30) == (30, 5)
    assert store.add("g", "c", -10) == (20, 5)


def test_groups_are_apart(kept: Kept) -> None:
    """The same counter and the same reservation name in another group are others."""
    store = kept.store
    for group in ("g", "h"):
        assert store.reserve(group, "r1", [Claim("c", 10, 10)], lease=10) is None
    store.settle("g", "r1", [7])
    assert (store.usage("g", ["c"]), store.usage("h", ["c"])) == ([(7, 0)], [(0, 10)])


def test_large_amounts_are_exact(kept: Kept) -> None:
    """Nano-dollars up to 2**52, to the unit."""
    store = kept.store
    most = 2**52
    assert store.reserve("g", "r1", [Claim("c", most - 1, most)], lease=10) is None
    assert store.reserve("g", "r2", [Claim("c", 2, most)], lease=10) == Exhausted(Claim("c", 2, most), 0, most - 1)
    store.settle("g", "r1", [most - 3])
    assert store.usage("g", ["c"]) == [(most - 3, 0)]


def test_many_claims_at_once(kept: Kept) -> None:
    """Fifty counters in one step."""
    claims = [Claim(f"c{index}", index, None) for index in range(50)]
    kept.store.reserve("g", "r", claims, lease=10)
    kept.store.settle("g", "r", [2 * index for index in range(50)])
    assert kept.store.usage("g", [f"c{index}" for index in range(50)]) == [(2 * index, 0) for index in range(50)]
    assert kept.store.usage("g", []) == []


IMPOSSIBLE: dict[str, Any] = {
    "empty key": lambda store: store.set("", b"v"),
    "endless key": lambda store: store.set("k" * 513, b"v"),
    "empty tag": lambda store: store.set("k", b"v", tags=[""]),
    "no lifetime": lambda store: store.set("k", b"v", ttl=0),
    "lifetime without end": lambda store: store.compare_and_set("k", b"v", version=0, ttl=float("inf")),
    "no claim": lambda store: store.reserve("g", "r", [], lease=1),
    "one counter twice": lambda store: store.reserve("g", "r", [Claim("c", 1, 1), Claim("c", 1, 1)], lease=1),
    "negative amount": lambda store: store.reserve("g", "r", [Claim("c", -1, 1)], lease=1),
    "floor above amount": lambda store: store.reserve("g", "r", [Claim("c", 1, 1, floor=2)], lease=1),
    "too much": lambda store: store.reserve("g", "r", [Claim("c", 2**52 + 1, None)], lease=1),
    "no lease": lambda store: store.reserve("g", "r", [Claim("c", 1, 1)], lease=0),
    "no group": lambda store: store.reserve("", "r", [Claim("c", 1, 1)], lease=1),
    "negative lease": lambda store: store.renew("g", "r", lease=-1),
    "no counter": lambda store: store.add("g", "", 1),
    "no topic": lambda store: store.publish("", b"m"),
}


@pytest.mark.parametrize("attempt", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_makes_no_sense_is_refused(kept: Kept, attempt: Any) -> None:
    """With a `ValueError`, and nothing is changed."""
    with pytest.raises(ValueError, match=r"has|lifetime"):
        attempt(kept.store)
    assert kept.store.usage("g", ["c"]) == [NOTHING]
    assert kept.store.scan("") == []


@pytest.mark.parametrize("used", [[1], [1, 2, 3], []], ids=str)
def test_a_settlement_for_other_claims_is_refused(kept: Kept, used: list[int]) -> None:
    """The reservation stays as it is."""
    kept.store.reserve("g", "r", [Claim("a", 5, 9), Claim("b", 5, 9)], lease=10)
    with pytest.raises(ValueError, match="claim"):
        kept.store.settle("g", "r", used)
    assert kept.store.usage("g", ["a", "b"]) == [(0, 5), (0, 5)]


def test_a_closed_store_opens_again(kept: Kept) -> None:
    """Closing gives connections back, no more; counters are never forgotten by it."""
    kept.store.add("g", "c", 3)
    kept.store.close()
    assert kept.store.usage("g", ["c"]) == [(3, 0)]


def test_every_store_has_what_the_protocol_says(kept: Kept) -> None:
    """And tells where it is."""
    store = kept.store.store if isinstance(kept.store, ThroughTwins) else kept.store
    assert isinstance(store, Store)
    assert kept.store.url.partition("://")[0] in {"memory", "sqlite", "redis", "postgresql"}
    assert kept.kind.partition("-")[0] in repr(kept.store).lower()
