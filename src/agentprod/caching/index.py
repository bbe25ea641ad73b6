"""Exact search for the vectors above a cosine threshold, without an approximate-neighbour library.

A cache asks a threshold question, and that can be pruned: for any orthonormal directions R, with h(x) = x R and the
rest of x having length r(x), the Cauchy-Schwarz inequality gives cos(q, x) <= h(q) h(x) + r(q) r(x). One product over
32 numbers per row finds the few rows whose bound reaches the threshold; only those are scored in full. The answer is
exact for every R; principal directions of the stored vectors only make the bound tight.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from agentprod.caching.blocks import Block, bound_of, principal_directions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Neighbour", "PrunedIndex", "VectorIndex"]

T = TypeVar("T")

_BLOCK_ROWS = 4096
_FIRST_FIT = 256
"""Below this many rows all are scored: converting them costs less than a bound saves."""

_REFIT_FACTOR = 8
_SAMPLE = 1024
"""About so many rows tell the principal directions of all."""

_ROUNDING = 1e-5
"""More than float32 can take from a bound: 32 products below 1, each off by 6e-8 at most."""


_Scored = tuple[float, int]
"""A cosine, negative so that the highest comes first, and the row that has it."""


class Neighbour(NamedTuple, Generic[T]):
    """An item found, with the cosine of its vector and the query's."""

    item: T
    similarity: float


class VectorIndex(Protocol[T]):
    """What a matcher needs from an index; an adapter for another engine has these seven methods."""

    def __len__(self) -> int:
        """Return the number of items."""
        ...

    def __iter__(self) -> Iterator[T]:
        """Iterate over a snapshot of the items."""
        ...

    def insert(self, key: Hashable, vector: NDArray[np.float32], item: T) -> T | None:
        """Store an item under a key; return the one that was stored under it before."""
        ...

    def get(self, key: Hashable) -> T | None:
        """Return the item stored under a key."""
        ...

    def vector(self, key: Hashable) -> NDArray[np.float32] | None:
        """Return the vector stored under a key."""
        ...

    def delete(self, key: Hashable) -> T | None:
        """Remove and return the item stored under a key."""
        ...

    def search(self, vector: NDArray[np.float32], threshold: float, k: int = 5) -> list[Neighbour[T]]:
        """Return the k items most similar to a vector, of those with a cosine of at least the threshold."""
        ...


class PrunedIndex(Generic[T]):
    """An exact index in numpy, thread-safe, for up to some millions of vectors.

    Vectors are kept as 16-bit integers with one scale each, which is off by 2e-6 in a cosine (float16: 4e-5);
    similarities are exact for the vectors so kept. 384 dimensions take 900 bytes per item, besides its key and the
    item itself.

    Args:
        dims: length of a vector.
    """

    __slots__ = (
        "_blocks", "_dims", "_directions", "_heads", "_items", "_keys", "_lock", "_next_fit", "_rows", "_slack",
    )  # fmt: skip

    def __init__(self, dims: int) -> None:
        self._dims = dims
        self._heads = min(31, dims // 8)
        self._slack = _ROUNDING + math.sqrt(dims) / 65_534  # the integers are off by half of 1/32,767 each
        self._directions: NDArray[np.float32] | None = None
        self._next_fit = _FIRST_FIT
        self._blocks: list[Block] = []
        self._rows: dict[Hashable, int] = {}
        self._keys: list[Hashable] = []
        self._items: list[T] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        with self._lock:
            return iter(list(self._items))

    def insert(self, key: Hashable, vector: NDArray[np.float32], item: T) -> T | None:
        """Store an item, in place of the one stored under the same key.

        Args:
            key: what it can be deleted by.

            vector: float32, (dims,), of length 1.

            item: what `search` returns.

        Returns:
            The item replaced, or `None`.

        Raises:
            ValueError: the vector has another shape or length.
        """
        self._check(vector)
        with self._lock:
            row = self._rows.get(key)
            if row is not None:
                block, place = self._locate(row)
                block.write(place, vector, self._directions)
                replaced, self._items[row] = self._items[row], item
                return replaced
            if not self._blocks or self._blocks[-1].count == _BLOCK_ROWS:
                self._blocks.append(Block(self._dims, _BLOCK_ROWS, room=_BLOCK_ROWS if self._blocks else 1))
            self._blocks[-1].append(vector, self._directions)
            self._rows[key] = len(self._items)
            self._keys.append(key)
            self._items.append(item)
            if len(self._items) == self._next_fit and self._heads >= 8:
                self._fit()
            return None

    def get(self, key: Hashable) -> T | None:
        """Return the item stored under a key, or `None`."""
        with self._lock:
            row = self._rows.get(key)
            return None if row is None else self._items[row]

    def vector(self, key: Hashable) -> NDArray[np.float32] | None:
        """Return the vector stored under a key, float32 as it is kept, or `None`."""
        with self._lock:
            row = self._rows.get(key)
            if row is None:
                return None
            block, place = self._locate(row)
            return block.vector(place)

    def delete(self, key: Hashable) -> T | None:
        """Remove and return the item stored under a key, or `None`."""
        with self._lock:
            row = self._rows.pop(key, None)
            if row is None:
                return None
            item, last = self._items[row], len(self._items) - 1
            if row != last:
                block, place = self._locate(row)
                block.copy(place, *self._locate(last))
                self._keys[row], self._items[row] = self._keys[last], self._items[last]
                self._rows[self._keys[row]] = row
            self._keys.pop()
            self._items.pop()
            self._blocks[-1].shrink()
            if not self._blocks[-1].count:
                self._blocks.pop()
            return item

    def search(self, vector: NDArray[np.float32], threshold: float, k: int = 5) -> list[Neighbour[T]]:
        """Return the most similar items.

        Args:
            vector: float32, (dims,), of length 1.

            threshold: least cosine, -1 to 1.

            k: how many at most.

        Returns:
            Items with their cosines, the highest first; those of one cosine in the order of insertion.

        Raises:
            ValueError: the vector has another shape or length.
        """
        self._check(vector)
        vector = vector.astype("float32", copy=False)
        with self._lock:
            bounds = self._bounds(vector)
            if bounds and k == 1:
                found = self._nearest(vector, threshold, bounds)
            else:
                found = []
                floor = threshold
                for number, block in enumerate(self._blocks):
                    rows = (bounds[number] >= floor - self._slack).nonzero()[0] if bounds else None
                    found += _scored(block, number, vector, rows, threshold)
                    if len(found) >= k:
                        found = sorted(found)[:k]
                        floor = max(threshold, -found[-1][0])
            return [Neighbour(self._items[row], min(1.0, -negative)) for negative, row in sorted(found)[:k]]

    def _bounds(self, vector: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the bounds of each block's rows; none while all rows are scored."""
        if self._directions is None:
            return []
        query = bound_of(vector, self._directions)
        return [block.bounds(query) for block in self._blocks]

    def _nearest(
        self, vector: NDArray[np.float32], threshold: float, bounds: list[NDArray[np.float32]]
    ) -> list[_Scored]:
        """Score the row with the highest bound, then those that may be nearer still, which are few."""
        highest = [int(array.argmax()) for array in bounds]
        likeliest = 0
        if len(bounds) > 1:
            likeliest = max(range(len(bounds)), key=lambda number: float(bounds[number][highest[number]]))
        similarity = self._blocks[likeliest].similarity(vector, highest[likeliest])
        floor = max(threshold, similarity) - self._slack
        found: list[_Scored] = []
        for number, block in enumerate(self._blocks):
            rows = (bounds[number] >= floor).nonzero()[0]
            if number != likeliest or len(rows) > 1:
                found += _scored(block, number, vector, rows, threshold)
            elif similarity >= threshold:
                found.append((-similarity, highest[number] + number * _BLOCK_ROWS))
        return found

    def _locate(self, row: int) -> tuple[Block, int]:
        block, place = divmod(row, _BLOCK_ROWS)
        return self._blocks[block], place

    def _fit(self) -> None:
        """Take new principal directions; the index has grown enough that they may have changed."""
        step = max(1, len(self._items) // _SAMPLE)
        sample = [block.vectors(slice(0, None, step)) for block in self._blocks]
        self._directions = principal_directions(sample, self._heads)
        for block in self._blocks:
            block.bound(self._directions)
        self._next_fit = len(self._items) * _REFIT_FACTOR

    def _check(self, vector: NDArray[np.float32]) -> None:
        shape = getattr(vector, "shape", None)
        if shape != (self._dims,):
            raise ValueError(f"expected a vector of shape ({self._dims},), got {shape or type(vector).__name__}")
        if not abs(float(vector.dot(vector)) - 1) < 1e-3:
            raise ValueError("expected a vector of length 1; divide it by its norm first")


def _scored(
    block: Block,
    number: int,
    vector: NDArray[np.float32],
    rows: NDArray[np.intp] | None,
    threshold: float,
) -> list[_Scored]:
    """Return what reaches the threshold among some rows of the block of a number; among all of them when `None`."""
    if rows is not None and not len(rows):
        return []
    similarities = block.similarities(vector, rows)
    near = (similarities >= threshold).nonzero()[0]
    places = (near if rows is None else rows.take(near)) + number * _BLOCK_ROWS
    return list(zip((-similarities.take(near)).tolist(), places.tolist(), strict=True))
