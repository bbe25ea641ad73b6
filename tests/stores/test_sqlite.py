"""What is particular to the SQLite store: the file, other connections to it, and forks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from agentprod.errors import ConfigError
from agentprod.stores import Claim, SqliteStore, StoreUnavailable
from tests.stores.forking import check_forked_child


def test_the_file_keeps_everything(tmp_path: Path) -> None:
    """Another store on it reads what the first one wrote."""
    first = SqliteStore(tmp_path / "s.db")
    first.set("k", b"v", tags=["t"])
    first.publish("topic", b"m")
    first.reserve("g", "r", [Claim("c", 5, 9)], lease=60)
    first.close()
    second = SqliteStore(tmp_path / "s.db")
    entry = second.get("k")
    assert entry is not None
    assert entry.value == b"v"
    assert second.read_log("topic", 0).messages == [b"m"]
    assert second.settle("g", "r", [4]) == "settled"
    assert second.delete(tag="t") == 1
    second.close()


def test_entries_are_bounded(tmp_path: Path) -> None:
    """Those written longest ago go, with their tags; the file is looked through every 256 writes."""
    store = SqliteStore(tmp_path / "s.db", max_entries=100)
    for index in range(600):
        store.set(f"k{index}", b"v", tags=["t"])
    keys = store.scan("", limit=1000)
    assert len(keys) <= 100 + 256
    assert "k599" in keys
    assert "k0" not in keys
    assert store.delete(tag="t") == len(keys)
    store.close()


def test_a_writer_that_stays_too_long_makes_the_store_unavailable(tmp_path: Path) -> None:
    """Within the store's time; reading goes on meanwhile, and writing once it has left."""
    store = SqliteStore(tmp_path / "s.db", timeout=0.05)
    store.set("k", b"v")
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"s\.db failed: OperationalError"):
        store.set("k", b"w")
    assert time.monotonic() - start < 4  # SQLite's own patience is 5 seconds
    entry = store.get("k")
    assert entry is not None
    assert entry.value == b"v"
    other.execute("ROLLBACK")
    other.close()
    store.set("k", b"w")
    store.close()


def test_a_thread_waits_for_another_ones_write_no_longer_than_the_timeout(tmp_path: Path) -> None:
    """Then it says that the store is busy."""
    store = SqliteStore(tmp_path / "s.db", timeout=0.1)
    store.set("k", b"v")
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    failures: list[str] = []

    def work() -> None:
        try:
            store.set("k", b"w")
        except StoreUnavailable as error:
            failures.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    store.close()
    assert len(failures) == 3
    assert any("busy in this process" in failure for failure in failures)


def test_a_file_that_is_no_database_makes_the_store_unavailable(tmp_path: Path) -> None:
    """And says what SQLite thinks of it."""
    (tmp_path / "s.db").write_bytes(b"not a database, but long enough to look at" * 100)
    store = SqliteStore(tmp_path / "s.db")
    with pytest.raises(StoreUnavailable, match="DatabaseError"):
        store.get("k")
    store.close()


def test_a_file_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    """Writing into it would harm it."""
    connection = sqlite3.connect(tmp_path / "s.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    store = SqliteStore(tmp_path / "s.db")
    with pytest.raises(ConfigError, match="format 99"):
        store.get("k")
    store.close()


@pytest.mark.parametrize("options", [{"timeout": 0}, {"max_entries": 0}], ids=str)
def test_numbers_out_of_range_are_refused(tmp_path: Path, options: dict[str, int]) -> None:
    """When it is made."""
    with pytest.raises(ConfigError):
        SqliteStore(tmp_path / "s.db", **options)  # type: ignore[arg-type]


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """With its name, when it is made."""
    with pytest.raises(ConfigError, match="folder"):
        SqliteStore(tmp_path / "nowhere" / "s.db")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_opens_its_own_connection(tmp_path: Path) -> None:
    """What it writes is there, and the parent's connection goes on."""
    store = SqliteStore(tmp_path / "s.db")
    check_forked_child(store)
    store.close()


def test_many_tasks_reserve_no_more_than_the_limit(tmp_path: Path) -> None:
    """100 tasks of one loop for 20 places: exactly 20 get one."""
    store = SqliteStore(tmp_path / "s.db", timeout=10)

    async def main() -> int:
        answers = await asyncio.gather(
            *(store.areserve("g", f"r{index}", [Claim("c", 1, 20)], lease=60) for index in range(100))
        )
        await store.aclose()
        return sum(answer is None for answer in answers)

    assert asyncio.run(main()) == 20


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list open files")
def test_a_store_that_nobody_closed_lets_go_of_its_file(tmp_path: Path) -> None:
    """Without a warning, which Python gives of connections that are collected open."""
    store = SqliteStore(tmp_path / "s.db")
    store.set("k", b"v")
    assert _open_in(tmp_path)
    del store
    gc.collect()
    assert not _open_in(tmp_path)


def _open_in(folder: Path) -> list[str]:
    """Return the files of a folder that this process holds open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that listed them is gone
            found.append(str(descriptor.readlink()))
    return [name for name in found if name.startswith(str(folder))]
