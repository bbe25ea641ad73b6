"""Where entries are: on a shelf of this process, or in a store that processes share."""

from __future__ import annotations

import atexit
import threading
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from agentprod.caching.seal import Broken, Seal
from agentprod.caching.selecting import Selection
from agentprod.stores.base import StoreUnavailable
from agentprod.stores.layered import LayeredStore
from agentprod.stores.memory import MemoryStore
from agentprod.stores.write_behind import WriteBehind

if TYPE_CHECKING:
    from agentprod.caching.counter_examples import Wrong
    from agentprod.caching.counts import Counts
    from agentprod.caching.entries import Entry
    from agentprod.caching.keys import Ticket
    from agentprod.caching.shelf import Shelf
    from agentprod.caching.warning import Warner
    from agentprod.runtime.runtime import Runtime
    from agentprod.stores.base import Store

__all__ = ["BUDGET", "Replies", "Tiers", "write_behind"]

BUDGET = 0.05
"""Seconds a look-up in a store may take."""

_REMEMBERED = 64
_MOST_SCANNED = 1_000_000


class Tiers(ABC):
    """The place of one cache's entries: this process, until a store is given.

    A store's values are JSON under a seal. One that fails, is slow or holds something else is a miss. Writes do not
    wait for it: a store of layers writes behind by itself, any other is written behind here.

    Look-ups of the same process see what is still to be written.

    Args:
        seal: makes a store's names and values.

        counts, warner: where failures are told.
    """

    def __init__(self, seal: Seal, counts: Counts, warner: Warner) -> None:
        self.store: Store | None = None
        self.epoch = 0
        """Counts invalidations."""
        self._seal = seal
        self._counts = counts
        self._warner = warner
        self._behind: WriteBehind | None = None
        self._recent: deque[tuple[int, Selection]] = deque(maxlen=_REMEMBERED)
        self._lock = threading.RLock()

    def use(self, store: Store) -> None:
        """Keep entries in a store from now on."""
        self.store = store
        if isinstance(store, LayeredStore):
            self._behind = store.writes
        elif not isinstance(store, MemoryStore):
            # It is written to and nothing else.
            self._behind = write_behind(store, self._counts)

    # In this process

    @abstractmethod
    def near(self, runtime: Runtime, ticket: Ticket) -> tuple[Entry, float] | None:
        """Return what this process has for a call, and its age in seconds; `None` when there is nothing."""

    @abstractmethod
    def _keep(self, runtime: Runtime, entry: Entry, ticket: Ticket, age: float) -> None:
        """Keep an entry in this process."""

    @abstractmethod
    def _drop(self, runtime: Runtime, selection: Selection) -> int:
        """Drop the entries of this process that are meant; return how many there were."""

    @abstractmethod
    def _alive(self, runtime: Runtime) -> list[tuple[Entry, float]]:
        """Return all entries of this process with their ages in seconds."""

    # Reading

    async def get(self, runtime: Runtime, ticket: Ticket) -> tuple[Entry, float] | None:
        """Return an entry and its age in seconds; `None` when there is none."""
        return self.near(runtime, ticket) if self.store is None else await self._far(runtime, self.store, ticket.key)

    async def _far(self, runtime: Runtime, store: Store, key: str) -> tuple[Entry, float] | None:
        name = self._seal.name(key)
        if self._behind is not None and not isinstance(store, LayeredStore):
            waiting = self._behind.waiting(name)
            if waiting is not None:  # the store will have it soon, but who asks again at once has paid for it already
                entry = self._unsealed(name, waiting.value)
                return None if entry is None else (entry, max(0.0, runtime.wall() - entry.stored))
        try:
            async with runtime.timeout(runtime.now() + BUDGET):
                found = await runtime.run(lambda: store.get(name), lambda: store.aget(name))
        except (StoreUnavailable, TimeoutError) as error:
            self._failed("looking up in the store", error)
            return None
        if found is None:
            return None
        entry = self._unsealed(name, found.value)
        if entry is None or entry.key != key or found.age >= entry.terms.whole:
            return None
        return entry, max(found.age, 0.0)

    def _unsealed(self, name: str, value: bytes) -> Entry | None:
        try:
            return self._seal.entry(name, value)
        except Broken:
            self._counts.add("tampered")
            self._warner.tampered()
            return None

    # Writing

    def put(self, runtime: Runtime, entry: Entry, ticket: Ticket, age: float = 0.0) -> bool:
        """Keep an entry, unless what it is made from was invalidated meanwhile; return whether it is kept.

        Args:
            runtime: whose time it is.

            entry: the entry.

            ticket: of the call that made it.

            age: how long ago it was made, in seconds.
        """
        if self._outdated(entry, ticket.epoch):
            return False
        store = self.store
        if store is None:
            self._keep(runtime, entry, ticket, age)
            return True
        name = self._seal.name(entry.key)
        value, ttl, tags = self._seal.close(name, entry.to_json()), entry.terms.whole - age, tuple(self._tags(entry))
        if self._behind is None or isinstance(store, LayeredStore):
            store.set(name, value, ttl=ttl, tags=tags)
        else:
            self._behind.put(name, value, ttl, tags)
        return True

    def _tags(self, entry: Entry) -> list[str]:
        tags = [self._seal.tag("label", name, value) for name, value in entry.tags.items()]
        tags += [self._seal.tag("model", model) for model in {entry.model, entry.asked} if model is not None]
        if entry.tenant is not None:
            tags.append(self._seal.tag("tenant", entry.tenant))
        return tags

    def flush(self, timeout: float) -> bool:
        """Wait until the store has everything; return whether it has."""
        return self._behind is None or self._behind.flush(timeout=timeout)

    # Removing

    async def remove(self, runtime: Runtime, selection: Selection) -> int:
        """Drop the entries that are meant, and keep calls on their way from storing such; return how many were there.

        Raises:
            StoreUnavailable: the store could not be asked.
        """
        self._forbid(selection)
        store = self.store
        if store is None:
            return self._drop(runtime, selection)
        tag = self._only_tag(selection)
        if tag is not None:
            self._discard(lambda name, tags: tag in tags)
            return await runtime.run(lambda: store.delete(tag=tag), lambda: store.adelete(tag=tag))
        if selection.key is not None and selection._replace(key=None) == Selection():
            names = [self._seal.name(selection.key)]
        else:
            self.flush(1.0)
            names = [name for name, entry in await self._scan(runtime, store) if selection(entry)]
        if not names:
            return 0
        self._discard(lambda name, tags: name in names)
        return await runtime.run(lambda: store.delete(*names), lambda: store.adelete(*names))

    async def retract(self, runtime: Runtime, entry: Entry, ticket: Ticket) -> None:
        """Take back what a call has stored.

        Raises:
            StoreUnavailable: the store could not be asked.
        """
        await self.remove(runtime, Selection(key=entry.key))

    def _forbid(self, selection: Selection) -> None:
        """Keep calls on their way from storing what is meant."""
        with self._lock:
            self.epoch += 1
            self._recent.append((self.epoch, selection))

    def _discard(self, doomed: Callable[[str, tuple[str, ...]], bool]) -> None:
        if self._behind is not None and not isinstance(self.store, LayeredStore):
            self._behind.discard(lambda write: doomed(write.key, write.tags))

    def _only_tag(self, selection: Selection) -> str | None:
        """Return the tag that means what the selection means, when a single one does."""
        labels = selection.tags or {}
        if selection.tenant is not None and selection._replace(tenant=None) == Selection():
            return self._seal.tag("tenant", selection.tenant)
        if selection.model is not None and selection._replace(model=None) == Selection():
            return self._seal.tag("model", selection.model)
        if len(labels) == 1 and selection._replace(tags=None) == Selection():
            return self._seal.tag("label", *next(iter(labels.items())))
        return None

    async def all(self, runtime: Runtime) -> list[tuple[Entry, float]]:
        """Return all entries with their ages in seconds.

        Raises:
            StoreUnavailable: the store could not be asked.
        """
        store = self.store
        if store is None:
            return self._alive(runtime)
        self.flush(1.0)
        return [(entry, max(0.0, runtime.wall() - entry.stored)) for _, entry in await self._scan(runtime, store)]

    async def _scan(self, runtime: Runtime, store: Store) -> list[tuple[str, Entry]]:
        prefix = self._seal.prefix
        names = await runtime.run(
            lambda: store.scan(prefix, limit=_MOST_SCANNED), lambda: store.ascan(prefix, limit=_MOST_SCANNED)
        )
        found = []
        for name in names:
            entry = await self._one(runtime, store, name)
            if entry is not None:
                found.append((name, entry))
        return found

    async def _one(self, runtime: Runtime, store: Store, name: str) -> Entry | None:
        stored = await runtime.run(lambda: store.get(name, fresh=True), lambda: store.aget(name, fresh=True))
        return None if stored is None else self._unsealed(name, stored.value)

    # Reports, which an exact cache has none of

    def wrong(self) -> list[Wrong]:
        """Return the texts that were answered wrongly."""
        return []

    def learn_wrong(self, wrong: Wrong) -> None:
        """Take in a report."""
        return

    def _outdated(self, entry: Entry, epoch: int) -> bool:
        if epoch == self.epoch:
            return False
        with self._lock:
            later = [selection for when, selection in self._recent if when > epoch]
            forgotten = self.epoch - epoch > _REMEMBERED
        return forgotten or any(selection(entry) for selection in later)

    def _failed(self, what: str, error: Exception) -> None:
        self._counts.add("errors")
        self._warner.failed(what, error)


class Replies(Tiers):
    """The place of an exact cache's entries, which are found by their key alone.

    Args:
        shelf: the place in this process.

        seal, counts, warner: as for `Tiers`.
    """

    def __init__(self, shelf: Shelf, seal: Seal, counts: Counts, warner: Warner) -> None:
        super().__init__(seal, counts, warner)
        self._shelf = shelf

    def near(self, runtime: Runtime, ticket: Ticket) -> tuple[Entry, float] | None:
        """Return what this process has for a call, and its age in seconds; `None` when there is nothing."""
        return self._shelf.get(ticket.key, runtime.now())

    def _keep(self, runtime: Runtime, entry: Entry, ticket: Ticket, age: float) -> None:
        self._shelf.put(entry, runtime.now(), age)

    def _drop(self, runtime: Runtime, selection: Selection) -> int:
        return self._shelf.remove_if(selection.__call__)

    def _alive(self, runtime: Runtime) -> list[tuple[Entry, float]]:
        return self._shelf.alive(runtime.now())


class _Counting:
    """A store whose failed writes are counted, whatever they raise: nobody waits for them."""

    def __init__(self, store: Store, counts: Counts) -> None:
        self._store = store
        self._counts = counts

    def set(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """Store an entry, if that is possible."""
        try:
            self._store.set(key, value, ttl=ttl, tags=tags)
        except Exception:
            self._counts.add("errors")


def write_behind(store: Store, counts: Counts) -> WriteBehind:
    """Return a queue of writes to a store, which is emptied when the process ends; failures are counted."""
    behind = WriteBehind(cast("Store", _Counting(store, counts)))
    _unwritten.add(behind)
    return behind


_unwritten: weakref.WeakSet[WriteBehind] = weakref.WeakSet()


@atexit.register
def _write_what_waits() -> None:
    for behind in _unwritten:
        behind.flush()
