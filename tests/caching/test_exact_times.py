"""How long answers live: jitter, deadlines that hits do not move, stale windows, per-call wishes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import openai
import pytest

import agentprod as ap
from agentprod.caching.exact import Cache, Stale
from agentprod.testing import FakeClock, Provider, behaviours

OpenAIWith = Callable[..., openai.OpenAI]
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


class Counting:
    """A function's calls, and the value each returns."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None

    def __call__(self) -> int:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return self.calls


def answering(cache: Cache, clock: FakeClock, *layers: Any) -> tuple[Counting, Callable[[], int]]:
    """Return a counting function, and it behind a cache on a clock."""
    count = Counting()

    def ask() -> int:
        return count()

    return count, ap.Stack(cache, *layers, clock=clock).decorate(ask)


def test_an_answer_lives_its_time_and_ten_percent_more_or_less() -> None:
    """Lifetimes are spread over 90 to 110 % of `ttl`, and differ."""
    lifetimes = []
    for _ in range(40):
        clock = FakeClock()
        count, ask = answering(Cache(ttl=100), clock)
        ask()
        clock.advance(89.9)
        ask()
        assert count.calls == 1
        lived = 89.9
        while count.calls == 1:
            clock.advance(0.5)
            lived += 0.5
            ask()
        lifetimes.append(lived)
    assert max(lifetimes) <= 110.5
    assert len(set(lifetimes)) > 5


def test_hits_do_not_prolong_an_answer() -> None:
    """The deadline is fixed when the answer is stored: a popular answer expires like any other."""
    clock = FakeClock()
    count, ask = answering(Cache(ttl=timedelta(seconds=100)), clock)
    for _ in range(12):
        ask()
        clock.advance(10)
    assert count.calls == 2


def test_a_call_may_say_how_long() -> None:
    """The context's `ttl` wins over the cache's."""
    clock = FakeClock()
    count, ask = answering(Cache(ttl=1000), clock)
    with ap.context(ttl=10):
        ask()
    clock.advance(11.5)
    ask()
    assert count.calls == 2


def test_bypass_neither_reads_nor_writes() -> None:
    """`cache="bypass"` asks, and leaves the stored answer alone."""
    count, ask = answering(Cache(), FakeClock())
    assert ask() == 1
    with ap.context(cache="bypass"):
        assert ask() == 2
    assert ask() == 1
    assert count.calls == 2


def test_refresh_asks_and_writes() -> None:
    """`cache="refresh"` replaces the stored answer."""
    _, ask = answering(Cache(), FakeClock())
    assert ask() == 1
    with ap.context(cache="refresh"):
        assert ask() == 2
    assert ask() == 2


def test_only_never_asks() -> None:
    """`cache="only"` raises a miss instead of asking, and serves what is stored."""
    count, ask = answering(Cache(), FakeClock())
    with ap.context(cache="only"):
        with pytest.raises(ap.CacheMiss, match="nothing is stored") as raised:
            ask()
        assert raised.value.status_code == 404
    ask()
    with ap.context(cache="only"):
        assert ask() == 1
    assert count.calls == 1


def test_only_says_when_a_request_is_never_stored(openai_with: OpenAIWith, provider: Provider) -> None:
    """What the cache refuses as such cannot be had from it."""
    client = openai_with(provider, Cache())
    with ap.context(cache="only"), pytest.raises(ap.CacheMiss, match=r"never stored \(store\)"):
        client.chat.completions.create(**CHAT, store=True)
    assert not provider.requests


def settled(condition: Callable[[], bool]) -> None:
    """Wait for a background thread, briefly."""
    event = threading.Event()
    for _ in range(500):
        if condition():
            return
        event.wait(0.01)
    raise AssertionError("nothing happened in the background")


def test_a_stale_answer_is_served_while_it_is_fetched_anew() -> None:
    """Within the window the old answer comes at once, marked, and the next caller gets the new one."""
    clock = FakeClock()
    cache = Cache(ttl=100, stale=Stale(revalidate=50))
    count, ask = answering(cache, clock)
    ask()
    clock.advance(111)
    assert ask() == 1
    last = ap.last()
    assert last is not None
    assert (last.cache, last.attempts) == ("stale", [])
    settled(lambda: cache.stats().refreshed == 1)
    assert ask() == 2
    assert count.calls == 2


def test_a_stale_answer_past_its_window_is_a_miss() -> None:
    """After the window nobody gets the old answer."""
    clock = FakeClock()
    count, ask = answering(Cache(ttl=100, stale=Stale(revalidate=50)), clock)
    ask()
    clock.advance(161)
    assert ask() == 2
    assert count.calls == 2


def test_many_stale_hits_make_one_refresh() -> None:
    """While an answer is fetched anew nobody else fetches it."""
    clock = FakeClock()
    cache = Cache(ttl=100, stale=50)
    entered, release = threading.Event(), threading.Event()
    calls = []

    def slow() -> int:
        calls.append(1)
        if len(calls) > 1:
            entered.set()
            release.wait(10)
        return len(calls)

    ask = ap.Stack(cache, clock=clock).decorate(slow)
    ask()
    clock.advance(111)
    assert [ask() for _ in range(5)] == [1] * 5
    assert entered.wait(10)
    assert ask() == 1
    release.set()
    settled(lambda: cache.stats().refreshed == 1)
    assert len(calls) == 2
    assert ask() == 2


def test_a_refresh_that_fails_leaves_the_old_answer() -> None:
    """The old answer is served to the end of the window, and each stale hit may try again."""
    clock = FakeClock()
    cache = Cache(ttl=100, stale=50)
    count, ask = answering(cache, clock)
    ask()
    count.error = ConnectionError("gone")
    clock.advance(111)
    for _ in range(2):
        before = count.calls
        assert ask() == 1
        settled(lambda before=before: count.calls == before + 1)  # type: ignore[misc]
    assert cache.stats().refreshed == 0


def test_a_refresh_is_told_to_who_records_calls(openai_with: OpenAIWith, provider: Provider) -> None:
    """What a refresh costs is seen by those who listened to the call it came from."""
    from agentprod.listeners import listening

    clock, cache = FakeClock(), Cache(ttl=100, stale=50)
    client = openai_with(provider, cache, clock=clock)
    heard: list[ap.Call] = []
    with listening(heard.append):
        client.chat.completions.create(**CHAT)
        clock.advance(111)
        client.chat.completions.create(**CHAT)
        settled(lambda: len(heard) == 3)
    assert sorted(len(call.ledger.attempts) for call in heard) == [0, 1, 1]
    assert len({call.id for call in heard}) == 3


def test_a_stale_stream_is_refreshed_to_its_end(openai_with: OpenAIWith, provider: Provider) -> None:
    """A refresh reads the stream nobody else reads."""
    clock, cache = FakeClock(), Cache(ttl=100, stale=50)
    client: Any = openai_with(provider, cache, clock=clock)
    provider.script([behaviours.ok("old answer"), behaviours.ok("new answer")])

    def ask() -> str:
        chunks = client.chat.completions.create(**CHAT, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    assert ask() == "old answer"
    clock.advance(111)
    assert ask() == "old answer"
    settled(lambda: cache.stats().refreshed == 1)
    assert ask() == "new answer"


def test_an_async_refresh_is_a_task_of_the_loop() -> None:
    """In async calls the old answer comes at once, and a task fetches the new one."""
    clock = FakeClock()
    cache = Cache(ttl=100, stale=50)
    count = Counting()

    async def fetch() -> int:
        await asyncio.sleep(0)
        return count()

    ask = ap.Stack(cache, clock=clock).decorate(fetch)

    async def run() -> None:
        assert await ask() == 1
        clock.advance(111)
        assert await ask() == 1
        while cache.stats().refreshed == 0:
            await asyncio.sleep(0)
        assert await ask() == 2

    asyncio.run(run())


@pytest.mark.parametrize("error", [ConnectionError("gone"), TimeoutError(), ap.CircuitOpen("open")])
def test_a_stale_answer_stands_in_for_a_failure(error: Exception) -> None:
    """When the provider fails or must not be asked, the expired answer is better than none."""
    clock = FakeClock()
    cache = Cache(ttl=100, stale=Stale(if_error=500))
    count, ask = answering(cache, clock)
    ask()
    count.error = error
    clock.advance(400)
    assert ask() == 1
    last = ap.last()
    assert last is not None
    assert last.cache == "stale"
    clock.advance(250)
    with pytest.raises(type(error)):
        ask()


@pytest.mark.parametrize("error", [KeyError("x"), ap.BudgetExceeded("broke"), ap.Blocked("no")])
def test_a_stale_answer_does_not_hide_a_caller_s_own_trouble(error: Exception) -> None:
    """Errors that speak of the request or its caller are raised."""
    clock = FakeClock()
    count, ask = answering(Cache(ttl=100, stale=Stale(if_error=500)), clock)
    ask()
    count.error = error
    clock.advance(200)
    with pytest.raises(type(error)):
        ask()


def test_an_expired_answer_that_is_fetched_anew_is_new() -> None:
    """Within the error window alone, the provider is asked first."""
    clock = FakeClock()
    _, ask = answering(Cache(ttl=100, stale=Stale(if_error=500)), clock)
    assert ask() == 1
    clock.advance(200)
    assert ask() == 2


def test_the_least_recently_used_answer_goes_first() -> None:
    """At its bound the cache drops what nobody has asked for longest."""
    cache = Cache(max_entries=2)
    calls = []

    @cache
    def ask(name: str) -> str:
        calls.append(name)
        return name

    for name in ("a", "b", "a", "c", "a", "b"):
        ask(name)
    assert calls == ["a", "b", "c", "b"]
    stats = cache.stats()
    assert (stats.entries, stats.evicted) == (2, 2)


def test_bytes_are_bounded_too() -> None:
    """Large answers push others out, and one larger than the bound is not kept."""
    cache = Cache(max_bytes=10_000)

    @cache
    def ask(size: int) -> str:
        return "x" * size

    for size in (3001, 3002, 3003):
        ask(size)
    stats = cache.stats()
    assert (stats.entries, stats.evicted) == (2, 1)
    assert stats.bytes is not None
    assert stats.bytes <= 10_000
    ask(20_000)
    assert cache.stats().entries == 0


def test_expired_answers_make_room() -> None:
    """Insertions sweep what has expired, a few at a time."""
    clock = FakeClock()
    cache = Cache(ttl=100, max_entries=1000)
    ask = ap.Stack(cache, clock=clock).decorate(_echo)
    for name in range(20):
        ask(name)
    clock.advance(120)
    for name in range(100, 112):
        ask(name)
    stats = cache.stats()
    assert (stats.entries, stats.expired) == (12, 20)


def _echo(name: int) -> int:
    return name


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": "1h"},
        {"max_entries": 0},
        {"max_entries": True},
        {"max_bytes": 0},
        {"by": "planet"},
        {"key": "x"},
        {"ignore": "seed"},
        {"stale": -1},
        {"nondeterministic": "maybe"},
        {"secret": "short"},
        {"secret": 7},
        {"store": 7},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """Wrong options raise when the cache is made, and say which."""
    with pytest.raises(ap.ConfigError, match=next(iter(options))):
        Cache(**options)


def test_stale_windows_are_not_negative() -> None:
    """A window is a duration."""
    with pytest.raises(ap.ConfigError, match="if_error"):
        Stale(if_error=-1)
