"""How long answers are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from agentprod.context import seconds
from agentprod.errors import Blocked, BudgetExceeded, CacheMiss, Rejected, ShuttingDown
from agentprod.faults import RETRIED, Fault, classify

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["Stale", "excuses", "make_stale"]


@dataclass(frozen=True, slots=True)
class Stale:
    """What an expired answer is still good for, as in RFC 5861.

    Args:
        revalidate: seconds after its time in which it is served at once, and fetched anew beside the call.

        if_error: seconds after its time in which it is served when fetching it anew fails.

    Raises:
        ConfigError: a duration below 0.
    """

    revalidate: float | timedelta = 0.0
    if_error: float | timedelta = 0.0

    def __post_init__(self) -> None:
        for name in ("revalidate", "if_error"):
            object.__setattr__(self, name, seconds(getattr(self, name), f"Stale {name}", zero=True))


def make_stale(stale: float | timedelta | Stale | None) -> tuple[float, float]:
    """Return the seconds of both windows; a plain duration is both.

    Raises:
        ConfigError: no duration.
    """
    if stale is None:
        return 0.0, 0.0
    if not isinstance(stale, Stale):
        length = seconds(stale, "Cache stale")
        return length, length
    return float(stale.revalidate), float(stale.if_error)  # type: ignore[arg-type]


_REFUSALS = (BudgetExceeded, Blocked, CacheMiss, ShuttingDown)


def excuses(error: Exception, call: Call) -> bool:
    """Whether an expired answer is better than this error: the provider fails or is kept from being asked.

    A request that is wrong, a caller without rights, budget or permission gets their error.
    """
    if isinstance(error, _REFUSALS):
        return False
    fault = classify(error, call.classify, wall=call.runtime.wall).fault
    return fault in RETRIED or fault is Fault.QUOTA or isinstance(error, Rejected)
