"""What is particular to the Redis store: outages, restarts, clusters, loops, forks, and what stays on the server."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentprod.errors import ConfigError
from agentprod.stores import Claim, Entry, RedisStore, StoreUnavailable
from agentprod.stores.redis_scripts import Script
from tests.servers import Valkey, valkey


@pytest.fixture(scope="module")
def own() -> Iterator[Valkey]:
    """A server that the tests of this file may kill; it runs again after each."""
    with valkey() as server:
        yield server


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    made = RedisStore(redis_url, prefix=f"test-{uuid.uuid4().hex}:", lookup_timeout=5, timeout=5)
    yield made
    made.delete(prefix="")
    made.close()


def names(url: str, prefix: str) -> dict[str, int]:
    """Return the keys on the server and the milliseconds they still live."""
    import redis

    client = redis.Redis.from_url(url, decode_responses=True)
    found = {str(key): int(client.pttl(key)) for key in client.scan_iter(match=f"{prefix}*")}
    client.close()
    return found


def eventually(attempt: Callable[[], object], *, within: float = 15.0) -> None:
    """Repeat an operation until the store answers."""
    give_up = time.monotonic() + within
    while True:
        try:
            attempt()
        except StoreUnavailable:
            assert time.monotonic() < give_up
            time.sleep(0.02)
        else:
            return


def test_an_outage_costs_nothing_per_call_and_ends_by_itself(own: Valkey) -> None:
    """Operations fail at once, lookups and others alike; when the server is back, so is the store."""
    store = RedisStore(own.url, timeout=5, lookup_timeout=5)
    store.set("k", b"v")
    own.kill()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="did not answer: ConnectionError"):
            store.get("k")
    start = time.process_time()
    for _ in range(1000):
        with pytest.raises(StoreUnavailable, match=r"down|did not answer"):
            store.set("k", b"v")
    assert time.process_time() - start < 1
    own.start()
    eventually(lambda: store.set("k", b"w"))
    entry = store.get("k")
    assert entry is not None
    assert entry.value == b"w"
    store.close()


def test_an_outage_is_the_same_for_tasks(own: Valkey) -> None:
    """The circuit is shared by both clients."""
    store = RedisStore(own.url, timeout=5, lookup_timeout=5)

    async def main() -> None:
        await store.aset("k", b"v")
        own.kill()
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="did not answer"):
                await store.aget("k")
        with pytest.raises(StoreUnavailable, match="is down"):
            store.get("k")
        own.start()
        for _ in range(500):
            try:
                await store.aset("k", b"v")
                break
            except StoreUnavailable:
                await asyncio.sleep(0.02)
        assert await store.aget("k") is not None
        await store.aclose()

    asyncio.run(main())


def test_a_server_that_hangs_takes_no_longer_than_the_time_it_has(own: Valkey) -> None:
    """A lookup has less than a write; a client whose answer is late does not get it later in another's place."""
    import redis

    store = RedisStore(own.url, lookup_timeout=0.05, timeout=0.3)
    eventually(lambda: store.set("k", b"v"))
    eventually(lambda: store.get("k"))
    with redis.Redis.from_url(own.url) as admin:
        admin.execute_command("CLIENT", "PAUSE", 1000, "ALL")
        start = time.monotonic()
        with pytest.raises(StoreUnavailable, match="TimeoutError"):
            store.get("k")
        lookup = time.monotonic() - start
        with pytest.raises(StoreUnavailable, match="TimeoutError"):
            store.set("k", b"w")
        assert lookup < 0.3 <= time.monotonic() - start - lookup
    eventually(lambda: store.set("other", b"o"))
    eventually(lambda: store.get("other"))
    entry = store.get("other")
    assert entry is not None
    assert entry.value == b"o"
    store.close()


def test_a_server_without_memory_of_scripts_is_told_them_again(store: RedisStore, redis_url: str) -> None:
    """As after a restart or a failover."""
    import redis

    store.add("g", "c", 1)
    with redis.Redis.from_url(redis_url) as admin:
        admin.script_flush()
    assert store.add("g", "c", 1) == (2, 0)
    store.set("k", b"v")


def test_settled_groups_and_ended_entries_leave_nothing_on_the_server(redis_url: str) -> None:
    """Every key has an end of its own, except where a counter or an entry is to live for ever."""
    import redis

    prefix = f"test-{uuid.uuid4().hex}:"
    store = RedisStore(redis_url, prefix=prefix, lookup_timeout=5, timeout=5)
    store.set("k", b"v", ttl=100, tags=["t"])
    store.publish("topic", b"m")
    store.reserve("g", "r1", [Claim("a", 1, 9, ttl=100), Claim("b", 1, 9, ttl=200)], lease=100)
    found = names(redis_url, prefix)
    assert len(found) == 5
    assert all(left > 0 for left in found.values()), found
    # A lapsed reservation can be corrected for a day, and the keys last a little longer.
    assert 86_400_000 < found[f"{prefix}group:{{g}}"] < 100_000_000
    store.settle("g", "r1", [1, 1])
    with redis.Redis.from_url(redis_url, decode_responses=True) as admin:
        assert sorted(admin.hkeys(f"{prefix}group:{{g}}")) == ["c:a", "c:b", "end"]
    store.add("g", "total", 1)
    store.add("g", "b", 1, ttl=1e6)
    assert names(redis_url, prefix)[f"{prefix}group:{{g}}"] == -1
    store.set("k", b"v", tags=["t"])
    assert names(redis_url, prefix)[f"{prefix}tag:t"] == -1
    store.close()


def test_a_tag_forgets_entries_that_have_ended(store: RedisStore, redis_url: str) -> None:
    """Else a tag that is used every day would grow for ever."""
    import redis

    for index in range(50):
        store.set(f"k{index}", b"v", ttl=0.02, tags=["t"])
    time.sleep(0.03)
    store.set("k", b"v", ttl=100, tags=["t"])
    (tag,) = [name for name in names(redis_url, repr(store).split("'")[3]) if ":tag:" in name]
    with redis.Redis.from_url(redis_url) as admin:
        assert admin.zcard(tag) == 1


def test_what_is_no_entry_reads_as_none(store: RedisStore, redis_url: str) -> None:
    """Somebody else wrote under our prefix."""
    import redis

    with redis.Redis.from_url(redis_url) as admin:
        admin.set(repr(store).split("'")[3] + "entry:k", b"short")
    assert store.get("k") is None
    store.set("k", b"v")
    assert store.get("k") is not None


def test_an_entry_that_others_always_change_first_is_given_up(store: RedisStore) -> None:
    """After a hundred tries."""
    tries = 0

    def overtaken(entry: Entry | None) -> tuple[bytes, None]:
        nonlocal tries
        tries += 1
        store.set("k", b"%d" % tries)
        return b"mine", None

    with pytest.raises(StoreUnavailable, match="too many"):
        store.update("k", overtaken)
    assert tries == 100


def test_a_script_that_fails_makes_the_store_unavailable(store: RedisStore) -> None:
    """Whatever the server complains of is one error, with the server's own as its cause."""
    with pytest.raises(StoreUnavailable, match="ResponseError"):
        store.run(Script("return redis.call('NO SUCH COMMAND')"), ["x"], [])


def test_no_error_shows_the_password(own: Valkey) -> None:
    """Nor does the URL or the repr."""
    store = RedisStore(own.url.replace("//", "//someone:hunter2@"), timeout=5, lookup_timeout=5)
    with pytest.raises(StoreUnavailable) as caught:
        store.get("k")
    told = f"{caught.value} {caught.value.__cause__} {store!r} {store.url}"
    assert "hunter2" not in told
    assert "someone" not in told
    store.close()


def test_each_loop_has_its_own_client_and_leaves_none_behind(redis_url: str) -> None:
    """One store over several runs, while threads use it too; a loop that has ended is not kept alive."""
    store = RedisStore(redis_url, prefix=f"test-{uuid.uuid4().hex}:", lookup_timeout=5, timeout=5)
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def main(number: int) -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await asyncio.gather(*(store.aadd("g", "c", 1) for _ in range(20)))
        store.add("g", "c", 1)

    for number in range(3):
        asyncio.run(main(number))
    gc.collect()
    assert [loop() for loop in loops] == [None, None, None]
    assert store.usage("g", ["c"]) == [(63, 0)]
    store.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_was_just_closed_does_not_keep_its_clients_for_ever(redis_url: str) -> None:
    """Without the shutdown that asyncio.run does, the next loop drops them."""
    store = RedisStore(redis_url, prefix=f"test-{uuid.uuid4().hex}:", lookup_timeout=5, timeout=5)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(store.aset("k", b"v", ttl=10))
    gone = weakref.ref(loop)
    loop.close()
    del loop
    asyncio.run(store.aset("k", b"v", ttl=10))
    gc.collect()
    assert gone() is None
    store.close()


def test_a_cancelled_operation_harms_no_later_one(store: RedisStore) -> None:
    """Its answer is not read by the next one on the same connection."""

    async def main() -> None:
        await store.aset("k", b"v")
        for delay in (0, 0.0001, 0.0003, 0.001):
            task = asyncio.create_task(store.aget("k"))
            await asyncio.sleep(delay)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await store.aadd("g", f"c{delay}", 5) == (5, 0)
        await store.aclose()

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_its_own_connection(store: RedisStore) -> None:
    """Both go on, and neither reads the other's answers; sync, and inside the parent's running loop."""

    async def main() -> None:
        await store.aadd("g", "parent", 1)
        store.add("g", "parent", 1)
        child = os.fork()
        if child == 0:
            asyncio.events._set_running_loop(None)
            try:
                asyncio.run(store.aadd("g", "child", 50))
                gc.collect()
                for _ in range(50):
                    store.add("g", "child", 1)
                os._exit(0)
            except BaseException:
                os._exit(1)
        for _ in range(49):
            await store.aadd("g", "parent", 1)
            store.add("g", "parent", 1)
        assert await asyncio.to_thread(os.waitpid, child, 0) == (child, 0)

    asyncio.run(main())
    assert store.usage("g", ["child", "parent"]) == [(100, 0), (100, 0)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A server in cluster mode, alone and with all slots: it refuses scripts whose keys are apart."""
    import redis

    with valkey(cluster_enabled="yes", cluster_node_timeout="1000") as server:
        with redis.Redis.from_url(server.url) as admin:
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            for _ in range(500):
                if b"cluster_state:ok" in _bytes(admin.execute_command("CLUSTER", "INFO")):
                    break
                time.sleep(0.02)
        yield server.url


def _bytes(reply: Any) -> bytes:
    if isinstance(reply, dict):
        return ";".join(f"{key}:{value}" for key, value in reply.items()).encode()
    return reply if isinstance(reply, bytes) else str(reply).encode()


@pytest.mark.filterwarnings("ignore:.*cluster_error_retry_attempts:DeprecationWarning")  # redis-py 6.0 of itself
def test_a_cluster_takes_every_operation(cluster: str) -> None:
    """What changes together lies on one node; both ways."""
    url = cluster.replace("redis://", "redis+cluster://").removesuffix("/0")
    store = RedisStore(url, lookup_timeout=5, timeout=5)
    for index in range(20):
        store.set(f"k{index}", b"v", ttl=100, tags=["t"])
    entry = store.get("k0")
    assert entry is not None
    assert 0 < entry.age < 5
    assert store.compare_and_set("k0", b"w", version=entry.version)
    assert len(store.scan("k")) == 20
    assert store.delete(prefix="k1") == 11
    assert store.delete(tag="t") == 9
    assert store.publish("topic", b"m") == store.read_log("topic", None).last
    claims = [Claim("user", 5, 9), Claim("team", 5, 9)]
    assert store.reserve("g", "r", claims, lease=10) is None
    assert store.settle("g", "r", [3, 3]) == "settled"

    async def main() -> None:
        await store.aset("k", b"v", tags=["t"])
        assert await store.ascan("k") == ["k"]
        assert await store.aget("k") is not None
        assert await store.areserve("g", "r", claims, lease=10) is None
        assert await store.adelete(tag="t") == 1
        assert await store.adelete(prefix="k") == 0
        await store.aclose()

    asyncio.run(main())
    store.close()


def test_a_missing_client_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r'pip install "agentprod\[redis\]"'):
        RedisStore("redis://localhost")


@pytest.mark.parametrize("options", [{"timeout": 0}, {"lookup_timeout": -1}, {"prefix": "a{b}"}], ids=str)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    """When it is made."""
    with pytest.raises(ConfigError):
        RedisStore("redis://localhost", **options)


def test_a_url_redis_does_not_know_is_refused() -> None:
    """When it is made, without showing it: it may hold a password."""
    with pytest.raises(ConfigError, match="URL") as caught:
        RedisStore("redis://u:hunter2@localhost:port")
    assert "hunter2" not in str(caught.value)
