"""Say once what goes wrong without breaking a call."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING

from agentprod.errors import AgentprodWarning

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["Warner"]


class Warner:
    """Gives each warning of one cache once."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        """Of which it speaks."""
        self._given: set[str] = set()

    def uncacheable(self, call: Call, reason: str) -> None:
        """A request has no stable key."""
        self._once(
            f"uncacheable {call.target.base_url}",
            f"{self.layer} does not cache {call.target}: {reason}, so its request has no stable key. Leave that "
            "argument out with ignore=, or name what matters with key=",
        )

    def unfaithful(self, call: Call, what: str) -> None:
        """A function's value does not survive JSON."""
        self._once(
            f"unfaithful {call.target.base_url}",
            f"{self.layer} does not cache {call.target}: JSON cannot bring back what it returned ({what}). "
            "Return a str, a number, a dict, a list, a dataclass or a pydantic model",
        )

    def tampered(self) -> None:
        """A store holds what was not written to it."""
        self._once(
            "tampered",
            f"{self.layer} found an entry in its store that it did not write: damaged, forged, or of another secret. "
            "Such entries are misses; stats().tampered counts them",
        )

    def unread(self, count: int) -> None:
        """A file holds lines that are no entries."""
        self._once(f"unread {count}", f"{self.layer}.load left out {count} lines that are no entries")

    def failed(self, what: str, error: Exception) -> None:
        """Something inside the cache failed."""
        self._once(
            f"failed {what} {type(error).__name__}",
            f"{self.layer} met a {type(error).__name__} at {what}; such calls go past the cache, and "
            "stats().errors counts them",
        )

    def _once(self, topic: str, message: str) -> None:
        if topic not in self._given:
            self._given.add(topic)
            warnings.warn(message, AgentprodWarning, stacklevel=_outside())


def _outside() -> int:
    """Return the stack level of the first frame outside this library, as seen by `warnings.warn` two calls up."""
    level = 0
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "agentprod":
        frame = frame.f_back
        level += 1
    return max(1, level - 1)
