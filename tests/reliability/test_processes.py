"""Several processes and a real server: one limit, one circuit, and a server that dies and comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import redis_url, valkey

__all__ = ["redis_url"]

pytestmark = pytest.mark.timeout(120)

Worker = subprocess.Popen[str]


@contextmanager
def workers(count: int, **task: Any) -> Iterator[list[Worker]]:
    """Run processes that do a task."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-W", "ignore", "-m", "tests.reliability.worker", json.dumps(task)]
    pipe: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    running = [subprocess.Popen(command, **pipe) for _ in range(count)]
    try:
        yield running
    finally:
        for each in running:
            each.kill()
            each.communicate()


def lines(worker: Worker) -> Iterator[dict[str, Any]]:
    """Yield what a worker says."""
    assert worker.stdout is not None
    for line in worker.stdout:
        yield json.loads(line)


def summary(worker: Worker) -> dict[str, Any]:
    """Return the last thing a worker says, after it has ended well."""
    found = list(lines(worker))[-1]
    assert worker.wait(30) == 0
    return found


def most_within(times: list[float], window: float) -> int:
    """Return how many of these lie in the fullest window."""
    return max(bisect_left(times, start + window) - index for index, start in enumerate(times))


@pytest.mark.parametrize(("booked", "used"), [(150, 150), (300, 150)])
def test_scenario_36_eight_processes_keep_one_limit(redis_url: str, booked: int, used: int, tmp_path: Path) -> None:
    """By the server's clock no sliding window sees more than limit plus burst, in requests and in tokens."""
    limits = {"requests": 120, "tokens": 12_000, "per": 1.0}
    task = {"do": "limited", "url": redis_url, "prefix": f"test-{uuid.uuid4().hex}:", "calls": 25}
    with workers(1, **task, **limits, booked=booked, used=used, forks=8, out=str(tmp_path)) as (forking,):
        assert forking.wait(60) == 0
    told = [json.loads(file.read_text().splitlines()[-1]) for file in tmp_path.iterdir()]
    assert [each["answers"] for each in told] == [25] * 8
    admitted = sorted(moment for each in told for moment in each["admitted"])
    assert len(admitted) == 200
    most = most_within(admitted, 1.0)
    assert most <= 120 + 120
    assert most * used <= 12_000 + 12_000
    assert admitted[-1] - admitted[0] > (200 * used - 12_000) / 12_000 - 0.1  # after the burst, at the rate


def test_a_circuit_opened_by_one_process_refuses_in_the_others(redis_url: str) -> None:
    """Within a second of its opening, though they had no failure themselves."""
    shared = {"url": redis_url, "prefix": f"test-{uuid.uuid4().hex}:"}
    with ExitStack() as both:
        watching = both.enter_context(workers(2, do="watching", **shared))
        (opening,) = both.enter_context(workers(1, do="opening", **shared))
        for worker in (*watching, opening):
            assert next(lines(worker)) == {"ready": True}
        assert opening.stdin is not None
        opening.stdin.write("go\n")
        opening.stdin.flush()
        opened = next(lines(opening))["opened"]
        for worker in watching:
            assert next(lines(worker))["refused"] - opened < 1


def test_scenario_35_a_server_that_dies_and_comes_back_loses_no_call() -> None:
    """While it is down each process keeps to the limit by itself; when it is back, it is used again."""
    with valkey() as server:
        task = {"do": "limited", "url": server.url, "prefix": "test:", "calls": 300, "pause": 0.01, "timeout": 0.2}
        limits = {"requests": 100_000, "tokens": 1e9, "per": 1.0, "booked": 10, "used": 10}
        with workers(2, **task, **limits) as running:
            for worker in running:
                assert any(said.get("progress") == 10 for said in lines(worker))
            server.kill()
            for worker in running:
                assert any(said.get("progress") == 30 for said in lines(worker))
            server.start()
            told = [summary(worker) for worker in running]
        assert [each["answers"] for each in told] == [300] * 2
        from redis import Redis

        with Redis.from_url(server.url) as client:
            assert list(client.scan_iter("test:*limit*"))
