"""Many at once: no cap is ever passed, nothing stays held, and a dead process gives back what it held."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import agentprod as ap
from agentprod.stores import Store
from tests.budget.budget_process import connect
from tests.budget.spending import HELLO, MODEL, answer, asks, by_output, spent

ROOT = Path(__file__).parents[2]
CAP = 20


def at_once(count: int, ask: Any) -> Counter[str]:
    """Call from so many threads; how it went for each."""

    def one(number: int) -> str:
        try:
            ask()
        except ap.BudgetExceeded:
            return "refused"
        return "answered"

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(one, range(count)))


async def tasks_at_once(count: int, ask: Any) -> Counter[str]:
    """The same with tasks."""

    async def one() -> str:
        try:
            await ask()
        except ap.BudgetExceeded:
            return "refused"
        return "answered"

    return Counter(await asyncio.gather(*(one() for _ in range(count))))


def asks_async(budget: ap.TokenBudget, tokens: int) -> tuple[Any, list[int]]:
    sent: list[int] = []

    @ap.Stack(budget, prices=by_output)
    async def send(model: str, messages: Any, max_tokens: int) -> dict[str, Any]:
        await asyncio.sleep(0)
        sent.append(1)
        return answer(tokens)

    return lambda: send(MODEL, HELLO, 100), sent


def test_100_threads_and_a_cap_for_20_calls(store: Store) -> None:
    """What is reserved is what it costs: exactly 20 are sent, 80 refused, the cap is spent and nothing held."""
    budget = ap.TokenBudget(ap.Limit(usd=CAP, per="total"), store=store)
    ask, sent = asks(budget)
    assert at_once(100, ask) == {"answered": 20, "refused": 80}
    assert (sent.calls, spent(budget)) == (20, [(20.0, 0.0)])


def test_100_tasks_and_a_cap_for_20_calls(store: Store) -> None:
    """The same in one event loop."""
    budget = ap.TokenBudget(ap.Limit(usd=CAP, per="total"), store=store)
    ask, sent = asks_async(budget, 100)

    async def main() -> Any:
        try:
            return await tasks_at_once(100, ask), await budget.astatus()
        finally:
            await store.aclose()

    went, status = asyncio.run(main())
    assert went == {"answered": 20, "refused": 80}
    assert (len(sent), status[0].spent, status[0].held) == (20, 20.0, 0.0)


def test_a_reservation_above_the_real_cost_never_passes_the_cap(store: Store) -> None:
    """At 1.3 times the real cost a burst admits fewer, never more."""
    budget = ap.TokenBudget(ap.Limit(usd=CAP, per="total"), store=store)
    ask, sent = asks(budget, tokens=77)
    went = at_once(100, ask)
    assert went["answered"] == sent.calls <= 25
    assert spent(budget) == [(pytest.approx(sent.calls * 0.77), 0.0)]


def test_who_queues_gets_what_others_give_back(store: Store) -> None:
    """With a queue all the calls that the cap has money for are sent, though each reserves 1.3 times as much."""
    budget = ap.TokenBudget(ap.Limit(usd=19 * 0.77 + 1, per="total"), on_exceeded="queue", store=store)
    ask, sent = asks(budget, tokens=77)
    assert at_once(100, ask) == {"answered": 20, "refused": 80}
    assert (sent.calls, spent(budget)) == (20, [(pytest.approx(15.4), 0.0)])


def test_tasks_that_queue(store: Store) -> None:
    """The same in one event loop."""
    budget = ap.TokenBudget(ap.Limit(usd=19 * 0.77 + 1, per="total"), on_exceeded="queue", store=store)
    ask, sent = asks_async(budget, 77)

    async def main() -> Any:
        try:
            return await tasks_at_once(100, ask)
        finally:
            await store.aclose()

    assert asyncio.run(main()) == {"answered": 20, "refused": 80}
    assert (len(sent), spent(budget)) == (20, [(pytest.approx(15.4), 0.0)])


def test_a_failing_scope_leaves_the_others_unchanged(store: Store) -> None:
    """When the team has no room, nothing is counted for the user, the run or all."""
    budget = ap.TokenBudget(
        ap.Limit(usd=100, per="day", by="user"),
        ap.Limit(usd=1.5, per="day", by="team"),
        ap.Limit(usd=100, per="run"),
        ap.Limit(calls=100, per="total"),
        store=store,
    )
    ask, sent = asks(budget)
    with ap.context(user="u1", team="t1", run="r1"):
        ask()
        with pytest.raises(ap.BudgetExceeded, match=r"team per day") as refused:
            ask()
    assert (refused.value.limit, refused.value.spent) == (1.5, 1.0)
    assert spent(budget, user="u1", team="t1", run="r1") == [(1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (1, 0)]
    assert sent.calls == 1


def test_three_children_share_their_parents_cap(store: Store) -> None:
    """Runs within a run spend its money: $1.25 for all, however many run at once."""
    budget = ap.TokenBudget(ap.Limit(usd=1.25, per="run"), store=store)
    ask, sent = asks(budget, tokens=10)

    def child(name: str) -> None:
        with ap.agent(name):
            for _ in range(10):
                try:
                    ask(max_tokens=10)
                except ap.BudgetExceeded:
                    break

    with ap.agent("parent") as parent, ThreadPoolExecutor(3) as threads:
        list(ap.propagate(threads).map(child, ["one", "two", "three"]))
    assert sent.calls == 12
    assert spent(budget, run=parent.id) == [(pytest.approx(1.2), 0.0)]


def test_an_answer_that_comes_after_its_lease_is_billed_all_the_same(store: Store) -> None:
    """Others may use what had lapsed meanwhile; then what the late answer did cost is put right."""
    lease = 0.3
    budget = ap.TokenBudget(ap.Limit(usd=CAP, tokens=10_000, per="total"), store=store, lease=lease)
    begun, others_done = threading.Event(), threading.Event()

    @ap.Stack(budget, prices=by_output)
    def slow(model: str, messages: Any, max_tokens: int) -> Any:
        begun.set()
        assert others_done.wait(30)
        return answer(500)

    caller = threading.Thread(target=slow, args=(MODEL, HELLO, 1000))
    caller.start()
    assert begun.wait(30)
    assert spent(budget)[1] == (0.0, 10.0)
    while spent(budget)[1][1]:
        time.sleep(0.02)
    (lapsed, _), (usd, _) = spent(budget)
    assert (0 < lapsed < 50, usd) == (True, 0.0)
    ask, _ = asks(budget)
    ask(max_tokens=1500)
    others_done.set()
    caller.join()
    assert spent(budget) == [(510 + 110, 0), (6.0, 0.0)]


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The URL and the prefix, or schema, of a store that processes share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.db'}", ""
    name = uuid.uuid4().hex
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url, f"test_{name}" if request.param == "postgres" else f"test-{name}:"


def start(shared: tuple[str, str], *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.budget.budget_process", *shared, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.timeout(120)
def test_four_processes_of_50_calls_each(shared: tuple[str, str]) -> None:
    """200 calls for a cap of 60: exactly 60 are answered, and nothing deadlocks."""
    workers = [start(shared, "ask", 50, 60) for _ in range(4)]
    answered = [int(worker.communicate(timeout=100)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4
    store = connect(*shared)
    assert sum(answered) == 60
    assert spent(ap.TokenBudget(ap.Limit(usd=60, per="total"), store=store)) == [(60.0, 0.0)]
    store.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill like that")
@pytest.mark.timeout(120)
def test_a_process_killed_between_reserve_and_settle(shared: tuple[str, str]) -> None:
    """Its headroom is back a second after its lease has ended, less the cost of its input."""
    worker = start(shared, "die", 1.5)
    worker.communicate(timeout=60)
    died = time.monotonic()
    assert worker.returncode == -signal.SIGKILL
    store = connect(*shared)
    budget = ap.TokenBudget(ap.Limit(usd=1, per="total"), ap.Limit(tokens=1000, per="total", name="t"), store=store)
    ask, sent = asks(budget)
    while True:
        asked = time.monotonic()
        try:
            ask()
            break
        except ap.BudgetExceeded:
            assert asked - died < 2.5
            time.sleep(0.02)
    assert sent.calls == 1
    (usd, tokens) = spent(budget)
    assert usd == (1.0, 0.0)
    assert 110 < tokens[0] < 200  # what this call used, and the dead one's input
    store.close()
