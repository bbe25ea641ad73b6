"""What stages look at, what they say, and what the router makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentprod.routing.ask import Ask
from agentprod.routing.goal import Goal

__all__ = ["Decision", "Opinion", "Question", "Stage"]


@dataclass(frozen=True, slots=True)
class Question:
    """What a stage decides from."""

    ask: Ask
    names: tuple[str, ...]
    """All models of the router, the cheapest first."""
    allowed: tuple[str, ...]
    """Those that this request may go to, in the same order; at least one."""
    goal: Goal | None
    costs: Mapping[str, float] | None
    """Expected dollars of this call by model, where the goal needs them."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one stage says."""

    model: str
    reason: str
    """A few words, never text of the request."""
    score: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    """Expected quality by model, of stages that know one."""


class Stage(Protocol):
    """One way to choose. Stages are asked in order; the first that has an opinion decides."""

    name: str

    def check(self, names: Sequence[str]) -> None:
        """Refuse models that this stage cannot choose among, when the router is built."""
        ...

    def decide(self, question: Question) -> Opinion | None:
        """Return an opinion without any I/O, `None` for none."""
        ...


@dataclass(frozen=True, slots=True)
class Decision:
    """Which model a request goes to, and why."""

    model: str
    policy: str
    """Who decided: a stage, `"sticky"`, `"only"` (one model is left), or `"default"` (no stage had an opinion)."""
    reason: str
    score: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    """Expected quality by model, where a stage knows one."""
    alternatives: tuple[str, ...] = ()
    """The other models that were allowed, the cheapest first."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Models that were not allowed, and why."""
    expected_usd: float | None = None
    """What the call is expected to cost; `None` where a price is not known or nobody needed it."""
    skipped: tuple[str, ...] = ()
    """Stages that could not be asked, and why."""

    def note(self) -> dict[str, Any]:
        """Return what is written on spans and into `ap.meta(reply).notes`."""
        found: dict[str, Any] = {"selected_model": self.model, "policy": self.policy, "reason": self.reason}
        if self.score is not None:
            found["score"] = round(self.score, 4)
        if self.refused:
            found["refused"] = [f"{model}: {why}" for model, why in self.refused.items()]
        if self.skipped:
            found["skipped"] = list(self.skipped)
        return found
