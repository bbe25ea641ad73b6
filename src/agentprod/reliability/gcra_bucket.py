"""One dimension of a rate limit: the generic cell rate algorithm, with refunds, debt and what headers tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentprod.errors import ConfigError

__all__ = ["SLACK", "Bucket", "Dimension"]

SLACK = 1e-6
"""Seconds that rounding may add to a sum of costs which should fill the burst exactly."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """What is limited, and how much of it.

    Args:
        name: such as `"requests"` or `"input_tokens"`.

        limit: units per period; `None` until a provider's header tells it.

        per: the period in seconds.

        burst: units that may be spent at once when nothing was for a while; `None` for one period's limit. Any
            stretch of `per` seconds sees at most `limit + burst`.

    Raises:
        ConfigError: a value is not a positive number.
    """

    name: str
    limit: float | None
    per: float = 60.0
    burst: float | None = None

    def __post_init__(self) -> None:
        for field in ("limit", "per", "burst"):
            value = getattr(self, field)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                what = self.name if field == "limit" else f"{field} of {self.name}"
                raise ConfigError(f"RateLimit {what} must be a number above 0, not {value!r}")


class Bucket:
    """The state of one dimension, kept as one point in time: when all that was booked will have leaked.

    See ITU-T I.371 for the algorithm. Refunds are the addition. What was booked has partly leaked by the time a
    call ends, and what has leaked cannot be given back: somebody else may have used the room. Bookings leak in
    their order, so each remembers where in that queue it stands, its *mark*: the time when it would begin to leak
    plus what refunds had freed by then. A refund of others moves it forward by no more than what they have freed
    since, so `mark - freed` is the earliest time at which it can have begun. Only what leaks after now, counted
    from there, is given back. With that a refund never admits more than if the right cost had been booked in the
    first place, in O(1).

    Not thread-safe: whoever owns it holds a lock.
    """

    __slots__ = (
        *("_configured", "blocked_until", "burst", "freed", "in_flight", "interval", "limit"),
        *("name", "per", "reach", "sent_at", "tat", "tau"),
    )

    def __init__(self, dimension: Dimension) -> None:
        self._configured = dimension
        self.name = dimension.name
        self.per = dimension.per
        self.tat = -math.inf
        """Theoretical arrival time: when all that was booked will have leaked, in monotonic seconds."""
        self.freed = 0.0
        """Seconds given back by refunds, ever."""
        self.in_flight = 0.0
        """Units booked by calls that have not ended."""
        self.blocked_until = -math.inf
        """Nothing is admitted before, by a provider's header."""
        self.sent_at = -math.inf
        """When the request was sent whose answer brought the latest header."""
        self._set(dimension.limit)

    def _set(self, limit: float | None) -> None:
        self.limit = limit
        self.burst = math.inf if limit is None else self._configured.burst or limit
        self.interval = 0.0 if limit is None else self.per / limit
        """Seconds one unit takes to leak."""
        self.tau = math.inf if limit is None else self.burst * self.interval
        """Seconds a whole burst takes to leak."""
        self.reach = self.tau + SLACK

    def level(self, now: float) -> float:
        """Return the units booked and not leaked."""
        return max(0.0, self.tat - now) / self.interval if self.interval else 0.0

    def wait(self, cost: float, ahead: float, now: float) -> float:
        """Return the seconds until `cost` units fit, after `ahead` units booked before them; 0 or less for now."""
        need = cost * self.interval
        level = max(0.0, self.tat - now) + ahead * self.interval
        # What exceeds the burst has to wait until the bucket is full, and then goes alone.
        wait = level + need - self.tau if need <= self.tau and level > 0 else level
        return max(wait, self.blocked_until - now)

    def correct(self, cost: float, used: float, mark: float, at: float, now: float) -> bool:
        """Replace a booking of `cost` units by the `used` ones, maybe more; return whether that made room.

        Args:
            cost: units booked.

            used: units spent.

            mark: the booking's mark.

            at: when it was booked, before which it cannot have begun to leak.

            now: monotonic seconds.
        """
        if used > cost:
            self.tat = max(self.tat, now) + (used - cost) * self.interval
            return False
        start = max(at, mark - self.freed)
        left = start + cost * self.interval - now
        if left <= 0:
            return False
        back = left - max(0.0, start + used * self.interval - now)
        self.tat -= back
        self.freed += back
        return True

    def adopt_limit(self, limit: float, now: float) -> bool:
        """Take the provider's limit, unless a lower one is configured; return whether the rate changed."""
        if self._configured.limit is not None:
            limit = min(limit, self._configured.limit)
        if limit == self.limit:
            return False
        # Calls in flight were not booked while there was no limit to book them against.
        level = self.level(now) if self.interval else self.in_flight
        self._set(limit)
        self.tat = now + level * self.interval
        return True

    def lower_to(self, remaining: float, now: float) -> bool:
        """Leave at most `remaining` units, which may be negative; return whether that took any away."""
        tat = now + (self.burst - remaining) * self.interval
        if not self.interval or tat <= max(self.tat, now):
            return False
        self.tat = tat
        return True
