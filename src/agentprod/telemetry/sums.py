"""Counters and gauges that are kept here and read by OpenTelemetry when somebody collects.

A counter of the SDK takes several microseconds for each addition, and every call adds to several; a sum of our own
takes a fraction of one. What is exported is the same: a cumulative, monotonic sum by label set.
A gauge of SDKs before 1.45 forgets its value once it is collected, so that a second scrape does not find it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from agentprod.telemetry.forks import renew_after_fork

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation

__all__ = ["Sums"]

Labels = tuple[tuple[str, str | int], ...]


class Sums:
    """Sums by label set, of one counter; or the last values of one gauge."""

    def __init__(self) -> None:
        self._sums: dict[Labels, list[float]] = {}
        self.after_fork()
        renew_after_fork(self)

    def adder(self, labels: Mapping[str, str | int]) -> Callable[[float], None]:
        """Return what adds to the sum of a label set."""
        with self._lock:
            found = self._sums.setdefault(tuple(labels.items()), [0])

        def add(value: float) -> None:
            with self._lock:
                found[0] += value

        return add

    def setter(self, labels: Mapping[str, str | int]) -> Callable[[float], None]:
        """Return what replaces the value of a label set."""
        key = tuple(labels.items())

        def put(value: float) -> None:
            with self._lock:
                self._sums[key] = [value]

        return put

    def observe(self, _: CallbackOptions) -> list[Observation]:
        """Return all of them."""
        from opentelemetry.metrics import Observation

        with self._lock:
            sums = [(value, labels) for labels, (value,) in self._sums.items()]
        return [Observation(value, dict(labels)) for value, labels in sums]

    def after_fork(self) -> None:
        """Take a new lock in a forked child."""
        # Re-entrant: garbage collection may end a call in the middle of counting another.
        self._lock = threading.RLock()
