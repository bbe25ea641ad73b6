"""Feed cost totals from finished calls: what they cost, what was saved, and days that are unusually dear."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import ceil, exp, log
from typing import TYPE_CHECKING, TypeAlias

from agentprod import vitals
from agentprod.budget.limit import nano_usd
from agentprod.errors import ConfigError
from agentprod.listeners import listen

if TYPE_CHECKING:
    from agentprod.budget.costs import Anomaly, CostTotals
    from agentprod.call import Call

__all__ = ["CostKey", "CostSpread", "CostWatch"]

CostKey: TypeAlias = "str | Callable[[Call], str | None]"

_STEP = log(1.04)  # a bucket is 4 % wide, so a quantile is within 2 %
_LOOK = 60.0  # seconds between two looks for an anomaly

_log = logging.getLogger("agentprod.cost")

_KEYS: Mapping[str, Callable[[Call], str | None]] = {
    "model": lambda call: call.ledger.served.model if call.ledger.served is not None else call.target.model,
    "provider": lambda call: call.ledger.served.provider if call.ledger.served is not None else call.target.provider,
    "user": lambda call: call.context.user,
    "team": lambda call: call.context.team,
    "tenant": lambda call: call.context.tenant,
    "conversation": lambda call: call.context.conversation,
    "run": lambda call: call.context.run,
}


class CostSpread:
    """How the cost of single calls is spread, in buckets 4 % wide. Whoever owns it holds a lock."""

    __slots__ = ("_buckets", "count")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0

    def add(self, nano: int) -> None:
        """Count one call."""
        place = ceil(log(nano) / _STEP) if nano > 0 else -1
        self._buckets[place] = self._buckets.get(place, 0) + 1
        self.count += 1

    def quantile(self, part: float) -> float | None:
        """Return the nano-dollars that so large a part of the calls cost at most; `None` without calls."""
        rank = part * (self.count - 1)
        for place in sorted(self._buckets):
            rank -= self._buckets[place]
            if rank < 0:
                return exp((place - 0.5) * _STEP) if place >= 0 else 0.0
        return None


class CostWatch:
    """Adds every finished call to totals; see `CostTotals.watch`."""

    def __init__(
        self,
        totals: CostTotals,
        by: CostKey,
        baseline: str | None,
        on_anomaly: Callable[[Anomaly], object] | None,
    ) -> None:
        if not callable(by) and by not in _KEYS:
            names = ", ".join(map(repr, _KEYS))
            raise ConfigError(f"CostTotals.watch by= takes {names} or a callable (call) -> str | None, not {by!r}")
        self._totals = totals
        self._key = by if callable(by) else _KEYS[by]
        self._baseline = baseline
        self._on_anomaly = on_anomaly
        self._lock = threading.Lock()
        self._looks = 0.0
        self._wall: Callable[[], float] | None = None
        self._leave = listen(self._heard)
        vitals.report_days(self)

    def stop(self) -> None:
        """Count no more calls."""
        self._leave()
        vitals.dismiss_days(self)

    def day_score(self) -> float | None:
        """Return `CostTotals.day_score` of now; `None` before the first call."""
        return None if self._wall is None else self._totals.day_score(self._wall())

    def _heard(self, call: Call) -> None:
        """Count a call that has ended."""
        self._wall = call.runtime.wall
        ledger, wall = call.ledger, self._wall()
        cost = ledger.cost
        if cost is None:
            return
        key = self._key(call)
        if ledger.attempts:
            self._totals.add(nano_usd(cost), at=wall, key=key, call=True)
        if ledger.saved is not None:
            self._totals.add_saving("cache", nano_usd(ledger.saved), at=wall)
        elif self._baseline is not None and ledger.attempts:
            self._totals.add_saving("routing", self._saved(call, cost), at=wall)
        if self._on_anomaly is not None:
            self._look(wall, call.runtime.now())

    def _saved(self, call: Call, cost: Decimal) -> int:
        """What the answers would have cost at the baseline model, less what the call did cost."""
        served, pricer = call.ledger.served, call.ledger.environment.pricer
        answered = [attempt for attempt in call.ledger.attempts if attempt.outcome == "ok"]
        if pricer is None or served is None or not answered:
            return 0
        usage = answered[-1].usage
        usd = None if usage is None else pricer(served.provider, self._baseline, usage)
        return 0 if usd is None else nano_usd(usd) - nano_usd(cost)

    def _look(self, wall: float, now: float) -> None:
        with self._lock:
            if now < self._looks:
                return
            self._looks = now + _LOOK
        found = self._totals.check(wall)
        if found is not None and self._on_anomaly is not None:
            _log.warning("%s costs $%.2f so far, unusual above $%.2f", found.day, found.usd, found.limit_usd)
            self._on_anomaly(found)
