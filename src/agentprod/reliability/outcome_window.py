"""Counts of the calls of the last seconds, in buckets."""

from __future__ import annotations

from collections import deque

from agentprod.reliability.breaker_policy import BreakerPolicy

__all__ = ["OutcomeWindow"]


class OutcomeWindow:
    """Counts calls, failures and slow calls over a sliding window of time.

    The counters only ever grow; at the start of each bucket their values are noted, and what the window
    holds is what was added since its oldest note. So counting is one addition, whatever the number of
    buckets. The bucket in progress is part of the window: it covers between `(buckets - 1) / buckets` of
    `seconds` and `seconds`. Not thread-safe but for `fresh`: whoever owns it holds a lock.

    Args:
        seconds: length of the window.

        buckets: in how many parts it moves.
    """

    __slots__ = (
        *("_buckets", "_marks", "_width", "calls", "ends", "failures", "fresh"),
        *("old_calls", "old_failures", "old_slow", "old_timed", "slow", "timed"),
    )

    def __init__(self, seconds: float, buckets: int) -> None:
        self._width = seconds / buckets
        self._buckets = buckets
        self._marks: deque[tuple[int, int, int, int]] = deque(maxlen=buckets)
        self.calls = self.failures = self.timed = self.slow = 0
        self.fresh: list[None] = []
        """One for each success since anybody looked. To append to a list takes no lock, so most calls never wait."""
        self.clear()

    def clear(self) -> None:
        """Forget everything counted."""
        self._marks.clear()
        self.ends = float("-inf")
        """When the bucket in progress ends; whoever counts calls `turn` once it has passed."""
        self._note()

    def turn(self, now: float) -> None:
        """Begin the bucket that `now` lies in, and drop those that have left the window."""
        if now < self.ends:
            return
        if now - self.ends >= self._width * self._buckets:  # also the first call ever, where `ends` is minus infinity
            self.clear()
            self.ends = now + self._width
            return
        while self.ends <= now:
            self._note()
            self.ends += self._width

    def verdict(self, policy: BreakerPolicy) -> str:
        """Return why the circuit must open; the empty string when it need not."""
        self._add_fresh()
        calls, failures = self.calls - self.old_calls, self.failures - self.old_failures
        if calls >= policy.min_calls and failures / calls >= policy.failure_rate:
            return f"failure rate {failures / calls:.2f} of {calls} calls"
        if policy.slow is not None:
            timed, slow = self.timed - self.old_timed, self.slow - self.old_slow
            if timed >= policy.min_calls and slow / timed >= policy.slow.rate:
                return f"slow rate {slow / timed:.2f} of {timed} calls"
        return ""

    def counts(self) -> dict[str, int]:
        """Return what the window holds."""
        self._add_fresh()
        return {
            "calls": self.calls - self.old_calls,
            "failures": self.failures - self.old_failures,
            "slow_calls": self.slow - self.old_slow,
        }

    def _add_fresh(self) -> None:
        number = len(self.fresh)
        del self.fresh[:number]
        self.calls += number

    def _note(self) -> None:
        self._add_fresh()
        self._marks.append((self.calls, self.failures, self.timed, self.slow))
        self.old_calls, self.old_failures, self.old_timed, self.old_slow = self._marks[0]
