"""The tables of a PostgreSQL store: who may write meanwhile, what time it is, and what nobody needs any more."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

from agentprod.errors import ConfigError
from agentprod.stores.postgres_connections import PostgresConnections
from agentprod.stores.sql import Session

__all__ = ["PostgresTables"]

_SCHEMA_VERSION = 1
# Keys are compared byte by byte, as everywhere else, so that a prefix is a range.
_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS {schema};
SET search_path = {schema};
CREATE TABLE format (version INTEGER NOT NULL);
INSERT INTO format VALUES ({version});
CREATE SEQUENCE versions;
CREATE TABLE entries (
    key TEXT COLLATE "C" PRIMARY KEY, value BYTEA NOT NULL, version BIGINT NOT NULL,
    written DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION
);
CREATE INDEX entries_by_end ON entries (expires) WHERE expires IS NOT NULL;
CREATE INDEX entries_by_age ON entries (written);
CREATE TABLE tags (tag TEXT COLLATE "C", key TEXT COLLATE "C", PRIMARY KEY (tag, key));
CREATE INDEX tags_by_key ON tags (key);
CREATE TABLE log (topic TEXT COLLATE "C", number BIGINT, message BYTEA NOT NULL, PRIMARY KEY (topic, number));
CREATE TABLE counters (
    family TEXT COLLATE "C", name TEXT COLLATE "C", spent BIGINT NOT NULL, held BIGINT NOT NULL,
    expires DOUBLE PRECISION, PRIMARY KEY (family, name)
);
CREATE INDEX counters_by_end ON counters (expires) WHERE expires IS NOT NULL;
CREATE TABLE holds (
    family TEXT COLLATE "C", id TEXT COLLATE "C", claims TEXT NOT NULL, expires DOUBLE PRECISION NOT NULL,
    lapsed INTEGER NOT NULL, PRIMARY KEY (family, id)
);
CREATE INDEX holds_by_end ON holds (expires);
"""
_PUT = """
INSERT INTO entries VALUES (?, ?, nextval('versions'), ?, ?) ON CONFLICT (key) DO UPDATE SET
    value = excluded.value, version = excluded.version, written = excluded.written, expires = excluded.expires
RETURNING version
"""
_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::double precision"
_AT_ONCE = 1000
"""Rows that one cleaning deletes at most, so that the call it happens in hardly notices."""


class PostgresTables:
    """See `Database`.

    Args:
        url: as libpq takes it.

        schema: where the tables are.

        timeout: seconds that one statement may take.

        max_connections: most connections of this process.

        max_entries: entries kept, about.
    """

    def __init__(self, url: str, schema: str, timeout: float, max_connections: int, max_entries: int) -> None:
        self.shown_url = re.sub(r"//[^/]*@", "//", url.partition("?")[0])
        self._schema = schema
        self._max_entries = max_entries
        self._ahead = 0.0
        """Seconds by which the server's clock is ahead of this process's monotonic one."""
        self._connections = PostgresConnections(
            url, self.shown_url, timeout=timeout, size=max_connections, prepare=self._prepare
        )
        self.close = self._connections.close

    def now(self) -> float:
        """See `Database.now`."""
        return time.monotonic() + self._ahead

    @contextmanager
    def read(self) -> Iterator[Session]:
        """See `Database.read`."""
        with self._connections.one() as connection:
            yield _Session(connection)

    @contextmanager
    def write(self, name: str | None) -> Iterator[Session]:
        """See `Database.write`."""
        with self._connections.one() as connection:
            # One way to the server and back. Who writes under a name shares the schema's lock, who writes anything
            # at all has it alone. The time is asked for when the locks are held: waiting for them is in it.
            everything = self._lock_number("")
            if name is None:
                locks = f"SELECT pg_advisory_xact_lock({everything})"
            else:
                locks = f"SELECT pg_advisory_xact_lock_shared({everything}), pg_advisory_xact_lock("
                locks += f"{self._lock_number(name)})"
            cursor = connection.execute(f"BEGIN; {locks}; {_CLOCK}")
            cursor.nextset()
            cursor.nextset()
            self._set_clock(cursor)
            try:
                yield _Session(connection)
            except self._connections.error:
                raise  # and the connection is given up, with what it was about to do
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def put(self, session: Session, key: str, value: bytes, ttl: float | None) -> int:
        """See `Database.put`."""
        now = self.now()
        (version,) = session.execute(_PUT, (key, value, now, None if ttl is None else now + ttl)).fetchone()
        return int(version)

    def clean(self, session: Session) -> None:
        """See `Database.clean`; what others are writing is passed over."""
        now = self.now()
        (count,) = session.execute("SELECT reltuples FROM pg_class WHERE oid = 'entries'::regclass").fetchone()
        surplus = max(0, min(_AT_ONCE, int(count) - self._max_entries))
        keys = [
            *_delete_some(session, "entries", "WHERE expires <= ?", (now, _AT_ONCE), "key"),
            *_delete_some(session, "entries", "ORDER BY written", (surplus,), "key"),
        ]
        session.executemany("DELETE FROM tags WHERE key = ?", keys)
        _delete_some(session, "counters", "WHERE expires <= ?", (now, _AT_ONCE), "name")
        _delete_some(session, "holds", "WHERE lapsed = 1 AND expires <= ?", (now, _AT_ONCE), "id")

    def _lock_number(self, name: str) -> int:
        digest = blake2b(f"agentprod\0{self._schema}\0{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)

    def _prepare(self, connection: Any) -> None:
        """Make the tables unless they are there, choose the schema, and set the clock."""
        # As SQLite's NORMAL: the server's log is written behind the commit, within a second.
        connection.execute("SET synchronous_commit = off")
        if not self._is_there(connection):
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (self._lock_number(""),))
                if not self._is_there(connection):
                    connection.execute(_SCHEMA.format(schema=self._schema, version=_SCHEMA_VERSION))
        connection.execute(f"SET search_path = {self._schema}")
        (version,) = connection.execute("SELECT version FROM format").fetchone()
        if version > _SCHEMA_VERSION:
            raise ConfigError(
                f"schema {self._schema} was written by a newer agentprod (format {version}, this one knows "
                f"{_SCHEMA_VERSION}): use another schema or upgrade"
            )
        self._set_clock(connection.execute(_CLOCK))

    def _is_there(self, connection: Any) -> bool:
        query = "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'format'"
        return connection.execute(query, (self._schema,)).fetchone() is not None

    def _set_clock(self, cursor: Any) -> None:
        (now,) = cursor.fetchone()
        self._ahead = now - time.monotonic()


def _delete_some(session: Session, table: str, which: str, parameters: Sequence[Any], name: str) -> list[Any]:
    doomed = f"SELECT ctid FROM {table} {which} LIMIT ? FOR UPDATE SKIP LOCKED"  # noqa: S608 - all words of ours
    query = f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({doomed})) RETURNING {name}"  # noqa: S608
    rows: list[Any] = session.execute(query, parameters).fetchall()
    return rows


class _Session:
    """Writes parameters as psycopg wants them."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, query: str, parameters: Sequence[Any] = (), /) -> Any:
        return self._connection.execute(_with_percent(query), parameters)

    def executemany(self, query: str, rows: Iterable[Sequence[Any]], /) -> Any:
        cursor = self._connection.cursor()
        cursor.executemany(_with_percent(query), [*rows])
        return cursor


@functools.lru_cache(maxsize=256)
def _with_percent(query: str) -> str:
    return query.replace("?", "%s")
