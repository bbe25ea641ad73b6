"""What a cache did, in numbers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentprod.usage import Usage

__all__ = ["CacheStats", "Counts", "Kept"]


class Kept(Protocol):
    """The entries of this process."""

    bytes: int
    evicted: int
    expired: int

    def __len__(self) -> int:
        """Return how many there are."""
        ...


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What a cache did since it was made.

    `hits` counts answers from the cache, the `stale`, `joined` and `similar` ones among them; `joined` are those of
    callers who shared another caller's upstream call. `refused` counts replies that were not stored, by reason, and
    `bypassed` calls that neither read nor wrote, by reason. Tokens are those the hits would have used.
    """

    hits: int = 0
    stale: int = 0
    joined: int = 0
    similar: int = 0
    """Hits by a similar text; the exact cache has none."""
    misses: int = 0
    stored: int = 0
    refreshed: int = 0
    evicted: int = 0
    expired: int = 0
    entries: int | None = 0
    """In this process; `None` when a store holds them."""
    bytes: int | None = 0
    errors: int = 0
    """Look-ups and writes that failed inside the cache; each was treated as a miss."""
    tampered: int = 0
    """Entries of a shared store that were not what a cache of this secret had written."""
    saved_input_tokens: int = 0
    saved_output_tokens: int = 0
    bypassed: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    decided: Mapping[str, int] = field(default_factory=dict)
    """What the semantic cache decided, by reason."""

    @property
    def hit_rate(self) -> float:
        """Hits among hits and misses, 0 to 1; 0 before the first call."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class Counts:
    """The counters behind `CacheStats`, safe among threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._numbers: Counter[str] = Counter()
        self._bypassed: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._decided: Counter[str] = Counter()

    def add(self, *names: str) -> None:
        """Count one of each name."""
        with self._lock:
            for name in names:
                self._numbers[name] += 1

    def hit(self, saved: Usage | None, fresh: bool = True, joined: bool = False) -> None:
        """Count a hit and what it saved."""
        with self._lock:
            numbers = self._numbers
            numbers["hits"] += 1
            if not fresh:
                numbers["stale"] += 1
            if joined:
                numbers["joined"] += 1
            if saved is not None:
                numbers["saved_input_tokens"] += saved.input_tokens
                numbers["saved_output_tokens"] += saved.output_tokens

    def bypass(self, reason: str) -> None:
        """Count a call that went past the cache."""
        with self._lock:
            self._bypassed[reason] += 1

    def refuse(self, reason: str) -> None:
        """Count a reply that was not stored."""
        with self._lock:
            self._refused[reason] += 1

    def decide(self, reason: str) -> None:
        """Count a decision about a text."""
        with self._lock:
            self._decided[reason] += 1

    def stats(self, kept: Kept, *, shared: bool) -> CacheStats:
        """Return everything counted so far, with what this process keeps; of a shared store that is only a part."""
        with self._lock:
            more: dict[str, Any] = {"bypassed": dict(self._bypassed), "refused": dict(self._refused)}
            more |= {"evicted": kept.evicted, "expired": kept.expired, "decided": dict(self._decided)}
            more["similar"] = self._decided["similar"]
            more |= {"entries": None if shared else len(kept), "bytes": None if shared else kept.bytes}
            return CacheStats(**{**self._numbers, **more})
