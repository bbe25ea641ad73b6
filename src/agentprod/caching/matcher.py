"""Decides whether a text may be answered with what is stored for a similar one; knows nothing of LLM calls."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from agentprod.caching.counter_examples import CounterExamples
from agentprod.caching.decision import Decision, Probe, StoredEntry
from agentprod.caching.embedders.contract import Embedder
from agentprod.caching.guards import Guard, GuardFeatures, GuardSet
from agentprod.caching.index import Neighbour, PrunedIndex, VectorIndex
from agentprod.caching.query_text import tidy, unfit
from agentprod.caching.recency import Recency
from agentprod.caching.stored import Entry, Partition, Valued
from agentprod.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MAX_PLAIN_CHARS", "SemanticMatcher"]

V = TypeVar("V")

_NEIGHBOURS = 5
_NEAR = 0.05
"""How far below the threshold the nearest entry is still looked for, only to say how near it was."""

_SWEPT_PER_WRITE = 4
MAX_PLAIN_CHARS = 1_000
"""Longest text kept for its own sake when it cannot be embedded; longer ones are for a cache that keeps digests."""


class SemanticMatcher(Generic[V]):
    """Keeps values under texts, in partitions that never mix, and finds them by similar texts.

    An entry is served for the very same text; and for a similar one when its cosine reaches the threshold, no guard
    objects, and nobody reported that pair, or a nearer one, as wrong. Thread-safe; searching one partition does not
    hold up the others. Entries in all partitions together are capped, and the least recently used goes first. Embedding
    is left to the caller, who may await it.

    Args:
        embedder: whose vectors are compared.

        threshold: least cosine, above 0 and up to 1; `None` takes the one measured for the embedder.

        guards: `"strict"`, `"off"`, or a list of names and own guards.

        ttl: seconds an entry lives, from its writing on; `None` for ever.

        max_entries: entries in all partitions together, at least 1.

        max_bytes: most bytes of all entries together, as their `size` says; `None` for no such bound.

        now: a clock in seconds, for tests.

        index: makes an index for vectors of so many dimensions.

    Raises:
        ConfigError: an option out of range, or no threshold for an embedder without a measured one.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        threshold: float | None = None,
        guards: Literal["strict", "off"] | Iterable[str | Guard] = "strict",
        ttl: float | None = 900.0,
        max_entries: int = 100_000,
        max_bytes: int | None = None,
        now: Callable[[], float] = time.monotonic,
        index: Callable[[int], VectorIndex[Any]] = PrunedIndex,
    ) -> None:
        measured = embedder.threshold if threshold is None else threshold
        if measured is None:
            raise ConfigError(
                f"SemanticCache threshold was not measured for {embedder.identity.name}: give threshold=, "
                "above 0 and up to 1"
            )
        if not 0 < measured <= 1:
            raise ConfigError(f"SemanticCache threshold must be a cosine above 0 and up to 1, not {measured!r}")
        if ttl is not None and not ttl > 0:
            raise ConfigError(f"ttl={ttl}: more than 0 seconds, or None for ever")
        if max_entries < 1:
            raise ConfigError(f"max_entries={max_entries}: at least 1")
        self.embedder = embedder
        self.threshold = float(measured)
        self._guards = GuardSet(guards)
        self._ttl = ttl
        self._max_entries = max_entries
        self._max_bytes = math.inf if max_bytes is None else max_bytes
        self._now = now
        self._make_index = index
        self._partitions: dict[Hashable, Partition[V]] = {}
        self._recency: Recency[V] = Recency()
        self._wrong = CounterExamples()
        self._lock = threading.Lock()
        self.bytes = 0
        self.evicted = 0
        self.expired = 0

    def __len__(self) -> int:
        return len(self._recency)

    def read(self, text: str) -> Probe:
        """Make a text ready: tidied, read by the guards, and tried for whether it can be embedded.

        Args:
            text: the text that stands for a request.
        """
        text = tidy(text)
        refusal = unfit(text) or self.embedder.refuse(text)
        return Probe(text, GuardFeatures(text, "") if refusal else self._guards.read(text), refusal)

    def find_same(self, partition: Hashable, probe: Probe) -> Decision[V] | None:
        """Look for the very same text, which needs no vector; `find` does so too.

        Args:
            partition: everything that must be equal: tenant, model, parameters, conversation.

            probe: the text, from `read`.

        Returns:
            The hit, or `None`.
        """
        entry = self.get(partition, probe.text)
        return None if entry is None else self._decide(partition, probe, "same", Neighbour(entry, 1.0), hit=True)

    def get(self, partition: Hashable, text: str) -> Entry[V] | None:
        """Return the entry of a tidied text, which counts as used then; `None` when there is none alive."""
        with self._lock:
            home = self._partitions.get(partition)
            entry = None if home is None else home.get(text)
            if entry is None or self._expire(entry, self._now()):
                return None
            self._recency.touch(entry)
            return entry

    def find(self, partition: Hashable, probe: Probe, vector: NDArray[np.float32] | None) -> Decision[V]:
        """Decide about a text.

        Args:
            partition: as in `find_same`.

            probe: the text, from `read`.

            vector: its vector, float32 of length 1; `None` when the probe is refused.

        Returns:
            The decision; `str()` of it is fit for a trace.

        Raises:
            ValueError: the vector is missing, or of another shape or length.
        """
        return self.find_same(partition, probe) or self.find_similar(partition, probe, vector)

    def find_similar(self, partition: Hashable, probe: Probe, vector: NDArray[np.float32] | None) -> Decision[V]:
        """Decide as `find` does, for a text that is known not to be stored itself."""
        if probe.refusal:
            return self._decide(partition, probe, f"refused:{probe.refusal}")
        if vector is None:
            raise ValueError("a probe that is not refused needs its vector")
        with self._lock:
            home = self._partitions.get(partition)
        first: Decision[V] | None = None
        for near in () if home is None else self._nearest(home, vector):
            reason = self._objection(partition, probe, near)
            if reason is None:
                with self._lock:
                    self._recency.touch(near.item)
                return self._decide(partition, probe, "similar", near, hit=True)
            first = first or self._decide(partition, probe, reason, near)
        return first or self._decide(partition, probe, "none")

    def put(
        self,
        partition: Hashable,
        probe: Probe,
        vector: NDArray[np.float32] | None,
        value: V,
        *,
        ttl: float | None = None,
    ) -> bool:
        """Store a value under a text, in place of what the same text had.

        Args:
            partition: as in `find_same`.

            probe: the text, from `read`. A refused one is found by the very same text only.

            vector: its vector, float32 of length 1; `None` when the probe is refused.

            value: anything.

            ttl: seconds it lives; `None` takes the matcher's.

        Returns:
            Whether it was stored: a refused text of more than 1,000 characters, or without a word, is not.

        Raises:
            ValueError: the vector is missing, or of another shape or length.
        """
        return self.add(partition, probe, vector, Valued(value), ttl=self._ttl if ttl is None else ttl)

    def add(
        self,
        partition: Hashable,
        probe: Probe,
        vector: NDArray[np.float32] | None,
        entry: Entry[V],
        *,
        ttl: float | None,
    ) -> bool:
        """Store an entry of the caller's making, as `put` does; `ttl=None` is for ever."""
        if probe.refusal:
            if probe.refusal == "empty" or len(probe.text) > MAX_PLAIN_CHARS:
                return False
            vector = None
        elif vector is None:
            raise ValueError("a probe that is not refused needs its vector")
        now = self._now()
        with self._lock:
            home = self._partitions.setdefault(partition, Partition(partition))
            entry.settle(probe.text, probe.features.readings, None if ttl is None else now + ttl, home)
            try:
                replaced = home.put(entry, vector, self._make_index)
            finally:
                self._drop_if_empty(home)
            if replaced is not None:
                self._forget(replaced)
            self._recency.add(entry)
            self.bytes += entry.size
            self._make_room(now)
        return True

    def report_wrong(self, decision: Decision[V]) -> None:
        """Take a hit back: its entry goes, and the two texts, and others no nearer to either, never match again.

        Args:
            decision: a hit that turned out wrong.

        Raises:
            ValueError: the decision was not a hit.
        """
        if not decision.hit or decision.matched is None or decision.similarity is None:
            raise ValueError(f"only a hit can be wrong, and this decision was {decision.reason!r}")
        if decision.matched != decision.text:
            self._wrong.add(decision.partition, decision.text, decision.matched, decision.similarity)
        self.remove(decision.partition, decision.matched)

    @property
    def wrong(self) -> CounterExamples:
        """The pairs reported as wrong; export them, and add them again after a restart."""
        return self._wrong

    def vector(self, partition: Hashable, text: str) -> NDArray[np.float32] | None:
        """Return the vector that is stored for a text, float32, (dims,); `None` when there is none."""
        with self._lock:
            home = self._partitions.get(partition)
            return None if home is None else home.vector(tidy(text))

    def remove(self, partition: Hashable, text: str) -> bool:
        """Remove the entry of one text; return whether there was one."""
        with self._lock:
            home = self._partitions.get(partition)
            entry = None if home is None else home.get(tidy(text))
            return entry is not None and self._remove(entry)

    def remove_where(self, predicate: Callable[[Hashable, V], bool]) -> int:
        """Remove the entries whose partition and value a function accepts; return how many."""
        with self._lock:
            doomed = [entry for entry in self._recency if predicate(entry.home.key, entry.value)]
            return sum(map(self._remove, doomed))

    def sweep(self) -> int:
        """Remove every expired entry; return how many. Writing also removes some, so calling this is optional."""
        now = self._now()
        with self._lock:
            return sum([self._expire(entry, now) for entry in list(self._recency)])

    def clear(self) -> None:
        """Remove everything but the pairs reported as wrong."""
        with self._lock:
            self._partitions.clear()
            self._recency = Recency()
            self.bytes = 0

    def entries(self) -> Iterator[StoredEntry[V]]:
        """Iterate over a snapshot of the live entries, the least recently used first."""
        now = self._now()
        with self._lock:
            entries = [entry for entry in self._recency if not entry.expired(now)]
        for entry in entries:
            left = None if entry.expires is None else entry.expires - now
            yield StoredEntry(entry.home.key, entry.text, entry.value, left)

    def _nearest(self, home: Partition[V], vector: NDArray[np.float32]) -> Iterator[Neighbour[Entry[V]]]:
        """Yield the nearest entry, and when that will not do, the next ones that reach the threshold."""
        nearest = self._alive(home, vector, 1)
        yield from nearest
        if nearest and nearest[0].similarity >= self.threshold:
            for near in self._alive(home, vector, _NEIGHBOURS):
                if near.item is not nearest[0].item:
                    yield near

    def _alive(self, home: Partition[V], vector: NDArray[np.float32], k: int) -> list[Neighbour[Entry[V]]]:
        """Return the k nearest entries that have not expired; remove the expired ones met on the way."""
        now = self._now()
        floor = self.threshold
        while True:
            found = home.search(vector, floor, k)
            expired = [near.item for near in found if near.item.expired(now)]
            if not found and floor == self.threshold:
                floor = max(-1.0, self.threshold - _NEAR)  # a lower floor takes longer, and only tells what was near
                continue
            if not expired:
                return found
            with self._lock:
                for entry in expired:
                    self._expire(entry, now)

    def _objection(self, partition: Hashable, probe: Probe, near: Neighbour[Entry[V]]) -> str | None:
        if near.similarity < self.threshold:
            return "below"
        if self._wrong.forbid(partition, probe.text, near.item.text, near.similarity):
            return "reported"
        guard = self._guards.conflict(probe.features, GuardFeatures(near.item.text, near.item.readings))
        return f"guard:{guard}" if guard else None

    def _decide(
        self,
        partition: Hashable,
        probe: Probe,
        reason: str,
        near: Neighbour[Entry[V]] | None = None,
        *,
        hit: bool = False,
    ) -> Decision[V]:
        return Decision(
            hit=hit,
            reason=reason,
            threshold=self.threshold,
            similarity=None if near is None else near.similarity,
            value=near.item.value if near is not None and hit else None,
            partition=partition,
            text=probe.text,
            matched=None if near is None else near.item.text,
        )

    def _make_room(self, now: float) -> None:
        """Remove what expired among the coldest entries, and the coldest while there are too many; the lock is held."""
        for old in self._recency.oldest(_SWEPT_PER_WRITE):
            self._expire(old, now)
        while len(self._recency) > self._max_entries or (self.bytes > self._max_bytes and len(self._recency)):
            self.evicted += self._remove(self._recency.oldest(1)[0])

    def _expire(self, entry: Entry[V], now: float) -> bool:
        """Remove an entry if its time is over; the lock is held."""
        if not entry.expired(now):
            return False
        self.expired += self._remove(entry)
        return True

    def _remove(self, entry: Entry[V]) -> bool:
        """Remove an entry, unless it is gone or replaced already; the lock is held."""
        if not self._forget(entry):
            return False
        entry.home.delete(entry)
        self._drop_if_empty(entry.home)
        return True

    def _forget(self, entry: Entry[V]) -> bool:
        """Count an entry out; return whether it was in."""
        if not self._recency.remove(entry):
            return False
        self.bytes -= entry.size
        return True

    def _drop_if_empty(self, home: Partition[V]) -> None:
        if not len(home) and self._partitions.get(home.key) is home:
            del self._partitions[home.key]
