"""One switch for all stacks of the process."""

from __future__ import annotations

from agentprod.errors import ConfigError

__all__ = ["active", "set_active"]

active = True
"""Whether stacks are on; read as `switch.active`, since it changes."""


def set_active(on: bool) -> None:
    """Switch every stack of this process on or off.

    While off, wrapped clients and decorated functions behave as if they were bare: for tests, and for
    clients made at import time. Calls already inside a stack are not affected.

    Raises:
        ConfigError: `on` is no bool: `"off"` would switch them on.
    """
    global active  # noqa: PLW0603 - one per process, by intent
    if not isinstance(on, bool):
        raise ConfigError(f"set_active takes True or False, not {on!r}")
    active = on
