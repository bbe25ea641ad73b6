"""All stores beside a plain dictionary: the same operations, the same answers."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agentprod.stores import Claim, MemoryStore, RedisStore, SqliteStore, Store
from tests.stores.conftest import Clock

KEYS = st.sampled_from(["a", "ab", "b", "键"])
TAGS = st.sets(st.sampled_from(["t", "u"]))
COUNTERS = ["user", "team", "all"]
LIMITS = {"user": 60, "team": 100, "all": None}
KEPT_LAPSED = 86_400.0


class Model(RuleBasedStateMachine):
    """The dictionary, and the stores that have to agree with it."""

    with_redis: ClassVar[bool] = False
    redis_url: ClassVar[str] = ""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        path = Path(self.folder.name) / "store.db"
        self.stores: list[Store] = [MemoryStore(now=self.clock), SqliteStore(path, now=self.clock)]
        if self.with_redis:  # whose time is real, so nothing may end while this runs
            self.stores.append(RedisStore(self.redis_url, prefix=f"test-{uuid.uuid4().hex}:", timeout=5))
        self.entries: dict[str, tuple[bytes, float, frozenset[str]]] = {}
        self.versions: dict[str, list[int]] = {}
        self.spent = dict.fromkeys(COUNTERS, 0)
        self.holds: dict[str, tuple[list[Claim], float, bool]] = {}
        self.names = 0

    def teardown(self) -> None:
        for store in getattr(self, "stores", []):
            assert store.delete(prefix="") == len(self.live())
            store.close()
        self.folder.cleanup()

    def live(self) -> dict[str, tuple[bytes, float, frozenset[str]]]:
        return {key: entry for key, entry in self.entries.items() if entry[1] > self.clock.now}

    def held(self, counter: str) -> int:
        return sum(
            claim.amount
            for claims, _, lapsed in self.holds.values()
            for claim in claims
            if claim.counter == counter and not lapsed
        )

    def lapse(self) -> None:
        for name, (claims, end, lapsed) in list(self.holds.items()):
            if end <= self.clock.now and not lapsed:
                for claim in claims:
                    self.spent[claim.counter] += claim.floor
                end = self.clock.now + KEPT_LAPSED  # noticed now, as the stores do, which look at every step
                self.holds[name] = (claims, end, True)

    @precondition(lambda self: not self.with_redis)
    @rule(seconds=st.sampled_from([0.5, 3.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.move(seconds)

    @rule(key=KEYS, value=st.binary(max_size=5), ttl=st.sampled_from([None, 1.0, 10.0]), tags=TAGS)
    def set(self, key: str, value: bytes, ttl: float | None, tags: set[str]) -> None:
        ttl = None if ttl is None else 1000 * ttl if self.with_redis else ttl
        for store in self.stores:
            store.set(key, value, ttl=ttl, tags=sorted(tags))
        if self.with_redis and key in self.entries:
            tags |= self.entries[key][2]  # there, a tag an entry once had may still find it
        self.entries[key] = (value, self.clock.now + (ttl or float("inf")), frozenset(tags))
        self.versions.pop(key, None)

    @rule(key=KEYS, value=st.binary(max_size=5), stale=st.booleans())
    def compare_and_set(self, key: str, value: bytes, stale: bool) -> None:
        entry = self.live().get(key)
        news = []
        for store in self.stores:
            known = store.get(key)
            version = known.version if known is not None else 0
            news.append(store.compare_and_set(key, value, version=version + stale))
        assert all((new is None) is stale for new in news)
        if not stale:
            tags = (self.entries[key] if self.with_redis and key in self.entries else entry or (b"", 0, frozenset()))[2]
            self.entries[key] = (value, float("inf"), tags)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        expected = int(key in self.live())
        assert [store.delete(key) for store in self.stores] == [expected] * len(self.stores)
        self.entries.pop(key, None)

    @rule(prefix=st.sampled_from(["a", "键", ""]))
    def delete_by_prefix(self, prefix: str) -> None:
        doomed = [key for key in self.live() if key.startswith(prefix)]
        assert [store.delete(prefix=prefix) for store in self.stores] == [len(doomed)] * len(self.stores)
        self.entries = {key: entry for key, entry in self.entries.items() if not key.startswith(prefix)}

    @precondition(lambda self: not self.with_redis)
    @rule(tag=st.sampled_from(["t", "u"]))
    def delete_by_tag(self, tag: str) -> None:
        doomed = [key for key, entry in self.live().items() if tag in entry[2]]
        assert [store.delete(tag=tag) for store in self.stores] == [len(doomed)] * len(self.stores)
        self.entries = {key: entry for key, entry in self.entries.items() if tag not in entry[2]}

    @rule(
        amounts=st.dictionaries(st.sampled_from(COUNTERS), st.integers(0, 50), min_size=1),
        share=st.sampled_from([0, 2, 1]),
        lease=st.sampled_from([1.0, 10.0]),
    )
    def reserve(self, amounts: dict[str, int], share: int, lease: float) -> None:
        lease = 1000 * lease if self.with_redis else lease
        self.lapse()
        self.names += 1
        name = f"r{self.names}"
        claims = [Claim(each, n, LIMITS[each], floor=n // share if share else 0) for each, n in amounts.items()]
        answers = [store.reserve("g", name, claims, lease=lease) for store in self.stores]
        for claim in claims:
            spent, held = self.spent[claim.counter], self.held(claim.counter)
            if claim.limit is not None and spent + held + claim.amount > claim.limit:
                assert answers == [(claim, spent, held)] * len(self.stores)
                return
        assert answers == [None] * len(self.stores)
        self.holds[name] = (claims, self.clock.now + lease, False)

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), percent=st.sampled_from([None, 0, 50, 100, 130]))
    def settle(self, data: st.DataObject, percent: int | None) -> None:
        self.lapse()
        name = data.draw(st.sampled_from(sorted(self.holds)))
        claims, _, lapsed = self.holds.pop(name)
        used = None if percent is None else [claim.amount * percent // 100 for claim in claims]
        found = [store.settle("g", name, used) for store in self.stores]
        assert found == ["late" if lapsed else "settled"] * len(self.stores)
        assert [store.settle("g", name, used) for store in self.stores] == ["unknown"] * len(self.stores)
        for index, claim in enumerate(claims):
            self.spent[claim.counter] += (used[index] if used else 0) - (claim.floor if lapsed else 0)

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        self.lapse()
        name = data.draw(st.sampled_from(sorted(self.holds)))
        claims, _, lapsed = self.holds[name]
        lease = 10_000.0 if self.with_redis else 10.0
        assert [store.renew("g", name, lease=lease) for store in self.stores] == [not lapsed] * len(self.stores)
        if not lapsed:
            self.holds[name] = (claims, self.clock.now + lease, False)

    @rule(counter=st.sampled_from(COUNTERS), amount=st.integers(-20, 20))
    def add(self, counter: str, amount: int) -> None:
        self.lapse()
        self.spent[counter] += amount
        expected = (self.spent[counter], self.held(counter))
        assert [store.add("g", counter, amount) for store in self.stores] == [expected] * len(self.stores)

    @invariant()
    def entries_agree(self) -> None:
        live = {key: entry[0] for key, entry in self.live().items()}
        for store in self.stores:
            if not isinstance(store, RedisStore):  # it would look through all keys of the server
                assert sorted(store.scan("")) == sorted(live)
            for key in ("a", "ab", "b", "键"):
                entry = store.get(key)
                assert (None if entry is None else entry.value) == live.get(key)

    @invariant()
    def counters_agree(self) -> None:
        self.lapse()
        expected = [(self.spent[counter], self.held(counter)) for counter in COUNTERS]
        for store in self.stores:
            assert store.usage("g", COUNTERS) == expected


class ModelWithRedis(Model):
    """The same, without time."""

    with_redis = True


Model.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
REDIS_SETTINGS = settings(
    max_examples=10, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_memory_and_sqlite_do_what_a_dictionary_does = Model.TestCase


def test_redis_does_what_a_dictionary_does(redis_url: str) -> None:
    """And memory and SQLite do the same with it."""
    ModelWithRedis.redis_url = redis_url
    run_state_machine_as_test(ModelWithRedis, settings=REDIS_SETTINGS)
