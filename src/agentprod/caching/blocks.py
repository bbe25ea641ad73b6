"""Rows of vectors in 16-bit integers, with the numbers that bound their cosine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

__all__ = ["Block", "principal_directions", "rest_of"]

_LARGEST = 32767
_CANCELLED = 1e-6
"""More than float32 can lose in the difference of two squares below 1; it only makes a bound a little higher."""

_POWER_STEPS = 4
_OVERSAMPLING = 8


class Block:
    """Up to `limit` vectors; room grows with them, so that a block of one vector is small.

    Args:
        dims: length of a vector.

        limit: rows at most.

        room: rows to begin with.
    """

    __slots__ = ("_bounds", "_codes", "_limit", "_scales", "count")

    def __init__(self, dims: int, limit: int, room: int = 1) -> None:
        import numpy as np

        self._limit = limit
        self._codes: NDArray[np.int16] = np.empty((room, dims), dtype=np.int16)
        self._scales: Array = np.empty(room, dtype=np.float32)
        self._bounds: Array | None = None
        self.count = 0

    def append(self, vector: Array, directions: Array | None) -> None:
        """Add a row; `directions` is (dims, heads) once they are known."""
        if self.count == len(self._scales):
            self._resize(min(self._limit, self.count + self.count // 4 + 1))
        self.count += 1
        self.write(self.count - 1, vector, directions)

    def write(self, row: int, vector: Array, directions: Array | None) -> None:
        """Put a vector into a row."""
        import numpy as np

        scale = np.abs(vector).max() / _LARGEST
        np.rint(vector / scale, out=self._codes[row], casting="unsafe")
        self._scales[row] = scale
        if directions is not None:
            if self._bounds is None:
                self._bounds = np.empty((len(self._scales), directions.shape[1] + 1), dtype=np.float32)
            heads = self._bounds[row, :-1]
            np.dot(vector, directions, out=heads)
            self._bounds[row, -1] = rest_of(float(vector @ vector), float(heads @ heads))

    def copy(self, row: int, source: Block, place: int) -> None:
        """Copy a row of a block, which may be this one."""
        self._codes[row] = source._codes[place]
        self._scales[row] = source._scales[place]
        if self._bounds is not None and source._bounds is not None:
            self._bounds[row] = source._bounds[place]

    def shrink(self) -> None:
        """Drop the last row, and room for more than twice of what is left."""
        self.count -= 1
        if 8 < self.count < len(self._scales) // 2:
            self._resize(self.count)

    def vector(self, row: int) -> Array:
        """Return one row as float32, (dims,)."""
        found: Array = self._codes[row] * self._scales[row]
        return found

    def vectors(self) -> Array:
        """Return the rows as float32, (count, dims)."""
        return self._codes[: self.count] * self._scales[: self.count, None]

    def bound(self, directions: Array) -> None:
        """Compute the bounds of all rows for new directions."""
        import numpy as np

        self._bounds = np.empty((len(self._scales), directions.shape[1] + 1), dtype=np.float32)
        vectors, bounds = self.vectors(), self._bounds[: self.count]
        bounds[:, :-1] = heads = vectors @ directions
        bounds[:, -1] = np.sqrt(np.maximum(_squares(vectors) - _squares(heads), 0) + _CANCELLED)

    def above(self, vector: Array, query: Array | None, floor: float, slack: float) -> list[tuple[float, int]]:
        """Return the cosines with a vector that are at least `floor`, and whose rows they are.

        Args:
            vector: float32, (dims,).

            query: the vector's part in each direction and the length of the rest; `None` scores every row.

            floor: least cosine.

            slack: added to the bounds, for rounding.
        """
        import numpy as np

        if query is None or self._bounds is None:
            candidates = np.arange(self.count)
            codes = self._codes[: self.count]
        else:
            candidates = (self._bounds[: self.count] @ query >= np.float32(floor - slack)).nonzero()[0]
            if not len(candidates):
                return []
            codes = self._codes[candidates]
        similarities = (codes.astype(np.float32) @ vector).astype(np.float64) * self._scales[candidates]
        near = (similarities >= floor).nonzero()[0]
        return list(zip(similarities[near].tolist(), candidates[near].tolist(), strict=True))

    def _resize(self, rows: int) -> None:
        import numpy as np

        def resized(array: Array) -> Array:
            larger = np.empty((rows, *array.shape[1:]), dtype=array.dtype)
            larger[: self.count] = array[: self.count]
            return larger

        self._codes = resized(self._codes)  # type: ignore[assignment, arg-type]
        self._scales = resized(self._scales)
        self._bounds = None if self._bounds is None else resized(self._bounds)


def principal_directions(vectors: Sequence[Array], count: int) -> Array:
    """Return orthonormal directions that hold most of the vectors' squared length.

    Subspace iteration with a fixed start (Halko, Martinsson and Tropp, arXiv 0909.4061, algorithm 4.4), which for 3,072
    dimensions takes a hundredth of a full decomposition.

    Args:
        vectors: float32 arrays, each (rows, dims).

        count: how many directions.

    Returns:
        float32, (dims, count).
    """
    import numpy as np

    dims = vectors[0].shape[1]
    basis = np.random.Generator(np.random.PCG64(0)).standard_normal(
        (dims, min(dims, count + _OVERSAMPLING)), dtype=np.float32
    )
    for _ in range(_POWER_STEPS):
        basis = np.linalg.qr(sum((rows.T @ (rows @ basis) for rows in vectors), np.zeros_like(basis)))[0]
    return np.ascontiguousarray(basis[:, :count])


def rest_of(whole: float, heads: float) -> float:
    """Return the length of what the directions leave of a vector, from the squares of both lengths."""
    return math.sqrt(max(whole - heads, 0.0) + _CANCELLED)


def _squares(rows: Array) -> Array:
    import numpy as np

    squares: Array = np.einsum("ij,ij->i", rows, rows)
    return squares
