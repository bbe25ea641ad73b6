"""How much telemetry was dropped so that a call was not disturbed."""

from __future__ import annotations

import threading

__all__ = ["Drops", "drops"]


class Drops:
    """Counters of dropped telemetry by reason, safe to use from any thread and from finalizers."""

    def __init__(self) -> None:
        # Re-entrant: garbage collection may run in the middle of counting, and end a stream whose telemetry is dropped.
        self._lock = threading.RLock()
        self._counts: dict[str, int] = {}

    def count(self, reason: str) -> None:
        """Count one drop.

        Args:
            reason: a fixed word of ours, such as `"capture"` or `"alert_queue"`; never data.
        """
        with self._lock:
            self._counts[reason] = self._counts.get(reason, 0) + 1

    def snapshot(self) -> dict[str, int]:
        """Return the counts by reason."""
        with self._lock:
            return dict(self._counts)

    def after_fork(self) -> None:
        """Take a new lock in a forked child, where the old one may be held by a thread that is gone."""
        self._lock = threading.RLock()


drops = Drops()
"""The counters of this process."""
