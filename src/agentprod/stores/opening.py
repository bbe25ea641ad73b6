"""From what a user writes as `store=` to a store: one per URL and process."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qsl, unquote

from agentprod.errors import ConfigError
from agentprod.stores.base import Store
from agentprod.stores.layered import LayeredStore
from agentprod.stores.memory import MemoryStore

__all__ = ["StoreLike", "aclose", "close", "open_store"]

StoreLike: TypeAlias = Store | str | Sequence[Store | str]
"""A store, the URL of one, or two of these: memory first, then what it stands in front of."""


class _OpenStores:
    """The stores of this process by name; a forked child begins with none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._stores: dict[str, Store] = {}

    def once(self, name: str, make: Callable[[], Store]) -> Store:
        known = self.all()
        if name in known:
            return known[name]
        store = make()  # outside the lock, as a layered one opens the one behind it
        with self._lock:
            return self._stores.setdefault(name, store)

    def all(self) -> dict[str, Store]:
        with self._lock:
            if self._pid != os.getpid():
                self._stores, self._pid = {}, os.getpid()
            return dict(self._stores)

    def take_all(self) -> list[Store]:
        known = self.all()
        with self._lock:
            self._stores = {}
        # Layered ones first: closing them writes to those behind.
        return sorted(known.values(), key=lambda store: not isinstance(store, LayeredStore))


_open = _OpenStores()


def open_store(where: StoreLike) -> Store:
    """Return the store for what was given as `store=`.

    The same URL gives the same store within a process, and a forked child opens its own. Stores made here are closed
    by `close`; objects that were passed in are never closed.

    Args:
        where: `"memory://"`; `"sqlite:///file.db"` (relative) or `"sqlite:////var/lib/file.db"` (absolute);
            `"redis://…"`, `"rediss://…"`, `"unix://…"`, `"redis+cluster://…"`, `"rediss+cluster://…"`;
            `"postgresql://…"`; a store; or a list of memory and one other store, nearest first.
            `memory://` and `sqlite:///` take `?max_entries=`, memory `?max_bytes=` too. `memory://name` is a store of
            its own.

    Raises:
        ConfigError: it is none of these, or an extra is missing.
    """
    if isinstance(where, str):
        return _open.once(where, lambda: _make(where))
    if all(hasattr(where, name) for name in _OFFERED):
        return cast("Store", where)
    if isinstance(where, Sequence):
        return _layered(where)
    raise ConfigError(
        f"store= takes a URL, a store or a list of two of them, not {type(where).__name__}; a store has the methods "
        "of agentprod.stores.Store"
    )


_OFFERED = tuple(name for name in vars(Store) if not name.startswith("_"))
"""What an object is asked for, whatever its class: one that stands before a store may hand all on by `__getattr__`,
which `isinstance` sees up to Python 3.11 only."""


def close() -> None:
    """Close every store that was opened by its URL in this process; used again, a store opens anew.

    Waiting writes are written first. Stores that were passed as objects are their maker's to close. For the end of a
    process, `drain` first, which lets calls end.
    """
    for store in _open.take_all():
        store.close()


async def aclose() -> None:
    """Like `close`, for the connections of the running event loop too."""
    for store in _open.take_all():
        await store.aclose()


def _layered(layers: Sequence[Store | str]) -> Store:
    if len(layers) != 2:
        raise ConfigError(f"a list of stores has two, memory and one other, not {len(layers)}")
    near, far = layers
    if isinstance(near, str) and near.startswith("memory://") and isinstance(far, str):
        # A memory of its own, as another far store may hold something else under the same key.
        return _open.once(f"{near} {far}", lambda: LayeredStore(_memory(near), open_store(far)))
    near_store = _memory(near) if isinstance(near, str) and near.startswith("memory://") else near
    if not isinstance(near_store, MemoryStore):
        raise ConfigError("the first of a list of stores must be memory://, as it is asked for every read")
    return LayeredStore(near_store, open_store(far))


def _make(url: str) -> Store:
    scheme, colon, rest = url.partition("://")
    if scheme == "memory" and colon:
        return _memory(url)
    if scheme == "sqlite" and colon:
        path, _, query = rest.partition("?")
        if len(path) < 2 or not path.startswith("/"):
            raise ConfigError("a SQLite store is written sqlite:///file.db, or sqlite:////folder/file.db when absolute")
        from agentprod.stores.sqlite import SqliteStore

        return SqliteStore(unquote(path[1:]), **_options(query, "max_entries"))
    if scheme in {"postgresql", "postgres"} and colon:
        from agentprod.stores.postgres import PostgresStore

        return PostgresStore(url)
    if scheme.removesuffix("+cluster") in {"redis", "rediss"} or scheme == "unix":
        from agentprod.stores.redis import RedisStore

        return RedisStore(url)
    found = f"no store is known for {scheme}://" if colon else "store= got a text that is no URL"
    raise ConfigError(
        f"{found}; known are memory://, sqlite:///file.db, redis://, rediss://, unix://, redis+cluster://, "
        "rediss+cluster:// and postgresql://"
    )


def _memory(url: str) -> MemoryStore:
    return MemoryStore(**_options(url.partition("?")[2], "max_entries", "max_bytes"))


def _options(query: str, *known: str) -> dict[str, Any]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in options.items():
        if name not in known or not value.isdecimal():
            raise ConfigError(f"this store's URL takes {' and '.join(known)}, whole numbers, not {name}")
    return {name: int(value) for name, value in options.items()}


@atexit.register
def _write_what_waits() -> None:
    for store in _open.all().values():
        if isinstance(store, LayeredStore):
            store.writes.flush()
