"""Which key goes where, for some minutes after its last use."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

__all__ = ["Pins"]

T = TypeVar("T")


class Pins(Generic[T]):
    """Keeps a place for each key, renewed by use. Safe to use from any number of threads.

    Args:
        lifetime: seconds a pin holds after its last use: as long as providers keep a prompt cached (Anthropic's
            "Prompt caching" guide: 5 minutes, renewed by each use).

        most: keys kept; the least recently used go first.
    """

    def __init__(self, lifetime: float = 300.0, most: int = 10_000) -> None:
        self._lifetime = lifetime
        self._most = most
        self._lock = threading.Lock()
        self._pins: OrderedDict[str, tuple[T, float]] = OrderedDict()

    def get(self, key: str, now: float) -> T | None:
        """Return where the key goes; `None` when that is open."""
        with self._lock:
            found = self._pins.get(key)
            if found is None or found[1] <= now:
                return None
            return found[0]

    def set(self, key: str, place: T, now: float) -> None:
        """Pin the key, or renew its pin."""
        with self._lock:
            self._pins[key] = (place, now + self._lifetime)
            self._pins.move_to_end(key)
            if len(self._pins) > self._most:
                self._pins.popitem(last=False)

    def drop(self, key: str | None) -> None:
        """Forget the key's pin."""
        if key is not None:
            with self._lock:
                self._pins.pop(key, None)

    def __len__(self) -> int:
        return len(self._pins)
