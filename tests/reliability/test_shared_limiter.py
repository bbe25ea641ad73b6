"""The rate limit that processes keep together: script, record and limiter answer alike."""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from agentprod.errors import ConfigError
from agentprod.reliability import gcra_record
from agentprod.reliability.gcra import Dimension, Gcra, Shortage
from agentprod.reliability.shared_limiter import SharedLimiter
from agentprod.stores import LayeredStore, MemoryStore, RedisStore, SqliteStore, Store
from agentprod.stores.redis_scripts import Script
from tests.servers import redis_url

__all__ = ["redis_url"]

# A thousand and 20,000 units a second, so that the microseconds between two operations on a real server matter.
FAST = [Dimension("requests", 50, per=0.05, burst=20), Dimension("tokens", 1000, per=0.05)]
LEARNT = [Dimension("requests", 50, per=0.05, burst=20), Dimension("tokens", None, per=0.05)]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TimedRedis(RedisStore):
    """Tells when the server thought that it ran the last script."""

    last = 0.0

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int | float]) -> Any:
        answer = super().run(script, keys, args)
        self.last = float(answer[-1])
        return answer


@pytest.fixture(scope="module")
def timed(redis_url: str) -> Iterator[TimedRedis]:
    store = TimedRedis(redis_url, prefix=f"test-{uuid.uuid4().hex}:", lookup_timeout=30, timeout=30)
    yield store
    store.close()


@pytest.fixture(params=["redis", "memory"])
def shared(request: pytest.FixtureRequest) -> Iterator[tuple[Store, Callable[[], float]]]:
    """A store that runs scripts and one that does not, and the clock of the second."""
    if request.param == "memory":
        yield MemoryStore(), time.monotonic
        return
    store = RedisStore(request.getfixturevalue("redis_url"), prefix=f"test-{uuid.uuid4().hex}:", timeout=30)
    yield store, time.monotonic
    store.close()


def operations(rng: random.Random, count: int) -> Iterator[tuple[Any, ...]]:
    """Return what callers might do, with a few dozen reservations open or in line at a time."""
    names: list[str] = []
    for number in range(count):
        kind = rng.choices(["reserve", "again", "settle", "leave", "learn", "wait", "rest"], [40, 12, 26, 5, 10, 7, 2])[
            0
        ]
        if kind == "reserve" or not names:
            names = [*names[-30:], f"r{number}"]
            costs = (rng.randint(0, 12), rng.randint(0, 1300) if rng.random() < 0.7 else 0)
            yield "reserve", names[-1], costs, rng.random() < 0.7
        elif kind == "again":
            yield "reserve", rng.choice(names), (5, 500), True
        elif kind == "settle":
            used = rng.choice([None, (0, 0), (1, 100), (1, rng.randint(0, 1500)), (20, 2000)])
            yield "settle", names.pop(rng.randrange(len(names))), used
        elif kind == "leave":
            yield "leave", rng.choice(names)
        elif kind == "learn":
            told = rng.choice([None, -1, 30, 800, 5000]), rng.choice([None, -1, 0, 5, 600]), rng.choice([None, 0.02])
            dimension, ago = rng.choice(["requests", "tokens", "images"]), rng.choice([0.0, 0.001, 0.05])
            yield "learn", dimension, ago, *told, rng.choice(["", *names])
        elif kind == "rest":
            yield "rest", rng.choice([0.001, 0.01])
        else:
            yield "wait", rng.choice([0.0005, 0.003, 0.02])


def replay(gcra: Gcra, now: float, name: str, *arguments: Any) -> Any:
    """Do to the limiter in this process what was done to the shared one."""
    if name == "reserve":
        answer = gcra_record.reserve(gcra, arguments[0], arguments[1], now, wait=arguments[2])
        return answer if isinstance(answer, Shortage) else None
    if name == "settle":
        reservation = gcra_record.reservation_of(gcra, arguments[0])
        if reservation is not None:
            gcra.settle(reservation, now, arguments[1])
        return reservation is not None
    if name == "leave":
        return gcra_record.leave(gcra, arguments[0], now)
    if name == "rest":
        return gcra.rest(now, arguments[0])
    dimension, ago, limit, remaining, reset, counted = arguments
    known = gcra_record.reservation_of(gcra, counted)
    return gcra.sync(dimension, now, sent_at=now - ago, limit=limit, remaining=remaining, reset=reset, counted=known)


def do(limiter: SharedLimiter, name: str, *arguments: Any) -> Any:
    if name == "reserve":
        return limiter.reserve(arguments[0], arguments[1], wait=arguments[2])
    if name == "learn":
        dimension, ago, limit, remaining, reset, counted = arguments
        told = {"limit": limit, "remaining": remaining, "reset": reset, "counted": counted}
        return limiter.learn(dimension, sent_ago=ago, **told)
    return getattr(limiter, name)(*arguments)


def agree(one: Any, other: Any, *, at_most: bool = False) -> None:
    if isinstance(one, Shortage):
        assert isinstance(other, Shortage)
        if at_most:
            assert one.retry_after <= other.retry_after + 1e-6
        else:
            assert one.retry_after == pytest.approx(other.retry_after, abs=1e-6)
            assert (one.dimension, one.limit) == (other.dimension, other.limit)
    else:
        assert one == other


def compare(timed: TimedRedis, dimensions: Sequence[Dimension], steps: Iterable[tuple[Any, ...]]) -> None:
    """Do the same to all three, at the times at which the server says that it did it."""
    clock, name = Clock(), uuid.uuid4().hex
    script = SharedLimiter(timed, name, dimensions)
    record = SharedLimiter(MemoryStore(now=clock), name, dimensions, now=clock)
    plain = Gcra(dimensions)
    for step in steps:
        if step[0] == "wait":
            time.sleep(step[1])
            continue
        answer = do(script, *step)
        clock.now = timed.last
        agree(do(record, *step), answer)
        # Who has left from the middle of the line counts in the waits of those behind until it reaches the front.
        left_over = any(ticket.is_gone for ticket in plain.line.tickets)
        agree(answer, replay(plain, timed.last, *step), at_most=left_over)
        left = script.remaining()
        clock.now = timed.last
        assert record.remaining() == pytest.approx(left, abs=1e-3)
        assert plain.remaining(timed.last) == pytest.approx(left, abs=1e-3)


@pytest.mark.parametrize("learnt", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_script_record_and_limiter_answer_alike(timed: TimedRedis, seed: int, learnt: bool) -> None:
    """Whatever is done, in whatever order."""
    compare(timed, LEARNT if learnt else FAST, operations(random.Random(seed), 400))


def test_all_three_count_the_refunds_before_a_refund(timed: TimedRedis) -> None:
    """They move it forward in the queue of what leaks."""
    steps = [
        ("reserve", "a", (1, 200), False),
        ("reserve", "b", (1, 800), False),
        ("leave", "a"),
        ("wait", 0.2),
        ("reserve", "c", (1, 200), False),
        ("leave", "b"),
    ]
    compare(timed, [Dimension("requests", 50, per=5), Dimension("tokens", 1000, per=5)], steps)


def test_a_reservation_is_booked_settled_and_given_back(shared: tuple[Store, Callable[[], float]]) -> None:
    """By its name, once; asking again books nothing more."""
    limiter = SharedLimiter(shared[0], "k", [Dimension("a", 100, per=1e6)], now=shared[1])
    for _ in range(2):
        assert limiter.reserve("one", (60,)) is None
    assert limiter.remaining() == {"a": pytest.approx(40, abs=0.1)}
    answer = limiter.reserve("two", (60,))
    assert answer is not None
    assert (answer.dimension, answer.limit) == ("a", 100)
    assert answer.retry_after == pytest.approx(20 * 1e4, rel=0.01)
    assert limiter.settle("one", (10,))
    assert not limiter.settle("one", (10,))
    assert limiter.reserve("two", (60,)) is None
    limiter.leave("two")
    assert limiter.remaining() == {"a": pytest.approx(90, abs=0.1)}


def test_those_in_line_are_served_in_its_order(shared: tuple[Store, Callable[[], float]]) -> None:
    """Across two processes' objects; a newcomer stays behind, and what a leaver had comes to the next."""
    here, there = (SharedLimiter(shared[0], "k", [Dimension("a", 100, per=1e6)], now=shared[1]) for _ in range(2))
    assert here.reserve("holder", (100,)) is None
    assert here.reserve("first", (90,), wait=True) is not None
    assert there.reserve("second", (10,), wait=True) is not None
    there.settle("holder", (80,))
    assert there.reserve("newcomer", (1,)) is not None
    assert there.reserve("second", (10,), wait=True) is not None
    here.leave("first")
    assert there.reserve("second", (10,), wait=True) is None
    assert there.reserve("newcomer", (1,)) is None


def test_who_does_not_come_back_loses_its_place() -> None:
    """Ten seconds after it was to look again, the others go on."""
    clock = Clock()
    limiter = SharedLimiter(MemoryStore(now=clock), "k", [Dimension("a", 60)], now=clock)
    limiter.reserve("holder", (60,))
    limiter.reserve("gone", (60,), wait=True)
    limiter.reserve("other", (5,), wait=True)
    clock.now = 60 + 10.5
    assert limiter.reserve("gone", (60,), wait=True) is not None
    assert limiter.reserve("other", (5,), wait=True) is None


def test_a_lost_place_in_redis(timed: TimedRedis) -> None:
    """The same there: its time is set back instead of waiting ten seconds."""
    limiter = SharedLimiter(timed, "lost", [Dimension("a", 60)])
    limiter.reserve("holder", (60,))
    limiter.reserve("gone", (60,), wait=True)
    limiter.reserve("other", (5,), wait=True)
    end = Script("""
local place = cmsgpack.unpack(redis.call('HGET', KEYS[1], 'gone'))
place.expires = 0
redis.call('HSET', KEYS[1], 'gone', cmsgpack.pack(place))
return {0}
""")
    timed.run(end, [key for key in map(str.strip, _keys(limiter)) if key.endswith(":places")], [])
    again = limiter.reserve("gone", (60,), wait=True)
    assert again is not None
    other = limiter.reserve("other", (5,), wait=True)
    assert other is not None
    assert other.retry_after == pytest.approx(5, abs=0.5)


def _keys(limiter: SharedLimiter) -> list[str]:
    return [f"{limiter._key}:{part}" for part in ("state", "places")]  # pyright: ignore[reportPrivateUsage]


def test_everything_in_redis_has_an_end(redis_url: str) -> None:
    """So nothing stays behind when nobody comes any more."""
    import redis

    prefix = f"test-{uuid.uuid4().hex}:"
    store = RedisStore(redis_url, prefix=prefix, lookup_timeout=30, timeout=30)
    limiter = SharedLimiter(store, "k", [Dimension("a", 100, per=1e5)])
    limiter.reserve("one", (100,))
    limiter.reserve("two", (10,), wait=True)
    with redis.Redis.from_url(redis_url) as admin:
        lives = {name: admin.ttl(name) for name in admin.scan_iter(match=f"{prefix}*")}
        assert len(lives) == 5
        assert all(80_000 < int(life) < 300_000 for life in lives.values()), lives
        admin.delete(*[name for name in lives if name.endswith((b":line", b":places"))])
    assert limiter.reserve("three", (10,)) is not None  # a line that was lost holds nobody up
    limiter.leave("one")
    assert limiter.reserve("three", (10,)) is None
    store.close()


def test_reservations_nobody_settles_end_with_their_lease(shared: tuple[Store, Callable[[], float]]) -> None:
    """They no longer count as in flight, and cannot be settled any more."""
    limiter = SharedLimiter(shared[0], "k", [Dimension("a", 100, per=1e6)], lease=0.05, now=shared[1])
    assert limiter.reserve("dead", (50,)) is None
    time.sleep(0.06)
    assert not limiter.settle("dead", (0,))
    limiter.learn("a", sent_ago=0, remaining=20)
    assert limiter.remaining() == {"a": pytest.approx(20, abs=0.1)}


def test_other_limits_keep_another_account(shared: tuple[Store, Callable[[], float]]) -> None:
    """A deployment with new numbers does not read the old ones' state."""
    one = SharedLimiter(shared[0], "k", [Dimension("a", 100, per=1e6)], now=shared[1])
    two = SharedLimiter(shared[0], "k", [Dimension("a", 200, per=1e6)], now=shared[1])
    one.reserve("r", (100,))
    assert two.remaining() == {"a": pytest.approx(200, abs=0.1)}


def test_threads_take_no_more_than_there_is(shared: tuple[Store, Callable[[], float]]) -> None:
    """8 threads with objects of their own for 100 places."""
    taken = [0] * 8

    def work(index: int) -> None:
        limiter = SharedLimiter(shared[0], "k", [Dimension("a", 100, per=1e7)], now=shared[1])
        for number in range(25):
            taken[index] += limiter.reserve(f"{index}-{number}", (1,)) is None

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 100


def test_the_async_methods_are_the_same(shared: tuple[Store, Callable[[], float]]) -> None:
    """Each of them."""
    limiter = SharedLimiter(shared[0], "k", [Dimension("a", 100, per=1e6)], now=shared[1])

    async def main() -> None:
        assert await limiter.areserve("one", (60,)) is None
        assert await limiter.areserve("two", (60,), wait=True) is not None
        await limiter.aleave("two")
        assert await limiter.asettle("one", (50,))
        await limiter.alearn("a", sent_ago=0, remaining=30)
        await limiter.alearn("unknown", sent_ago=0, remaining=0)
        assert await limiter.aremaining() == {"a": pytest.approx(30, abs=0.1)}
        await shared[0].aclose()

    asyncio.run(main())


def test_a_layered_store_is_used_where_it_is_shared(tmp_path: Any) -> None:
    """Its memory would know nothing of the others."""
    file = SqliteStore(tmp_path / "s.db")
    one, two = (SharedLimiter(LayeredStore(MemoryStore(), file), "k", [Dimension("a", 10, per=1e6)]) for _ in range(2))
    assert one.reserve("r", (10,)) is None
    assert two.reserve("s", (10,)) is not None
    file.close()


@pytest.mark.parametrize("data", [{}, {"buckets": []}, {"buckets": [{"limit": "x"}], "reservations": {}, "line": []}])
def test_a_record_that_is_none_is_refused(data: dict[str, Any]) -> None:
    """Rather than counting from nothing in silence."""
    with pytest.raises(ValueError, match="not the state"):
        gcra_record.load([Dimension("a", 10)], 600, data, 0.0, 0.0)


@pytest.mark.parametrize("costs", [(1,), (1, 2, 3), (-1, 1), (math.nan, 1), (math.inf, 1)], ids=str)
def test_costs_that_make_no_sense_are_refused(shared: tuple[Store, Callable[[], float]], costs: Any) -> None:
    """Before the store is asked."""
    limiter = SharedLimiter(shared[0], "k", FAST, now=shared[1])
    with pytest.raises(ValueError, match="dimensions"):
        limiter.reserve("r", costs)
    with pytest.raises(ValueError, match="dimensions"):
        limiter.settle("r", (1, 2, 3))
    with pytest.raises(ValueError, match="name"):
        limiter.reserve("", (1, 1))


def test_dimensions_that_make_no_sense_are_refused() -> None:
    """When it is made."""
    with pytest.raises(ConfigError):
        SharedLimiter(MemoryStore(), "k", [])
