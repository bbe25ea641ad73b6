"""What a call may still cost: a budget writes it, layers that choose among models keep within it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["cap_spending", "spending_cap"]

_KEY = object()


def cap_spending(call: Call, usd: float) -> None:
    """Ask the layers inside for a model whose answer to this call costs no more than `usd` dollars.

    A budget that has to downgrade writes what is left and sends the call on again; the latest cap holds.

    Args:
        call: the call.

        usd: dollars, at least 0.
    """
    call.state[_KEY] = usd


def spending_cap(call: Call) -> float | None:
    """Return what a call may still cost in dollars; `None` when no budget has said so.

    Args:
        call: the call.
    """
    if call.ledger._state is None:  # nothing was ever written, and looking must not make a dict
        return None
    cap = call.state.get(_KEY)
    return cap if isinstance(cap, float | int) else None
