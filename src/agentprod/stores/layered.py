"""Two stores as one: this process's memory in front of one that is shared."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from agentprod.runtime.offload import in_thread
from agentprod.stores.base import Claim, CounterState, Entry, Exhausted, LogRead, Settled, Store, check_key, check_ttl
from agentprod.stores.memory import MemoryStore
from agentprod.stores.write_behind import PendingWrite, WriteBehind

__all__ = ["LayeredStore"]

T = TypeVar("T")

_TOPIC = "agentprod.invalidated"
_PROMOTED = "agentprod.promoted"  # of what came from the far store, which does not tell its tags


class LayeredStore:
    """Entries are read from the near store first, and written to both; everything else is the far store's.

    A hit in the far store is kept in the near one for the rest of its lifetime. Writes reach the far store in the
    background. What one process deletes, the others stop reading within `check_every` seconds; they learn it from
    the far store's log.

    Args:
        near: this process's memory.

        far: the shared store.

        check_every: seconds between two looks at what other processes deleted.

        max_pending: writes that may wait for the far store.

        now: returns monotonic seconds.
    """

    def __init__(
        self,
        near: MemoryStore,
        far: Store,
        *,
        check_every: float = 1.0,
        max_pending: int = 1000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.near = near
        self.far = far
        self.writes = WriteBehind(far, max_pending=max_pending, now=now)
        self._check_every = check_every
        self._now = now
        self._me = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._deletions = 0
        self._read_up_to: int | None = None
        self._next_check = float("-inf")

    @property
    def url(self) -> str:
        """Where the far store is."""
        return self.far.url

    def __repr__(self) -> str:
        return f"LayeredStore({self.near!r}, {self.far!r})"

    def get(self, key: str, *, fresh: bool = False) -> Entry | None:
        """See `Store.get`."""
        if fresh and not self.writes.has(key):
            return self.far.get(key)
        if self._must_check():
            self._drop_deleted(self.far.read_log(_TOPIC, self._read_up_to))
        if (entry := self.near.get(key)) is None:
            deletions = self._deletions
            entry = self._promoted(key, self.far.get(key), deletions)
        return entry

    async def aget(self, key: str, *, fresh: bool = False) -> Entry | None:
        """Like `get`."""
        if fresh and not self.writes.has(key):
            return await self.far.aget(key)
        if self._must_check():
            self._drop_deleted(await self.far.aread_log(_TOPIC, self._read_up_to))
        if (entry := self.near.get(key)) is None:
            deletions = self._deletions
            entry = self._promoted(key, await self.far.aget(key), deletions)
        return entry

    def set(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """See `Store.set`; the far store gets it soon."""
        check_key(key, *tags)
        check_ttl(ttl)
        self.near.set(key, value, ttl=ttl, tags=tags)
        self.writes.put(key, value, ttl, tuple(tags))

    async def aset(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """Like `set`."""
        self.set(key, value, ttl=ttl, tags=tags)

    def compare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
        """See `Store.compare_and_set`; the version is that of the far store, so read with `fresh=True`."""
        new = self.far.compare_and_set(key, value, version=version, ttl=ttl)
        self.near.delete(key)
        return new

    async def acompare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
        """Like `compare_and_set`."""
        new = await self.far.acompare_and_set(key, value, version=version, ttl=ttl)
        self.near.delete(key)
        return new

    def update(self, key: str, change: Callable[[Entry | None], tuple[bytes, T]], *, ttl: float | None = None) -> T:
        """See `Store.update`; a copy near is dropped by it."""
        answer = self.far.update(key, change, ttl=ttl)
        self.near.delete(key)
        return answer

    async def aupdate(
        self, key: str, change: Callable[[Entry | None], tuple[bytes, T]], *, ttl: float | None = None
    ) -> T:
        """Like `update`."""
        answer = await self.far.aupdate(key, change, ttl=ttl)
        self.near.delete(key)
        return answer

    def delete(self, *keys: str, prefix: str | None = None, tag: str | None = None) -> int:
        """See `Store.delete`; in this process it holds even if the far store does not answer.

        Returns:
            How many there were here or in the far store, whichever is more.
        """
        here = self._delete_here(keys, prefix, tag)
        there = self.far.delete(*keys, prefix=prefix, tag=tag)
        self.far.publish(_TOPIC, self._message(keys, prefix, tag))
        return max(here, there)

    async def adelete(self, *keys: str, prefix: str | None = None, tag: str | None = None) -> int:
        """Like `delete`."""
        here = await in_thread(self._delete_here, keys, prefix, tag)  # may wait for a write under way
        there = await self.far.adelete(*keys, prefix=prefix, tag=tag)
        await self.far.apublish(_TOPIC, self._message(keys, prefix, tag))
        return max(here, there)

    def scan(self, prefix: str, *, limit: int = 10_000) -> list[str]:
        """See `Store.scan`."""
        self.writes.flush()
        return self.far.scan(prefix, limit=limit)

    async def ascan(self, prefix: str, *, limit: int = 10_000) -> list[str]:
        """Like `scan`."""
        await in_thread(self.writes.flush)
        return await self.far.ascan(prefix, limit=limit)

    def publish(self, topic: str, message: bytes) -> int:
        """See `Store.publish`."""
        return self.far.publish(topic, message)

    async def apublish(self, topic: str, message: bytes) -> int:
        """Like `publish`."""
        return await self.far.apublish(topic, message)

    def read_log(self, topic: str, after: int | None) -> LogRead:
        """See `Store.read_log`."""
        return self.far.read_log(topic, after)

    async def aread_log(self, topic: str, after: int | None) -> LogRead:
        """Like `read_log`."""
        return await self.far.aread_log(topic, after)

    def reserve(self, group: str, id: str, claims: Sequence[Claim], *, lease: float) -> Exhausted | None:
        """See `Store.reserve`."""
        return self.far.reserve(group, id, claims, lease=lease)

    async def areserve(self, group: str, id: str, claims: Sequence[Claim], *, lease: float) -> Exhausted | None:
        """Like `reserve`."""
        return await self.far.areserve(group, id, claims, lease=lease)

    def settle(self, group: str, id: str, used: Sequence[int] | None) -> Settled:
        """See `Store.settle`."""
        return self.far.settle(group, id, used)

    async def asettle(self, group: str, id: str, used: Sequence[int] | None) -> Settled:
        """Like `settle`."""
        return await self.far.asettle(group, id, used)

    def renew(self, group: str, id: str, *, lease: float) -> bool:
        """See `Store.renew`."""
        return self.far.renew(group, id, lease=lease)

    async def arenew(self, group: str, id: str, *, lease: float) -> bool:
        """Like `renew`."""
        return await self.far.arenew(group, id, lease=lease)

    def add(self, group: str, counter: str, amount: int, *, ttl: float | None = None) -> CounterState:
        """See `Store.add`."""
        return self.far.add(group, counter, amount, ttl=ttl)

    async def aadd(self, group: str, counter: str, amount: int, *, ttl: float | None = None) -> CounterState:
        """Like `add`."""
        return await self.far.aadd(group, counter, amount, ttl=ttl)

    def usage(self, group: str, counters: Sequence[str]) -> list[CounterState]:
        """See `Store.usage`."""
        return self.far.usage(group, counters)

    async def ausage(self, group: str, counters: Sequence[str]) -> list[CounterState]:
        """Like `usage`."""
        return await self.far.ausage(group, counters)

    def close(self) -> None:
        """Wait up to a second for pending writes, and close both stores."""
        self.writes.flush()
        self.near.close()
        self.far.close()

    async def aclose(self) -> None:
        """Like `close`."""
        await in_thread(self.writes.flush)
        await self.near.aclose()
        await self.far.aclose()

    def _must_check(self) -> bool:
        now = self._now()
        if now < self._next_check:
            return False
        with self._lock:
            # One caller looks; a look that fails is repeated after the same time.
            must, self._next_check = now >= self._next_check, now + self._check_every
        return must

    def _drop_deleted(self, news: LogRead) -> None:
        first, self._read_up_to = self._read_up_to is None, news.last
        if not news.complete and not first:
            self._delete_near((), "", None)
        for message in news.messages:
            told = json.loads(message)
            if told["by"] != self._me:
                self._delete_near(told["keys"], told["prefix"], told["tag"])

    def _delete_here(self, keys: Sequence[str], prefix: str | None, tag: str | None) -> int:
        def doomed(write: PendingWrite) -> bool:
            by_prefix = prefix is not None and write.key.startswith(prefix)
            return write.key in keys or by_prefix or tag in write.tags

        count = self._delete_near(keys, prefix, tag)
        self.writes.discard(doomed)
        return count

    def _delete_near(self, keys: Sequence[str], prefix: str | None, tag: str | None) -> int:
        with self._lock:
            self._deletions += 1
            count = self.near.delete(*keys, prefix=prefix, tag=tag)
            if tag is not None:
                self.near.delete(tag=_PROMOTED)
        return count

    def _promoted(self, key: str, entry: Entry | None, deletions: int) -> Entry | None:
        if entry is not None:
            with self._lock:
                if self._deletions == deletions:  # else it may be what was just deleted
                    self.near.keep(key, entry, tags=(_PROMOTED,))
        return entry

    def _message(self, keys: Sequence[str], prefix: str | None, tag: str | None) -> bytes:
        return json.dumps({"by": self._me, "keys": keys, "prefix": prefix, "tag": tag}).encode()
