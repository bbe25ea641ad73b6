"""Where entries are: near, in this process, and far, where processes share them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentprod.caching.shelf import Shelf

if TYPE_CHECKING:
    from agentprod.caching.entries import Entry
    from agentprod.runtime.runtime import Runtime

__all__ = ["Tiers"]


class Tiers:
    """The places of one cache's entries.

    Args:
        shelf: the near one.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    async def get(self, runtime: Runtime, key: str) -> tuple[Entry, float] | None:
        """Return an entry and its age in seconds; `None` when there is none."""
        return self.shelf.get(key, runtime.now())

    def put(self, runtime: Runtime, entry: Entry) -> None:
        """Keep an entry."""
        self.shelf.put(entry, runtime.now())

    def remove(self, runtime: Runtime, key: str) -> None:
        """Drop an entry."""
        self.shelf.remove(key)
