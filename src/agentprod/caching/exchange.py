"""What processes tell each other of their questions, by way of a store."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from agentprod.caching.counter_examples import Wrong
from agentprod.caching.seal import Broken
from agentprod.caching.tiers import write_behind
from agentprod.stores.base import Entry as StoredValue
from agentprod.stores.memory import MemoryStore

if TYPE_CHECKING:
    from agentprod.caching.counts import Counts
    from agentprod.caching.seal import Seal
    from agentprod.stores.base import Store

__all__ = ["Exchange"]

_TOPICS = 64
"""Logs that all questions share, so that what a store keeps of them is bounded however many conversations there are."""

_MOST_ANNOUNCED = 50_000
_MOST_HOMES = 10_000
_TRIES = 3
_MOST_WRONG = 1_000
_WRONG_KEPT = 30 * 86_400.0
"""Seconds for which a report is kept in a store."""


class Exchange:
    """Announces new entries to other processes, and hears of theirs.

    A log of the store says which entry came to which partition; the entry itself is read when somebody asks something
    there. The store's logs keep 1,000 messages each, so a process that starts learns of some thousand latest entries.

    Args:
        store: where they meet.

        seal: makes names, and keeps messages from being forged.

        counts: where failures are counted.
    """

    def __init__(self, store: Store, seal: Seal, counts: Counts) -> None:
        self._store = store
        self._seal = seal
        announcer = cast("Store", _Announcer(store))
        self._behind = None if isinstance(store, MemoryStore) else write_behind(announcer, counts)
        self._announcer = announcer
        self._me = secrets.token_hex(8)
        self._read_up_to: dict[str, int] = {}
        self._announced: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._waiting = 0

    def announce(self, home: str, key: str) -> None:
        """Say that an entry came to a partition; the store hears of it soon."""
        self._say(home, [self._me, home, key])

    def news(self, home: str) -> tuple[dict[str, int], list[Wrong]]:
        """Return what others announced in a partition, and its reports when there are new ones.

        Returns:
            Keys of entries with how often they have been handed out, and reports.

        Raises:
            StoreUnavailable: the store could not be asked.
        """
        topic = _topic(home)
        log = self._store.read_log(topic, self._read_up_to.get(topic, 0))
        with self._lock:
            if log.last > self._read_up_to.get(topic, 0) or not log.complete:
                self._read_up_to[topic] = log.last
                for message in log.messages:
                    self._hear(topic, message)
            keys = self._announced.pop(home, {})
            self._waiting -= len(keys)
            first = home not in self._known
            self._known[home] = None
            if len(self._known) > _MOST_HOMES:
                self._known.popitem(last=False)
        return keys, self._reports(home) if first else []

    def again(self, home: str, keys: Mapping[str, int]) -> None:
        """Hand out keys once more, three times in all: what they name was not there yet, or there was no time."""
        with self._lock:
            for key, tried in keys.items():
                if tried < _TRIES:
                    self._await(home, key, tried)

    def tell_wrong(self, wrong: Sequence[Wrong]) -> None:
        """Keep reports for all processes.

        Raises:
            StoreUnavailable: the store could not be asked.
        """
        home = wrong[0].home
        name = self._name_of_reports(home)

        def change(entry: StoredValue | None) -> tuple[bytes, None]:
            known = {each.digest: each for each in self._read(name, entry)}
            known.update((each.digest, each) for each in wrong)
            return self._seal.close(name, list(known.values())[-_MOST_WRONG:]), None

        self._store.update(name, change, ttl=_WRONG_KEPT)
        self._say(home, [self._me, home, None])

    def flush(self, timeout: float) -> bool:
        """Wait until the store has heard everything; return whether it has."""
        return self._behind is None or self._behind.flush(timeout=timeout)

    def _say(self, home: str, message: list[str | None]) -> None:
        topic = _topic(home)
        data = self._seal.close(topic, message)
        if self._behind is None:
            self._announcer.set(f"{topic} ", data)
        else:
            self._behind.put(f"{topic} {secrets.token_hex(8)}", data, None, ())

    def _hear(self, topic: str, message: bytes) -> None:
        try:
            sender, home, key = self._seal.open(topic, message)
        except (Broken, TypeError, ValueError):
            return  # somebody without the secret writes there, too
        if sender == self._me:
            return
        if key is None:
            self._known.pop(home, None)
        else:
            self._await(home, key)

    def _await(self, home: str, key: str, tried: int = 0) -> None:
        keys = self._announced.setdefault(home, {})
        self._waiting += key not in keys
        keys[key] = tried + 1
        while self._waiting > _MOST_ANNOUNCED:
            _, dropped = self._announced.popitem(last=False)
            self._waiting -= len(dropped)

    def _reports(self, home: str) -> list[Wrong]:
        name = self._name_of_reports(home)
        return self._read(name, self._store.get(name))

    def _read(self, name: str, entry: StoredValue | None) -> list[Wrong]:
        try:
            return [] if entry is None else [Wrong.from_json(each) for each in self._seal.open(name, entry.value)]
        except (Broken, TypeError, ValueError):
            return []

    def _name_of_reports(self, home: str) -> str:
        return self._seal.tag("wrong", home)


class _Announcer:
    """A store that is told of entries by its log."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def set(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """Append a message; its topic is the first word of the key."""
        self._store.publish(key.partition(" ")[0], value)


def _topic(home: str) -> str:
    return f"semantic:{int(home[:4], 16) % _TOPICS}"
