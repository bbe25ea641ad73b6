"""Pairs of texts that were served for each other and should not have been."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

__all__ = ["CounterExamples", "Wrong", "text_digest"]

_MAX_TEXTS = 10_000
_ROUNDING = 1e-4
"""More than a cosine changes when its vectors are stored once more."""


class Wrong(NamedTuple):
    """A text that was served, or given, a wrong answer."""

    home: str
    """Its partition."""
    digest: str
    """Of the text, in hex."""
    similarity: float
    """The highest cosine of its reported pairs."""

    @classmethod
    def from_json(cls, data: Any) -> Wrong:
        """Return what a JSON list of the three holds.

        Raises:
            TypeError, ValueError: it is no such list.
        """
        home, digest, similarity = data
        return cls(str(home), bytes.fromhex(digest).hex(), float(similarity))


class CounterExamples:
    """Remembers, for each text of a reported pair, how near is still too far.

    A pair reported at cosine 0.97 forbids every match of either text up to 0.97: their neighbourhood has proved to hold
    other meanings. Texts are kept as digests, 10,000 at most; the one reported longest ago goes first.
    """

    def __init__(self) -> None:
        self._limits: OrderedDict[tuple[Hashable, bytes], float] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._limits)

    def add(self, partition: Hashable, text: str, other: str, similarity: float) -> None:
        """Report a pair.

        Args:
            partition: where it was served.

            text: what was asked.

            other: the text whose answer was given.

            similarity: their cosine.
        """
        for digest in (text_digest(text), text_digest(other)):
            self.restore(partition, digest, similarity)

    def forbid(self, partition: Hashable, text: str, other: str, similarity: float) -> bool:
        """Tell whether two texts must not match at this cosine."""
        if not self._limits:
            return False
        with self._lock:
            limits = (self._limits.get((partition, text_digest(side)), -1.0) for side in (text, other))
            return similarity <= max(limits) + _ROUNDING

    def export(self) -> Iterator[tuple[Hashable, bytes, float]]:
        """Iterate over a snapshot: partition, digest of a text, highest reported cosine."""
        with self._lock:
            items = list(self._limits.items())
        for (partition, digest), similarity in items:
            yield partition, digest, similarity

    def restore(self, partition: Hashable, digest: bytes, similarity: float) -> None:
        """Add what `export` gave."""
        key = (partition, digest)
        with self._lock:
            self._limits[key] = max(similarity, self._limits.pop(key, -1.0))
            if len(self._limits) > _MAX_TEXTS:
                self._limits.popitem(last=False)


def text_digest(text: str) -> bytes:
    """Return what stands for a text in a report: it is not told itself."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
