"""Remember which signed reasoning came from a provider, so that it may go back unread."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from cachetools import LRUCache

__all__ = ["Signatures"]


class Signatures:
    """Keyed hashes of the latest signatures.

    Args:
        size: how many are remembered.
    """

    def __init__(self, size: int = 4096) -> None:
        self._seen: LRUCache[bytes, bool] = LRUCache(size)
        self._key = os.urandom(16)
        self._lock = threading.Lock()

    def knows(self, signature: str) -> bool:
        """Tell whether a reply carried this signature."""
        with self._lock:
            return self._digest(signature) in self._seen

    def learn(self, body: Any) -> None:
        """Remember the signatures of a whole reply."""
        content = body.get("content") if isinstance(body, Mapping) else None
        for block in content if isinstance(content, list) else ():
            if isinstance(block, Mapping) and block.get("type") == "thinking":
                self._add(block.get("signature"))

    def learn_events(self, events: Iterable[Any]) -> None:
        """Remember the signatures of a stream, each of which may come in pieces."""
        pieces: dict[Any, str] = {}
        for event in events:
            delta = event.get("delta") if isinstance(event, Mapping) else None
            if isinstance(delta, Mapping) and delta.get("type") == "signature_delta":
                index = event.get("index")
                pieces[index] = pieces.get(index, "") + str(delta.get("signature") or "")
        for signature in pieces.values():
            self._add(signature)

    def _add(self, signature: Any) -> None:
        if isinstance(signature, str) and signature:
            with self._lock:
                self._seen[self._digest(signature)] = True

    def _digest(self, signature: str) -> bytes:
        return blake2b(signature.encode(errors="surrogatepass"), key=self._key, digest_size=16).digest()
