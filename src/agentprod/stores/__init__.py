"""State that may be shared: this process's memory, a SQLite file, Redis.

`open_store` makes one from a URL; `Store` says what each can do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentprod.stores.base import (
    Claim,
    CounterState,
    Entry,
    Exhausted,
    LogRead,
    Settled,
    Store,
    StoreUnavailable,
)
from agentprod.stores.layered import LayeredStore
from agentprod.stores.memory import MemoryStore
from agentprod.stores.opening import StoreLike, aclose_stores, close_stores, open_store

if TYPE_CHECKING:
    from agentprod.stores.redis import RedisStore
    from agentprod.stores.sqlite import SqliteStore

__all__ = [
    "Claim",
    "CounterState",
    "Entry",
    "Exhausted",
    "LayeredStore",
    "LogRead",
    "MemoryStore",
    "RedisStore",
    "Settled",
    "SqliteStore",
    "Store",
    "StoreLike",
    "StoreUnavailable",
    "aclose_stores",
    "close_stores",
    "open_store",
]


def __getattr__(name: str) -> Any:
    # Most processes use one kind of store, so the others are not loaded.
    if name == "RedisStore":
        from agentprod.stores.redis import RedisStore

        return RedisStore
    if name == "SqliteStore":
        from agentprod.stores.sqlite import SqliteStore

        return SqliteStore
    raise AttributeError(f"module 'agentprod.stores' has no attribute {name!r}")
