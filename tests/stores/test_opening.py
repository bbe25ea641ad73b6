"""From `store=` to a store."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agentprod.stores
from agentprod.errors import ConfigError
from agentprod.stores import (
    LayeredStore,
    MemoryStore,
    RedisStore,
    SqliteStore,
    aclose,
    close,
    open_store,
)


@pytest.fixture(autouse=True)
def nothing_open() -> Iterator[None]:
    """Each test begins and ends without open stores."""
    close()
    yield
    close()


def test_one_url_is_one_store(tmp_path: Path) -> None:
    """Within a process; another URL is another one."""
    url = f"sqlite:///{tmp_path}/s.db"
    assert isinstance(open_store(url), SqliteStore)
    assert open_store(url) is open_store(url)
    assert open_store("memory://") is open_store("memory://")
    assert open_store("memory://") is not open_store("memory://other")
    assert isinstance(open_store("redis://localhost:1/0"), RedisStore)


def test_a_relative_and_an_absolute_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes and four, as SQLAlchemy writes them; percent signs escape."""
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///here.db").set("k", b"v")
    open_store(f"sqlite:///{tmp_path}/a%20b.db").set("k", b"v")
    close()
    assert {path.name for path in tmp_path.glob("*.db")} == {"here.db", "a b.db"}


def test_options_in_the_url() -> None:
    """Bounds of memory, and of a file's entries."""
    store = open_store("memory://?max_entries=1&max_bytes=1000")
    for key in "ab":
        store.set(key, b"v")
    assert store.scan("") == ["b"]


def test_a_list_is_memory_in_front_of_another_store(tmp_path: Path) -> None:
    """The same list is the same store; each has a memory of its own."""
    one, two = f"sqlite:///{tmp_path}/1.db", f"sqlite:///{tmp_path}/2.db"
    first, second = open_store(["memory://", one]), open_store(("memory://", two))
    assert isinstance(first, LayeredStore)
    assert isinstance(second, LayeredStore)
    assert open_store(["memory://", one]) is first
    assert first.far is open_store(one)
    first.set("k", b"1")
    assert second.get("k") is None


def test_objects_are_taken_as_they_are(tmp_path: Path) -> None:
    """Alone and in a list; closing all stores leaves them open."""
    memory, file = MemoryStore(), SqliteStore(tmp_path / "s.db")
    assert open_store(memory) is memory
    layered = open_store([memory, file])
    assert isinstance(layered, LayeredStore)
    assert (layered.near, layered.far) == (memory, file)
    assert isinstance(open_store(["memory://", file]), LayeredStore)
    file.close()


@pytest.mark.parametrize(
    "where",
    [
        "",
        "memory:",
        "mysql://localhost",
        "sqlite://file.db",
        "sqlite:///",
        "memory://?max_entries=many",
        "memory://?size=3",
        [],
        ["memory://"],
        ["memory://", "memory://", "memory://"],
        ["sqlite:///a.db", "memory://"],
        42,
        {"k": b"v"},
    ],
    ids=str,
)
def test_what_is_no_store_is_refused(where: Any) -> None:
    """With what would be one."""
    with pytest.raises(ConfigError, match="store"):
        open_store(where)


def test_an_unknown_url_is_not_shown() -> None:
    """It may hold a password."""
    with pytest.raises(ConfigError) as caught:
        open_store("mysql://u:hunter2@host/db")
    assert "hunter2" not in str(caught.value)


def test_closing_closes_and_forgets(tmp_path: Path) -> None:
    """The next one is new, and reads what the old one wrote."""
    url = f"sqlite:///{tmp_path}/s.db"
    layered = ["memory://", url]
    first = open_store(layered)
    first.set("k", b"v")
    asyncio.run(aclose())
    second = open_store(layered)
    assert second is not first
    assert second.get("k") is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_opens_its_own() -> None:
    """And closing there closes nothing of the parent's."""
    parents = open_store("memory://")
    child = os.fork()
    if child == 0:
        mine = open_store("memory://")
        close()
        os._exit(0 if mine is not parents else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert open_store("memory://") is parents


def test_what_waits_is_written_when_the_process_ends(tmp_path: Path) -> None:
    """Nobody has to close for it."""
    url = f"sqlite:///{tmp_path}/s.db"
    code = f"from agentprod.stores import open_store; open_store(['memory://', {url!r}]).set('k', b'v')"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
    assert open_store(url).get("k") is not None


def test_the_package_names_its_stores() -> None:
    """Those of unused kinds are not loaded before they are asked for."""
    for name in agentprod.stores.__all__:
        assert getattr(agentprod.stores, name) is not None
    with pytest.raises(AttributeError, match="MysqlStore"):
        _ = agentprod.stores.MysqlStore
    code = "import sys, agentprod.stores; print({'sqlite3', 'redis', 'psycopg'} & {*sys.modules})"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
