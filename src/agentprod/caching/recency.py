"""Stored entries in the order of their last use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from agentprod.caching.stored import Entry

__all__ = ["Recency"]

V = TypeVar("V")


class Recency(Generic[V]):
    """A doubly linked list of entries; not thread-safe."""

    def __init__(self) -> None:
        self._oldest: Entry[V] | None = None
        self._newest: Entry[V] | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry[V]]:
        entry = self._oldest
        while entry is not None:
            yield entry
            entry = entry.newer

    def __contains__(self, entry: Entry[V]) -> bool:
        return entry.newer is not None or self._newest is entry

    def add(self, entry: Entry[V]) -> None:
        """Put an entry in as the newest."""
        entry.older = self._newest
        if self._newest is None:
            self._oldest = entry
        else:
            self._newest.newer = entry
        self._newest = entry
        self._count += 1

    def remove(self, entry: Entry[V]) -> bool:
        """Take an entry out; return whether it was in."""
        if entry not in self:
            return False
        if entry.older is None:
            self._oldest = entry.newer
        else:
            entry.older.newer = entry.newer
        if entry.newer is None:
            self._newest = entry.older
        else:
            entry.newer.older = entry.older
        entry.older = entry.newer = None
        self._count -= 1
        return True

    def touch(self, entry: Entry[V]) -> None:
        """Make an entry the newest, if it is still in."""
        if self.remove(entry):
            self.add(entry)

    def oldest(self, count: int) -> list[Entry[V]]:
        """Return up to `count` entries, the least recently used first."""
        found: list[Entry[V]] = []
        entry = self._oldest
        while entry is not None and len(found) < count:
            found.append(entry)
            entry = entry.newer
        return found
