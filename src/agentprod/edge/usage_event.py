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
        for event in events:
            if event.data is not None and hide(event.data):
                return [other for other in events if other.data is None or not hide(other.data)]
        return events

    def finish(self) -> list[Event]:
        """Keep nothing back."""
        return []
