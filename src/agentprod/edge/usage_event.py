"""Hide the usage event from callers who did not ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentprod.events import Event

if TYPE_CHECKING:
    from agentprod.dialects.base import Dialect

__all__ = ["HideUsage"]


class HideUsage:
    """The outermost stage of a stream in which usage was asked for on a layer's behalf."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def feed(self, events: list[Event]) -> list[Event]:
        """Drop the event that only carries token counts."""
        hide = self._dialect.is_usage_only
        if any(event.data is not None and hide(event.data) for event in events):
            return [event for event in events if event.data is None or not hide(event.data)]
        return events

    def finish(self) -> list[Event]:
        """Keep nothing back."""
        return []
