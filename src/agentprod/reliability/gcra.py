"""A rate limit over several dimensions at once: all or none, first come first served, settled by real usage.

It does no I/O and never waits; whoever has to wait does it like this:

```python
taken = limiter.reserve(costs, now())
if isinstance(taken, Shortage):
    ticket = limiter.join(costs)
    try:
        while True:
            waiter = runtime.waiter()
            taken = limiter.claim(ticket, now(), waiter)
            if isinstance(taken, Reservation):
                break
            await waiter.wait(taken.retry_after)
    finally:
        limiter.leave(ticket, now())
```

Room is given to the line in its order by whoever looks at it next, so a ticket whose thread or loop is busy, or
dead, does not hold up those behind it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from agentprod.errors import ConfigError
from agentprod.reliability.gcra_bucket import SLACK, Bucket, Dimension
from agentprod.reliability.line import Line, Ticket, Wakeable, wake

__all__ = ["Dimension", "Gcra", "Reservation", "Shortage", "Ticket", "Wakeable"]

_KEPT = 64  # reservations that may wait for somebody to note that their calls have ended


class Reservation:
    """Units booked for one call; to be settled once, whatever became of it."""

    __slots__ = ("at", "costs", "id", "marks")

    def __init__(self, at: float, costs: Sequence[float], marks: list[float], id: str = "") -> None:
        self.at = at
        """When it was booked."""
        self.costs = costs
        """Units booked, by dimension."""
        self.marks: list[float] | None = marks
        """Its place in each bucket, see `Bucket`; `None` once settled."""
        self.id = id


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why nothing was booked.

    Args:
        dimension: name of the dimension that will have room last.

        retry_after: seconds until there is room, if those ahead take what they asked for.

        limit: that dimension's limit, when known.
    """

    dimension: str
    retry_after: float
    limit: float | None


class Gcra:
    """Rate limits of one account. Safe to use from any number of threads; every method takes the time from its caller.

    Costs and usages are sequences with one number of units per dimension, in the order of `dimensions`.

    Args:
        dimensions: what is limited.

        lease: seconds after which a reservation that nobody settled no longer counts as in flight. What it booked
            leaks like everything else.

    Raises:
        ConfigError: no dimension, two with one name, or a lease that is not positive.
    """

    def __init__(self, dimensions: Sequence[Dimension], *, lease: float = 600.0) -> None:
        self.dimensions = tuple(dimensions)
        if not self.dimensions or len({each.name for each in self.dimensions}) < len(self.dimensions):
            raise ConfigError("a rate limit needs at least one dimension, each with a name of its own")
        if not lease > 0:
            raise ConfigError(f"lease must be above 0 seconds, not {lease!r}")
        # What has no underscore here is for `gcra_record`, which has the limiter to itself.
        self.lease = lease
        self.buckets = tuple(Bucket(each) for each in self.dimensions)
        self.reservations: dict[Reservation, None] = {}
        self.line = Line(len(self.dimensions))
        self.blocked_until = -math.inf
        self._lock = threading.Lock()
        self._next_sweep = -math.inf
        self._kept: list[Reservation] = []

    def reserve(self, costs: Sequence[float], now: float, id: str = "") -> Reservation | Shortage:
        """Book all `costs` now, or nothing. While others stand in line, nothing is booked past them.

        Args:
            costs: units by dimension, none negative.

            now: monotonic seconds.

            id: name of the reservation, where one is needed.

        Raises:
            ValueError: a cost is negative, or their number is not that of the dimensions.
        """
        waiting = self.line.tickets
        with self._lock:
            if not waiting and (taken := self._book(costs, now, id)) is not None:
                return taken
            woken = self._serve(now)
            answer = (None if waiting else self._book(costs, now, id)) or self._shortage(costs, None, now)
        wake(woken)
        return answer

    def take(self, costs: Sequence[float], now: float) -> Reservation | None:
        """Book all `costs` if they fit now and nobody stands in line; else `None`, and `reserve` tells more."""
        with self._lock:
            return None if self.line.tickets else self._book(costs, now)

    def join(self, costs: Sequence[float], id: str = "", expires: float = math.inf) -> Ticket:
        """Stand in line for `costs`. The ticket must be claimed and, in a `finally`, left.

        Args:
            costs: units by dimension.

            id: name of the reservation it brings, where one is needed.

            expires: when the place is lost.
        """
        with self._lock:
            return self.line.join(costs, id, expires)

    def claim(self, ticket: Ticket, now: float, waiter: Wakeable | None = None) -> Reservation | Shortage:
        """Take what the ticket stands for, if it is there.

        Args:
            ticket: what `join` returned.

            now: monotonic seconds.

            waiter: set when it is worth claiming again before `retry_after` has passed.

        Returns:
            The reservation, or for how long to wait at most before claiming again.
        """
        with self._lock:
            woken = self._serve(now)
            if ticket.reservation is None:
                ticket.waiter = waiter
                answer: Reservation | Shortage = self._shortage(ticket.costs, ticket, now)
            else:
                ticket.is_claimed = True
                answer = ticket.reservation
        wake(woken)
        return answer

    def leave(self, ticket: Ticket, now: float) -> None:
        """Give up the place in line, or what it has brought if nobody claimed it; after a claim nothing happens."""
        woken: list[Wakeable | None] = []
        with self._lock:
            if ticket.reservation is None:
                ticket.is_gone = True
                woken = self._serve(now)
            elif not ticket.is_claimed:
                ticket.is_claimed = True
                self._settle(ticket.reservation, now, (0.0,) * len(ticket.costs))
                woken = self._serve(now, wake_first=True)
        wake(woken)

    def settle(self, reservation: Reservation, now: float, used: Sequence[float] | None = None) -> None:
        """Replace what was booked by what was used; a second time has no effect.

        Args:
            reservation: what was booked.

            now: monotonic seconds.

            used: units by dimension; `None` leaves all that was booked, for a call that may have been processed.
        """
        with self._lock:
            made_room = self._settle(reservation, now, used)
            if not (made_room and self.line.tickets):
                return
            woken = self._serve(now, wake_first=True)
        wake(woken)

    def keep(self, reservation: Reservation) -> None:
        """Settle a reservation all of which was used: like `settle` without usage, and once, but takes no lock."""
        self._kept.append(reservation)

    def refund(self, reservation: Reservation, now: float) -> None:
        """Give everything back: nothing was processed."""
        self.settle(reservation, now, (0.0,) * len(self.buckets))

    def sync(
        self,
        dimension: str,
        now: float,
        *,
        sent_at: float,
        limit: float | None = None,
        remaining: float | None = None,
        reset: float | None = None,
        counted: Reservation | None = None,
    ) -> None:
        """Take in what a response's headers say of one dimension. What they leave never grows by it, only shrinks.

        Negative values mean "unknown" (Azure sends -1), and older news than known is ignored.

        Args:
            dimension: its name; an unknown one is ignored.

            now: monotonic seconds.

            sent_at: when the request was sent that this answers, in monotonic seconds.

            limit: units per period; adopted, unless a lower one is configured.

            remaining: units left; what calls in flight have booked is taken off it.

            reset: seconds until everything is back; nothing is admitted before when nothing remains.

            counted: the reservation of the answered request when `remaining` has its cost taken off already. It then
                counts as settled in this dimension.
        """
        woken: list[Wakeable | None] = []
        with self._lock:
            self._sweep(now)
            for index, bucket in enumerate(self.buckets):
                if bucket.name == dimension and sent_at >= bucket.sent_at and (limit is None or limit > 0):
                    bucket.sent_at = sent_at
                    woken = self._adopt(index, bucket, now, limit, remaining, reset, counted)
        wake(woken)

    def rest(self, now: float, seconds: float) -> None:
        """Admit nothing for so long; a longer rest in progress goes on."""
        with self._lock:
            for bucket in self.buckets:
                bucket.blocked_until = max(bucket.blocked_until, now + seconds)
            self.blocked_until = max(each.blocked_until for each in self.buckets)

    def remaining(self, now: float) -> dict[str, float]:
        """Return the units left by dimension, negative in debt; infinite where no limit is known."""
        with self._lock:
            return {bucket.name: bucket.burst - bucket.level(now) for bucket in self.buckets}

    def in_flight(self, now: float) -> int:
        """Return how many reservations nobody has settled."""
        with self._lock:
            self._sweep(now)
            return len(self.reservations)

    def waiting(self) -> int:
        """Return how many stand in line."""
        with self._lock:
            return sum(not ticket.is_gone for ticket in self.line.tickets)

    def wait(self, costs: Sequence[float], now: float) -> float:
        """Return the seconds until `costs` would fit behind those in line now; 0 when they fit."""
        with self._lock:
            return max(0.0, self._shortage(costs, None, now).retry_after)

    def is_clean(self, now: float) -> bool:
        """Return whether nothing is booked, blocked or waiting. Limits learnt from headers are learnt again."""
        with self._lock:
            self._sweep(now)
            idle = all(bucket.tat <= now and bucket.blocked_until <= now for bucket in self.buckets)
            return idle and not self.line.tickets and not self.reservations

    # Everything below runs under the lock.

    def _book(self, costs: Sequence[float], now: float, id: str = "") -> Reservation | None:
        if self.blocked_until > now and self._is_blocked(costs, now):
            return None
        if len(costs) != len(self.buckets):
            raise ValueError(f"there are {len(self.buckets)} dimensions, but {len(costs)} costs")
        marks: list[float] = []
        for index, bucket in enumerate(self.buckets):
            cost = costs[index]
            tat, need = bucket.tat, cost * bucket.interval
            if tat <= now:
                tat = now
            elif tat - now + need > bucket.reach and cost > 0 and tat - now > SLACK:
                self._unbook(marks, costs)
                return None
            if not cost >= 0:
                self._unbook(marks, costs)
                raise ValueError("a cost must be 0 or more units")
            marks.append(tat + bucket.freed)
            bucket.tat = tat + need
            bucket.in_flight += cost
        reservation = Reservation(now, costs, marks, id)
        self.reservations[reservation] = None
        if now > self._next_sweep or len(self._kept) > _KEPT:
            self._sweep(now)
        return reservation

    def _settle(self, reservation: Reservation, now: float, used: Sequence[float] | None) -> bool:
        marks = reservation.marks
        if marks is None:
            return False
        reservation.marks = None
        costs = reservation.costs
        if self.reservations.pop(reservation, self) is not self:  # else it was swept
            for index, bucket in enumerate(self.buckets):
                bucket.in_flight -= costs[index]
        if used is None or used == costs:
            return False
        made_room = False
        for bucket, cost, units, mark in zip(self.buckets, costs, used, marks, strict=True):
            if units != cost and mark < math.inf and bucket.correct(cost, units, mark, reservation.at, now):
                made_room = True
        return made_room

    def _unbook(self, marks: list[float], costs: Sequence[float]) -> None:
        for bucket, cost, mark in zip(self.buckets, costs, marks, strict=False):
            bucket.tat = mark - bucket.freed
            bucket.in_flight -= cost

    def _is_blocked(self, costs: Sequence[float], now: float) -> bool:
        return any(cost > 0 and each.blocked_until > now for each, cost in zip(self.buckets, costs, strict=True))

    def _sweep(self, now: float) -> None:
        while self._kept:
            self._settle(self._kept.pop(), now, None)
        while self.reservations and (oldest := next(iter(self.reservations))).at + self.lease <= now:
            del self.reservations[oldest]
            for bucket, cost in zip(self.buckets, oldest.costs, strict=True):
                bucket.in_flight -= cost
        self._next_sweep = now + self.lease / 8

    def _serve(self, now: float, *, wake_first: bool = False) -> list[Wakeable | None]:
        """Book for the line in its order, as far as there is room; return whom to wake."""
        woken: list[Wakeable | None] = []
        while (first := self.line.first(now)) is not None:
            first.reservation = self._book(first.costs, now, first.id)
            if first.reservation is None:
                break
            woken.append(first.waiter)
            self.line.step()
        if first is not None and (wake_first or first is not self.line.told):
            woken.append(first.waiter)  # its wait is shorter than it knows
        self.line.told = first
        return woken

    def _shortage(self, costs: Sequence[float], ticket: Ticket | None, now: float) -> Shortage:
        bucket, wait = self._longest(costs, self.line.ahead(ticket), now)
        first = self.line.first(now)
        if first is not None and first is not ticket:
            # Who needs nothing of what the first one waits for waits for the first one all the same.
            other, longer = self._longest(first.costs, (0.0,) * len(costs), now)
            if longer > wait:
                bucket, wait = other, longer
        return Shortage(bucket.name, wait, bucket.limit)

    def _longest(self, costs: Sequence[float], ahead: Sequence[float], now: float) -> tuple[Bucket, float]:
        longest, most = self.buckets[0], 0.0
        for bucket, cost, before in zip(self.buckets, costs, ahead, strict=True):
            if cost > 0 and (wait := bucket.wait(cost, before, now)) > most:
                longest, most = bucket, wait
        return longest, most

    def _adopt(
        self,
        index: int,
        bucket: Bucket,
        now: float,
        limit: float | None,
        remaining: float | None,
        reset: float | None,
        counted: Reservation | None,
    ) -> list[Wakeable | None]:
        if limit is not None and bucket.adopt_limit(limit, now):
            for each in self.reservations:
                assert each.marks is not None
                each.marks[index] = -math.inf  # at another rate its place means nothing
        if remaining is not None and remaining >= 0:
            if counted is not None and counted in self.reservations:
                # The provider has its true cost, so neither a refund nor a debt of it may follow.
                bucket.in_flight -= counted.costs[index]
                counted.costs = (*counted.costs[:index], 0.0, *counted.costs[index + 1 :])
                assert counted.marks is not None
                counted.marks[index] = math.inf
            bucket.lower_to(remaining - bucket.in_flight, now)
            blocked = remaining == 0 and reset is not None and reset > 0
            bucket.blocked_until = now + reset if blocked and reset is not None else -math.inf
            self.blocked_until = max(each.blocked_until for each in self.buckets)
        return self._serve(now, wake_first=True)
