"""What code inherits from the code around it, in one context variable: who asks, who listens, which stack it is in."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from agentprod.identity import NOBODY, Context

__all__ = ["Ambient", "ambient", "change", "restore"]


@dataclass(frozen=True, slots=True)
class Ambient:
    """One immutable value, so that a call needs a single look-up to enter a stack."""

    context: Context = NOBODY
    listeners: tuple[Callable[..., None], ...] = ()
    """Who wants to hear of calls that start here."""
    inside: frozenset[int] = frozenset()
    """Stacks whose layers' own calls this code makes."""


_here: contextvars.ContextVar[Ambient] = contextvars.ContextVar("agentprod", default=Ambient())  # noqa: B039 - it is frozen

ambient: Callable[[], Ambient] = _here.get
"""Returns what is in force here."""


def change(**changes: Any) -> contextvars.Token[Ambient]:
    """Change parts of what code from here on inherits; return what takes it back."""
    return _here.set(replace(_here.get(), **changes))


def restore(token: contextvars.Token[Ambient]) -> None:
    """Take a change back.

    In another task or thread than the change was made in, as FastAPI's sync dependencies do it, there
    is nothing to take back: that one has its own value.
    """
    try:
        _here.reset(token)
    except ValueError:
        pass
