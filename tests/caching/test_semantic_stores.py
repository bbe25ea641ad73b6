"""Entries that processes share: four processes on one Valkey, invalidation, slow and stopped servers, tenants."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from typing import Any

import pytest

import agentprod as ap
from agentprod.context import current_context
from agentprod.stores import LayeredStore, MemoryStore, RedisStore, Store
from agentprod.testing import FakeClock
from tests.caching.semantic_callers import FIRST, SIMILAR, answering, reason
from tests.servers import redis_url, valkey

__all__ = ["redis_url"]

SECRET = "a secret of many letters"


def test_caches_on_one_store_share_hits_and_invalidations(store: Store) -> None:
    """What one stored another finds by a similar text, at once; what one drops no other serves."""
    one, two = (ap.SemanticCache(store=store, secret=SECRET) for _ in range(2))
    answering(one)(FIRST)
    assert one.flush()
    answer = answering(two)
    assert answer(SIMILAR) == FIRST
    assert reason(ap.last()) == ("hit_semantic", "similar")
    answering(one)("How do I delete my account?")
    assert one.flush()
    assert answer("How do I delete the account?") == "How do I delete my account?"
    assert one.invalidate(where=lambda entry: True) == 2
    if isinstance(store, LayeredStore):
        store._next_check = 0.0  # a second later
    assert answer(SIMILAR) == SIMILAR
    assert two.stats().entries is None
    assert two.flush()


def test_asynchronous_callers_share_too(store: Store) -> None:
    """The same in tasks, where the store is asked off the loop."""
    one, two = (ap.SemanticCache(store=store) for _ in range(2))

    async def answer(prompt: str) -> str:
        return prompt

    async def run() -> None:
        await one(answer)(FIRST)
        assert await asyncio.to_thread(one.flush)
        assert await two(answer)(SIMILAR) == FIRST
        await store.aclose()

    asyncio.run(run())


def test_without_the_secret_nothing_is_found_and_nothing_told(store: Store) -> None:
    """Names, announcements and reports depend on the secret; texts do not stand in names."""
    keyed = ap.SemanticCache(store=store, secret=SECRET)
    answering(keyed)(FIRST)
    assert keyed.flush()
    for cache in (ap.SemanticCache(store=store), ap.SemanticCache(store=store, secret=b"another secret of letters")):
        answer = answering(cache)
        assert answer(SIMILAR) == SIMILAR
        assert cache.stats().tampered == 0
        assert cache.flush()


def test_an_entry_keeps_its_deadline_in_other_processes() -> None:
    """Time runs from the first storing, wherever the entry is found."""
    clock = FakeClock()
    store = MemoryStore(now=clock.monotonic)
    one, two = (ap.SemanticCache(store=store, ttl=100) for _ in range(2))
    answering(one, clock=clock)(FIRST)
    clock.advance(80)
    answer = answering(two, clock=clock)
    assert answer(SIMILAR) == FIRST
    clock.advance(31)
    assert answer(SIMILAR) == SIMILAR


def test_entries_that_arrive_after_their_announcement() -> None:
    """An entry that is announced and not there yet is looked for again."""
    store, late = MemoryStore(), MemoryStore()
    one, two = ap.SemanticCache(store=store), ap.SemanticCache(store=late)
    answering(one)(FIRST)
    for topic in range(64):
        for message in store.read_log(f"semantic:{topic}", 0).messages:
            late.publish(f"semantic:{topic}", message)
    answer = answering(two)
    assert answer(SIMILAR) == SIMILAR
    (name,) = store.scan("semantic:1:")
    entry = store.get(name)
    assert entry is not None
    late.set(name, entry.value, ttl=60)
    two.invalidate(key=ap.last())
    assert answer(SIMILAR) == FIRST


TEXTS = [FIRST, SIMILAR, "Tell me how to reset my password", "How do I delete my account?", "怎么重置我的密码？"]


def test_tenants_never_meet_in_a_store(store: Store) -> None:
    """In 50 tenants, whatever similar texts they ask, nobody gets another's answer."""
    ask_in_tenants(ap.SemanticCache(store=store, secret=SECRET), 1_000)


def test_tenants_never_meet_in_memory() -> None:
    """The same in the memory of a process, 10,000 times."""
    ask_in_tenants(ap.SemanticCache(), 10_000)


def ask_in_tenants(cache: ap.SemanticCache, count: int) -> None:
    """Ask as many tenants, and look whose answers they get."""
    draw = random.Random(5)
    whose = cache(_tenant)
    for _ in range(count):
        tenant = f"t{draw.randrange(50)}"
        with ap.context(tenant=tenant):
            assert whose(draw.choice(TEXTS)) == tenant
    assert cache.stats().similar  # how many depends on how soon what was written is found
    assert cache.flush()


def _tenant(prompt: str) -> str:
    """Return who asked first."""
    return str(current_context().tenant)


PROCESS = """
import json, sys
import agentprod as ap
from agentprod.stores import RedisStore

url, prefix = sys.argv[1:]
store = RedisStore(url, prefix=prefix, lookup_timeout=5, timeout=5)
cache = ap.SemanticCache(store=store, secret="a secret of many letters")

def say(prompt):
    return prompt

answer = ap.Stack(cache).decorate(say, name="say")
for line in sys.stdin:
    what, text = json.loads(line)
    if what == "ask":
        told = [answer(text), ap.last().cache]
        cache.flush(5)
    elif what == "wrong":
        answer(text)
        cache.report_wrong(ap.last())
        told = [None, None]
    else:
        told = [cache.invalidate(where=lambda entry: True), None]
    print(json.dumps(told), flush=True)
"""


class Process:
    """A Python process with a cache of its own on a shared store."""

    def __init__(self, url: str, prefix: str) -> None:
        command = [sys.executable, "-c", PROCESS, url, prefix]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def tell(self, what: str, text: str = "") -> list[Any]:
        """Have something done, and return what came of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, text]) + "\n")
        self._process.stdin.flush()
        found: list[Any] = json.loads(self._process.stdout.readline())
        return found

    def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def test_four_processes_share_hits_invalidations_and_reports(redis_url: str) -> None:
    """One pays, three are served by similar texts; what one drops or reports holds for all."""
    prefix = f"test-{uuid.uuid4().hex}:"
    processes = [Process(redis_url, prefix) for _ in range(4)]
    try:
        assert processes[0].tell("ask", FIRST) == [FIRST, "miss"]
        for process in processes[1:]:
            assert process.tell("ask", SIMILAR) == [FIRST, "hit_semantic"]
        assert processes[3].tell("drop") == [1, None]
        assert processes[1].tell("ask", SIMILAR) == [SIMILAR, "miss"]
        for process in (processes[0], processes[2], processes[3]):
            assert process.tell("ask", FIRST) == [SIMILAR, "hit_semantic"]
        processes[2].tell("wrong", FIRST)
        for process in processes:
            assert process.tell("ask", FIRST)[0] == FIRST
    finally:
        for process in processes:
            process.end()


class Slow(MemoryStore):
    """A store that does not answer before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    async def aget(self, key: str, *, fresh: bool = False) -> Any:
        """Wait for ever."""
        await asyncio.sleep(3600)

    def read_log(self, topic: str, after: int | None) -> Any:
        """Block."""
        self.release.wait(20)
        return super().read_log(topic, after)


def test_a_slow_store_is_a_miss_in_time() -> None:
    """Each question put to the store ends after 50 ms; the call goes on, and the loop was never blocked."""
    store = Slow()
    cache = ap.SemanticCache(store=store)

    @cache
    async def answer(prompt: str) -> str:
        return prompt

    async def run() -> float:
        begun = time.monotonic()
        try:
            assert await answer(FIRST) == FIRST
            return time.monotonic() - begun
        finally:
            store.release.set()  # a loop waits for its threads when it is closed

    with pytest.warns(ap.AgentprodWarning, match="TimeoutError"):
        assert asyncio.run(run()) < 10
    assert cache.stats().errors == 2


def test_a_stopped_server_is_a_miss_in_time() -> None:
    """While the server is gone every call is answered; when it is back, answers are shared again."""
    with valkey() as server:
        cache = ap.SemanticCache(store=RedisStore(server.url, prefix="t:"))
        answer = answering(cache)
        answer(FIRST)
        assert cache.flush()
        assert answer(SIMILAR) == FIRST
        server.kill()
        begun = time.monotonic()
        with pytest.warns(ap.AgentprodWarning, match="StoreUnavailable"):
            assert answer(SIMILAR) == SIMILAR
        assert [answer(f"What is the answer to {number}?") for number in range(5)]
        assert time.monotonic() - begun < 10
        assert cache.stats().errors >= 1
        server.start()
        deadline = time.monotonic() + 10
        while reason_after(answer) != "hit_exact":
            assert time.monotonic() < deadline
            time.sleep(0.05)


def reason_after(answer: Any) -> str | None:
    """Ask once more; return what the cache did."""
    answer(FIRST)
    meta = ap.last()
    assert meta is not None
    return meta.cache
