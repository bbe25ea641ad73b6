"""Counters with reservations and leases in memory, without a lock or clock of their own."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from agentprod.stores.base import KEPT_LAPSED, Claim, CounterState, Exhausted, Settled

__all__ = ["Counters"]


class _Counter:
    __slots__ = ("expires", "held", "spent")

    def __init__(self) -> None:
        self.spent = self.held = 0
        self.expires: float | None = 0.0


class _Hold:
    __slots__ = ("claims", "expires", "lapsed")

    def __init__(self, claims: Sequence[Claim], expires: float) -> None:
        self.claims = claims
        self.expires = expires
        self.lapsed = False


class Counters:
    """The counters of one group. Every method takes the time from its caller; whoever owns it holds a lock."""

    __slots__ = ("_counters", "_ends", "_holds")

    def __init__(self) -> None:
        self._counters: dict[str, _Counter] = {}
        self._holds: dict[str, _Hold] = {}
        # When a hold's lease or a counter's time may end: (when, 0 for a hold or 1 for a counter, its name).
        self._ends: list[tuple[float, int, str]] = []

    def reserve(self, id: str, claims: Sequence[Claim], lease: float, now: float) -> Exhausted | None:
        """See `Store.reserve`."""
        self._sweep(now)
        if id in self._holds:
            return None
        counters = self._counters
        for claim in claims:
            counter = counters.get(claim.counter)
            spent, held = (counter.spent, counter.held) if counter is not None else (0, 0)
            for name in claim.also:
                if (other := counters.get(name)) is not None:
                    spent += other.spent
                    held += other.held
            if claim.limit is not None and spent + held + claim.amount > claim.limit:
                return Exhausted(claim, spent, held)
        for claim in claims:
            self._keep(claim.counter, claim.ttl, now).held += claim.amount
        self._holds[id] = _Hold(claims, now + lease)
        heapq.heappush(self._ends, (now + lease, 0, id))
        if len(self._ends) > 2 * (len(self._holds) + len(self._counters)) + 64:
            self._drop_settled()
        return None

    def settle(self, id: str, used: Sequence[int] | None, now: float) -> Settled:
        """See `Store.settle`."""
        self._sweep(now)
        hold = self._holds.get(id)
        if hold is None:
            return "unknown"
        if used is not None and len(used) != len(hold.claims):
            raise ValueError(f"the reservation has {len(hold.claims)} claims, but {len(used)} usages were given")
        del self._holds[id]
        for index, claim in enumerate(hold.claims):
            counter = self._counters.get(claim.counter)
            if counter is not None:  # else its window is over
                counter.spent += 0 if used is None else used[index]
                if hold.lapsed:
                    counter.spent -= claim.floor
                else:
                    counter.held -= claim.amount
        return "late" if hold.lapsed else "settled"

    def renew(self, id: str, lease: float, now: float) -> bool:
        """See `Store.renew`."""
        self._sweep(now)
        hold = self._holds.get(id)
        if hold is None or hold.lapsed:
            return False
        hold.expires = now + lease
        heapq.heappush(self._ends, (hold.expires, 0, id))
        return True

    def add(self, counter: str, amount: int, ttl: float | None, now: float) -> CounterState:
        """See `Store.add`."""
        self._sweep(now)
        kept = self._keep(counter, ttl, now)
        kept.spent += amount
        return CounterState(kept.spent, kept.held)

    def usage(self, counters: Sequence[str], now: float) -> list[CounterState]:
        """See `Store.usage`."""
        self._sweep(now)
        found = [self._counters.get(name) for name in counters]
        return [CounterState(0, 0) if each is None else CounterState(each.spent, each.held) for each in found]

    def _keep(self, name: str, ttl: float | None, now: float) -> _Counter:
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = _Counter()
        if ttl is None:
            counter.expires = None
        elif counter.expires is not None and counter.expires < now + ttl:
            if not counter.expires:
                heapq.heappush(self._ends, (now + ttl, 1, name))
            counter.expires = now + ttl
        return counter

    def _sweep(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, kind, name = heapq.heappop(self._ends)
            if kind == 0:
                self._end_hold(name, now)
            elif (counter := self._counters.get(name)) is not None and counter.expires is not None:
                if counter.expires <= now:
                    del self._counters[name]
                else:
                    heapq.heappush(self._ends, (counter.expires, 1, name))

    def _drop_settled(self) -> None:
        # Most reservations are settled long before their lease would end.
        self._ends = [(hold.expires, 0, id) for id, hold in self._holds.items()]
        self._ends += [(each.expires, 1, name) for name, each in self._counters.items() if each.expires is not None]
        heapq.heapify(self._ends)

    def _end_hold(self, id: str, now: float) -> None:
        hold = self._holds.get(id)
        if hold is None or hold.expires > now:
            return  # settled, or renewed: then a later end is in the heap
        if hold.lapsed:
            del self._holds[id]
            return
        for claim in hold.claims:
            counter = self._counters.get(claim.counter)
            if counter is not None:
                counter.held -= claim.amount
                counter.spent += claim.floor
        hold.lapsed, hold.expires = True, now + KEPT_LAPSED
        heapq.heappush(self._ends, (hold.expires, 0, id))
