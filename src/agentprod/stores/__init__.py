"""State that may be shared: this process's memory, a SQLite file, Redis, PostgreSQL.

`open_store` makes one from a URL; `Store` says what each can do.
"""

from __future__ import annotations

from importlib import import_module
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
from agentprod.stores.opening import StoreLike, aclose, close, open_store

if TYPE_CHECKING:
    from agentprod.stores.postgres import PostgresStore
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
    "PostgresStore",
    "RedisStore",
    "Settled",
    "SqliteStore",
    "Store",
    "StoreLike",
    "StoreUnavailable",
    "aclose",
    "close",
    "open_store",
]


_PLACES = {"PostgresStore": "postgres", "RedisStore": "redis", "SqliteStore": "sqlite"}
"""Most processes use one kind of store, so the others are not loaded."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'agentprod.stores' has no attribute {name!r}")
    return getattr(import_module(f"agentprod.stores.{_PLACES[name]}"), name)
