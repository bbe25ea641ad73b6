"""A small circuit in front of a store, so that an outage costs its callers nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from agentprod.stores.base import StoreUnavailable

__all__ = ["Outage"]


class Outage:
    """Refuses at once while a store is known to be down, and lets one operation through from time to time to see.

    Args:
        name: of the store, for the error.

        after: failures in a row that count as an outage.

        first: seconds until the first operation is let through again; doubled each time it fails.

        cap: the longest such wait in seconds.

        now: returns monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        after: int = 3,
        first: float = 0.2,
        cap: float = 5.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._after = after
        self._first = first
        self._cap = cap
        self._now = now
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0

    def check(self) -> None:
        """Raise `StoreUnavailable` unless an operation may be tried now."""
        if self._failures < self._after:
            return
        with self._lock:
            now = self._now()
            if self._failures >= self._after and now < self._until:
                message = f"the store {self._name} is down; it is asked again from time to time"
                raise StoreUnavailable(message, retry_after=self._until - now)
            # This one is let through; the others wait for what it finds, or for as long again if it never tells.
            self._until = now + self._wait()

    def worked(self) -> None:
        """Note an answer: the outage, if there was one, is over."""
        if self._failures:
            with self._lock:
                self._failures = 0

    def failed(self) -> None:
        """Note an operation without an answer."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._after:
                self._until = self._now() + self._wait()

    def _wait(self) -> float:
        return min(self._cap, self._first * 2.0 ** min(self._failures - self._after, 32))
