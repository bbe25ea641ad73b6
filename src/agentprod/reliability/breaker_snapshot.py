"""What processes that share a circuit tell each other of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentprod.reliability.breaker_terms import BreakerState

__all__ = ["BreakerSnapshot"]


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """One circuit at one moment. Times here are of this process's monotonic clock; in JSON they are relative."""

    state: BreakerState
    era: int
    """Number of the change that led here, counted by all processes together."""
    reason: str
    fault: str | None
    since: float | None
    until: float
    reopened: int
    leases: Mapping[str, float]
    successes: int
    ramp_from: float | None

    def to_dict(self, now: float) -> dict[str, Any]:
        """Return JSON-able data; every time in it is seconds before or after `now`."""
        return {
            "state": self.state.value,
            "era": self.era,
            "reason": self.reason,
            "fault": self.fault,
            "age": None if self.since is None else now - self.since,
            "wait_left": self.until - now if self.state is BreakerState.OPEN else None,
            "reopened": self.reopened,
            "leases": {name: end - now for name, end in self.leases.items()},
            "successes": self.successes,
            "ramp_age": None if self.ramp_from is None else now - self.ramp_from,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], then: float) -> BreakerSnapshot:
        """Read what `to_dict` wrote.

        Args:
            data: the data.

            then: when it was written, in monotonic seconds of this process.

        Raises:
            ValueError: the data is something else.
        """
        try:
            fault = data["fault"]
            return cls(
                state=BreakerState(data["state"]),
                era=int(data["era"]),
                reason=str(data["reason"]),
                fault=None if fault is None else str(fault),
                since=None if data["age"] is None else then - float(data["age"]),
                until=then + float(data["wait_left"] or 0.0),
                reopened=int(data["reopened"]),
                leases={str(name): then + float(left) for name, left in data["leases"].items()},
                successes=int(data["successes"]),
                ramp_from=None if data["ramp_age"] is None else then - float(data["ramp_age"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError("not a snapshot of a circuit breaker") from error
