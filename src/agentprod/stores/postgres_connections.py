"""Connections to a PostgreSQL server: a few per process, each used by one thread at a time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from agentprod.errors import ConfigError
from agentprod.stores.base import StoreUnavailable
from agentprod.stores.outage import Outage

__all__ = ["PostgresConnections"]

_TRUSTED = 1.0
"""Seconds for which an idle connection is taken to be alive; after that it is asked before it is used."""

_AT_REST = 0
"""libpq's status of a connection with nothing under way."""


class PostgresConnections:
    """Makes connections when they are needed and keeps them. A forked child makes its own.

    Args:
        url: as libpq takes it.

        name: of the server, for errors.

        timeout: seconds that a statement may take, and that a thread waits for a connection.

        size: most connections in use at once.

        prepare: is given each new connection.

    Raises:
        ConfigError: psycopg is not installed, or cannot read the URL.
    """

    def __init__(self, url: str, name: str, *, timeout: float, size: int, prepare: Callable[[Any], None]) -> None:
        try:
            import psycopg.conninfo
        except ImportError as error:
            raise ConfigError('a PostgreSQL store needs psycopg: pip install "agentprod[postgres]"') from error
        try:
            options = psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise ConfigError(
                "psycopg cannot read this URL; it is written postgresql://user:password@host:port/database"
            ) from None
        # 2 seconds is the least that libpq knows; an address that swallows packets is found out by `timeout` later on.
        self._options: dict[str, Any] = {"connect_timeout": 2, "application_name": "agentprod", **options}
        self.error: type[Exception] = psycopg.Error
        """What is raised when the server cannot do what it is told."""
        self._lost: tuple[type[Exception], ...] = (psycopg.OperationalError, psycopg.InterfaceError)
        self._kind = _patient_for(timeout)
        self._name = name
        self._timeout = timeout
        self._size = size
        self._prepare = prepare
        self._outage = Outage(name)
        self._lock = threading.Lock()
        self._inherited: list[object] = []
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._idle: list[tuple[Any, float]] = []
        self._free = threading.BoundedSemaphore(self._size)
        self._age = 0

    @contextmanager
    def one(self) -> Iterator[Any]:
        """Use a connection.

        Raises:
            StoreUnavailable: none is free in time, the server does not answer, or refuses what it is told.
        """
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    # Were they collected, they would end the sessions that the parent still uses.
                    self._inherited.append(self._idle)
                    self._begin()
        self._outage.check()
        free, age = self._free, self._age
        if not free.acquire(timeout=self._timeout):
            raise StoreUnavailable(f"the store {self._name} is busy: its {self._size} connections are all in use")
        connection = None
        try:
            connection = self._alive() or self._connected()
            yield connection
            self._outage.worked()
        except self.error as error:
            if isinstance(error, self._lost):
                self._outage.failed()
            if connection is not None:
                connection.close()
            raise StoreUnavailable(f"the store {self._name} failed: {type(error).__name__}") from error
        finally:
            if connection is not None:
                self._give_back(connection, age)
            free.release()

    def close(self) -> None:
        """Close the connections; those in use close when they are given back."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._age += 1
            mine = self._pid == os.getpid()
        if mine:
            for connection, _ in idle:
                connection.close()

    def _alive(self) -> Any:
        """Return an idle connection that answers; `None` when there is none."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection, since = self._idle.pop()
            if time.monotonic() - since < _TRUSTED:
                return connection
            try:
                connection.execute("")
            except self._lost:
                connection.close()
            else:
                return connection

    def _connected(self) -> Any:
        connection = self._kind.connect(**self._options, autocommit=True)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_back(self, connection: Any, age: int) -> None:
        with self._lock:
            kept = not connection.closed and age == self._age and connection.pgconn.transaction_status == _AT_REST
            if kept:
                self._idle.append((connection, time.monotonic()))
        if not kept:
            connection.close()


def _patient_for(seconds: float) -> Any:
    """Return a kind of connection whose every wait for the server ends: a server that hangs keeps no clock."""
    import psycopg

    class Connection(psycopg.Connection[Any]):
        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            return super().wait(gen, interval, seconds if timeout is None else min(seconds, timeout))

    return Connection
