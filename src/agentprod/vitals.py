"""What parts of this process say of their own state: for health checks, gauges of circuits, and alerts on cost."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = [
    "DayCost",
    "Part",
    "circuit_changed",
    "day_scores",
    "dismiss",
    "dismiss_days",
    "hear_circuits",
    "parts",
    "report",
    "report_days",
]


class Part(Protocol):
    """Something whose state matters to whether this process is fit to answer."""

    def vitals(self) -> Mapping[str, Any]:
        """Return any of `breakers` (state by name), `budgets` (used share by name), `alerts` (that fire), `layers`.

        The last holds what a layer says of itself, under the name of its class: JSON-able, and fit to show.
        """
        ...


_parts: weakref.WeakSet[Part] = weakref.WeakSet()


def report(part: Part) -> None:
    """Let health checks ask a part, for as long as it lives."""
    _parts.add(part)


def dismiss(part: Part) -> None:
    """Ask a part no more."""
    _parts.discard(part)


def parts() -> list[Part]:
    """Return the parts that are to be asked."""
    return list(_parts)


CircuitHeard = Callable[[str, str], object]
"""`(name, state)`: a circuit has changed; name and state are fit to show."""

_hearing: tuple[CircuitHeard, ...] = ()


def hear_circuits(hear: CircuitHeard) -> Callable[[], None]:
    """Call `hear(name, state)` whenever a circuit of this process changes; return what ends that."""
    global _hearing  # noqa: PLW0603 - one per process, by intent
    _hearing = (*_hearing, hear)

    def stop() -> None:
        global _hearing  # noqa: PLW0603 - one per process, by intent
        _hearing = tuple(each for each in _hearing if each is not hear)

    return stop


def circuit_changed(name: str, state: str) -> None:
    """Tell those who listen that a circuit has changed; what they raise is theirs to prevent."""
    for hear in _hearing:
        hear(name, state)


class DayCost(Protocol):
    """Something that knows what days cost."""

    def day_score(self) -> float | None:
        """Return today's cost over what makes such a day unusual; `None` while that is not known."""
        ...


_days: weakref.WeakSet[DayCost] = weakref.WeakSet()


def report_days(days: DayCost) -> None:
    """Let alerts ask for the score of the day, for as long as it lives."""
    _days.add(days)


def dismiss_days(days: DayCost) -> None:
    """Ask it no more."""
    _days.discard(days)


def day_scores() -> list[float]:
    """Return the scores that are known now."""
    return [score for days in list(_days) if (score := days.day_score()) is not None]
