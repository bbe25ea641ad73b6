"""How long an edge may wait and what it tells the SDK, and how much it remembers."""

from __future__ import annotations

from typing import Any

from agentprod.call import Call

__all__ = ["MOST_TARGETS", "first_limit", "sdk_timeout"]

MOST_TARGETS = 256
"""Targets an edge remembers, one for each model it was asked for."""


def first_limit(call: Call) -> tuple[float | None, str]:
    """Return when the wait for the answer (of a stream: its first content) must end, and which limit says so."""
    limits = call.limits
    if call.deadline is None and limits.attempt is None and limits.first_token is None:
        return None, ""
    now = call.runtime.now()
    candidates = [] if call.deadline is None else [(call.deadline, "deadline")]
    if limits.attempt is not None:
        candidates.append((now + limits.attempt, "attempt"))
    if limits.first_token is not None and call.streaming:
        candidates.append((now + limits.first_token, "first_token"))
    return min(candidates) if candidates else (None, "")


def sdk_timeout(client: Any, own: Any, left: float) -> Any:
    """Return the SDK's `timeout=` for a request that must end in `left` seconds: its own, made no longer than that."""
    if type(own).__name__ == "NotGiven":
        own = client.timeout
    left = max(left, 0.001)
    if own is None:
        return left
    if isinstance(own, int | float):
        return min(float(own), left)
    parts = own.as_dict()
    return type(own)(**{name: left if value is None else min(value, left) for name, value in parts.items()})
