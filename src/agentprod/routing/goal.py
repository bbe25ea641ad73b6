"""What a router is asked to reach: a quality, a share of the cost, or a sum of money."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from agentprod.errors import ConfigError

__all__ = ["Goal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One of three goals.

    Args:
        quality: part of the gap between the cheapest and the best model that is kept, above 0 up to 1.

        cost_share: cost as a share of sending every call to the dearest model, above 0 up to 1.

        max_usd: dollars one call may be expected to cost, above 0: the best model within it is chosen, the cheapest
            where all are dearer.

    Raises:
        ConfigError: when not exactly one is given, or it is out of range.
    """

    quality: float | None = None
    cost_share: float | None = None
    max_usd: float | Decimal | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("quality", "cost_share", "max_usd") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError(f"Goal takes exactly one of quality=, cost_share= and max_usd=, not {len(given)}")
        value = getattr(self, given[0])
        highest = math.inf if given[0] == "max_usd" else 1.0
        is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        if not is_number or not 0 < value <= highest or math.isinf(value):
            upper = "" if highest == math.inf else " up to 1"
            raise ConfigError(f"Goal {given[0]} must be above 0{upper}, not {value!r}")
