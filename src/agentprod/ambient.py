"""What code inherits from the code around it, in one context variable: who asks, who listens, which stack it is in."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from agentprod.identity import NOBODY, Context

__all__ = ["Ambient", "ambient", "change"]


@dataclass(frozen=True, slots=True)
class Ambient:
    """One immutable value, so that a call needs a single look-up to enter a stack."""

    context: Context = NOBODY
    listeners: tuple[Callable[..., None], ...] = ()
    """Who wants to hear of calls that start here."""
    inside: frozenset[int] = frozenset()
    """Stacks whose layers' own calls this code makes."""
    entered: tuple[tuple[object, Context], ...] = ()
    """Who said something of the context, each with what was in force before."""


_here: contextvars.ContextVar[Ambient] = contextvars.ContextVar("agentprod", default=Ambient())  # noqa: B039 - it is frozen

ambient: Callable[[], Ambient] = _here.get
"""Returns what is in force here."""


def change(**changes: Any) -> None:
    """Change parts of what code from here on inherits.

    To take a change back is another change, of the same part: what others changed meanwhile stays.
    A token could not do that, nor be used in another task or thread than it was made in.
    """
    _here.set(replace(_here.get(), **changes))
