"""What stands for everything of a request that has to be equal."""

from __future__ import annotations

import hashlib
from functools import lru_cache

__all__ = ["Homes"]

_MOST = 4096


class Homes:
    """Names the partitions of a semantic cache; all entries of one keep the same object.

    Args:
        embedder: its identity: vectors of two embedders never meet.
    """

    def __init__(self, embedder: str) -> None:
        self._embedder = embedder
        self.of = lru_cache(maxsize=_MOST)(self._name)

    def _name(self, key: str) -> str:
        """Return the digest for a request without its text, whose key this is, 64 hex digits."""
        name = f"{key} {self._embedder}"
        return hashlib.blake2b(name.encode(), digest_size=32, person=b"agentprod-home").hexdigest()
