"""Judge a pair of texts with one guard or all."""

from __future__ import annotations

from agentprod.caching.guards import GuardSet

__all__ = ["judge"]


def judge(one: str, other: str, *guards: str) -> str | None:
    """Return the guard that blocks a pair, whichever text is asked first."""
    chosen = GuardSet(guards or "strict")
    first, second = chosen.read(one), chosen.read(other)
    forward, backward = chosen.conflict(first, second), chosen.conflict(second, first)
    assert forward == backward, "a pair must be judged alike in both directions"
    return forward
