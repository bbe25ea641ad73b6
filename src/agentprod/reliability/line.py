"""The line in front of a rate limit: first come, first served."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agentprod.reliability.gcra import Reservation

__all__ = ["Line", "Ticket", "Wakeable", "wake"]


class Wakeable(Protocol):
    """What a caller waits on; `set` may be called from any thread, and more than once."""

    def set(self) -> None:
        """Make the caller look at its ticket again."""


class Ticket:
    """A place in the line."""

    __slots__ = ("before", "costs", "expires", "id", "is_claimed", "is_gone", "reservation", "waiter")

    def __init__(self, costs: Sequence[float], before: Sequence[float], id: str, expires: float) -> None:
        self.costs = costs
        """Units asked for, by dimension."""
        self.before = before
        """Units that all who ever stood in line had asked for when this one came."""
        self.id = id
        self.expires = expires
        """When the place is lost, unless it is claimed again before."""
        self.waiter: Wakeable | None = None
        self.reservation: Reservation | None = None
        """What it has brought."""
        self.is_claimed = False
        self.is_gone = False


class Line:
    """Tickets in the order of their coming, with sums that tell how much stands before each in O(1).

    Not thread-safe: whoever owns it holds a lock.

    Args:
        size: how many numbers a cost has.
    """

    __slots__ = ("_departed", "_joined", "tickets", "told")

    def __init__(self, size: int) -> None:
        self.tickets: deque[Ticket] = deque()
        """Who stands in line, and some who have gone since."""
        self._joined = [0.0] * size
        self._departed = [0.0] * size
        self.told: Ticket | None = None
        """Who was last told to be the first."""

    def join(self, costs: Sequence[float], id: str = "", expires: float = math.inf) -> Ticket:
        """Stand at the end."""
        ticket = Ticket(costs, self._joined, id, expires)
        self._joined = [before + cost for before, cost in zip(self._joined, costs, strict=True)]
        self.tickets.append(ticket)
        return ticket

    def first(self, now: float) -> Ticket | None:
        """Return who is first, after dropping those who have gone."""
        while self.tickets:
            ticket = self.tickets[0]
            if not ticket.is_gone and ticket.expires > now:
                return ticket
            self.step()
        return None

    def step(self) -> None:
        """Let the first one go."""
        ticket = self.tickets.popleft()
        ticket.is_gone = True
        self._departed = [gone + cost for gone, cost in zip(self._departed, ticket.costs, strict=True)]
        if not self.tickets:
            # Nobody is left, and neither should be what rounding added to the sums.
            self._joined = self._departed = [0.0] * len(self._joined)

    def ahead(self, ticket: Ticket | None) -> list[float]:
        """Return the units asked for by those before `ticket`; by all of them for `None`, a newcomer."""
        before = self._joined if ticket is None else ticket.before
        return [joined - gone for joined, gone in zip(before, self._departed, strict=True)]


def wake(waiters: list[Wakeable | None]) -> None:
    """Set them all, outside any lock."""
    for waiter in waiters:
        if waiter is not None:
            waiter.set()
