"""Say which limit a wait has passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentprod.errors import AgentprodError, CallTimeout, DeadlineExceeded

if TYPE_CHECKING:
    from agentprod.call import Limits, Target

__all__ = ["late"]

_DID = {
    "attempt": "did not finish",
    "first_token": "sent no content",
    "idle": "sent nothing",
}


def late(phase: str, target: Target, limits: Limits, progress: str = "") -> AgentprodError:
    """Return the error for a wait that took too long.

    Args:
        phase: `"attempt"`, `"first_token"`, `"idle"` or `"deadline"`.

        target: who was waited for.

        limits: the limits in force, in seconds.

        progress: how far it had come, for the message.
    """
    if phase == "deadline":
        return DeadlineExceeded(
            " ".join(f"The call to {target} passed its deadline {progress}".split())
            + ". Allow more time with Deadline(…) or ap.context(deadline=…), or ask for a shorter answer.",
            layer="Deadline",
            target=str(target),
        )
    limit = {"attempt": limits.attempt, "first_token": limits.first_token, "idle": limits.idle}[phase]
    for_how_long = f" within {limit:g} s" if phase != "idle" and limit else f" for {limit:g} s" if limit else ""
    return CallTimeout(
        " ".join(f"{target} {_DID[phase]}{for_how_long} {progress}".split())
        + f". If that is normal for this model, raise Timeout({phase}=…).",
        layer="Timeout",
        target=str(target),
        limit=limit,
        phase=phase,
    )
