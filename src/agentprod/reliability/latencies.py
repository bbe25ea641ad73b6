"""How long a place usually takes: the 95th percentile of its last answers."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

__all__ = ["Latencies"]

_KEPT = 100
_ENOUGH = 20
_OFTEN = 10
_MOST_KEYS = 1024


class Latencies:
    """The last 100 times of each key. Safe to use from any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: OrderedDict[str, _Window] = OrderedDict()

    def add(self, key: str, seconds: float) -> None:
        """Add one time."""
        with self._lock:
            window = self._keys.get(key)
            if window is None:
                window = self._keys[key] = _Window()
                if len(self._keys) > _MOST_KEYS:
                    self._keys.popitem(last=False)
            else:
                self._keys.move_to_end(key)
            window.add(seconds)

    def p95(self, key: str) -> float | None:
        """Return the time that 95 of 100 answers do not exceed; `None` before there are 20 answers."""
        window = self._keys.get(key)
        return None if window is None else window.p95


class _Window:
    __slots__ = ("_fresh", "_times", "p95")

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_KEPT)
        self._fresh = 0
        self.p95: float | None = None

    def add(self, seconds: float) -> None:
        self._times.append(seconds)
        self._fresh += 1
        # Sorting at every answer would cost more than it tells.
        if len(self._times) >= _ENOUGH and (self.p95 is None or self._fresh >= _OFTEN):
            self._fresh = 0
            self.p95 = sorted(self._times)[int(0.95 * (len(self._times) - 1))]
