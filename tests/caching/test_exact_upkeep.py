"""Besides answering: invalidation, values without a client, warm-up, dump and load, explanations, figures."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

import agentprod as ap
from agentprod.caching.exact import Cache
from agentprod.testing import FakeClock, Provider

OpenAIWith = Callable[..., openai.OpenAI]
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def filled() -> tuple[Cache, Callable[..., str], list[str]]:
    """Return a cache, a function behind it, and the names it was called with; three tenants have asked."""
    cache = Cache()
    calls: list[str] = []

    def ask(model: str, messages: list[Any], name: str) -> str:
        calls.append(name)
        return name

    fn = cache(ask)
    for tenant, model, label in (("a", "m1", "x"), ("a", "m2", "y"), ("b", "m1", "x")):
        with ap.context(tenant=tenant, tags={"label": label, "all": "1"}):
            fn(model, [], f"{tenant} {model}")
    calls.clear()
    return cache, fn, calls


SELECTIONS: dict[str, tuple[dict[str, Any], int]] = {
    "tenant": ({"tenant": "a"}, 2),
    "model": ({"model": "m1"}, 2),
    "label": ({"tags": {"label": "x"}}, 2),
    "both": ({"tenant": "a", "model": "m1"}, 1),
    "labels": ({"tags": {"label": "x", "all": "1"}}, 2),
    "where": ({"where": lambda entry: entry.tenant == "b"}, 1),
    "everything": ({"where": lambda entry: True}, 3),
    "nothing": ({"tenant": "c"}, 0),
}


@pytest.mark.parametrize("kind", SELECTIONS)
def test_entries_are_dropped_by_what_they_are(filled: tuple[Cache, Callable[..., str], list[str]], kind: str) -> None:
    """Conditions are combined; the number of dropped entries is returned."""
    cache, _, _ = filled
    conditions, count = SELECTIONS[kind]
    assert cache.invalidate(**conditions) == count
    assert cache.stats().entries == 3 - count
    assert asyncio.run(cache.ainvalidate(**conditions)) == 0


def test_a_result_can_be_dropped(openai_with: OpenAIWith, provider: Provider) -> None:
    """A wrong answer is got rid of by the answer itself, hit or miss."""
    cache = Cache()
    client = openai_with(provider, cache)
    for _ in range(2):
        client.chat.completions.create(**CHAT)
        assert cache.invalidate(key=client.chat.completions.create(**CHAT)) == 1
    assert len(provider.requests) == 2


def test_a_text_s_account_can_be_dropped() -> None:
    """Results that hold no attributes are named by `ap.last()`."""
    cache = Cache()
    fn = cache(lambda: "x")
    fn()
    assert cache.invalidate(key=ap.last()) == 1


def test_a_key_can_be_dropped(openai_with: OpenAIWith, provider: Provider) -> None:
    """`explain` names the key of a request, with which its entry is dropped."""
    cache = Cache()
    openai_with(provider, cache).chat.completions.create(**CHAT)
    assert cache.invalidate(key=cache.explain(CHAT).key) == 1


def test_invalidation_needs_a_condition() -> None:
    """Nothing given is a mistake, not everything."""
    cache = Cache()
    with pytest.raises(ap.ConfigError, match="needs to know what"):
        cache.invalidate()
    with pytest.raises(ap.ConfigError, match="tags"):
        cache.invalidate(tags=["x"])  # type: ignore[arg-type]
    with pytest.raises(ap.ConfigError, match="where"):
        cache.invalidate(where="x")  # type: ignore[arg-type]
    with pytest.raises(ap.ConfigError):
        cache.invalidate(key="not a result")


def test_a_result_that_went_past_cannot_be_dropped(openai_with: OpenAIWith, provider: Provider) -> None:
    """There is no entry of a bypassed call, and the error says so."""
    cache = Cache()
    answer = openai_with(provider, cache).chat.completions.create(**CHAT, store=True)
    with pytest.raises(ap.ConfigError, match="did not pass the cache"):
        cache.invalidate(key=answer)


def test_a_call_on_its_way_does_not_store_what_was_dropped() -> None:
    """An answer begun before an invalidation is delivered, but neither kept nor joined after it."""
    cache = Cache()
    entered, release = threading.Event(), threading.Event()
    calls: list[int] = []

    @cache
    def ask() -> int:
        calls.append(1)
        if len(calls) == 1:
            entered.set()
            release.wait(10)
            return 1
        return 2

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(_in_tenant, ask)
        assert entered.wait(10)
        cache.invalidate(tenant="a")
        with ap.context(tenant="a"):
            assert ask() == 2
        release.set()
        assert first.result(10) == 1
        with ap.context(tenant="a"):
            assert ask() == 2
    assert cache.stats().refused == {"invalidated": 1}


def _in_tenant(ask: Callable[[], int]) -> int:
    with ap.context(tenant="a"):
        return ask()


def test_an_invalidation_of_others_keeps_nothing_out() -> None:
    """Only what the conditions mean is not stored."""
    cache = Cache()

    @cache
    def ask() -> int:
        cache.invalidate(tenant="other")
        return 1

    ask()
    assert cache.stats().entries == 1


@dataclass
class Found:
    """A computed value."""

    score: float


def test_values_are_computed_once() -> None:
    """`get_or_compute` keeps what the function returns under the key, of any kind of data."""
    cache = Cache()
    calls = []

    def compute() -> Found:
        calls.append(1)
        return Found(0.5)

    for key in ("k", ("k", 1), {"q": [1, 2]}, "k", ("k", 1), {"q": [1, 2]}):
        assert cache.get_or_compute(key, compute) == Found(0.5)
    assert len(calls) == 3
    assert [cache.get_or_compute("none", lambda: None) for _ in range(2)] == [None, None]


def test_computed_values_follow_the_context() -> None:
    """Tenant, lifetime and wishes come from the context, or are given."""
    cache = Cache()
    numbers = iter(range(10))

    def ask(**who: Any) -> int:
        return int(cache.get_or_compute("k", lambda: next(numbers), **who))

    assert [ask(tenant="a"), ask(tenant="b"), ask(tenant="a")] == [0, 1, 0]
    with ap.context(tenant="b"):
        assert ask() == 1
        assert ask(cache="refresh") == 2
    with pytest.raises(ap.CacheMiss):
        ask(cache="only", tenant="c")
    with pytest.raises(ap.ConfigError, match="planet"):
        ask(planet="mars")
    assert cache.invalidate(tenant="a") == 1


def test_a_failing_computation_keeps_nothing() -> None:
    """Errors are the caller's, and the next caller computes again."""
    cache = Cache()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            cache.get_or_compute("k", lambda: 1 // 0)
    assert cache.stats().misses == 2


def test_threads_share_a_computation() -> None:
    """Concurrent callers of one key wait for one computation."""
    cache = Cache()
    release = threading.Event()
    calls = []

    def compute() -> int:
        calls.append(1)
        release.wait(10)
        return 7

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(cache.get_or_compute, "k", compute) for _ in range(8)]
        while sum(flight.callers for flight in cache._fetcher._flights._flights.values()) < 8:
            threading.Event().wait(0.005)
        release.set()
        assert {future.result(10) for future in futures} == {7}
    assert len(calls) == 1


def test_values_are_computed_in_a_loop() -> None:
    """`aget_or_compute` takes async functions and plain ones, and shares computations among tasks."""
    cache = Cache()
    calls = []

    async def compute() -> int:
        calls.append(1)
        await asyncio.sleep(0.01)
        return 7

    async def run() -> None:
        assert await asyncio.gather(*(cache.aget_or_compute("k", compute) for _ in range(5))) == [7] * 5
        assert await cache.aget_or_compute("plain", lambda: 8) == 8

    asyncio.run(run())
    assert len(calls) == 1
    assert cache.get_or_compute("k", lambda: 0) == 7


def test_an_async_function_is_not_for_the_sync_method() -> None:
    """The error names the method to use."""

    async def compute() -> int:
        return 7

    with pytest.raises(ap.ConfigError, match="aget_or_compute"):
        Cache().get_or_compute("k", compute)


def test_pairs_warm_a_cache_up() -> None:
    """Values given are kept as if they had been computed, and replace older ones."""
    cache = Cache()
    cache.get_or_compute("a", lambda: 0)
    done = cache.warm_up([("a", 1), ("b", {"n": 2})])
    assert (done.done, done.failed) == (2, {})
    assert [cache.get_or_compute(key, lambda: None) for key in ("a", "b")] == [1, {"n": 2}]
    assert asyncio.run(cache.awarm_up([("c", 3)])).done == 1
    assert cache.get_or_compute("c", lambda: None) == 3


def test_requests_warm_a_cache_up(openai_with: OpenAIWith, provider: Provider) -> None:
    """Requests are asked through a wrapped client, some at once, those known already not again."""
    cache = Cache()
    client: Any = openai_with(provider, cache)
    requests = [{**CHAT, "seed": seed % 5, "stream": seed % 2 == 0} for seed in range(10)]
    done = cache.warm_up(requests, client.chat.completions.create, concurrency=3)
    assert (done.done, len(provider.requests), cache.stats().entries) == (10, 5, 5)


def test_a_warm_up_goes_on_after_errors() -> None:
    """What fails is returned by its position; the rest is done."""
    cache = Cache()

    @cache
    def ask(n: int) -> float:
        return 1 / n

    done = cache.warm_up([{"n": 0}, {"n": 1}, "x", {"n": 2}], ask)
    assert done.done == 2
    assert {position: type(error) for position, error in done.failed.items()} == {
        0: ZeroDivisionError,
        2: ap.ConfigError,
    }
    with pytest.raises(ap.ConfigError, match="concurrency"):
        cache.warm_up([], ask, concurrency=0)


def test_requests_warm_a_cache_up_in_a_loop(provider: Provider) -> None:
    """The same with an async client."""
    cache = Cache()

    async def run() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url, max_retries=0) as bare:
            client: Any = ap.Stack(cache).wrap(bare)
            requests = [{**CHAT, "seed": seed, "stream": seed == 1} for seed in range(4)]
            assert (await cache.awarm_up([*requests, "x"], client.chat.completions.create)).done == 4
            assert cache.stats().entries == 4

    asyncio.run(run())


def test_entries_travel_by_file(tmp_path: Path) -> None:
    """What one cache dumps another loads, for the time it has left."""
    clock = FakeClock()
    path = tmp_path / "cache.jsonl"

    def ask(name: str) -> Found:
        return Found(len(name))

    one = Cache(ttl=1000)
    fn = ap.Stack(one, clock=clock).decorate(ask)
    with ap.context(tenant="a", tags={"x": "1"}):
        fn("abc")
    clock.advance(500)
    fn("ab")
    assert one.dump(path) == 2
    clock.advance(550)
    two = Cache(ttl=1000)
    again = ap.Stack(two, clock=clock).decorate(ask)
    clock.advance(60)
    assert two.load(path) == 1
    assert again("ab") == Found(2)
    assert two.stats().misses == 0
    clock.advance(500)
    again("ab")
    assert two.stats().misses == 1


CALLS: list[str] = []


def _silent(name: str):  # type: ignore[no-untyped-def]
    CALLS.append(name)
    return Found(0.5)


def _outspoken(name: str) -> list[Found] | Found | None:
    CALLS.append(name)
    return Found(0.5)


@pytest.mark.parametrize(("fn", "calls"), [(_silent, 2), (_outspoken, 1)])
def test_a_class_that_is_not_known_is_a_miss(tmp_path: Path, fn: Callable[[str], Any], calls: int) -> None:
    """A file names classes, but names are never imported: a function has to have returned or announced the class."""
    CALLS.clear()
    path = tmp_path / "cache.jsonl"
    one, two = Cache(), Cache()
    one(fn)("a")
    one.dump(path)
    assert two.load(path) == 1
    again = two(fn)
    assert [again("a"), again("a")] == [Found(0.5)] * 2
    assert len(CALLS) == calls


def test_a_dump_is_lines_of_json(tmp_path: Path, openai_with: OpenAIWith, provider: Provider) -> None:
    """Anybody can read the file; broken lines are left out with a warning."""
    path = tmp_path / "cache.jsonl"
    cache = Cache()
    openai_with(provider, cache).chat.completions.create(**CHAT)
    cache.dump(path)
    lines = path.read_text("utf-8").splitlines()
    entry = json.loads(lines[1])
    assert json.loads(entry["text"])["object"] == "chat.completion"
    path.write_text("\n".join([*lines, "{}", "not json", lines[1].replace('"form":"body"', '"form":"soul"')]), "utf-8")
    other = Cache()
    with pytest.warns(ap.AgentprodWarning, match="3 lines"):
        assert other.load(path) == 1
    first = openai_with(provider, other).chat.completions.create(**CHAT)
    assert ap.meta(first).cache == "hit_exact"


@pytest.mark.parametrize(("content", "message"), [("", "dump"), ("{}\n", "dump"), ('{"agentprod_cache":99}\n', "99")])
def test_a_foreign_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    """Files of something else, or of another version, are not guessed at."""
    path = tmp_path / "other.jsonl"
    path.write_text(content, "utf-8")
    with pytest.raises(ap.ConfigError, match=message):
        Cache().load(path)


def test_a_failed_dump_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is replaced whole, or not at all."""
    path = tmp_path / "cache.jsonl"
    cache = Cache()
    cache.get_or_compute("k", lambda: 1)
    cache.dump(path)
    before = path.read_bytes()
    monkeypatch.setattr("agentprod.caching.entries.Entry.to_json", lambda self: {"x": object()})
    with pytest.raises(TypeError):
        cache.dump(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["cache.jsonl"]


def test_a_request_is_explained(openai_with: OpenAIWith, provider: Provider) -> None:
    """What would happen, and why: unknown, miss, hit, stale, bypass; in whose partition."""
    clock = FakeClock()
    cache = Cache(ttl=100, stale=100)
    client = openai_with(provider, cache, clock=clock)
    assert cache.explain(CHAT).answer == "unknown"
    client.chat.completions.create(**CHAT)
    hit = cache.explain(CHAT)
    assert (hit.answer, hit.age, hit.partition) == ("hit", 0.0, ("tenant", None, None))
    assert hit.expires_in is not None
    assert 90 <= hit.expires_in <= 110
    assert "hit" in str(hit)
    assert "fresh for" in str(hit)
    assert cache.explain({**CHAT, "seed": 1}).answer == "miss"
    assert "miss" in str(cache.explain({**CHAT, "seed": 1}))
    with ap.context(tenant="a"):
        assert cache.explain(CHAT).answer == "miss"
    bypass = cache.explain({**CHAT, "store": True})
    assert (bypass.answer, bypass.reason, str(bypass)) == ("bypass", "store", "bypass: store; to openai/m")
    clock.advance(120)
    assert cache.explain(CHAT).answer == "stale"
    assert cache.stats().hits == 0


def test_a_function_s_call_is_explained() -> None:
    """Arguments by name are a function's request."""
    cache = Cache()
    fn = cache(lambda name: name)
    fn("a")
    assert cache.explain({"name": "a"}).answer == "hit"
    assert cache.explain({"name": "b"}).answer == "miss"


def test_figures_are_kept(openai_with: OpenAIWith, provider: Provider) -> None:
    """Hits, misses, what went past, what was saved, and how much is stored."""
    cache = Cache()
    client = openai_with(provider, cache)
    assert cache.stats().hit_rate == 0.0
    for _ in range(4):
        client.chat.completions.create(**CHAT)
    client.chat.completions.create(**CHAT, store=True)
    with ap.context(cache="bypass"):
        client.chat.completions.create(**CHAT)
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.hit_rate) == (3, 1, 0.75)
    assert stats.bypassed == {"store": 1, "asked": 1}
    assert stats.saved_input_tokens == 3
    assert stats.saved_output_tokens == 15
    assert stats.bytes is not None
    assert stats.bytes > 500


def test_a_hit_says_what_it_saved(openai_with: OpenAIWith, provider: Provider) -> None:
    """Cost is 0, and the price of the stored reply is what was saved."""
    prices = {"prices": lambda provider, model, usage: usage.total_tokens}
    client = openai_with(provider, Cache(), **prices)
    miss, hit = (ap.meta(client.chat.completions.create(**CHAT)) for _ in range(2))
    assert (miss.cost, miss.saved) == (6, None)
    assert (hit.cost, hit.saved, hit.served_by) == (0, 6, "openai/m")


@pytest.mark.parametrize(
    ("place", "stream"),
    [
        ("shelf.Shelf.get", False),
        ("serving.EventStream", True),
        ("keys.Keys.ticket", False),
        ("writing.Writer.whole", False),
        ("writing.Writer.recorded", True),
        ("shelf.Shelf.put", False),
    ],
)
def test_a_broken_cache_breaks_no_call(
    openai_with: OpenAIWith, provider: Provider, monkeypatch: pytest.MonkeyPatch, place: str, stream: bool
) -> None:
    """Whatever fails inside is a miss: the call is answered, the failure counted, and warned of once."""
    cache = Cache()
    client: Any = openai_with(provider, cache)
    reads = place in ("shelf.Shelf.get", "serving.EventStream")
    if reads:
        client.chat.completions.create(**CHAT)

    def fail(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(f"agentprod.caching.{place}", fail)
    with pytest.warns(ap.AgentprodWarning, match="RuntimeError"):
        assert len(list(client.chat.completions.create(**CHAT, stream=stream))) > 1
    assert len(list(client.chat.completions.create(**CHAT, stream=stream))) > 1
    assert cache.stats().errors == 2
    assert len(provider.requests) == 2 + reads


def test_a_callable_partition_that_fails_keeps_the_call_out(openai_with: OpenAIWith, provider: Provider) -> None:
    """Without a partition nothing is read or written: a guess could show one tenant's answer to another."""
    for by in (lambda call: 1 // 0, lambda call: None):
        cache = Cache(by=by)  # type: ignore[arg-type]
        client = openai_with(provider, cache)
        with pytest.warns(ap.AgentprodWarning, match="making a key"):
            client.chat.completions.create(**CHAT)
        client.chat.completions.create(**CHAT)
        assert cache.stats().bypassed == {"error": 2}


def test_a_cache_shows_its_options() -> None:
    """`print(stack)` tells what was chosen."""
    assert repr(Cache()) == "Cache(ttl=3600.0)"
    assert repr(Cache(ttl=60, by="user", stale=5)) == "Cache(ttl=60.0, by='user', stale=5)"
