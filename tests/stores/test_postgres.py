"""What is particular to the PostgreSQL store: its schema, its connections, and servers that do not answer."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import agentprod as ap
from agentprod.errors import ConfigError
from agentprod.stores import Claim, PostgresStore, StoreUnavailable, open_store
from tests.stores.forking import check_forked_child

psycopg: Any = pytest.importorskip("psycopg", reason="needs psycopg")
CLOSED_PORT = "postgresql://ann:hunter2@127.0.0.1:9/db?sslmode=disable"

Make = Callable[..., PostgresStore]


@pytest.fixture
def make(postgres_url: str) -> Iterator[Make]:
    """Stores in one schema of their own, which is dropped afterwards."""
    schema = f"test_{uuid.uuid4().hex}"
    made: list[PostgresStore] = []
    # Other workers' tests are on the same server: what is ended below is known by this name.
    url = f"{postgres_url}{'&' if '?' in postgres_url else '?'}application_name={schema}"

    def make_one(**options: Any) -> PostgresStore:
        made.append(PostgresStore(url, **{"schema": schema, "timeout": 10, **options}))
        return made[-1]

    yield make_one
    for store in made:
        store.close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def execute(url: str, query: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def end_connections(url: str, store: PostgresStore) -> None:
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
    execute(url, f"{query}'{store._schema}'")


def test_another_store_reads_what_one_wrote(make: Make) -> None:
    """In the same schema; entries, tags, logs and reservations."""
    first, second = make(), make()
    first.set("k", b"v", tags=["t"])
    first.publish("topic", b"m")
    first.reserve("g", "r", [Claim("c", 5, 9)], lease=60)
    entry = second.get("k")
    assert entry is not None
    assert entry.value == b"v"
    assert second.read_log("topic", 0).messages == [b"m"]
    assert second.settle("g", "r", [4]) == "settled"
    assert second.delete(tag="t") == 1


def test_schemas_are_apart(make: Make, postgres_url: str) -> None:
    """Two applications share a database without meeting."""
    one, other = make(), make(schema=f"test_{uuid.uuid4().hex}")
    one.set("k", b"v")
    assert other.get("k") is None
    execute(postgres_url, f"DROP SCHEMA {other._schema} CASCADE")


def test_a_url_is_all_a_layer_needs(postgres_url: str) -> None:
    """`store="postgresql://…"` serves a budget and a cache; another process would find what they wrote."""
    schema_is_new = not execute(postgres_url, "SELECT 1 FROM pg_namespace WHERE nspname = 'agentprod'")
    name = uuid.uuid4().hex

    def budget() -> ap.TokenBudget:
        return ap.TokenBudget(calls=10, by="user", name=name)

    @ap.Stack(budget(), ap.Cache(ttl=60), store=postgres_url)
    def ask(question: str) -> str:
        return question.upper()

    try:
        with ap.context(user="ann"):
            assert ask("what?") == "WHAT?"
        store = open_store(postgres_url)
        while not store.scan("cache:"):  # entries are written behind the call
            time.sleep(0.01)
        another = budget()
        ap.Stack(another, store=postgres_url)
        assert [limit.spent for limit in another.status(user="ann")] == [1]
    finally:
        ap.close()
        if schema_is_new:
            execute(postgres_url, "DROP SCHEMA IF EXISTS agentprod CASCADE")


def test_entries_are_bounded_about(make: Make, postgres_url: str) -> None:
    """Those written longest ago go, with their tags, once the server has counted."""
    store = make(max_entries=100)
    for index in range(400):
        store.set(f"k{index:03}", b"v", tags=["t"])
    execute(postgres_url, f"ANALYZE {store._schema}.entries")
    for _ in range(256):
        store.add("g", "c", 1)
    keys = sorted(store.scan(""))
    assert len(keys) == 100
    assert keys[0] == "k300"
    assert store.delete(tag="t") == 100


def test_what_has_ended_is_deleted_in_time(make: Make, postgres_url: str) -> None:
    """Entries and counters that nobody asks for again take no room for ever."""
    store = make()
    for index in range(20):
        store.set(f"k{index}", b"v", ttl=0.01)
        store.add(f"g{index}", "c", 1, ttl=0.01)
    time.sleep(0.02)
    for _ in range(256):
        store.add("other", "c", 1)
    for table, left in (("entries", 0), ("counters", 1)):
        assert execute(postgres_url, f"SELECT count(*) FROM {store._schema}.{table}") == [(left,)]


def test_many_tasks_reserve_no_more_than_the_limit(make: Make) -> None:
    """100 tasks of one loop for 20 places: exactly 20 get one."""
    store = make()

    async def main() -> int:
        answers = await asyncio.gather(
            *(store.areserve("g", f"r{index}", [Claim("c", 1, 20)], lease=60) for index in range(100))
        )
        await store.aclose()
        return sum(answer is None for answer in answers)

    assert asyncio.run(main()) == 20


def test_threads_share_a_few_connections(make: Make, postgres_url: str) -> None:
    """No more than `max_connections`, and they are kept for the next ones."""
    store = make(max_connections=2)
    threads = [threading.Thread(target=store.set, args=(f"k{index}", b"v")) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.scan("k")) == 8
    assert len(store._tables._connections._idle) <= 2


def test_a_store_whose_connections_are_all_in_use_says_so(make: Make) -> None:
    """After its time, not for ever."""
    store = make(max_connections=1, timeout=0.05)
    store.set("k", b"v")

    def change(_: object) -> tuple[bytes, str]:
        with pytest.raises(StoreUnavailable, match="1 connections are all in use"):
            store.get("k")
        return b"w", "done"

    assert store.update("k", change) == "done"


def test_a_lock_that_is_held_too_long_makes_the_store_unavailable(make: Make) -> None:
    """For that name; others go on, and so does this one afterwards."""
    slow, store = make(), make(timeout=0.2)
    store.set("other", b"v")
    seen: list[str] = []

    def change(_: object) -> tuple[bytes, None]:
        with pytest.raises(StoreUnavailable, match="failed"):
            store.set("k", b"w")
        store.set("other", b"w")
        seen.append("waited")
        return b"v", None

    slow.update("k", change)
    store.set("k", b"w")
    assert seen == ["waited"]


def test_a_connection_that_the_server_ended_is_replaced(make: Make, postgres_url: str) -> None:
    """One that was idle for more than a second is asked first, so nobody notices."""
    store = make()
    store.set("k", b"v")
    end_connections(postgres_url, store)
    connections = store._tables._connections
    connections._idle = [(connection, since - 2) for connection, since in connections._idle]
    entry = store.get("k")
    assert entry is not None


def test_an_operation_cut_off_by_the_server_is_unavailable_once(make: Make, postgres_url: str) -> None:
    """And nothing of it is written; the next one has a new connection."""
    store = make()
    store.set("k", b"v")

    def change(_: object) -> tuple[bytes, None]:
        end_connections(postgres_url, store)
        return b"w", None

    with pytest.raises(StoreUnavailable, match="failed"):
        store.update("k", change)
    entry = store.get("k")
    assert entry is not None
    assert entry.value == b"v"


def test_a_server_that_is_down_costs_nothing_after_three_failures() -> None:
    """The error names the place without the password, and tells when it is asked again."""
    store = PostgresStore(CLOSED_PORT)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="failed: OperationalError") as caught:
            store.get("k")
        assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreUnavailable, match="is down") as refused:
        store.get("k")
    assert 0 < refused.value.retry_after <= 0.2
    assert store.url == "postgresql://127.0.0.1:9/db"
    assert "hunter2" not in repr(store)


def test_a_server_that_hangs_is_given_up(make: Make) -> None:
    """Within the store's time, although no packet says that it is gone."""
    store = make()
    store.set("k", b"v")
    impatient = make(timeout=0.1)
    start = time.monotonic()
    with pytest.raises(StoreUnavailable, match="failed"), impatient._tables.read() as session:
        session.execute("SELECT pg_sleep(5)")
    assert time.monotonic() - start < 2
    assert store.get("k") is not None


def test_a_server_of_a_newer_format_is_refused(make: Make, postgres_url: str) -> None:
    """Writing there would harm it."""
    first = make()
    first.set("k", b"v")
    execute(postgres_url, f"UPDATE {first._schema}.format SET version = 99")
    with pytest.raises(ConfigError, match="format 99"):
        make().get("k")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_opens_its_own_connections(make: Make) -> None:
    """And the parent's go on."""
    check_forked_child(make())


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"max_connections": 0}, {"max_entries": 0}, {"schema": "a; DROP"}], ids=str
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """When it is made."""
    with pytest.raises(ConfigError, match="PostgresStore"):
        PostgresStore(CLOSED_PORT, **options)


def test_a_url_that_psycopg_cannot_read_is_refused() -> None:
    """With how one is written, and without what was."""
    with pytest.raises(ConfigError, match="postgresql://user") as caught:
        PostgresStore("postgresql://ann:hunter2@host/db?nonsense=1")
    assert "hunter2" not in str(caught.value)


def test_without_psycopg_the_line_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the store is made."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r'pip install "agentprod\[postgres\]"'):
        PostgresStore(CLOSED_PORT)


def test_a_port_that_swallows_everything_is_given_up() -> None:
    """After the 2 seconds that libpq knows as its least."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        store = PostgresStore(f"postgresql://127.0.0.1:{silent.getsockname()[1]}/db")
        start = time.monotonic()
        with pytest.raises(StoreUnavailable, match="failed"):
            store.get("k")
        assert time.monotonic() - start < 4
