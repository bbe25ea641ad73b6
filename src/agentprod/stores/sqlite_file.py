"""Connections to a SQLite file: opened on first use, in write-ahead mode, with bounded waits for other processes."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from agentprod.errors import ConfigError
from agentprod.stores.base import StoreUnavailable

__all__ = ["SqliteFile"]

T = TypeVar("T")

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE entries (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, written REAL NOT NULL, expires REAL
);
CREATE INDEX entries_by_end ON entries (expires) WHERE expires IS NOT NULL;
CREATE TABLE tags (tag TEXT, key TEXT, PRIMARY KEY (tag, key)) WITHOUT ROWID;
CREATE INDEX tags_by_key ON tags (key);
CREATE TABLE log (topic TEXT, number INTEGER, message BLOB NOT NULL, PRIMARY KEY (topic, number)) WITHOUT ROWID;
CREATE TABLE counters (
    family TEXT, name TEXT, spent INTEGER NOT NULL, held INTEGER NOT NULL, expires REAL, PRIMARY KEY (family, name)
) WITHOUT ROWID;
CREATE INDEX counters_by_end ON counters (expires) WHERE expires IS NOT NULL;
CREATE TABLE holds (
    family TEXT, id TEXT, claims TEXT NOT NULL, expires REAL NOT NULL, lapsed INTEGER NOT NULL, PRIMARY KEY (family, id)
) WITHOUT ROWID;
CREATE INDEX holds_by_end ON holds (expires);
"""


class SqliteFile:
    """Two connections per process, one that reads and one that writes, so that reading never waits for a writer.

    Each is used by one thread at a time; a forked child opens its own.

    Args:
        path: the file; its folder must exist.

        timeout: seconds to wait for other processes' writes.

        now: returns POSIX time, the clock that processes share.
    """

    def __init__(self, path: Path, *, timeout: float, now: Callable[[], float]) -> None:
        self.path = path
        self.now = now
        self._timeout = timeout
        self._reader = _Connection()
        self._writer = _Connection()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Use the reading connection."""
        with self._used(self._reader) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction, the only one that writes while it lasts."""
        with self._used(self._writer) as connection:
            self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        for each in (self._reader, self._writer):
            with each.lock:
                if each.connection is not None and each.pid == os.getpid():
                    each.connection.close()
                    each.connection = None

    @contextmanager
    def _used(self, each: _Connection) -> Iterator[sqlite3.Connection]:
        if not each.lock.acquire(timeout=self._timeout):
            raise StoreUnavailable(f"the store {self.path.name} is busy in this process")
        try:
            if each.connection is None or each.pid != os.getpid():
                if each.connection is not None:
                    each.inherited.append(each.connection)
                each.connection, each.pid = self._patiently(self._open), os.getpid()
            yield each.connection
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the store {self.path.name} failed: {type(error).__name__}") from error
        finally:
            each.lock.release()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            # NORMAL loses no consistency in write-ahead mode, and the last writes only when the machine goes down.
            connection.execute("PRAGMA synchronous = NORMAL")
            if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                connection.execute("PRAGMA journal_mode = WAL")
            if connection.execute("PRAGMA user_version").fetchone() != (_SCHEMA_VERSION,):
                self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        connection.execute("COMMIT")
        if version > _SCHEMA_VERSION:
            raise ConfigError(
                f"{self.path.name} was written by a newer agentprod (format {version}, this one knows "
                f"{_SCHEMA_VERSION}): use another file or upgrade"
            )

    def _patiently(self, step: Callable[[], T]) -> T:
        """Repeat `step` while another process writes. SQLite's own waits grow to 100 ms, which starves some."""
        give_up = time.monotonic() + self._timeout
        while True:
            try:
                return step()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                    raise
            time.sleep(random.uniform(0.0001, 0.002))


class _Connection:
    """A connection, who may use it, and whose it is."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None
        self.pid = 0
        # Closing one that a fork has inherited could remove files its parent still uses, so they are kept.
        self.inherited: list[sqlite3.Connection] = []

    def __del__(self, getpid: Callable[[], int] = os.getpid) -> None:
        # Who forgets to close a store shall not hear of it as a ResourceWarning, which SQLite gives since Python 3.13;
        # nor, when the interpreter ends, of the module `os` being gone.
        if self.connection is not None and self.pid == getpid():
            self.connection.close()
