"""A process that reserves places, run by test_processes.py: `python -m tests.stores.reserving URL ...`."""

from __future__ import annotations

import os
import signal
import sys

from agentprod.stores import Claim, PostgresStore, RedisStore, SqliteStore, Store


def connect(url: str, prefix: str) -> Store:
    if url.startswith("sqlite:///"):
        return SqliteStore(url.removeprefix("sqlite:///"), timeout=30)
    if url.startswith("postgresql://"):
        return PostgresStore(url, schema=prefix, timeout=30)
    return RedisStore(url, prefix=prefix, lookup_timeout=30, timeout=30)


def compete(store: Store, tries: int, limit: int) -> int:
    """Try to spend one unit so many times, in two counters, and return how often it worked."""
    won = 0
    for number in range(tries):
        name = f"{os.getpid()}-{number}"
        if store.reserve("g", name, [Claim("team", 1, limit), Claim("user", 1, limit)], lease=60) is None:
            # Every fifth place is given back, for somebody else to take.
            won += number % 5 != 0
            store.settle("g", name, [1, 1] if number % 5 else None)
    return won


def die_holding(store: Store, lease: float) -> None:
    """Reserve and be killed before settling."""
    assert store.reserve("g", "dead", [Claim("team", 80, 100, floor=25)], lease=lease) is None
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    url, prefix, what, *numbers = sys.argv[1:]
    store = connect(url, prefix)
    if what == "compete":
        print(compete(store, int(numbers[0]), int(numbers[1])))
    else:
        die_holding(store, float(numbers[0]))
    store.close()


if __name__ == "__main__":
    main()
