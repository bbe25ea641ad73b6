"""What the end of a call says about the health of its endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentprod.faults import OF_ENDPOINT, Fault, classify
from agentprod.reliability.breaker_terms import Outcome

if TYPE_CHECKING:
    from agentprod.call import Call
    from agentprod.ledger import Attempt

__all__ = ["judge_error", "time_per_token"]


def judge_error(call: Call, error: BaseException) -> tuple[Outcome, Fault]:
    """Return whether an error counts against the endpoint, and what kind of fault it is.

    A rate limit does not: it says that the endpoint works, and for how long to be quiet.
    """
    error = getattr(error, "carried", error)
    fault = classify(error, call.classify, wall=call.runtime.wall).fault
    return (Outcome.FAILURE if fault in OF_ENDPOINT else Outcome.NEUTRAL), fault


def time_per_token(attempt: Attempt) -> float | None:
    """Return the seconds per output token after the first content; `None` when nothing was counted."""
    usage = attempt.usage
    if usage is None or not usage.output_tokens or attempt.duration is None:
        return None
    return max(0.0, attempt.duration - (attempt.ttft or 0.0)) / usage.output_tokens
