"""One switch for all stacks of the process."""

from __future__ import annotations

__all__ = ["is_active", "set_active"]

_active = True


def set_active(active: bool) -> None:
    """Switch every stack of this process on or off.

    While off, wrapped clients and decorated functions behave as if they were bare: for tests, and for
    clients made at import time. Calls already inside a stack are not affected.
    """
    global _active  # noqa: PLW0603 - one per process, by intent
    _active = bool(active)


def is_active() -> bool:
    """Return whether stacks are on."""
    return _active
