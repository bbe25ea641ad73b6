"""The entries of this process: least recently used out first, none past its time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from agentprod.caching.entries import Entry

__all__ = ["Shelf"]

_SWEPT = 2


class Shelf:
    """A bounded mapping from keys to entries, safe among threads.

    Expired entries go when they are met, and two at most with each insertion, from the cold end.

    A container of its own: those of cachetools have either an order of use or a time for each entry, one bound
    instead of two, and `TLRUCache`, which comes nearest, takes more than twice as long to look up under a lock
    (`benchmarks/cache_speed.py` measures both).

    Args:
        max_entries: most entries, at least 1.

        max_bytes: most bytes of all entries together, as `Entry.size` counts them.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._lock = threading.RLock()
        self.bytes = 0
        self.evicted = 0
        self.expired = 0

    def get(self, key: str, now: float) -> tuple[Entry, float] | None:
        """Return an entry and its age in seconds; `None` when there is none alive at `now`."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            age = now - entry.since
            if age >= entry.terms.whole:
                self._drop(key)
                self.expired += 1
                return None
            self._entries.move_to_end(key)
            return entry, age

    def put(self, entry: Entry, now: float, age: float = 0.0) -> None:
        """Keep an entry, in the place of one of the same key.

        Args:
            entry: the entry.

            now: monotonic seconds.

            age: how long ago it was stored first, in seconds.
        """
        with self._lock:
            if entry.key in self._entries:
                self._drop(entry.key)
            entry.since = now - age
            self._entries[entry.key] = entry
            self.bytes += entry.size
            self._sweep(now)
            while self._entries and (len(self._entries) > self._max_entries or self.bytes > self._max_bytes):
                self._drop(next(iter(self._entries)))
                self.evicted += 1

    def remove(self, key: str) -> bool:
        """Drop an entry; return whether there was one."""
        with self._lock:
            if key not in self._entries:
                return False
            self._drop(key)
            return True

    def remove_if(self, condition: Callable[[Entry], bool]) -> int:
        """Drop the entries for which `condition(entry)` is true; return how many."""
        with self._lock:
            entries = list(self._entries.values())
        # The condition is the user's: it runs outside the lock.
        keys = [entry.key for entry in entries if condition(entry)]
        return sum(self.remove(key) for key in keys)

    def alive(self, now: float) -> list[tuple[Entry, float]]:
        """Return all entries alive at `now` with their ages, the least recently used first."""
        with self._lock:
            found = [(entry, now - entry.since) for entry in self._entries.values()]
        return [(entry, age) for entry, age in found if age < entry.terms.whole]

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self, key: str) -> None:
        self.bytes -= self._entries.pop(key).size

    def _sweep(self, now: float) -> None:
        for _ in range(_SWEPT):
            key, entry = next(iter(self._entries.items()))
            if now - entry.since < entry.terms.whole:
                return
            self._drop(key)
            self.expired += 1
            if not self._entries:
                return
