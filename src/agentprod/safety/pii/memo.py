"""Remember what was found in a text, without remembering the text."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from hashlib import blake2b

from cachetools import LRUCache

from agentprod.safety.pii.spans import Span

__all__ = ["Memo"]

_SHORTEST = 16
"""Characters; below, there is little to search."""


class Memo:
    """Offsets of findings by a keyed hash of the text, so that an unchanged history is not searched again.

    Args:
        size: how many texts are remembered; 0 for none.
    """

    def __init__(self, size: int) -> None:
        self._entries: LRUCache[bytes, tuple[Span, ...]] | None = LRUCache(size) if size > 0 else None
        self._key = os.urandom(16)
        self._lock = threading.Lock()
        self.hits = 0
        self.misses = 0

    def key(self, text: str, before: str) -> bytes | None:
        """Return under what findings in this text behind this context are remembered, `None` if they are not."""
        if self._entries is None or len(text) < _SHORTEST:
            return None
        content = f"{len(before)}\0{before}{text}".encode(errors="surrogatepass")
        return blake2b(content, key=self._key, digest_size=16).digest()

    def get(self, key: bytes | None) -> list[Span] | None:
        """Return what was found, or `None` when it is not known."""
        if self._entries is None or key is None:
            return None
        with self._lock:
            spans = self._entries.get(key)
            if spans is None:
                self.misses += 1
                return None
            self.hits += 1
            return list(spans)

    def put(self, key: bytes | None, spans: Sequence[Span]) -> None:
        """Remember what was found."""
        if self._entries is not None and key is not None:
            with self._lock:
                self._entries[key] = tuple(spans)
