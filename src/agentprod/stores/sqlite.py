"""State that the processes of one machine share in a file."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from agentprod.errors import ConfigError
from agentprod.stores import sqlite_counters
from agentprod.stores.base import (
    LOG_LENGTH,
    Claim,
    CounterState,
    Entry,
    Exhausted,
    LogRead,
    Settled,
    check_claims,
    check_key,
    check_ttl,
)
from agentprod.stores.sqlite_file import SqliteFile
from agentprod.stores.twins import AsyncTwins

__all__ = ["SqliteStore"]

T = TypeVar("T")

_EXPIRED = "SELECT key FROM entries WHERE expires <= ?"
_OLDEST = "SELECT key FROM entries ORDER BY rowid LIMIT ?"  # every write gives a new rowid
_PREFIXED = "SELECT key FROM entries WHERE key >= ?1 AND key < ?1 || char(0x10ffff)"


class SqliteStore(AsyncTwins):
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
        self._file = SqliteFile(path, timeout=timeout, now=now)
        self._max_entries = max_entries
        self._writes = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"sqlite:///{self._file.path}"

    def __repr__(self) -> str:
        return f"SqliteStore({str(self._file.path)!r})"

    async def _slowly(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    def get(self, key: str, *, fresh: bool = False) -> Entry | None:
        """See `Store.get`."""
        with self._file.read() as db:
            return _read(db, key, self._file.now())

    def set(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """See `Store.set`."""
        check_key(key, *tags)
        check_ttl(ttl)
        with self._file.write() as db:
            now = self._file.now()
            self._put(db, key, value, _version(db, key), ttl, now)
            db.execute("DELETE FROM tags WHERE key = ?", (key,))
            db.executemany("INSERT INTO tags VALUES (?, ?)", [(tag, key) for tag in set(tags)])

    def compare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
        """See `Store.compare_and_set`."""
        check_key(key)
        check_ttl(ttl)
        with self._file.write() as db:
            now = self._file.now()
            entry = _read(db, key, now)
            if (0 if entry is None else entry.version) != version:
                return None
            return self._put(db, key, value, _version(db, key), ttl, now)

    def update(self, key: str, change: Callable[[Entry | None], tuple[bytes, T]], *, ttl: float | None = None) -> T:
        """See `Store.update`; the change is made within a transaction."""
        check_key(key)
        check_ttl(ttl)
        with self._file.write() as db:
            now = self._file.now()
            value, answer = change(_read(db, key, now))
            self._put(db, key, value, _version(db, key), ttl, now)
            return answer

    def delete(self, *keys: str, prefix: str | None = None, tag: str | None = None) -> int:
        """See `Store.delete`."""
        with self._file.write() as db:
            now = self._file.now()
            doomed = set(keys)
            if prefix is not None:
                doomed.update(key for (key,) in db.execute(_PREFIXED, (prefix,)))
            if tag is not None:
                doomed.update(key for (key,) in db.execute("SELECT key FROM tags WHERE tag = ?", (tag,)))
            count = 0
            for key in doomed:
                query = "DELETE FROM entries WHERE key = ? RETURNING expires IS NULL OR expires > ?"
                row = db.execute(query, (key, now)).fetchone()
                db.execute("DELETE FROM tags WHERE key = ?", (key,))
                count += row is not None and row[0]
            return count

    def scan(self, prefix: str, *, limit: int = 10_000) -> list[str]:
        """See `Store.scan`."""
        query = _PREFIXED + " AND (expires IS NULL OR expires > ?2) LIMIT ?3"
        with self._file.read() as db:
            return [key for (key,) in db.execute(query, (prefix, self._file.now(), limit))]

    def publish(self, topic: str, message: bytes) -> int:
        """See `Store.publish`."""
        check_key(topic)
        with self._file.write() as db:
            (last,) = db.execute("SELECT MAX(number) FROM log WHERE topic = ?", (topic,)).fetchone()
            number: int = (last or 0) + 1
            db.execute("INSERT INTO log VALUES (?, ?, ?)", (topic, number, message))
            db.execute("DELETE FROM log WHERE topic = ? AND number <= ?", (topic, number - LOG_LENGTH))
            return number

    def read_log(self, topic: str, after: int | None) -> LogRead:
        """See `Store.read_log`."""
        with self._file.read() as db:
            (last,) = db.execute("SELECT MAX(number) FROM log WHERE topic = ?", (topic,)).fetchone()
            if after is None or last is None:
                return LogRead([], last or 0, True)
            query = "SELECT message FROM log WHERE topic = ? AND number > ? AND number <= ? ORDER BY number"
            messages = [message for (message,) in db.execute(query, (topic, after, last))]
        return LogRead(messages, last, last - after <= LOG_LENGTH)

    def reserve(self, group: str, id: str, claims: Sequence[Claim], *, lease: float) -> Exhausted | None:
        """See `Store.reserve`."""
        check_claims(group, id, claims, lease)
        with self._file.write() as db:
            now = self._swept(db)
            return sqlite_counters.reserve(db, group, id, claims, lease, now)

    def settle(self, group: str, id: str, used: Sequence[int] | None) -> Settled:
        """See `Store.settle`."""
        with self._file.write() as db:
            self._swept(db)
            return sqlite_counters.settle(db, group, id, used)

    def renew(self, group: str, id: str, *, lease: float) -> bool:
        """See `Store.renew`."""
        check_ttl(lease)
        with self._file.write() as db:
            now = self._swept(db)
            return sqlite_counters.renew(db, group, id, lease, now)

    def add(self, group: str, counter: str, amount: int, *, ttl: float | None = None) -> CounterState:
        """See `Store.add`."""
        check_key(group, counter)
        check_ttl(ttl)
        with self._file.write() as db:
            now = self._swept(db)
            return sqlite_counters.add(db, group, counter, amount, ttl, now)

    def usage(self, group: str, counters: Sequence[str]) -> list[CounterState]:
        """See `Store.usage`."""
        with self._file.write() as db:
            self._swept(db)
            return sqlite_counters.usage(db, group, counters)

    def close(self) -> None:
        """See `Store.close`."""
        self._file.close()

    def _swept(self, db: sqlite3.Connection) -> float:
        now = self._file.now()
        sqlite_counters.sweep(db, now)
        return now

    def _put(self, db: sqlite3.Connection, key: str, value: bytes, known: int, ttl: float | None, now: float) -> int:
        # From the clock, so that a version does not come again after the entry was deleted.
        version = max(known + 1, int(now * 1e6))
        expires = None if ttl is None else now + ttl
        db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", (key, value, version, now, expires))
        self._writes += 1
        if self._writes % 256 == 1:
            self._sweep_entries(db, now)
        return version

    def _sweep_entries(self, db: sqlite3.Connection, now: float) -> None:
        (count,) = db.execute("SELECT COUNT(*) FROM entries").fetchone()
        doomed = db.execute(_EXPIRED, (now,)).fetchall()
        doomed += db.execute(_OLDEST, (max(0, count - len(doomed) - self._max_entries),)).fetchall()
        db.executemany("DELETE FROM tags WHERE key = ?", doomed)
        db.executemany("DELETE FROM entries WHERE key = ?", doomed)


def _read(db: sqlite3.Connection, key: str, now: float) -> Entry | None:
    row = db.execute("SELECT value, version, written, expires FROM entries WHERE key = ?", (key,)).fetchone()
    if row is None or (row[3] is not None and row[3] <= now):
        return None
    value, version, written, expires = row
    return Entry(value, version, max(0.0, now - written), None if expires is None else expires - now)


def _version(db: sqlite3.Connection, key: str) -> int:
    row = db.execute("SELECT version FROM entries WHERE key = ?", (key,)).fetchone()
    return row[0] if row else 0
