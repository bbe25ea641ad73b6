"""State that processes and machines share in Redis, Valkey or a compatible server."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from agentprod.errors import ConfigError
from agentprod.stores.base import Claim, CounterState, Entry, Exhausted, LogRead, Settled, StoreUnavailable
from agentprod.stores.outage import Outage
from agentprod.stores.redis_clients import RedisClients
from agentprod.stores.redis_commands import Arg, RedisCommands, Steps
from agentprod.stores.redis_scripts import Script

__all__ = ["RedisStore"]

T = TypeVar("T")


class RedisStore:
    """Entries, logs and counters on a Redis server; every change is one script, timed by the server's clock.

    Redis 5 or later, Valkey, and Redis Cluster: what changes together has one hash tag, so it lies on one node. Set
    the server's `maxmemory-policy` to `noeviction` where budgets must hold: a server that evicts forgets what was
    spent, as one does that restarts without persistence.

    While the server is down, operations fail at once instead of each waiting for its time; it is asked again after
    0.2 to 5 seconds. The name of the host is resolved without a time limit, as the operating system does it.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`, with credentials and database as redis-py takes them;
            `redis+cluster://` or `rediss+cluster://` for a cluster.

        prefix: of all keys on the server.

        lookup_timeout: seconds that connecting, and reading an entry or a log, may take each.

        timeout: seconds that connecting, and any other operation, may take each.

    Raises:
        ConfigError: redis-py is not installed, the URL is not one, or an option is out of range.
    """

    def __init__(
        self, url: str, *, prefix: str = "agentprod:", lookup_timeout: float = 0.05, timeout: float = 0.5
    ) -> None:
        if not (lookup_timeout > 0 and timeout > 0):
            raise ConfigError("lookup_timeout and timeout must be above 0 seconds")
        if "{" in prefix or "}" in prefix:
            raise ConfigError("prefix must hold no braces: they mark what a Redis Cluster keeps together")
        self._url = re.sub(r"//[^/]*@", "//", url.partition("?")[0])
        self._prefix = prefix
        self._clients = RedisClients(url, quick=lookup_timeout, patient=timeout)
        self._outage = Outage(self._url)
        self._commands = RedisCommands(
            prefix, is_cluster=self._clients.is_cluster, unknown_script=self._clients.unknown_script
        )

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        return self._url

    def __repr__(self) -> str:
        return f"RedisStore({self._url!r}, prefix={self._prefix!r})"

    def run(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Run a script of another part of agentprod, whose keys have one hash tag."""
        return self._do(self._commands.script(script, keys, args))

    async def arun(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Like `run`."""
        return await self._ado(self._commands.script(script, keys, args))

    def get(self, key: str, *, fresh: bool = False) -> Entry | None:
        """See `Store.get`."""
        return self._do(self._commands.get(key), quick=True)

    async def aget(self, key: str, *, fresh: bool = False) -> Entry | None:
        """Like `get`."""
        return await self._ado(self._commands.get(key), quick=True)

    def set(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """See `Store.set`."""
        self._do(self._commands.set(key, value, ttl, tags))

    async def aset(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """Like `set`."""
        await self._ado(self._commands.set(key, value, ttl, tags))

    def compare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
        """See `Store.compare_and_set`."""
        return self._do(self._commands.compare_and_set(key, value, version, ttl))

    async def acompare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
        """Like `compare_and_set`."""
        return await self._ado(self._commands.compare_and_set(key, value, version, ttl))

    def update(self, key: str, change: Callable[[Entry | None], tuple[bytes, T]], *, ttl: float | None = None) -> T:
        """See `Store.update`; repeated until nobody was faster, up to a hundred times."""
        return self._do(self._commands.update(key, change, ttl))

    async def aupdate(
        self, key: str, change: Callable[[Entry | None], tuple[bytes, T]], *, ttl: float | None = None
    ) -> T:
        """Like `update`."""
        return await self._ado(self._commands.update(key, change, ttl))

    def delete(self, *keys: str, prefix: str | None = None, tag: str | None = None) -> int:
        """See `Store.delete`; by prefix it looks through all keys of the server."""
        return self._do(self._commands.delete(keys, prefix, tag))

    async def adelete(self, *keys: str, prefix: str | None = None, tag: str | None = None) -> int:
        """Like `delete`."""
        return await self._ado(self._commands.delete(keys, prefix, tag))

    def scan(self, prefix: str, *, limit: int = 10_000) -> list[str]:
        """See `Store.scan`; it looks through all keys of the server."""
        return self._do(self._commands.scan(prefix, limit))

    async def ascan(self, prefix: str, *, limit: int = 10_000) -> list[str]:
        """Like `scan`."""
        return await self._ado(self._commands.scan(prefix, limit))

    def publish(self, topic: str, message: bytes) -> int:
        """See `Store.publish`."""
        return self._do(self._commands.publish(topic, message))

    async def apublish(self, topic: str, message: bytes) -> int:
        """Like `publish`."""
        return await self._ado(self._commands.publish(topic, message))

    def read_log(self, topic: str, after: int | None) -> LogRead:
        """See `Store.read_log`."""
        return self._do(self._commands.read_log(topic, after), quick=True)

    async def aread_log(self, topic: str, after: int | None) -> LogRead:
        """Like `read_log`."""
        return await self._ado(self._commands.read_log(topic, after), quick=True)

    def reserve(self, group: str, id: str, claims: Sequence[Claim], *, lease: float) -> Exhausted | None:
        """See `Store.reserve`."""
        return self._do(self._commands.reserve(group, id, claims, lease))

    async def areserve(self, group: str, id: str, claims: Sequence[Claim], *, lease: float) -> Exhausted | None:
        """Like `reserve`."""
        return await self._ado(self._commands.reserve(group, id, claims, lease))

    def settle(self, group: str, id: str, used: Sequence[int] | None) -> Settled:
        """See `Store.settle`."""
        return self._do(self._commands.settle(group, id, used))

    async def asettle(self, group: str, id: str, used: Sequence[int] | None) -> Settled:
        """Like `settle`."""
        return await self._ado(self._commands.settle(group, id, used))

    def renew(self, group: str, id: str, *, lease: float) -> bool:
        """See `Store.renew`."""
        return self._do(self._commands.renew(group, id, lease))

    async def arenew(self, group: str, id: str, *, lease: float) -> bool:
        """Like `renew`."""
        return await self._ado(self._commands.renew(group, id, lease))

    def add(self, group: str, counter: str, amount: int, *, ttl: float | None = None) -> CounterState:
        """See `Store.add`."""
        return self._do(self._commands.add(group, counter, amount, ttl))

    async def aadd(self, group: str, counter: str, amount: int, *, ttl: float | None = None) -> CounterState:
        """Like `add`."""
        return await self._ado(self._commands.add(group, counter, amount, ttl))

    def usage(self, group: str, counters: Sequence[str]) -> list[CounterState]:
        """See `Store.usage`."""
        return self._do(self._commands.usage(group, counters))

    async def ausage(self, group: str, counters: Sequence[str]) -> list[CounterState]:
        """Like `usage`."""
        return await self._ado(self._commands.usage(group, counters))

    def close(self) -> None:
        """See `Store.close`; the connections of event loops close with these."""
        self._clients.close()

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        await self._clients.aclose()

    def _do(self, steps: Steps[T], *, quick: bool = False) -> T:
        self._outage.check()
        try:
            pair = self._clients.sync()
            client = pair.quick if quick else pair.patient
            method, args, options = next(steps)
            while True:
                try:
                    reply = getattr(client, method)(*args, **options)
                except Exception as error:
                    method, args, options = steps.throw(error)
                else:
                    method, args, options = steps.send(reply)
        except StopIteration as done:
            self._outage.worked()
            value: T = done.value
            return value
        except (self._clients.error, OSError) as error:
            raise self._failed(error) from error

    async def _ado(self, steps: Steps[T], *, quick: bool = False) -> T:
        self._outage.check()
        try:
            pair = await self._clients.running()
            client = pair.quick if quick else pair.patient
            method, args, options = next(steps)
            while True:
                try:
                    reply = getattr(client, method)(*args, **options)
                    if inspect.isawaitable(reply):
                        reply = await reply
                except Exception as error:
                    method, args, options = steps.throw(error)
                else:
                    method, args, options = steps.send(reply)
        except StopIteration as done:
            self._outage.worked()
            value: T = done.value
            return value
        except (self._clients.error, OSError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreUnavailable:
        self._outage.failed()
        return StoreUnavailable(f"the store {self._url} did not answer: {type(error).__name__}")
