"""redis-py clients: one synchronous pair per process, one asynchronous pair per running event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from agentprod.errors import ConfigError

__all__ = ["RedisClients"]


class _Pair(NamedTuple):
    quick: Any
    """For look-ups, which are not worth waiting for."""
    patient: Any
    """For what must be known to have happened."""


class _LoopClients(NamedTuple):
    pair: _Pair
    closer: AsyncGenerator[None]


class RedisClients:
    """Makes clients on first use. A forked child makes its own.

    An event loop that ends as `asyncio.run` ends it closes its clients by itself; nothing here keeps a loop alive
    after that.

    Args:
        url: as redis-py takes it; `redis+cluster://` and `rediss+cluster://` speak to a Redis Cluster.

        quick: seconds a look-up may take, connecting not included.

        patient: seconds anything else may take.

    Raises:
        ConfigError: redis-py is not installed.
    """

    def __init__(self, url: str, *, quick: float, patient: float) -> None:
        try:
            import redis.asyncio.retry
            import redis.backoff
            import redis.exceptions
            import redis.retry
        except ImportError as error:
            raise ConfigError('a Redis store needs redis-py: pip install "agentprod[redis]"') from error
        scheme, _, rest = url.partition("://")
        self.is_cluster = scheme.endswith("+cluster")
        self._url = f"{scheme.removesuffix('+cluster')}://{rest}"
        self._times = (quick, patient)
        # One try: our callers decide about a second one, within their own time.
        once = (redis.backoff.NoBackoff(), 0)
        self._retries: tuple[Any, Any] = (redis.retry.Retry(*once), redis.asyncio.retry.Retry(*once))
        self._kinds: tuple[Any, Any] = (
            (redis.RedisCluster, redis.asyncio.RedisCluster) if self.is_cluster else (redis.Redis, redis.asyncio.Redis)
        )
        self.error: type[Exception] = redis.RedisError
        """What its clients raise when they cannot do what they are told."""
        self.unknown_script: type[Exception] = redis.exceptions.NoScriptError
        try:
            redis.Redis.from_url(self._url)
        except ValueError as error:
            raise ConfigError("redis-py cannot read this URL; it is written redis://host:port/database") from error
        self._lock = threading.Lock()
        self._inherited: list[object] = []
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._sync: _Pair | None = None
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopClients] = WeakKeyDictionary()

    def _forget_parents(self) -> None:
        # Were they collected, closing a loop's sockets would take them off the selector that the parent still uses.
        self._inherited += [self._sync, *self._loops.items()]
        self._begin()

    def sync(self) -> _Pair:
        """Return the synchronous clients."""
        if self._sync is None or self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._forget_parents()
                if self._sync is None:
                    self._sync = self._pair(0)
        return self._sync

    async def running(self) -> _Pair:
        """Return the clients of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._pid != os.getpid():
            with self._lock:
                self._forget_parents()
        known = self._loops.get(loop)
        if known is None:
            pair = self._pair(1)
            closer = self._closing_with(loop, pair)
            with self._lock:
                # Loops that were closed without ending their generators would stay for ever: their clients hold them.
                for ended in [each for each in self._loops if each.is_closed()]:
                    del self._loops[ended]
                known = self._loops[loop] = _LoopClients(pair, closer)
            await anext(closer)  # from here on the loop knows the generator, and ends it with itself
        return known.pair

    def close(self) -> None:
        """Close the synchronous clients; the next use makes new ones."""
        with self._lock:
            pair, self._sync = self._sync, None
            mine = self._pid == os.getpid()
        if pair is not None and mine:
            for client in pair:
                client.close()

    async def aclose(self) -> None:
        """Close the clients of the running event loop, and the synchronous ones."""
        known = self._loops.get(asyncio.get_running_loop())
        if known is not None:
            await known.closer.aclose()
        self.close()

    async def _closing_with(self, loop: asyncio.AbstractEventLoop, pair: _Pair) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            with self._lock:
                self._loops.pop(loop, None)
            for client in pair:
                await client.aclose()

    def _pair(self, kind: int) -> _Pair:
        quick, patient = (
            self._kinds[kind].from_url(
                self._url,
                socket_timeout=seconds,
                socket_connect_timeout=seconds,
                protocol=2,
                retry=self._retries[kind],
            )
            for seconds in self._times
        )
        return _Pair(quick, patient)
