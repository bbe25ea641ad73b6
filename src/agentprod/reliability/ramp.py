"""The share of calls let through after a circuit has closed."""

from __future__ import annotations

__all__ = ["Ramp"]


class Ramp:
    """Lets a growing share of calls through, in equal steps, evenly spread rather than drawn by lot.

    Not thread-safe: whoever owns it holds a lock.

    Args:
        shares: the share of each step, above 0 and up to 1; empty lets everything through at once.

        seconds: how long all steps take together.
    """

    __slots__ = ("_credit", "_seconds", "_shares", "started")

    def __init__(self, shares: tuple[float, ...], seconds: float) -> None:
        self._shares = shares
        self._seconds = seconds
        self._credit = 0.0
        self.started: float | None = None
        """When it began, in monotonic seconds; `None` when none is running."""

    def start(self, now: float | None) -> None:
        """Begin at `now`; `None` ends it."""
        self.started = now
        # With this credit the first call is let through, whatever the share.
        self._credit = 1 - self._shares[0] if self._shares else 0.0

    def is_over(self, now: float) -> bool:
        """Return whether everything is let through at `now`."""
        return self.started is None or not self._shares or now >= self.started + self._seconds

    def refuse(self, now: float) -> float | None:
        """Count one call: `None` lets it through, a number is the seconds until the share grows."""
        if self.started is None or self.is_over(now):
            return None
        step = self._seconds / len(self._shares)
        number = min(max(int((now - self.started) / step), 0), len(self._shares) - 1)
        self._credit += self._shares[number]
        if self._credit >= 1:
            self._credit -= 1
            return None
        return self.started + (number + 1) * step - now
