"""State that processes and machines share in a PostgreSQL database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from agentprod.errors import ConfigError
from agentprod.stores.postgres_tables import PostgresTables
from agentprod.stores.sql import SqlStore

__all__ = ["PostgresStore"]

T = TypeVar("T")


class PostgresStore(SqlStore):
    """Entries, logs and counters in tables of a schema of their own, timed by the server's clock.

    PostgreSQL 12 or later; the schema and its tables are made on first use, by a role that may. What changes together
    is one transaction under an advisory lock of its name, so a budget that all calls draw on takes some hundred
    reservations a second; Redis takes thousands. As with SQLite, the last writes are lost when the server's machine
    goes down, and consistency never is. Asynchronous methods work on a thread each.

    While the server is down, operations fail at once instead of each waiting for its time; it is asked again after
    0.2 to 5 seconds. Poolers that give every transaction another connection (PgBouncer's transaction mode) do not
    work: settings and locks belong to a connection.

    Args:
        url: `postgresql://user:password@host:port/database`, with what else libpq takes.

        schema: where the tables are; letters, digits and `_`.

        timeout: seconds that any one statement may take. Connecting may take 2.

        max_connections: most connections of this process; one is used for as long as an operation takes.

        max_entries: entries kept, about; those written longest ago go first.

    Raises:
        ConfigError: psycopg is not installed, the URL is not one, or an option is out of range.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str = "agentprod",
        timeout: float = 0.5,
        max_connections: int = 10,
        max_entries: int = 1_000_000,
    ) -> None:
        if not timeout > 0 or max_connections < 1 or max_entries < 1:
            raise ConfigError(
                "PostgresStore needs a timeout above 0 seconds, and max_connections and max_entries of at least 1"
            )
        if not schema.isidentifier() or not schema.isascii():
            raise ConfigError("PostgresStore schema is a name of letters, digits and _")
        self._schema = schema
        self._tables = PostgresTables(url, schema, timeout, max_connections, max_entries)
        super().__init__(self._tables)

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        return self._tables.shown_url

    def __repr__(self) -> str:
        return f"PostgresStore({self.url!r}, schema={self._schema!r})"

    async def _quickly(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    async def _slowly(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)
