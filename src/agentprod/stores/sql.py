"""Entries, logs and counters as rows: what the stores in SQL databases have in common."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from agentprod.stores import sql_counters
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
from agentprod.stores.twins import AsyncTwins

__all__ = ["Database", "Session", "SqlStore"]

T = TypeVar("T")

_LAST_CHARACTER = "\U0010ffff"
_KEYS_AT_ONCE = 1000
"""Keys named in one statement; databases bound the number of its parameters."""


class Session(Protocol):
    """Runs statements, whose parameters are written `?`."""

    def execute(self, query: str, parameters: Sequence[Any] = ..., /) -> Any:
        """Run one statement and return its cursor."""
        ...

    def executemany(self, query: str, rows: Iterable[Sequence[Any]], /) -> Any:
        """Run one statement for each row of parameters."""
        ...


class Database(Protocol):
    """What the databases do each in a way of their own."""

    def now(self) -> float:
        """Return POSIX time, by the clock that those who share the database share."""
        ...

    def read(self) -> AbstractContextManager[Session]:
        """Read without waiting for those who write."""
        ...

    def write(self, name: str | None) -> AbstractContextManager[Session]:
        """Run a transaction; meanwhile nobody else writes under this name, or with `None` anything at all."""
        ...

    def put(self, session: Session, key: str, value: bytes, ttl: float | None) -> int:
        """Write an entry and return its version, one that never was this key's before."""
        ...

    def clean(self, session: Session) -> None:
        """Delete what nobody needs, within a transaction; called from time to time."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


class SqlStore(AsyncTwins):
    """A store in a database. The tables are `entries tags log counters holds`.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writes = itertools.count()

    def get(self, key: str, *, fresh: bool = False) -> Entry | None:
        """See `Store.get`."""
        with self._database.read() as session:
            return _read(session, key, self._database.now())

    def set(self, key: str, value: bytes, *, ttl: float | None = None, tags: Sequence[str] = ()) -> None:
        """See `Store.set`."""
        check_key(key, *tags)
        check_ttl(ttl)
        with self._database.write(key) as session:
            self._put(session, key, value, ttl)
            session.execute("DELETE FROM tags WHERE key = ?", (key,))
            if tags:
                session.executemany("INSERT INTO tags VALUES (?, ?)", [(tag, key) for tag in {*tags}])

    def compare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
        """See `Store.compare_and_set`."""
        check_key(key)
        check_ttl(ttl)
        with self._database.write(key) as session:
            entry = self._known(session, key)
            if (0 if entry is None else entry.version) != version:
                return None
            return self._put(session, key, value, ttl)

    def update(self, key: str, change: Callable[[Entry | None], tuple[bytes, T]], *, ttl: float | None = None) -> T:
        """See `Store.update`; the change is made within a transaction."""
        check_key(key)
        check_ttl(ttl)
        with self._database.write(key) as session:
            value, answer = change(self._known(session, key))
            self._put(session, key, value, ttl)
            return answer

    def delete(self, *keys: str, prefix: str | None = None, tag: str | None = None) -> int:
        """See `Store.delete`."""
        doomed: list[tuple[str, Sequence[str]]] = []
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            some = keys[start : start + _KEYS_AT_ONCE]
            doomed.append((f"key IN ({_marks(some)})", some))
        if prefix is not None:
            doomed.append(("key >= ? AND key < ?", (prefix, prefix + _LAST_CHARACTER)))
        if tag is not None:
            doomed.append(("key IN (SELECT key FROM tags WHERE tag = ?)", (tag,)))
        alone = keys[0] if len(keys) == len(doomed) == 1 else None
        with self._database.write(alone) as session:
            now = self._database.now()
            return sum(_delete(session, where, parameters, now) for where, parameters in doomed)

    def scan(self, prefix: str, *, limit: int = 10_000) -> list[str]:
        """See `Store.scan`."""
        query = "SELECT key FROM entries WHERE key >= ? AND key < ? AND (expires IS NULL OR expires > ?) LIMIT ?"
        with self._database.read() as session:
            rows = session.execute(query, (prefix, prefix + _LAST_CHARACTER, self._database.now(), limit))
            return [key for (key,) in rows]

    def publish(self, topic: str, message: bytes) -> int:
        """See `Store.publish`."""
        check_key(topic)
        with self._database.write(topic) as session:
            (last,) = session.execute("SELECT MAX(number) FROM log WHERE topic = ?", (topic,)).fetchone()
            number: int = (last or 0) + 1
            session.execute("INSERT INTO log VALUES (?, ?, ?)", (topic, number, message))
            session.execute("DELETE FROM log WHERE topic = ? AND number <= ?", (topic, number - LOG_LENGTH))
            return number

    def read_log(self, topic: str, after: int | None) -> LogRead:
        """See `Store.read_log`."""
        with self._database.read() as session:
            (last,) = session.execute("SELECT MAX(number) FROM log WHERE topic = ?", (topic,)).fetchone()
            if after is None or last is None:
                return LogRead([], last or 0, True)
            query = "SELECT message FROM log WHERE topic = ? AND number > ? AND number <= ? ORDER BY number"
            messages = [message for (message,) in session.execute(query, (topic, after, last))]
        return LogRead(messages, last, last - after <= LOG_LENGTH)

    def reserve(self, group: str, id: str, claims: Sequence[Claim], *, lease: float) -> Exhausted | None:
        """See `Store.reserve`."""
        check_claims(group, id, claims, lease)
        with self._database.write(group) as session:
            now = self._swept(session, group)
            return sql_counters.reserve(session, group, id, claims, lease, now)

    def settle(self, group: str, id: str, used: Sequence[int] | None) -> Settled:
        """See `Store.settle`."""
        with self._database.write(group) as session:
            self._swept(session, group)
            return sql_counters.settle(session, group, id, used)

    def renew(self, group: str, id: str, *, lease: float) -> bool:
        """See `Store.renew`."""
        check_ttl(lease)
        with self._database.write(group) as session:
            now = self._swept(session, group)
            return sql_counters.renew(session, group, id, lease, now)

    def add(self, group: str, counter: str, amount: int, *, ttl: float | None = None) -> CounterState:
        """See `Store.add`."""
        check_key(group, counter)
        check_ttl(ttl)
        with self._database.write(group) as session:
            now = self._swept(session, group)
            return sql_counters.add(session, group, counter, amount, ttl, now)

    def usage(self, group: str, counters: Sequence[str]) -> list[CounterState]:
        """See `Store.usage`."""
        with self._database.write(group) as session:
            self._swept(session, group)
            return sql_counters.usage(session, group, counters)

    def close(self) -> None:
        """See `Store.close`."""
        self._database.close()

    def _known(self, session: Session, key: str) -> Entry | None:
        """Return an entry that is to be replaced, without whose tags the new one shall stay unless it lives."""
        entry = _read(session, key, self._database.now())
        if entry is None:
            session.execute("DELETE FROM tags WHERE key = ?", (key,))
        return entry

    def _put(self, session: Session, key: str, value: bytes, ttl: float | None) -> int:
        version = self._database.put(session, key, value, ttl)
        self._clean_sometimes(session)
        return version

    def _swept(self, session: Session, group: str) -> float:
        self._clean_sometimes(session)
        now = self._database.now()
        sql_counters.sweep(session, group, now)
        return now

    def _clean_sometimes(self, session: Session) -> None:
        if next(self._writes) % 256 == 0:
            self._database.clean(session)


def _read(session: Session, key: str, now: float) -> Entry | None:
    row = session.execute("SELECT value, version, written, expires FROM entries WHERE key = ?", (key,)).fetchone()
    if row is None or (row[3] is not None and row[3] <= now):
        return None
    value, version, written, expires = row
    return Entry(value, version, max(0.0, now - written), None if expires is None else expires - now)


def _delete(session: Session, where: str, parameters: Sequence[str], now: float) -> int:
    """Delete the entries for which a condition of ours holds; return how many of them had not ended."""
    query = f"DELETE FROM entries WHERE {where} RETURNING expires IS NULL OR expires > ?"  # noqa: S608
    rows = session.execute(query, (*parameters, now)).fetchall()
    session.execute(f"DELETE FROM tags WHERE {where}", parameters)  # noqa: S608
    return sum(bool(alive) for (alive,) in rows)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
