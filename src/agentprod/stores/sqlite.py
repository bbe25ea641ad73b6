"""State that the processes of one machine share in a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from agentprod.errors import ConfigError
from agentprod.stores import sql_counters
from agentprod.stores.sql import Session, SqlStore
from agentprod.stores.sqlite_file import SqliteFile

__all__ = ["SqliteStore"]

T = TypeVar("T")

_EXPIRED = "SELECT key FROM entries WHERE expires <= ?"
_OLDEST = "SELECT key FROM entries ORDER BY rowid LIMIT ?"  # every write gives a new rowid


class SqliteStore(SqlStore):
    """Entries, logs and counters in one SQLite file, safe for threads, tasks and processes.

    Processes share the wall clock, so lifetimes and leases move when it is set. Do not put the file on a network
    file system: SQLite's write-ahead mode does not work there. Reads run on the caller's thread even in async code
    (they take microseconds), writes on a worker thread.

    Args:
        path: the file; made if it does not exist, its folder must.

        timeout: seconds to wait for other processes' writes before `StoreUnavailable`.

        max_entries: entries kept; those written longest ago go first.

        now: returns POSIX time.

    Raises:
        ConfigError: a number is out of range, or the folder does not exist.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        timeout: float = 1.0,
        max_entries: int = 100_000,
        now: Callable[[], float] = time.time,
    ) -> None:
        path = Path(path).absolute()
        if not timeout > 0 or max_entries < 1:
            raise ConfigError("SqliteStore needs a timeout above 0 seconds and max_entries of at least 1")
        if not path.parent.is_dir():
            raise ConfigError(f"the folder of {path.name!r} does not exist; make it first")
        super().__init__(_Tables(SqliteFile(path, timeout=timeout, now=now), max_entries))
        self._path = path

    @property
    def url(self) -> str:
        """Where it is."""
        return f"sqlite:///{self._path}"

    def __repr__(self) -> str:
        return f"SqliteStore({str(self._path)!r})"

    async def _slowly(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)


class _Tables:
    """See `Database`. Only one process writes at a time, whatever the name."""

    def __init__(self, file: SqliteFile, max_entries: int) -> None:
        self._file = file
        self._max_entries = max_entries
        self.now = file.now
        self.read = file.read
        self.close = file.close

    def write(self, name: str | None) -> AbstractContextManager[Session]:
        return self._file.write()

    def put(self, session: Session, key: str, value: bytes, ttl: float | None) -> int:
        now = self.now()
        row = session.execute("SELECT version FROM entries WHERE key = ?", (key,)).fetchone()
        # From the clock, so that a version does not come again after the entry was deleted.
        version = max(row[0] + 1 if row else 0, int(now * 1e6))
        expires = None if ttl is None else now + ttl
        session.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", (key, value, version, now, expires))
        return version

    def clean(self, session: Session) -> None:
        now = self.now()
        (count,) = session.execute("SELECT COUNT(*) FROM entries").fetchone()
        doomed = session.execute(_EXPIRED, (now,)).fetchall()
        doomed += session.execute(_OLDEST, (max(0, count - len(doomed) - self._max_entries),)).fetchall()
        session.executemany("DELETE FROM tags WHERE key = ?", doomed)
        session.executemany("DELETE FROM entries WHERE key = ?", doomed)
        groups = "SELECT family FROM holds WHERE expires <= ? UNION SELECT family FROM counters WHERE expires <= ?"
        for (group,) in session.execute(groups, (now, now)).fetchall():
            sql_counters.sweep(session, group, now)
