"""Vectors as text, for entries that leave the process."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

__all__ = ["Question", "pack", "unpack"]

_LARGEST = 32767


class Question(NamedTuple):
    """The text that an entry answers, and where it may be compared."""

    home: str
    """Digest of everything that must be equal, 64 hex digits."""
    text: str
    vector: str = ""
    """Its vector as `pack` writes it, where the entry may leave the process."""


def pack(vector: Vector) -> str:
    """Return a vector of length 1 as 16-bit integers in base64, which is off by 2e-6 in a cosine."""
    import numpy as np

    codes = np.rint(vector * (_LARGEST / np.abs(vector).max())).astype("<i2")
    return base64.b64encode(codes.tobytes()).decode("ascii")


def unpack(text: str) -> Vector:
    """Return the vector that `pack` was given, float32 of length 1.

    Raises:
        ValueError: it is no such text.
    """
    import numpy as np

    vector = np.frombuffer(base64.b64decode(text, validate=True), dtype="<i2").astype(np.float32)
    norm = float(np.linalg.norm(vector))
    if not norm:
        raise ValueError("no vector")
    vector /= np.float32(norm)
    return vector
