"""Rows of vectors in 16-bit integers, with the numbers that bound their cosine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

__all__ = ["Block", "bound_of", "principal_directions"]

_LARGEST = 32767
_CANCELLED = 1e-6
"""More than float32 can lose in the difference of two squares below 1; it only makes a bound a little higher."""

_MANY = 256
"""Rows from which on a block has room for all it may hold."""

_AT_ONCE = 256
"""Rows that are worked on together: what many take for a moment, the process keeps for good."""

_POWER_STEPS = 4
_OVERSAMPLING = 8


class Block:
    """Up to `limit` vectors; room grows with them, so that a block of one vector is small.

    From some hundred on there is room for all: what is not written to yet takes no memory, and what growing leaves
    behind would be an eighth of a large index.

    Args:
        dims: length of a vector.

        limit: rows at most.

        room: rows to begin with.
    """

    __slots__ = ("_bounds", "_codes", "_limit", "_most", "_scales", "count")

    def __init__(self, dims: int, limit: int, room: int = 1) -> None:
        import numpy as np

        self._limit = limit
        self._codes: NDArray[np.int16] = np.empty((room, dims), dtype=np.int16)
        self._scales: Array = np.empty(room, dtype=np.float32)
        self._bounds: Array | None = None
        self._most = 0
        """Rows written to since the room last changed."""
        self.count = 0

    def append(self, vector: Array, directions: Array | None) -> None:
        """Add a row; `directions` are `principal_directions` once they are known."""
        if self.count == len(self._scales):
            self._resize(self._limit if self.count >= _MANY else min(self._limit, self.count + self.count // 4 + 1))
        self.count += 1
        self._most = max(self._most, self.count)
        self.write(self.count - 1, vector, directions)

    def write(self, row: int, vector: Array, directions: Array | None) -> None:
        """Put a vector into a row."""
        import numpy as np

        scale = np.abs(vector).max() / _LARGEST
        np.rint(vector / scale, out=self._codes[row], casting="unsafe")
        self._scales[row] = scale
        if directions is not None:
            if self._bounds is None:
                self._bounds = np.empty((len(self._scales), len(directions)), dtype=np.float32)
            self._bounds[row] = bound_of(vector, directions)

    def copy(self, row: int, source: Block, place: int) -> None:
        """Copy a row of a block, which may be this one."""
        self._codes[row] = source._codes[place]
        self._scales[row] = source._scales[place]
        if self._bounds is not None and source._bounds is not None:
            self._bounds[row] = source._bounds[place]

    def shrink(self) -> None:
        """Drop the last row, and room for more than twice of what is left."""
        self.count -= 1
        if 8 < self.count < self._most // 2:
            self._resize(self.count)

    def vector(self, row: int) -> Array:
        """Return one row as float32, (dims,)."""
        found: Array = self._codes[row] * self._scales[row]
        return found

    def vectors(self, rows: slice) -> Array:
        """Return some of the rows as float32, (rows, dims)."""
        found: Array = self._codes[: self.count][rows] * self._scales[: self.count][rows, None]
        return found

    def bound(self, directions: Array) -> None:
        """Compute the bounds of all rows for new directions."""
        import numpy as np

        self._bounds = np.empty((len(self._scales), len(directions)), dtype=np.float32)
        for start in range(0, self.count, _AT_ONCE):
            rows = slice(start, min(start + _AT_ONCE, self.count))
            vectors, bounds = self.vectors(rows), self._bounds[rows]
            bounds[:] = vectors @ directions.T
            bounds[:, -1] = np.sqrt(np.maximum(_squares(vectors) - _squares(bounds), 0) + _CANCELLED)

    def bounds(self, query: Array) -> Array:
        """Return what no cosine of a row with a vector exceeds, but for rounding, float32, (count,).

        Args:
            query: `bound_of` the vector.
        """
        assert self._bounds is not None
        found: Array = self._bounds[: self.count].dot(query)
        return found

    def similarity(self, vector: Array, row: int) -> float:
        """Return the cosine of one row with a vector."""
        return float(self.vector(row).dot(vector))

    def similarities(self, vector: Array, rows: NDArray[np.intp] | None) -> Array:
        """Return the cosines of some rows with a vector, float32, (len(rows),); of all rows when `None`."""
        import numpy as np

        # `take` and `dot` do what brackets and `@` do, in half of the time for a few rows.
        codes = self._codes[: self.count] if rows is None else self._codes.take(rows, 0)
        scales = self._scales[: self.count] if rows is None else self._scales.take(rows)
        found: Array = codes.astype(np.float32).dot(vector) * scales
        return found

    def _resize(self, rows: int) -> None:
        import numpy as np

        def resized(array: Array) -> Array:
            larger = np.empty((rows, *array.shape[1:]), dtype=array.dtype)
            larger[: self.count] = array[: self.count]
            return larger

        self._codes = resized(self._codes)  # type: ignore[assignment, arg-type]
        self._scales = resized(self._scales)
        self._most = self.count
        self._bounds = None if self._bounds is None else resized(self._bounds)


def principal_directions(vectors: Sequence[Array], count: int) -> Array:
    """Return orthonormal directions that hold most of the vectors' squared length.

    Subspace iteration with a fixed start (Halko, Martinsson and Tropp, arXiv 0909.4061, algorithm 4.4), which for 3,072
    dimensions takes a hundredth of a full decomposition.

    Args:
        vectors: float32 arrays, each (rows, dims).

        count: how many directions.

    Returns:
        float32, (count + 1, dims); the last row is zero, and makes room for the rest of a vector in `bound_of`.
    """
    import numpy as np

    dims = vectors[0].shape[1]
    basis = np.random.Generator(np.random.PCG64(0)).standard_normal(
        (dims, min(dims, count + _OVERSAMPLING)), dtype=np.float32
    )
    for _ in range(_POWER_STEPS):
        basis = np.linalg.qr(sum((rows.T @ (rows @ basis) for rows in vectors), np.zeros_like(basis)))[0]
    return np.concatenate([basis[:, :count].T, np.zeros((1, dims), dtype=np.float32)])


def bound_of(vector: Array, directions: Array) -> Array:
    """Return a vector's part in each direction and the length of the rest; two of them bound a cosine by their product.

    Args:
        vector: float32, (dims,).

        directions: `principal_directions`, float32, (heads + 1, dims).

    Returns:
        float32, (heads + 1,).
    """
    bound: Array = directions.dot(vector)
    bound[-1] = math.sqrt(max(float(vector.dot(vector) - bound.dot(bound)), 0.0) + _CANCELLED)
    return bound


def _squares(rows: Array) -> Array:
    import numpy as np

    squares: Array = np.einsum("ij,ij->i", rows, rows)
    return squares
