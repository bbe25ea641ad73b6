"""How much of its limits a budget has used: written down for each call, and warned of once."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentprod.budget.limit import Bound
from agentprod.stores.base import Claim

if TYPE_CHECKING:
    from agentprod.budget.reserving import Reserving
    from agentprod.call import Call

__all__ = ["Remarks"]

_FRESH = 1.0
_MOST_WARNED = 1024

_log = logging.getLogger("agentprod.budget")


class Remarks:
    """Notes on calls, for spans and metrics, and one warning in the log for each window.

    Args:
        bounds: every dimension of every limit.
    """

    def __init__(self, bounds: Sequence[Bound]) -> None:
        self._bounds = bounds
        self._warned: OrderedDict[str, None] = OrderedDict()
        self._read_at = 0.0

    async def make(
        self, call: Call, reserving: Reserving, claims: Sequence[Claim], limits: Sequence[int | None]
    ) -> None:
        """Write down how much of the tightest limit is used, and warn once when it is past its soft part."""
        clock = call.runtime.now()
        if not reserving.is_local and clock - self._read_at < _FRESH:
            return  # a round trip of its own: not for every call
        self._read_at = clock
        counters = [[claim.counter, *claim.also] for claim in claims]
        found = iter(await reserving.usage(call.runtime, [name for names in counters for name in names]))
        tightest: tuple[float, Bound, int] | None = None
        for bound, names, limit in zip(self._bounds, counters, limits, strict=True):
            taken = sum(each.spent + each.held for each in [next(found) for _ in names])
            if limit is None:
                continue
            ratio = taken / limit if limit else float(taken > 0)
            if tightest is None or ratio > tightest[0]:
                tightest = ratio, bound, limit - taken
            if bound.soft is not None and ratio >= bound.soft:
                self._warn(call, bound, names[0], ratio)
        if tightest is not None:
            ratio, bound, left = tightest
            told = {f"remaining_{bound.dimension}": bound.shown(left)}
            call.ledger.note("TokenBudget", "reserved", name=bound.name, used_ratio=ratio, **told)

    def _warn(self, call: Call, bound: Bound, window: str, ratio: float) -> None:
        call.ledger.note("TokenBudget", "soft" if ratio <= 1 else "exceeded")
        if window in self._warned:
            return
        self._warned[window] = None
        if len(self._warned) > _MOST_WARNED:
            self._warned.popitem(last=False)
        _log.warning("%.0f %% of the limit of %s, %s, is used", 100 * ratio, bound.dimension, bound.name)
