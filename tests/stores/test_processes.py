"""Several processes on one store: limits hold, nobody starves, and the dead give back what they held."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from agentprod.stores import Claim, Store, StoreUnavailable
from tests.servers import valkey
from tests.stores.reserving import connect

ROOT = Path(__file__).parents[2]
PROCESSES = 8


def start(url: str, prefix: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.stores.reserving", url, prefix, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The URL and the prefix, or schema, of a store that is empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.db'}", ""
    url: str = request.getfixturevalue(f"{request.param}_url")
    name = uuid.uuid4().hex
    return url, f"test_{name}" if request.param == "postgres" else f"test-{name}:"


def until(condition: Callable[[], bool], within: float = 15.0) -> None:
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.mark.timeout(300)
def test_processes_never_spend_more_than_the_limit(shared: tuple[str, str]) -> None:
    """8 processes try 2,000 times each for 5,000 places, and take exactly these; a tenth of it in PostgreSQL."""
    tries, places = (200, 500) if shared[0].startswith("postgresql") else (2000, 5000)
    workers = [start(*shared, "compete", tries, places) for _ in range(PROCESSES)]
    won = [int(worker.communicate(timeout=280)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * PROCESSES
    store = connect(*shared)
    assert store.usage("g", ["team", "user"]) == [(sum(won), 0)] * 2
    assert sum(won) == places
    store.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill like that")
def test_what_a_killed_process_held_is_free_again_after_its_lease(shared: tuple[str, str]) -> None:
    """It counts as spent by its floor, and a settlement that comes after all corrects it."""
    store = connect(*shared)
    worker = start(*shared, "die", 2.0)
    worker.communicate(timeout=60)
    assert worker.returncode == -signal.SIGKILL
    until(lambda: store.usage("g", ["team"]) == [(25, 0)])
    assert store.reserve("g", "next", [Claim("team", 75, 100)], lease=60) is None
    assert store.settle("g", "dead", [30]) == "late"
    assert store.usage("g", ["team"]) == [(30, 75)]
    store.close()


def test_a_server_that_is_killed_and_started_again() -> None:
    """What it had not saved is forgotten, and reservations go on against an empty counter, none above the limit."""

    def held(store: Store, number: int) -> bool | None:
        try:
            return store.reserve("g", f"r{number}", [Claim("c", 1, 50)], lease=60) is None
        except StoreUnavailable:
            return None

    with valkey() as server:
        store = connect(server.url, "")
        before = [held(store, number) for number in range(60)]
        server.kill()
        during = [held(store, 1000 + number) for number in range(60)]
        server.start()
        until(lambda: held(store, 2000) is not None)
        after = [held(store, 3000 + number) for number in range(60)]
        assert before.count(True) == 50
        assert during.count(None) == 60
        assert after.count(True) == 49
        assert store.settle("g", "r0", [1]) == "unknown"
        store.close()
