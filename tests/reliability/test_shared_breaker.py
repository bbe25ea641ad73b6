"""One circuit for several processes: each of these tests has two or more of them, as objects on one store."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentprod.reliability.breaker_machine import BreakerMachine, BreakerRefusal, BreakerState, Outcome, Permit
from agentprod.reliability.breaker_policy import BreakerPolicy
from agentprod.reliability.shared_breaker import SharedBreaker
from agentprod.stores import Entry, MemoryStore, RedisStore, SqliteStore, Store, StoreUnavailable
from tests.servers import redis_url, valkey

__all__ = ["redis_url"]

OK, FAIL, NEUTRAL = Outcome.SUCCESS, Outcome.FAILURE, Outcome.NEUTRAL
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


class FlakyStore(MemoryStore):
    """A store that can be down, counts what it is asked, and lets another process in between."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        self.asked = 0
        self.before_write: list[Callable[[], object]] = []

    def get(self, key: str, *, fresh: bool = False) -> Entry | None:
        self.asked += 1
        if self.is_down:
            raise StoreUnavailable("down")
        return super().get(key, fresh=fresh)

    def compare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
        self.asked += 1
        if self.is_down:
            raise StoreUnavailable("down")
        if self.before_write:
            self.before_write.pop()()
        return super().compare_and_set(key, value, version=version, ttl=ttl)


def process(store: Store, **numbers: Any) -> SharedBreaker:
    """Return what one process has; its clock is the test's, as ages are told by the store's real one."""
    return SharedBreaker(BreakerMachine(BreakerPolicy(**numbers), rng=lambda: 0.5), store, "provider")


def call(breaker: SharedBreaker, outcome: Outcome, now: float, times: int = 1) -> None:
    for _ in range(times):
        permit = breaker.admit(now)
        assert isinstance(permit, Permit)
        breaker.record(permit, outcome, now)


def alone(breaker: SharedBreaker) -> bool:
    return breaker.is_alone


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store
    if request.param == "memory":
        made = MemoryStore()
    elif request.param == "sqlite":
        made = SqliteStore(tmp_path / "s.db")
    else:
        url = request.getfixturevalue("redis_url")
        made = RedisStore(url, prefix=f"test-{uuid.uuid4().hex}:", lookup_timeout=30, timeout=30)
    yield made
    made.close()


def test_what_one_process_opens_is_open_in_the_others_within_a_second(store: Store) -> None:
    """And for as long; before that each goes on with what it knows, without asking."""
    here, there = process(store), process(store)
    call(there, OK, 99.5)
    call(here, FAIL, 100.0, 10)
    assert there.machine.state(100.0) is CLOSED
    answer = there.admit(100.5)
    assert isinstance(answer, BreakerRefusal)
    assert answer.retry_after == pytest.approx(15.0, abs=1)


def test_one_of_all_processes_tests_an_open_circuit(store: Store) -> None:
    """Each of five tries ten times."""
    processes = [process(store) for _ in range(5)]
    call(processes[0], FAIL, 100.0, 10)
    for each in processes:
        each.exchange(100.0)
    answers = [each.admit(116.0) for each in processes for _ in range(10)]
    assert sum(isinstance(answer, Permit) for answer in answers) == 1


def test_successes_of_two_processes_close_the_circuit_for_all(store: Store) -> None:
    """The ramp begins everywhere."""
    here, there, third = (process(store) for _ in range(3))
    call(here, FAIL, 100.0, 10)
    there.exchange(100.0)
    call(here, OK, 116.0)
    call(there, OK, 117.5)
    here.exchange(118.0)
    third.exchange(118.0)
    assert [each.machine.state(118.0) for each in (here, there, third)] == [CLOSED] * 3
    answers = [third.admit(118.0 + number / 100) for number in range(40)]
    assert sum(isinstance(answer, Permit) for answer in answers) == 10


def test_a_process_that_dies_while_it_tests_loses_its_lease(store: Store) -> None:
    """Another one opens the circuit again, for longer."""
    here, there = process(store, lease=5.0), process(store, lease=5.0)
    call(here, FAIL, 100.0, 10)
    assert isinstance(here.admit(116.0), Permit)
    there.exchange(116.0)
    answer = there.admit(125.0)
    assert isinstance(answer, BreakerRefusal)
    assert answer.state is OPEN
    assert there.machine.snapshot(125.0)["reopened"] == 1
    here.exchange(126.0)
    assert here.machine.state(126.0) is OPEN


def test_orders_are_shared(store: Store) -> None:
    """A circuit that a person opens is open everywhere, until it is reset everywhere."""
    here, there = process(store), process(store)
    here.machine.force_open(100.0)
    here.exchange(100.0)
    answer = there.admit(101.0)
    assert isinstance(answer, BreakerRefusal)
    assert answer.state is BreakerState.FORCED_OPEN
    there.machine.reset(102.0)
    there.exchange(102.0)
    assert isinstance(here.admit(103.5), Permit)


def test_a_closed_circuit_asks_once_per_refresh() -> None:
    """A thousand calls in half a second cost one look; calls that fail are counted here alone."""
    store = FlakyStore()
    breaker = process(store)
    for number in range(1000):
        permit = breaker.admit(100.0 + number / 2000)
        assert isinstance(permit, Permit)
        breaker.record(permit, FAIL if number % 4 == 0 else OK, 100.0 + number / 2000)
    assert store.asked == 1
    assert store.scan("") == []


def test_processes_that_open_it_at_the_same_time_agree() -> None:
    """The slower one takes what the faster one wrote, and neither opens it twice."""
    store = FlakyStore()
    here, there = process(store), process(store)
    for each in (here, there):
        call(each, FAIL, 100.0, 9)
    store.before_write.append(lambda: call(there, FAIL, 101.0))
    call(here, FAIL, 101.0)
    assert here.machine.snapshot(101.0)["era"] == there.machine.snapshot(101.0)["era"] == 2
    assert here.machine.state(101.0) is there.machine.state(101.0) is OPEN


def test_two_processes_that_would_test_at_the_same_time() -> None:
    """The slower one is refused; its permit was never given."""
    store = FlakyStore()
    here, there = process(store), process(store)
    call(here, FAIL, 100.0, 10)
    there.exchange(100.0)
    won: list[Permit | BreakerRefusal] = []
    store.before_write.append(lambda: won.append(there.admit(116.0)))
    assert isinstance(here.admit(116.0), BreakerRefusal)
    assert isinstance(won[0], Permit)
    there.record(won[0], OK, 117.0)
    here.exchange(117.0)
    assert here.machine.snapshot(117.0)["successes"] == 1


def test_two_test_calls_that_end_at_the_same_time_both_count() -> None:
    """The slower one's success is added to what the faster one wrote."""
    store = FlakyStore()
    here, there = process(store, probes=2), process(store, probes=2)
    call(here, FAIL, 100.0, 10)
    there.exchange(100.0)
    mine = here.admit(116.0)
    theirs = there.admit(117.5)
    here.exchange(117.5)
    assert isinstance(mine, Permit)
    assert isinstance(theirs, Permit)
    store.before_write.append(lambda: there.record(theirs, OK, 118.0))
    here.record(mine, OK, 118.0)
    there.exchange(118.0)
    assert here.machine.state(118.0) is there.machine.state(118.0) is CLOSED


def test_a_shared_circuit_may_be_forgotten_when_its_own_may() -> None:
    """The registry asks it."""
    breaker = process(FlakyStore())
    assert breaker.is_clean(0.0)
    call(breaker, FAIL, 0.0)
    assert not breaker.is_clean(0.0)


def test_without_the_store_each_process_goes_on_alone() -> None:
    """Closed, open and half-open; calls do not fail, and when the store is back they agree again."""
    store = FlakyStore()
    here, there = process(store), process(store)
    call(here, OK, 99.0)
    store.is_down = True
    call(here, FAIL, 100.5, 9)
    assert alone(here)
    assert here.machine.state(100.9) is OPEN
    asked = store.asked
    for _ in range(100):
        assert isinstance(here.admit(100.9), BreakerRefusal)
    assert store.asked == asked
    assert isinstance(there.admit(101.0), Permit)
    call(here, OK, 116.0)
    store.is_down = False
    call(here, OK, 118.0)
    assert not alone(here)
    there.exchange(118.0)
    assert there.machine.state(118.0) is CLOSED
    assert there.machine.snapshot(118.0)["reason"] == "2 test calls succeeded"


def test_what_the_store_lost_is_told_again() -> None:
    """It came back empty, as after a restart."""
    store = FlakyStore()
    here, there = process(store), process(store)
    call(here, FAIL, 100.0, 10)
    store.delete(prefix="")
    here.admit(116.0)
    there.exchange(116.0)
    assert there.machine.state(116.0) is HALF_OPEN


def test_what_is_no_state_is_written_over() -> None:
    """Somebody else's data under our key, or a damaged one, costs nothing."""
    store = FlakyStore()
    here, there = process(store), process(store)
    store.set("circuit:provider", b"{")
    call(here, OK, 99.0)
    store.set("circuit:provider", b'{"state": "ajar"}')
    call(here, FAIL, 100.5, 9)
    there.exchange(101.0)
    assert there.machine.state(101.0) is OPEN


def test_a_neutral_test_call_gives_its_permit_back_to_all(store: Store) -> None:
    """Another process may test at once."""
    here, there = process(store), process(store)
    call(here, FAIL, 100.0, 10)
    there.exchange(100.0)
    call(here, NEUTRAL, 116.0)
    assert isinstance(there.admit(117.5), Permit)


def test_the_async_methods_are_the_same(store: Store) -> None:
    """Each of them."""
    here, there = process(store), process(store)

    async def main() -> None:
        for _ in range(10):
            permit = await here.aadmit(100.0)
            assert isinstance(permit, Permit)
            await here.arecord(permit, FAIL, 100.0, fault="server")
        await there.aexchange(100.5)
        answer = await there.aadmit(101.0)
        assert isinstance(answer, BreakerRefusal)
        assert answer.fault == "server"
        await store.aclose()

    asyncio.run(main())


def test_a_real_server_that_is_killed_and_started_again() -> None:
    """The circuit goes on alone, and tells the empty server what it knows."""
    with valkey() as server:
        stores = [RedisStore(server.url, lookup_timeout=30, timeout=30) for _ in range(2)]
        here, there = (process(store) for store in stores)
        call(here, FAIL, 100.0, 10)
        server.kill()
        assert isinstance(here.admit(101.5), BreakerRefusal)
        assert alone(here)
        assert isinstance(there.admit(101.5), Permit)
        server.start()
        answer = here.admit(116.0)
        while alone(here):  # the store asks a server that was down only from time to time
            here.exchange(116.0)
        assert isinstance(answer, Permit)
        while there.machine.state(116.0) is CLOSED:
            there.exchange(116.0)
        assert there.machine.state(116.0) is HALF_OPEN
        for store in stores:
            store.close()


def test_a_store_that_others_always_change_first_is_given_up() -> None:
    """After a few tries the circuit goes on with what it knows, and tells it the next time."""

    class Contended(FlakyStore):
        def compare_and_set(self, key: str, value: bytes, *, version: int, ttl: float | None = None) -> int | None:
            self.asked += 1
            return None

    store = Contended()
    breaker = process(store)
    call(breaker, FAIL, 100.0, 10)
    assert isinstance(breaker.admit(101.5), BreakerRefusal)
    assert isinstance(breaker.admit(116.0), Permit)
    assert store.asked < 200


def test_tasks_go_on_alone_too() -> None:
    """A store that is down costs no call."""
    store = FlakyStore()
    store.is_down = True
    breaker = process(store)

    async def main() -> None:
        permit = await breaker.aadmit(100.0)
        assert isinstance(permit, Permit)
        await breaker.arecord(permit, FAIL, 100.0)

    asyncio.run(main())
    assert alone(breaker)
