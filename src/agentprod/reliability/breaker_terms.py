"""The words of a circuit breaker: states, outcomes, permits, refusals, changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

__all__ = ["BreakerChange", "BreakerListener", "BreakerRefusal", "BreakerState", "Outcome", "Permit"]


class BreakerState(Enum):
    """Where a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    """Refuses everything until `reset`, by a person's decision."""
    DISABLED = "disabled"
    """Admits everything and counts nothing until `reset`, by a person's decision."""


class Outcome(Enum):
    """What a call says about the health of its endpoint."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    """Says nothing: the caller's own mistake, a rate limit, a cancellation. Gives a probe's permit back."""


class Permit:
    """Leave to make one call; to be given to `record` once, whatever became of the call."""

    __slots__ = ("generation", "is_open", "lease", "would_refuse")

    def __init__(self, generation: int, lease: str | None = None, would_refuse: BreakerRefusal | None = None) -> None:
        self.generation = generation
        self.lease = lease
        """Name of the lease when this call tests a half-open circuit."""
        self.would_refuse = would_refuse
        """In shadow mode: the refusal that would have been given."""
        self.is_open = True


class BreakerRefusal(NamedTuple):
    """Why a call may not be made now."""

    state: BreakerState
    """State of the circuit."""
    retry_after: float | None
    """Seconds until another try makes sense; `None` when only a person can tell."""
    fault: str | None = None
    """Name of the last fault that counted as a failure."""
    error: BaseException | None = None
    """The error with which the circuit opened, to chain from."""


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """One change of state, as listeners are told.

    Args:
        old: state before.

        new: state after.

        at: when, in monotonic seconds.

        reason: such as `"failure rate 0.60 of 10 calls"`.

        generation: number of the change; grows by one each time.

        wait: seconds the circuit stays open; `None` unless it opened.
    """

    old: BreakerState
    new: BreakerState
    at: float
    reason: str
    generation: int
    wait: float | None = None


BreakerListener = Callable[[BreakerChange], object]
"""Is told of every change, outside the lock of the circuit."""
