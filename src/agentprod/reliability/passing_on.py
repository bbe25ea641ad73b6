"""Which faults another target may cure, and which target that may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentprod.errors import AllUnavailable, BulkheadFull, CircuitOpen, DeadlineExceeded, RateLimited
from agentprod.faults import Fault, classify
from agentprod.targets import Goal, aim, obstacle, shown_goal

if TYPE_CHECKING:
    from agentprod.call import Call, Target

__all__ = ["OF_CREDENTIAL", "WORTH_WAITING", "Candidates", "fault_of", "is_refusal"]

OF_CREDENTIAL = frozenset({Fault.QUOTA, Fault.AUTH})
"""Faults that every call with the same credential meets."""

WORTH_WAITING = 1.0
"""Seconds: a target that rests no longer than this is asked all the same."""

_REFUSALS = (CircuitOpen, RateLimited, BulkheadFull, AllUnavailable)


def is_refusal(error: Exception) -> bool:
    """Whether a layer refused this target alone: another one may be asked.

    A budget, a guard, a shutdown and `cache="only"` mean every target.
    """
    return isinstance(error, _REFUSALS)


def fault_of(call: Call, error: Exception) -> Fault:
    """Classify what a target failed with; running out of its own share of the deadline is a timeout."""
    if isinstance(error, DeadlineExceeded) and call.deadline is not None and call.runtime.now() < call.deadline:
        return Fault.TIMEOUT
    return classify(error, call.classify, wall=call.runtime.wall).fault


class Candidates:
    """The targets a call may still go to, each of which is tried once.

    Args:
        call: the call as it came in; where it goes now counts as tried.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._tried: list[str] = [_place(call.target)]
        self._spent: set[str] = set()
        self.left_out: dict[str, str] = {}
        """Targets that could not be asked, and why."""

    def spend(self, target: Target) -> None:
        """Never ask with this target's credential again."""
        self._spent.add(target.account)

    def left(self, goals: Sequence[Goal]) -> int:
        """Return how many of these are not tried yet."""
        return sum(_place(aim(self._call, goal).target) not in self._tried for goal in goals)

    def next(self, goals: Sequence[Goal], *, resting: bool = True) -> tuple[Goal, Call] | None:
        """Return the first of these that can be asked, and the call as it goes there; one that is not resting first.

        Args:
            goals: in the order to try them.

            resting: whether one will do that is cooling down, or whose circuit is open.
        """
        first: tuple[Goal, Call] | None = None
        for goal in goals:
            there = aim(self._call, goal)
            if _place(there.target) in self._tried:
                continue
            reason = "same credential" if there.target.account in self._spent else obstacle(self._call, goal)
            if reason is not None:
                self.left_out[shown_goal(goal)] = reason
                continue
            if not rests(there):
                return goal, there
            first = first or (goal, there)
        return first if resting else None

    def take(self, there: Call) -> None:
        """Take note that a target is asked."""
        self._tried.append(_place(there.target))


def rests(call: Call) -> bool:
    """Whether the call would be refused where it goes, for longer than is worth waiting."""
    refusal = call.board.refuses(call.target, call.runtime.now())
    return refusal is not None and refusal.retry_after > WORTH_WAITING


def _place(target: Target) -> str:
    function = getattr(target.edge, "fn", None)
    return f"{target.account} {target.model}" if function is None else f"function {id(function)} {target.model}"
