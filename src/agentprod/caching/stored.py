"""What a matcher keeps, and the partitions it keeps it in."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agentprod.caching.index import Neighbour, VectorIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Entry", "Partition", "Valued"]

V = TypeVar("V")


class Entry(Generic[V]):
    """One stored value; a subclass says how the value is kept.

    It is also a link of the recency list, which saves 70 bytes per entry over an `OrderedDict`.
    """

    __slots__ = ("_readings", "expires", "home", "newer", "older", "text")

    text: str
    _readings: bytes
    expires: float | None
    home: Partition[V]
    newer: Entry[V] | None
    older: Entry[V] | None

    @property
    def value(self) -> V:
        """The stored value."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Bytes that count against the matcher's bound; 0 where only the number of entries is bounded."""
        return 0

    @property
    def readings(self) -> str:
        """What the guards read in the text; kept as bytes, which take 16 less than the text."""
        return self._readings.decode("utf-8", "surrogatepass")

    def settle(self, text: str, readings: str, expires: float | None, home: Partition[V]) -> None:
        """Take the place of a text in a partition."""
        self.text = text
        self._readings = readings.encode("utf-8", "surrogatepass")
        self.expires = expires
        self.home = home
        self.newer = self.older = None

    def expired(self, now: float) -> bool:
        """Tell whether the entry's time is over."""
        return self.expires is not None and now >= self.expires


class Valued(Entry[V]):
    """An entry that holds its value as it is."""

    __slots__ = ("_value",)

    def __init__(self, value: V) -> None:
        self._value = value

    @property
    def value(self) -> V:
        """The stored value."""
        return self._value


class Partition(Generic[V]):
    """The entries among which a text may find its answer: those with a vector, and those known by their text alone.

    Args:
        key: what all of them have in common.
    """

    __slots__ = ("_index", "_plain", "key")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self._index: VectorIndex[Entry[V]] | None = None
        self._plain: dict[str, Entry[V]] | None = None

    def __len__(self) -> int:
        return len(self._index or ()) + len(self._plain or ())

    def get(self, text: str) -> Entry[V] | None:
        """Return the entry of the very same text."""
        found = None if self._index is None else self._index.get(text)
        return (self._plain or {}).get(text) if found is None else found

    def put(
        self, entry: Entry[V], vector: NDArray[np.float32] | None, make_index: Callable[[int], VectorIndex[Any]]
    ) -> Entry[V] | None:
        """Store an entry; return the one of the same text that it replaces.

        Args:
            entry: the entry.

            vector: its vector; `None` for a text that has none.

            make_index: makes the index, when the first vector comes.
        """
        if vector is None:
            replaced = None if self._index is None else self._index.delete(entry.text)
            self._plain = {} if self._plain is None else self._plain
            replaced = self._plain.get(entry.text, replaced)
            self._plain[entry.text] = entry
            return replaced
        if self._index is None:
            self._index = make_index(len(vector))
        replaced = self._index.insert(entry.text, vector, entry)
        return replaced if self._plain is None else self._plain.pop(entry.text, replaced)

    def delete(self, entry: Entry[V]) -> None:
        """Remove an entry."""
        if self._plain is None or self._plain.pop(entry.text, None) is None:
            if self._index is not None:
                self._index.delete(entry.text)

    def vector(self, text: str) -> NDArray[np.float32] | None:
        """Return the vector of the very same text."""
        return None if self._index is None else self._index.vector(text)

    def search(self, vector: NDArray[np.float32], threshold: float, k: int) -> list[Neighbour[Entry[V]]]:
        """Return the nearest entries with a cosine of at least the threshold."""
        return [] if self._index is None else self._index.search(vector, threshold, k)
