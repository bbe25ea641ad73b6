"""Entries in stores that processes share: SQLite, Valkey, memory in front of them, with and without a secret."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest
import redis

import agentprod as ap
from agentprod.caching.exact import Cache
from agentprod.stores import LayeredStore, MemoryStore, RedisStore, SqliteStore, Store, StoreUnavailable
from agentprod.testing import FakeClock, Provider
from tests.servers import redis_url, valkey

__all__ = ["redis_url"]

OpenAIWith = Callable[..., openai.OpenAI]
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
SECRET = "a secret of many letters"


def ask(client: Any, **options: Any) -> str | None:
    """Ask, and return what the cache did."""
    return ap.meta(client.chat.completions.create(**CHAT, **options)).cache


def test_two_caches_share_a_store(openai_with: OpenAIWith, provider: Provider, store: Store) -> None:
    """What one cache stored another finds, whole or streamed, and sync or async."""
    one, two = Cache(store=store, secret=SECRET), Cache(store=store, secret=SECRET)
    client: Any = openai_with(provider, one)
    first = list(client.chat.completions.create(**CHAT, stream=True))
    assert one.flush()
    assert ask(openai_with(provider, two)) == "hit_exact"
    assert list(openai_with(provider, two).chat.completions.create(**CHAT, stream=True)) == first

    async def run() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url) as bare:
            other: Any = ap.Stack(two).wrap(bare)
            assert ap.meta(await other.chat.completions.create(**CHAT)).cache == "hit_exact"
        await store.aclose()

    asyncio.run(run())
    assert len(provider.requests) == 1
    stats = two.stats()
    assert (stats.hits, stats.entries) == (3, None)


def test_the_stack_s_store_serves_its_cache(openai_with: OpenAIWith, provider: Provider) -> None:
    """A cache without a store of its own takes its stack's; two stacks with two stores need two caches."""
    store = MemoryStore()
    cache = Cache()
    ask(openai_with(provider, cache, store=store))
    assert ask(openai_with(provider, Cache(store=store))) == "hit_exact"
    openai_with(provider, cache, store=store)
    with pytest.raises(ap.ConfigError, match="two stacks"):
        ap.Stack(cache, store=MemoryStore())
    layers = [MemoryStore(), store]
    assert len(ap.Stack(Cache(), store=layers).insert(ap.Retry(), inside=Cache)) == 2
    own = Cache(store=MemoryStore())
    ask(openai_with(provider, own, store=store))
    assert own.stats().misses == 1


def test_who_asks_again_at_once_pays_once(tmp_path: Path) -> None:
    """An answer that still waits to be written is found by its own process, also while the store is not to be had."""
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        writing, done = threading.Event(), threading.Event()
        write = store.set

        def held(*args: Any, **options: Any) -> None:
            writing.set()
            assert done.wait(10)
            write(*args, **options)

        store.set = held  # type: ignore[method-assign]
        cache, asked = Cache(store=store), []

        @cache
        def answer(number: int) -> int:
            asked.append(number)
            return number

        assert [answer(1), answer(2)] == [1, 2]
        assert writing.wait(10)
        assert [answer(1), answer(2), asked] == [1, 2, [1, 2]]
        done.set()
        assert cache.flush(10)
        assert [answer(1), answer(2), asked] == [1, 2, [1, 2]]


def test_layers_by_url(openai_with: OpenAIWith, provider: Provider, tmp_path: Path) -> None:
    """A list is memory in front of a shared store; the same file serves two processes' caches."""
    url = f"sqlite:///{tmp_path}/store.db"
    one, two = Cache(store=["memory://", url]), Cache(store=url)
    ask(openai_with(provider, one))
    assert one.flush()
    assert ask(openai_with(provider, two)) == "hit_exact"


def test_without_the_secret_nothing_is_found(openai_with: OpenAIWith, provider: Provider, store: Store) -> None:
    """Names depend on the secret, so another cache's entries are not even looked at."""
    keyed = Cache(store=store, secret=SECRET)
    ask(openai_with(provider, keyed))
    assert keyed.flush()
    for cache in (Cache(store=store), Cache(store=store, secret=b"another secret of many letters")):
        assert ask(openai_with(provider, cache)) == "miss"
        assert cache.stats().tampered == 0


@pytest.mark.parametrize("secret", [None, SECRET])
def test_a_changed_byte_is_a_miss(
    openai_with: OpenAIWith, provider: Provider, store: Store, secret: str | None
) -> None:
    """A value that is not what was written is not served, but counted, with one warning."""
    cache = Cache(store=store, secret=secret)
    client = openai_with(provider, cache)
    ask(client)
    assert cache.flush()
    (name,) = store.scan("cache:")
    value = store.get(name, fresh=True)
    assert value is not None
    generator = random.Random(3)
    spots = [0, 31, 32, *(generator.randrange(len(value.value)) for _ in range(20))]
    _spoil(store, name, value.value, spots[0])
    with pytest.warns(ap.AgentprodWarning, match="did not write"):
        assert ask(client, extra_headers={"x": "y"}) == "miss"
    assert cache.flush()
    for count, spot in enumerate(spots[1:], start=2):
        _spoil(store, name, value.value, spot)
        assert ask(client) == "miss"
        assert cache.stats().tampered == count
        assert cache.flush()
    store.set(name, value.value[:10], ttl=60)
    _flush(store)
    assert ask(client) == "miss"


def _spoil(store: Store, name: str, value: bytes, spot: int) -> None:
    spoilt = bytearray(value)
    spoilt[spot] ^= 1
    store.set(name, bytes(spoilt), ttl=60)
    _flush(store)


def _flush(store: Store) -> None:
    if isinstance(store, LayeredStore):
        assert store.writes.flush()


def test_an_entry_cannot_stand_in_for_another(openai_with: OpenAIWith, provider: Provider) -> None:
    """A value copied to another entry's name is a miss: the code covers the name."""
    store = MemoryStore()
    cache = Cache(store=store, secret=SECRET)
    client = openai_with(provider, cache)
    ask(client, seed=1)
    (one,) = store.scan("cache:")
    ask(client, seed=2)
    (two,) = set(store.scan("cache:")) - {one}
    value = store.get(one)
    assert value is not None
    store.set(two, value.value)
    with pytest.warns(ap.AgentprodWarning, match="did not write"):
        assert ask(client, seed=2) == "miss"


def test_a_store_is_told_nothing_in_the_clear(openai_with: OpenAIWith, provider: Provider) -> None:
    """With a secret neither names nor tags show tenants, models or requests; values are sealed JSON, not pickles."""
    store = MemoryStore()
    client = openai_with(provider, Cache(store=store, secret=SECRET))
    with ap.context(tenant="acme", tags={"prompt": "B"}):
        ask(client)
        assert ask(client) == "hit_exact"
    (name,) = store.scan("")
    assert "acme" not in name
    assert len(name) == len("cache:1:") + 64
    plain = Cache(store=store)
    with ap.context(tenant="acme"):
        ask(openai_with(provider, plain))
    entry = store.get(name)
    assert entry is not None
    assert json.loads(entry.value[32:])["tenant"] == "acme"


CONDITIONS: list[tuple[dict[str, Any], int]] = [
    ({"tenant": "a"}, 2),
    ({"model": "m1"}, 2),
    ({"tags": {"label": "x"}}, 2),
    ({"tenant": "a", "model": "m1"}, 1),
    ({"where": lambda entry: entry.tenant == "b"}, 1),
    ({"tenant": "c"}, 0),
    ({"where": lambda entry: True}, 3),
]


@pytest.mark.parametrize("number", range(len(CONDITIONS)))
def test_shared_entries_are_dropped_by_what_they_are(
    openai_with: OpenAIWith, provider: Provider, store: Store, number: int
) -> None:
    """Conditions mean the same in a store as in memory, in both ways to drop."""
    conditions, count = CONDITIONS[number]
    cache = Cache(store=store, secret=SECRET)
    client = openai_with(provider, cache)

    def fill() -> list[str | None]:
        seen = []
        for tenant, model, label in (("a", "m1", "x"), ("a", "m2", "y"), ("b", "m1", "x")):
            with ap.context(tenant=tenant, tags={"label": label}):
                answer = client.chat.completions.create(**{**CHAT, "model": model})
                seen.append(ap.meta(answer).cache)
        assert cache.flush()
        return seen

    fill()
    assert cache.invalidate(**conditions) == count
    assert fill().count("miss") == count

    async def drop() -> int:
        try:
            return await cache.ainvalidate(**conditions)
        finally:
            await store.aclose()

    assert asyncio.run(drop()) == count
    assert fill().count("miss") == count


def test_a_result_s_entry_is_dropped_from_a_store(openai_with: OpenAIWith, provider: Provider, store: Store) -> None:
    """The key of a result names its entry there too."""
    cache = Cache(store=store)
    client = openai_with(provider, cache)
    answer = client.chat.completions.create(**CHAT)
    assert cache.flush()
    assert cache.invalidate(key=answer) == 1
    assert ask(client) == "miss"


def test_other_processes_stop_serving_what_was_dropped(
    openai_with: OpenAIWith, provider: Provider, tmp_path: Path
) -> None:
    """Memory in front of a shared store learns of others' invalidations within a second."""
    shared = SqliteStore(tmp_path / "store.db")
    one = Cache(store=LayeredStore(MemoryStore(), shared, check_every=0.01))
    two = Cache(store=LayeredStore(MemoryStore(), shared, check_every=0.01))
    with ap.context(tenant="a"):
        ask(openai_with(provider, one))
        assert one.flush()
        client = openai_with(provider, two)
        assert [ask(client), ask(client)] == ["hit_exact", "hit_exact"]
        one.invalidate(tenant="a")
        threading.Event().wait(0.02)
        assert ask(client) == "miss"
    shared.close()


def test_entries_expire_in_a_store(tmp_path: Path) -> None:
    """Lifetimes hold there as here, and stale windows too."""
    clock = FakeClock()
    store = SqliteStore(tmp_path / "store.db", now=clock.wall)
    cache = Cache(ttl=100, stale=50, store=store)
    calls = []

    def compute() -> int:
        calls.append(1)
        return len(calls)

    fn = ap.Stack(cache, clock=clock).decorate(compute)
    assert fn() == 1
    assert cache.flush()
    clock.advance(85)
    assert fn() == 1
    clock.advance(30)
    assert fn() == 1
    last = ap.last()
    assert last is not None
    assert last.cache == "stale"
    for _ in range(500):
        if cache.stats().refreshed:
            break
        threading.Event().wait(0.01)
    assert cache.flush()
    assert fn() == 2
    clock.advance(200)
    assert fn() == 3
    cache.flush()
    store.close()


def test_a_promoted_entry_dies_with_its_original(tmp_path: Path) -> None:
    """Memory keeps what it found in the shared store only for the time it has left there."""
    clock = FakeClock()
    shared = SqliteStore(tmp_path / "store.db", now=clock.wall)
    one = Cache(ttl=100, store=shared)
    fn = ap.Stack(one, clock=clock).decorate(_number)
    fn()
    assert one.flush()
    clock.advance(80)
    two = Cache(ttl=100, store=LayeredStore(MemoryStore(now=clock.wall), shared, now=clock.monotonic))
    again = ap.Stack(two, clock=clock).decorate(_number)
    again()
    assert two.stats().hits == 1
    clock.advance(35)
    again()
    assert two.stats().misses == 1
    two.flush()
    shared.close()


def _number() -> int:
    return 1


class Failing(MemoryStore):
    """A store that does not answer."""

    def get(self, key: str, *, fresh: bool = False) -> Any:
        raise StoreUnavailable("the store is down")

    def set(self, key: str, value: bytes, *, ttl: float | None = None, tags: Any = ()) -> None:
        raise StoreUnavailable("the store is down")


class Broken(MemoryStore):
    """A store with a defect."""

    def get(self, key: str, *, fresh: bool = False) -> Any:
        raise RuntimeError("a defect")


class Slow(MemoryStore):
    """A store that takes its time."""

    async def aget(self, key: str, *, fresh: bool = False) -> Any:
        await asyncio.sleep(50)


def test_a_store_that_is_down_is_a_miss(openai_with: OpenAIWith, provider: Provider) -> None:
    """Calls are answered without it; each failure counts, and is warned of once."""
    cache = Cache(store=Failing())
    client = openai_with(provider, cache)
    with pytest.warns(ap.AgentprodWarning, match="StoreUnavailable"):
        assert ask(client) == "miss"
    assert ask(client) == "miss"
    assert cache.stats().errors == 4
    assert len(provider.requests) == 2


def test_a_store_with_a_defect_is_a_miss(openai_with: OpenAIWith, provider: Provider) -> None:
    """Whatever a store raises is the cache's trouble, not the call's."""
    cache = Cache(store=Broken())
    with pytest.warns(ap.AgentprodWarning, match="RuntimeError"):
        assert ask(openai_with(provider, cache)) == "miss"
    assert cache.stats().errors == 1


def test_a_slow_store_is_not_waited_for(provider: Provider) -> None:
    """A look-up has 50 ms."""
    cache = Cache(store=Slow())

    async def run() -> float:
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url) as bare:
            client: Any = ap.Stack(cache).wrap(bare)
            started = time.monotonic()
            with pytest.warns(ap.AgentprodWarning, match="TimeoutError"):
                await client.chat.completions.create(**CHAT)
            return time.monotonic() - started

    assert asyncio.run(run()) < 10


def test_a_server_that_is_gone_costs_little(openai_with: OpenAIWith, provider: Provider) -> None:
    """Without its server a Redis cache answers from the provider, soon without asking the server at all."""
    store = RedisStore("redis://127.0.0.1:1/0")
    cache = Cache(store=store)
    client = openai_with(provider, cache)
    with pytest.warns(ap.AgentprodWarning, match="StoreUnavailable"):
        ask(client)
    started = time.monotonic()
    for seed in range(10):
        assert ask(client, seed=seed) == "miss"
    assert time.monotonic() - started < 10
    with pytest.raises(StoreUnavailable):
        cache.invalidate(tenant="a")
    cache.flush()
    store.close()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_server_that_hangs_is_a_miss_in_time(kind: str) -> None:
    """A server that takes commands and answers none holds no call up; when it answers again, hits come back."""
    with valkey() as server, closing(RedisStore(server.url)) as store, asyncio.Runner() as runner:
        cache = Cache(store=store)

        @cache
        def answer(number: int) -> int:
            return number

        @cache
        async def aanswer(number: int) -> int:
            return number

        async def asked(number: int) -> str | None:
            assert (answer(number) if kind == "sync" else await aanswer(number)) == number
            meta = ap.last()
            return None if meta is None else meta.cache

        def decided(number: int) -> str | None:
            return runner.run(asked(number))

        for number in range(6):
            decided(number)
        assert cache.flush()
        assert decided(1) == "hit_exact"
        server.hang(1.5)
        begun = time.monotonic()
        with pytest.warns(ap.AgentprodWarning, match="StoreUnavailable|TimeoutError"):
            assert [decided(number) for number in range(1, 6)] == ["miss"] * 5
        assert time.monotonic() - begun < 1.2
        deadline = time.monotonic() + 15
        while decided(1) != "hit_exact":
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_shared_entries_are_dumped_and_loaded(
    openai_with: OpenAIWith, provider: Provider, store: Store, tmp_path: Path
) -> None:
    """A dump holds the whole store; a load fills one."""
    cache = Cache(store=store)
    client = openai_with(provider, cache)
    for seed in range(3):
        ask(client, seed=seed)
    path = tmp_path / "dump.jsonl"
    assert cache.dump(path) == 3
    other = Cache(store=MemoryStore(), secret=SECRET)
    assert other.load(path) == 3
    assert ask(openai_with(provider, other), seed=1) == "hit_exact"


def test_tenants_never_cross_in_a_store(store: Store) -> None:
    """Every answer of a shared store names the tenant it was made for: 50 tenants, whose names look alike."""
    cache = Cache(store=store, secret=SECRET)

    @cache
    def answer(question: str) -> list[str | None]:
        with ap.context() as asking:
            return [asking.tenant, question]

    generator = random.Random(5)
    for number in range(2_000):
        tenant, question = f"t{generator.randrange(50)}", f"q{generator.randrange(5)}"
        with ap.context(tenant=tenant):
            assert answer(question) == [tenant, question]
        if number % 50 == 0:
            assert cache.flush(10)  # how often it hits must not depend on how fast the machine writes
    assert cache.stats().hits > 1_000


@pytest.mark.parametrize("kind", [Cache, ap.SemanticCache])
def test_a_server_that_lost_everything_is_a_miss(kind: Any) -> None:
    """Entries of a flushed server are asked for anew, whatever this process remembers of them, and kept again."""
    with valkey() as server, closing(RedisStore(server.url)) as store:
        cache = kind(store=store)
        calls: list[str] = []

        @cache
        def answer(prompt: str) -> str:
            calls.append(prompt)
            return prompt

        text = "How do I reset my password?"
        for _ in range(2):
            assert answer(text) == text
            assert cache.flush(10)
        assert len(calls) == 1
        with closing(redis.Redis.from_url(server.url)) as bare:
            bare.flushall()
        for _ in range(2):
            assert answer(text) == text
            assert cache.flush(10)
        assert len(calls) == 2
        assert cache.stats().errors == 0
