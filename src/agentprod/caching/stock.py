"""What is done to the entries of a cache besides serving them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from agentprod.caching.counter_examples import Wrong
from agentprod.caching.keys import Ticket
from agentprod.caching.lines import read_lines, write_lines
from agentprod.caching.selecting import select
from agentprod.errors import ConfigError
from agentprod.runtime.clock import SystemClock
from agentprod.runtime.drive import drive
from agentprod.runtime.offload import in_thread
from agentprod.runtime.runtime import AsyncRuntime, Runtime, SyncRuntime
from agentprod.stores.opening import StoreLike, open_store

if TYPE_CHECKING:
    from agentprod.caching.entries import Entry
    from agentprod.caching.tiers import Tiers
    from agentprod.caching.warning import Warner

__all__ = ["Stock"]


class Stock:
    """The entries of a cache, and its part in a stack.

    Args:
        tiers: where they are.

        warner: where trouble is told.

        store: where they shall be; the stack's store when `None`.
    """

    kind: ClassVar[type] = Ticket
    """Under which this cache leaves its ticket in a call's state."""

    def __init__(self, tiers: Tiers, warner: Warner, store: StoreLike | None) -> None:
        self._tiers = tiers
        self._warner = warner
        self._own_store = store is not None
        self._joined: Any = None
        if store is not None:
            tiers.use(open_store(store))
        clock = SystemClock()
        self._sync: Runtime = SyncRuntime(clock)
        self._async: Runtime = AsyncRuntime(clock)

    def join_stack(self, stack: Any) -> None:
        """Take clock and store from the stack this layer now belongs to.

        Raises:
            ConfigError: another stack has given it another store.
        """
        self._sync, self._async = stack.entry.sync.runtime, stack.entry.asynchronous.runtime
        if stack.store is None or self._own_store or stack.store == self._joined:
            return
        if self._joined is not None:
            raise ConfigError("this Cache serves two stacks with different stores; give it a store of its own")
        self._joined = stack.store
        self._tiers.use(open_store(stack.store))

    def invalidate(
        self,
        *,
        key: Any = None,
        tags: Mapping[str, str] | None = None,
        tenant: str | None = None,
        model: str | None = None,
        where: Callable[[Entry], bool] | None = None,
    ) -> int:
        """Drop the entries that meet every condition given; calls on their way do not store such any more.

        In a shared store all processes' entries are dropped; a process with memory in front of it stops reading
        them within a second.

        Args:
            key: an entry's key, or a result that `ap.meta` can read, or its `Meta`.

            tags: labels of the context that the call was made in.

            tenant: of that context.

            model: asked for, or that answered.

            where: `(entry) -> bool`, with what `Entry` knows.

        Returns:
            How many entries there were.

        Raises:
            ConfigError: no condition, or one of the wrong kind.
            StoreUnavailable: the store could not be asked.
        """
        return drive(self._tiers.remove(self._sync, select(key, tags, tenant, model, where, kind=self.kind)))

    async def ainvalidate(
        self,
        *,
        key: Any = None,
        tags: Mapping[str, str] | None = None,
        tenant: str | None = None,
        model: str | None = None,
        where: Callable[[Entry], bool] | None = None,
    ) -> int:
        """Like `invalidate`."""
        return await self._tiers.remove(self._async, select(key, tags, tenant, model, where, kind=self.kind))

    def dump(self, path: str | os.PathLike[str]) -> int:
        """Write all entries to a file as JSON Lines; return how many.

        The file holds replies in plain text: keep it as safe as the conversations themselves.
        """
        return write_lines(path, (entry for entry, _ in drive(self._tiers.all(self._sync))), self._tiers.wrong())

    def load(self, path: str | os.PathLike[str]) -> int:
        """Read entries that `dump` wrote, for the time they have left; return how many.

        Lines that are no entries are left out, with a warning.

        Raises:
            ConfigError: no such file of this library's, or of another version.
        """
        loaded = broken = 0
        wall = self._sync.wall()
        for entry in read_lines(path):
            if isinstance(entry, Wrong):
                self._tiers.learn_wrong(entry)
                continue
            if entry is None:
                broken += 1
                continue
            age = max(0.0, wall - entry.stored)
            if age < entry.terms.whole:
                ticket = Ticket(entry.key, entry.partition, self._tiers.epoch)
                loaded += self._tiers.put(self._sync, entry, ticket, age)
        if broken:
            self._warner.unread(broken)
        return loaded

    async def adump(self, path: str | os.PathLike[str]) -> int:
        """Like `dump`."""
        entries = [entry for entry, _ in await self._tiers.all(self._async)]
        return await in_thread(write_lines, path, entries, self._tiers.wrong())

    async def aload(self, path: str | os.PathLike[str]) -> int:
        """Like `load`."""
        return await in_thread(self.load, path)

    async def aflush(self, timeout: float = 1.0) -> bool:
        """Like `flush`."""
        return await in_thread(self.flush, timeout)

    def flush(self, timeout: float = 1.0) -> bool:
        """Wait until a shared store has what was written behind the calls; return whether it has."""
        return self._tiers.flush(timeout)
