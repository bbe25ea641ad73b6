"""Ids of calls and runs."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

from agentprod.forks import after_fork

if TYPE_CHECKING:
    from random import Random

__all__ = ["new_id"]


def new_id() -> str:
    """Return 32 hex digits that sort by time: 48 bits of milliseconds, then 80 random bits (as in ULID).

    They are unique, also across processes and forks, and whatever the application seeds; they are no secrets.
    """
    return f"{time.time_ns() // 1_000_000:012x}{_source().getrandbits(80):020x}"


@cache
def _source() -> Random:
    # Seeded by the system once: within a call, asking the system each time takes ten times as long as all else here.
    from random import Random

    return Random()


after_fork(_source.cache_clear)
