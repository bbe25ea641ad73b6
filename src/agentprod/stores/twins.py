"""The async methods of a store whose synchronous ones are all there is to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

from agentprod.stores.base import Claim, CounterState, Entry, Exhausted, LogRead, Settled

__all__ = ["AsyncTwins"]

T = TypeVar("T")


class AsyncTwins(ABC):
    """Async methods that call the synchronous ones, on this thread or another as `_quickly` and `_slowly` decide."""

    async def _quickly(self, work: Callable[[], T]) -> T:
        """Do what takes microseconds."""
        return work()

    async def _slowly(self, work: Callable[[], T]) -> T:
        """Do what may wait for another process."""
        return work()

    @abstractmethod
    def get(self, key: str, *, fresh: bool = False) -> Entry | None:
        """See `Store.get`."""

    async def aget(self, key: str, *, fresh: bool = False) -> Entry | None:
        """Like `get`."""
        return await self._quickly(lambda: self.get(key, fresh=fresh))

    @abstractmethod
    def set(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """See `Store.set`."""

    async def aset(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """Like `set`."""
        await self._slowly(lambda: self.set(key, value, ttl=ttl, tags=tags))

    @abstractmethod
    def compare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
        """See `Store.compare_and_set`."""

    async def acompare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
        """Like `compare_and_set`."""
        return await self._slowly(lambda: self.compare_and_set(key, value, version=version, ttl=ttl))

    @abstractmethod
    def update(self, key: str, change: Callable[[Entry | None], tuple[bytes, T]], *, ttl: float | None = None) -> T:
        """See `Store.update`."""

    async def aupdate(
        self, key: str, change: Callable[[Entry | None], tuple[bytes, T]], *, ttl: float | None = None
    ) -> T:
        """Like `update`."""
        return await self._slowly(lambda: self.update(key, change, ttl=ttl))

    @abstractmethod
    def delete(self, *keys: str, prefix: str | None = None, tag: str | None = None) -> int:
        """See `Store.delete`."""

    async def adelete(self, *keys: str, prefix: str | None = None, tag: str | None = None) -> int:
        """Like `delete`."""
        return await self._slowly(lambda: self.delete(*keys, prefix=prefix, tag=tag))

    @abstractmethod
    def scan(self, prefix: str, *, limit: int = 10_000) -> list[str]:
        """See `Store.scan`."""

    async def ascan(self, prefix: str, *, limit: int = 10_000) -> list[str]:
        """Like `scan`."""
        return await self._slowly(lambda: self.scan(prefix, limit=limit))

    @abstractmethod
    def publish(self, topic: str, message: bytes) -> int:
        """See `Store.publish`."""

    async def apublish(self, topic: str, message: bytes) -> int:
        """Like `publish`."""
        return await self._slowly(lambda: self.publish(topic, message))

    @abstractmethod
    def read_log(self, topic: str, after: int | None) -> LogRead:
        """See `Store.read_log`."""

    async def aread_log(self, topic: str, after: int | None) -> LogRead:
        """Like `read_log`."""
        return await self._quickly(lambda: self.read_log(topic, after))

    @abstractmethod
    def reserve(self, group: str, id: str, claims: Sequence[Claim], *, lease: float) -> Exhausted | None:
        """See `Store.reserve`."""

    async def areserve(self, group: str, id: str, claims: Sequence[Claim], *, lease: float) -> Exhausted | None:
        """Like `reserve`."""
        return await self._slowly(lambda: self.reserve(group, id, claims, lease=lease))

    @abstractmethod
    def settle(self, group: str, id: str, used: Sequence[int] | None) -> Settled:
        """See `Store.settle`."""

    async def asettle(self, group: str, id: str, used: Sequence[int] | None) -> Settled:
        """Like `settle`."""
        return await self._slowly(lambda: self.settle(group, id, used))

    @abstractmethod
    def renew(self, group: str, id: str, *, lease: float) -> bool:
        """See `Store.renew`."""

    async def arenew(self, group: str, id: str, *, lease: float) -> bool:
        """Like `renew`."""
        return await self._slowly(lambda: self.renew(group, id, lease=lease))

    @abstractmethod
    def add(self, group: str, counter: str, amount: int, *, ttl: float | None = None) -> CounterState:
        """See `Store.add`."""

    async def aadd(self, group: str, counter: str, amount: int, *, ttl: float | None = None) -> CounterState:
        """Like `add`."""
        return await self._slowly(lambda: self.add(group, counter, amount, ttl=ttl))

    @abstractmethod
    def usage(self, group: str, counters: Sequence[str]) -> list[CounterState]:
        """See `Store.usage`."""

    async def ausage(self, group: str, counters: Sequence[str]) -> list[CounterState]:
        """Like `usage`."""
        return await self._slowly(lambda: self.usage(group, counters))

    @abstractmethod
    def close(self) -> None:
        """See `Store.close`."""

    async def aclose(self) -> None:
        """Like `close`."""
        await self._slowly(self.close)
