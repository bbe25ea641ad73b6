"""Why a budget refused an attempt, kept on the error for the layer that acts on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentprod.errors import BudgetExceeded

if TYPE_CHECKING:
    from agentprod.budget.booking import Booking
    from agentprod.budget.limit import Bound
    from agentprod.call import Call
    from agentprod.stores.base import Exhausted

__all__ = ["Refusal", "refusal_of", "refused"]

_ATTRIBUTE = "_agentprod_refusal"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The limit that had no room."""

    owner: Any
    call: Call
    """As it was about to be sent."""
    bound: Bound
    limit: int
    """In whole units, as is all below."""
    spent: int
    held: int
    asked: int
    booking: Booking | None
    """What was to be reserved; `None` for a peek."""
    resets_at: float | None
    soft: bool
    seen: int
    """How often something had been given back when this was found."""

    @property
    def left(self) -> int:
        """What may still be reserved."""
        limit = self.limit
        if self.soft and self.bound.soft is not None:
            limit = int(limit * self.bound.soft)
        return limit - self.spent - self.held


def refused(
    owner: Any,
    call: Call,
    bound: Bound,
    found: Exhausted,
    now: float,
    booking: Booking | None,
    *,
    soft: bool = False,
    seen: int = 0,
) -> BudgetExceeded:
    """Return the error for a limit without room, and write the refusal down.

    Args:
        owner: the layer that refuses.

        call: as it was about to be sent.

        bound: the limit.

        found: what the store said.

        now: POSIX time.

        booking: what was to be reserved.

        soft: whether only the soft part is used up.

        seen: how often something had been given back before.
    """
    limit = found.claim.limit or 0
    resets_at = bound.resets_at(now)
    shown = {"limit": bound.shown(limit), "spent": bound.shown(found.spent), "held": bound.shown(found.held)}
    call.ledger.note(
        "TokenBudget",
        "early" if soft else "refused",
        name=bound.name,
        used_ratio=(found.spent + found.held) / limit if limit else 1.0,
    )
    unit = "$" if bound.dimension == "usd" else ""
    what = "" if bound.dimension == "usd" else f" {bound.dimension}"
    when = "never resets"
    if resets_at is not None:
        zone = bound.period.zone
        when = f"resets at {datetime.fromtimestamp(resets_at, zone):%Y-%m-%d %H:%M} {zone}"
    needs = (
        ""
        if booking is None or bound.dimension == "calls"
        else f", and the attempt may need {unit}{bound.shown(found.claim.amount):g}{what}"
    )
    error = BudgetExceeded(
        f"The limit of {unit}{shown['limit']:g}{what} ({bound.name}) has no room: {unit}{shown['spent']:g} spent, "
        f"{unit}{shown['held']:g} held by calls under way{needs}. It {when}.",
        limit=shown["limit"],
        spent=shown["spent"],
        resets_at=resets_at,
        layer="TokenBudget",
        target=str(call.target),
        retry_after=None if resets_at is None else max(0.0, resets_at - now),
    )
    told = Refusal(
        owner, call, bound, limit, found.spent, found.held, found.claim.amount, booking, resets_at, soft, seen
    )
    setattr(error, _ATTRIBUTE, told)
    return error


def refusal_of(error: BudgetExceeded, owner: Any) -> Refusal | None:
    """Return why this layer refused, or `None` when it was another's refusal; the error forgets it."""
    found: Refusal | None = getattr(error, _ATTRIBUTE, None)
    if found is None or found.owner is not owner:
        return None
    delattr(error, _ATTRIBUTE)  # it holds the call, which leads back to the error
    return found
