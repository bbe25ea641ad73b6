"""Writes to a far store that nobody waits for."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from agentprod.stores.base import Store, StoreUnavailable

__all__ = ["PendingWrite", "WriteBehind"]


class PendingWrite(NamedTuple):
    """An entry that the far store does not have yet."""

    key: str
    value: bytes
    expires: float | None
    tags: tuple[str, ...]


class WriteBehind:
    """Stores entries from a thread of its own, the latest of each key, in the order in which keys came.

    What does not fit in the queue, or meets a store that does not answer, is dropped and counted: a cache loses a
    later hit by it, and nothing else. The thread is a daemon and ends when it has had nothing to do for a second.

    Args:
        store: where to.

        max_pending: entries that may wait; the oldest is dropped for a new one.

        now: returns monotonic seconds.
    """

    def __init__(self, store: Store, *, max_pending: int = 1000, now: Callable[[], float] = time.monotonic) -> None:
        self.dropped = 0
        """Writes that were given up."""
        self._store = store
        self._max_pending = max_pending
        self._now = now
        self._changed = threading.Condition()
        self._pending: OrderedDict[str, PendingWrite] = OrderedDict()
        self._current: PendingWrite | None = None
        self._thread: threading.Thread | None = None

    def put(self, key: str, value: bytes, ttl: float | None, tags: tuple[str, ...]) -> None:
        """Store the entry soon."""
        write = PendingWrite(key, value, None if ttl is None else self._now() + ttl, tags)
        with self._changed:
            self._pending[key] = write
            if len(self._pending) > self._max_pending:
                self._pending.popitem(last=False)
                self.dropped += 1
            if self._thread is None or not self._thread.is_alive():  # also the child of a fork has none
                self._current = None
                self._thread = threading.Thread(target=self._work, name="agentprod-write-behind", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def has(self, key: str) -> bool:
        """Return whether the entry has not reached the store yet."""
        return self.waiting(key) is not None

    def waiting(self, key: str) -> PendingWrite | None:
        """Return the entry that has not reached the store yet; `None` when it has, or there is none."""
        with self._changed:
            current = self._current
            if key not in self._pending and current is not None and current.key == key:
                return current
            return self._pending.get(key)

    def discard(self, doomed: Callable[[PendingWrite], bool], *, timeout: float = 1.0) -> None:
        """Forget the writes for which `doomed` is true; wait for one that is under way."""
        with self._changed:
            for key in [write.key for write in self._pending.values() if doomed(write)]:
                del self._pending[key]
            current = self._current
            if current is not None and doomed(current):
                self._changed.wait_for(lambda: self._current is not current, timeout)

    def flush(self, *, timeout: float = 1.0) -> bool:
        """Wait until everything is written or dropped; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending and self._current is None, timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._current = None
                self._changed.notify_all()
                if not self._changed.wait_for(lambda: self._pending, timeout=1.0):
                    self._thread = None
                    return
                _, write = self._pending.popitem(last=False)
                self._current = write
            try:
                ttl = None if write.expires is None else write.expires - self._now()
                if ttl is None or ttl > 0:
                    self._store.set(write.key, write.value, ttl=ttl, tags=write.tags)
            except StoreUnavailable:
                self.dropped += 1
