"""What an embedder is: texts in, unit vectors out, and an honest word about texts that it cannot read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Embedder", "Identity", "unit_rows"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Which vectors these are. Vectors of two identities are never compared.

    Args:
        name: the model or method.

        version: changes whenever the same text would get another vector.

        dims: length of a vector; `None` until the first text is embedded, where it cannot be known before.

        window: how much text is read, in `unit`; `None` when nothing is known or nothing is cut off.

        unit: what `window` counts: `"tokens"`, `"words"` or `"bytes"`.

        normalised: vectors have length 1, so that their product is the cosine.
    """

    name: str
    version: str
    dims: int | None
    window: int | None = None
    unit: str = "tokens"
    normalised: bool = True

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class Embedder(Protocol):
    """Turns texts into vectors. Everything in `agentprod.embedders` has this shape; write your own with the same."""

    @property
    def identity(self) -> Identity:
        """Which vectors these are; part of the cache's partition."""
        ...

    @property
    def threshold(self) -> float | None:
        """The cosine from which two texts may share an answer, as measured for this embedder.

        `None` when it was not measured: whoever uses the embedder must then give a threshold.
        """

    @property
    def remote(self) -> bool:
        """Whether embedding waits for a network, so that an event loop should await `aembed`."""
        ...

    def refuse(self, text: str) -> str | None:
        """Say in one word why this text cannot be embedded, such as `"window"` or `"unknown"`; `None` when it can."""
        ...

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return float32 vectors of length 1, (texts, dims)."""
        ...

    async def aembed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Do the same from a coroutine."""
        ...


def unit_rows(vectors: Any, count: int, *, source: str) -> NDArray[np.float32]:
    """Return what a foreign model gave as float32 rows of length 1.

    Args:
        vectors: anything numpy can turn into a (count, dims) array.

        count: how many texts were embedded.

        source: name of the embedder, for the error.

    Returns:
        A new float32 array, (count, dims).

    Raises:
        ValueError: another shape, a value that is not finite, or a vector of length 0.
    """
    import numpy as np

    rows = np.array(vectors, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[0] != count or rows.shape[1] < 2:
        raise ValueError(f"embedder {source} returned shape {rows.shape} for {count} texts; expected ({count}, dims)")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not norms.all():
        raise ValueError(f"embedder {source} returned a vector of length 0 or with values that are not finite")
    rows /= norms
    return rows
