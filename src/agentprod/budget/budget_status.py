"""How a budget's limits stand, read and changed by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentprod.budget.limit import Bound, Dimension, in_units
from agentprod.budget.reserving import Reserving
from agentprod.errors import ConfigError
from agentprod.stores.base import CounterState

__all__ = ["Books", "LimitStatus"]


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """How one dimension of one limit stands for one holder. Amounts are tokens, dollars or calls."""

    name: str
    dimension: Dimension
    limit: float | None
    """`None` where a callable tells it, call by call."""
    spent: float
    held: float
    """Reserved for attempts under way."""
    resets_at: float | None
    """POSIX time; `None` when it never does."""

    @property
    def left(self) -> float | None:
        """What may still be reserved, 0 when the limit is overdrawn."""
        return None if self.limit is None else max(0.0, self.limit - self.spent - self.held)

    @property
    def used_ratio(self) -> float | None:
        """The part of the limit that is spent or held; above 1 when it is overdrawn."""
        if self.limit is None:
            return None
        return (self.spent + self.held) / self.limit if self.limit else 1.0


Entry = tuple[Bound, list[str]]
Change = tuple[str, int, "float | None"]


class Books:
    """The counters of a budget for named holders.

    Args:
        bounds: of the budget.

        reserving: where its counters are.

        wall: returns POSIX time.
    """

    def __init__(self, bounds: Sequence[Bound], reserving: Reserving, wall: Callable[[], float]) -> None:
        self._bounds = bounds
        self._reserving = reserving
        self._wall = wall

    def status(self, scope: Mapping[str, str]) -> list[LimitStatus]:
        """Read the limits that these names tell."""
        now, entries = self._find(scope)
        return _told(now, entries, self._reserving.store.usage(self._reserving.group, _names(entries)))

    async def astatus(self, scope: Mapping[str, str]) -> list[LimitStatus]:
        """Like `status`."""
        now, entries = self._find(scope)
        return _told(now, entries, await self._reserving.store.ausage(self._reserving.group, _names(entries)))

    def change(self, amounts: Mapping[str, Any], scope: Mapping[str, str]) -> None:
        """Give so much of each dimension."""
        for counter, amount, ttl in self._grants(amounts, scope):
            self._reserving.store.add(self._reserving.group, counter, -amount, ttl=ttl)

    async def achange(self, amounts: Mapping[str, Any], scope: Mapping[str, str]) -> None:
        """Like `change`."""
        for counter, amount, ttl in self._grants(amounts, scope):
            await self._reserving.store.aadd(self._reserving.group, counter, -amount, ttl=ttl)

    def reset(self, scope: Mapping[str, str]) -> None:
        """Forget what was spent."""
        store, group = self._reserving.store, self._reserving.group
        now, entries = self._own(scope)
        for counter, amount, ttl in _resets(now, entries, store.usage(group, _names(entries))):
            store.add(group, counter, -amount, ttl=ttl)

    async def areset(self, scope: Mapping[str, str]) -> None:
        """Like `reset`."""
        store, group = self._reserving.store, self._reserving.group
        now, entries = self._own(scope)
        for counter, amount, ttl in _resets(now, entries, await store.ausage(group, _names(entries))):
            await store.aadd(group, counter, -amount, ttl=ttl)

    def _find(self, scope: Mapping[str, str]) -> tuple[float, list[Entry]]:
        known = {name for bound in self._bounds for name in bound.holder.names}
        unknown = sorted(set(scope) - known)
        if unknown:
            raise ConfigError(
                f"this budget has no limit by {', '.join(unknown)}; it has limits by "
                f"{', '.join(sorted(known)) or 'nobody'}"
            )
        now = self._wall()
        found: list[Entry] = []
        for bound in self._bounds:
            key = bound.holder.key_of(scope)
            if key is not None:
                found.append((bound, bound.counters(key, now)))
        return now, found

    def _own(self, scope: Mapping[str, str]) -> tuple[float, list[Entry]]:
        now, found = self._find(scope)
        own = [entry for entry in found if set(entry[0].holder.names) == set(scope)]
        if not own:
            raise ConfigError(f"this budget has no limit by exactly {', '.join(sorted(scope)) or 'nobody (global)'}")
        return now, own

    def _grants(self, amounts: Mapping[str, Any], scope: Mapping[str, str]) -> list[Change]:
        given = {name: amount for name, amount in amounts.items() if amount is not None}
        if not given:
            raise ConfigError("grant takes what to give: tokens=, usd= or calls=")
        units = {name: in_units(name, amount) for name, amount in given.items()}
        now, own = self._own(scope)
        changes: list[Change] = []
        for bound, names in own:
            if bound.dimension in units:
                kept = bound.kept(bound.period.window(now), now)
                changes.append((names[0], units[bound.dimension], kept))
        if not changes:
            raise ConfigError(f"no limit by {', '.join(sorted(scope)) or 'nobody'} is of {', '.join(given)}")
        return changes


def _names(entries: Sequence[Entry]) -> list[str]:
    return [name for _, names in entries for name in names]


def _told(now: float, entries: Sequence[Entry], states: Sequence[CounterState]) -> list[LimitStatus]:
    found, rest = [], iter(states)
    for bound, names in entries:
        mine = [next(rest) for _ in names]
        limit = bound.units(None)
        found.append(
            LimitStatus(
                bound.name,
                bound.dimension,
                None if limit is None else bound.shown(limit),
                bound.shown(sum(each.spent for each in mine)),
                bound.shown(sum(each.held for each in mine)),
                bound.resets_at(now),
            )
        )
    return found


def _resets(now: float, entries: Sequence[Entry], states: Sequence[CounterState]) -> list[Change]:
    changes, rest = [], iter(states)
    for bound, names in entries:
        for name in names:
            spent = next(rest).spent
            if spent:
                changes.append((name, spent, bound.kept(bound.period.window(now), now)))
    return changes
