"""What every layer does before and while it lets a call wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentprod import draining
from agentprod.errors import CircuitOpen
from agentprod.reliability.circuits import CIRCUIT_REFUSES

if TYPE_CHECKING:
    from agentprod.call import Call
    from agentprod.runtime.waiter import Waiter

__all__ = ["refuse_if_open", "wait_here"]

_SHORTEST = 0.001  # seconds; rounding must not make a wait of nothing that is repeated for ever


async def wait_here(call: Call, seconds: float, waiter: Waiter | None = None) -> None:
    """Wait in a line of `RateLimit`.

    Args:
        call: the call that waits.

        seconds: how long.

        waiter: ends the wait, too, when somebody sets it.

    Raises:
        ShuttingDown: the process drains.
    """
    await draining.pause(call.runtime, max(seconds, _SHORTEST), waiter)
    if draining.begun:
        raise draining.shutting_down(call, "RateLimit")


def refuse_if_open(call: Call, layer: str) -> None:
    """Refuse a call that would only wait to meet an open circuit.

    Args:
        call: the call.

        layer: class name of the layer that asks; a breaker outside of it has let the call through already.

    Raises:
        CircuitOpen: a breaker inside refuses the target now.
    """
    layers = call.ledger.layers
    if layer not in layers or "CircuitBreaker" not in layers[layers.index(layer) :]:
        return
    refusal = call.board.refuses(call.target, call.runtime.now())
    if refusal is None or refusal.reason != CIRCUIT_REFUSES:
        return
    wait = None if refusal.retry_after == float("inf") else refusal.retry_after
    call.ledger.note("CircuitBreaker", "refused", rejected=True, before=layer)
    raise CircuitOpen(
        f"The circuit of {call.target} is open, so the call does not wait in the {layer}"
        + ("." if wait is None else f"; try again in {wait:.1f} s, or let a Fallback answer."),
        layer="CircuitBreaker",
        target=str(call.target),
        retry_after=wait,
    )
