"""Learn from reported usage by how much the count of each model's tokens is off."""

from __future__ import annotations

import threading
from collections import OrderedDict

__all__ = ["TokenFactors"]

_FORGET = 0.8
"""Weight left to what was learned before, at every report; half of it is gone after three."""

_PRIOR = 200.0
"""Counted tokens that the starting factor weighs as much as; the first real report outweighs it."""

_BOUNDS = (0.25, 4.0)
_MOST_MODELS = 1000


class TokenFactors:
    """Reported tokens over counted tokens, by model: a ratio of two fading sums, safe to use from many threads.

    A ratio of sums follows large requests more than small ones, so that the fixed overhead of a short request does
    not spoil the factor of a long one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def factor(self, model: str, start: float = 1.0) -> float:
        """Return the factor of a model.

        Args:
            model: any stable name of it.

            start: the factor before anything is learned.
        """
        sums = self._sums.get(model)
        if sums is None:
            return start
        reported, counted = sums
        low, high = _BOUNDS
        return min(high, max(low, (reported + start * _PRIOR) / (counted + _PRIOR)))

    def learn(self, model: str, counted: int, reported: int) -> None:
        """Learn from one report.

        Args:
            model: the name used with `factor`.

            counted: tokens as counted, before any factor.

            reported: tokens as the provider reported them; reports of nothing are ignored.
        """
        if counted <= 0 or reported <= 0:
            return
        with self._lock:
            before_reported, before_counted = self._sums.pop(model, (0.0, 0.0))
            self._sums[model] = (_FORGET * before_reported + reported, _FORGET * before_counted + counted)
            if len(self._sums) > _MOST_MODELS:
                self._sums.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._sums.clear()
