"""Every kind of store, through its synchronous and its asynchronous methods, with a way to let time pass."""

from __future__ import annotations

import asyncio
import inspect
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentprod.stores import LayeredStore, MemoryStore, PostgresStore, RedisStore, SqliteStore, Store
from tests.servers import postgres_url, redis_url

__all__ = ["postgres_url", "redis_url"]


class Clock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Kept:
    """A store under test."""

    store: Any
    """It, or what calls its async twins."""
    wait: Callable[[float], None]
    """Lets time pass for it; on a real server it does, so tests use a few hundredths of a second."""
    kind: str


class ThroughTwins:
    """Calls the async twin of each method in one event loop."""

    def __init__(self, store: Store, runner: asyncio.Runner) -> None:
        self.store = store
        self._runner = runner

    def __repr__(self) -> str:
        return repr(self.store)

    def __getattr__(self, name: str) -> Any:
        twin = getattr(self.store, f"a{name}", None)
        if not inspect.iscoroutinefunction(twin):
            return getattr(self.store, name)
        return lambda *args, **options: self._runner.run(twin(*args, **options))


def make(kind: str, folder: Path, server: Callable[[str], str]) -> tuple[Store, Callable[[float], None]]:
    """Return a new store of a kind, and how time passes for it; `server` gives the URL of one of a kind."""
    clock = Clock()
    if kind == "memory":
        return MemoryStore(now=clock), clock.move
    if kind == "sqlite":
        return SqliteStore(folder / "store.db", now=clock), clock.move
    if kind == "layered":
        layered = LayeredStore(
            MemoryStore(now=clock), SqliteStore(folder / "store.db", now=clock), max_pending=5000, now=clock
        )

        def wait(seconds: float) -> None:
            layered.writes.flush()  # a clock that jumps while a write is under way would prolong its lifetime
            clock.move(seconds)

        return layered, wait
    if kind == "postgres":
        return PostgresStore(server("postgres_url"), schema=f"test_{uuid.uuid4().hex}", timeout=10), time.sleep
    return RedisStore(server("redis_url"), prefix=f"test-{uuid.uuid4().hex}:", lookup_timeout=5, timeout=5), time.sleep


KINDS = [f"{kind}-{way}" for kind in ("memory", "sqlite", "redis", "postgres", "layered") for way in ("sync", "async")]


@pytest.fixture(params=KINDS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """Every kind of store, both ways; a server is started only for those that need it."""
    kind, way = request.param.split("-")
    store, wait = make(kind, tmp_path, request.getfixturevalue)
    if way == "sync":
        yield Kept(store, wait, kind)
        store.delete(prefix="")  # the server goes on, and looks through what is left at every scan
        store.close()
    else:
        with asyncio.Runner() as runner:
            yield Kept(ThroughTwins(store, runner), wait, request.param)
            runner.run(store.adelete(prefix=""))
            runner.run(store.aclose())
