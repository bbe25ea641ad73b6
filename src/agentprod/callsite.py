"""Where a warning points: at the user's line, not into this library."""

from __future__ import annotations

import inspect

__all__ = ["outside_level"]


def outside_level() -> int:
    """Return the `stacklevel` with which a `warnings.warn` of the calling function points outside this library."""
    level = 0
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "agentprod":
        frame = frame.f_back
        level += 1
    return level
