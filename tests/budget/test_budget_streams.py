"""Streams that are read, left, cancelled, dropped and broken, through the real SDK clients: billed for what came."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import agentprod as ap
from agentprod.budget.hidden_output import hidden_output
from agentprod.stores import MemoryStore, SqliteStore, StoreUnavailable
from agentprod.testing import Provider
from agentprod.testing.behaviours.broken import cut
from agentprod.testing.behaviours.content import ok
from tests.budget.spending import HELLO, MODEL, Remote, asks, remote, spent

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

CLAUDE = "claude-sonnet-5"
CHUNKS = [f"word{number} " for number in range(40)]
READ = 10
PROMPT = [{"role": "user", "content": "Tell me a long story about a budget that held. " * 20}]


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider([ok(chunks=CHUNKS)]) as running:
        yield running


def open_stream(client: Any, kind: str) -> Any:
    if kind == "openai":
        return client.chat.completions.create(model=MODEL, messages=PROMPT, stream=True, max_completion_tokens=4000)
    return client.messages.create(model=CLAUDE, messages=PROMPT, max_tokens=4000, stream=True)


def client_of(provider: Provider, kind: str, asynchronous: bool) -> Any:
    if kind == "openai":
        made = openai.AsyncOpenAI if asynchronous else openai.OpenAI
        return made(base_url=provider.openai_url, api_key="any", max_retries=0)
    made = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
    return made(base_url=provider.anthropic_url, api_key="any", max_retries=0)


def has_text(event: Any) -> bool:
    choices = getattr(event, "choices", None)
    return bool(choices and choices[0].delta.content) or getattr(event, "type", "") == "content_block_delta"


def billed(provider: Provider, kind: str, chunks: int) -> float:
    """The input, and the output that had come: what Anthropic's first event says, or what is counted here."""
    text = "".join(CHUNKS[:chunks])
    if kind == "openai":
        return ap.count_tokens(PROMPT, MODEL) + ap.count_tokens(text, MODEL)
    request = provider.requests[-1].json
    words = sum(len(message["content"].split()) for message in request["messages"])
    return words + ap.count_tokens(text, CLAUDE)


def settled(budget: ap.TokenBudget) -> float:
    """What is spent, once nothing is held any more."""
    give_up = time.monotonic() + 10
    while (found := spent(budget))[0][1]:
        assert time.monotonic() < give_up, "still held after ten seconds"
        gc.collect()
        time.sleep(0.005)
    return found[0][0]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("how", ["closed", "collected", "whole"])
def test_a_stream_left_early_is_billed_for_what_came(provider: Provider, kind: str, how: str) -> None:
    """Closed or dropped after ten chunks it costs its input and ten chunks; read to its end, what was reported."""
    budget = ap.TokenBudget(tokens=1_000_000, per="total")
    with client_of(provider, kind, asynchronous=False) as client:
        stream = open_stream(ap.Stack(budget).wrap(client), kind)
        seen, event = 0, None
        for event in stream:
            seen += has_text(event)
            if seen == READ and how != "whole":
                break
        if how == "closed":
            stream.close()
        if how != "collected":
            assert not spent(budget)[0][1], "still held when the stream has ended"
        del stream, event
        tokens = settled(budget)
    expected = billed(provider, kind, READ if how != "whole" else len(CHUNKS))
    if how == "whole":
        assert tokens > expected / 2  # the scripted provider counts words
    else:
        assert tokens == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("how", ["closed", "cancelled", "collected"])
@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_an_async_stream_left_early(provider: Provider, kind: str, how: str, store: str, tmp_path: Any) -> None:
    """The same in a task that is cancelled, or whose stream is dropped, also where settling does I/O."""
    kept = MemoryStore() if store == "memory" else SqliteStore(tmp_path / "b.db")
    budget = ap.TokenBudget(tokens=1_000_000, per="total", store=kept)

    async def read(client: Any, reached: asyncio.Event) -> None:
        stream = await open_stream(client, kind)
        seen = 0
        async for event in stream:
            seen += has_text(event)
            if seen == READ:
                reached.set()
                if how == "cancelled":
                    await asyncio.sleep(60)
                break
        if how == "closed":
            await stream.close()
            assert not (await budget.astatus())[0].held, "still held when the stream is closed"

    async def main() -> None:
        async with client_of(provider, kind, asynchronous=True) as client:
            reached = asyncio.Event()
            task = asyncio.create_task(read(ap.Stack(budget).wrap(client), reached))
            await reached.wait()
            if how == "cancelled":
                task.cancel()
            found = await asyncio.gather(task, return_exceptions=True)
            assert how == "cancelled" or found == [None], found
            del task, found
            for _ in range(2000):
                gc.collect()
                if not (await budget.astatus())[0].held:
                    break
                await asyncio.sleep(0.005)

    asyncio.run(main())
    assert settled(budget) == pytest.approx(billed(provider, kind, READ), rel=0.05)
    kept.close()


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_tool_arguments_that_came_are_billed(kind: str) -> None:
    """A stream left in the middle of a tool call pays for its arguments, too."""
    story = " ".join(f"word{number}" for number in range(400))
    script = [ok(tool_calls=[{"name": "write", "arguments": {"text": story}}], reasoning="hm " * 50)]
    budget = ap.TokenBudget(tokens=1_000_000, per="total")
    with Provider(script) as provider, client_of(provider, kind, False) as client:
        pieces: list[str] = []
        stream = open_stream(ap.Stack(budget).wrap(client), kind)
        for event in stream:
            pieces.append(hidden_output(event.model_dump()))
            if len("".join(pieces)) > 200:
                break
        stream.close()
        model = MODEL if kind == "openai" else CLAUDE
        expected = billed(provider, kind, 0) + ap.count_tokens("".join(pieces), model)
        assert settled(budget) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_stream_that_breaks_is_billed_for_what_came(kind: str) -> None:
    """Half of it came, and half of it is paid."""
    budget = ap.TokenBudget(tokens=1_000_000, per="total")
    with Provider([cut(20, reply=ok(chunks=CHUNKS))]) as provider, client_of(provider, kind, False) as client:
        texts = 0
        with pytest.raises(ap.StreamInterrupted):
            for event in open_stream(ap.Stack(budget).wrap(client), kind):
                texts += has_text(event)
        assert settled(budget) == pytest.approx(billed(provider, kind, texts), rel=0.05)


async def waiting(budget: ap.TokenBudget) -> asyncio.Task[Any]:
    """Return a call that waits for its provider."""
    sent = asyncio.Event()

    @ap.Stack(budget)
    async def ask(model: str, messages: Any, max_tokens: int) -> Any:
        sent.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(ask(MODEL, PROMPT, 100))
    await sent.wait()
    return task


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("cancels", [1, 2])
def test_a_call_cancelled_while_it_waits_keeps_its_input(store: str, cancels: int, tmp_path: Any) -> None:
    """Nobody knows whether the provider went on; what it had read is billed, and nothing stays held.

    Also where settling does I/O, and the task is cancelled once more while it waits for that.
    """
    kept = MemoryStore() if store == "memory" else SqliteStore(tmp_path / "b.db")
    budget = ap.TokenBudget(tokens=1_000_000, per="total", store=kept)

    async def main() -> None:
        task = await waiting(budget)
        for _ in range(cancels):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        while (await budget.astatus())[0].held:
            await asyncio.sleep(0.001)

    asyncio.run(main())
    assert settled(budget) == ap.count_tokens(PROMPT, MODEL)
    kept.close()


@pytest.mark.parametrize("fails", [False, True])
def test_a_call_cancelled_while_it_reserves_holds_nothing(fails: bool) -> None:
    """The store may have reserved for it all the same: that is given back as soon as the store has answered."""

    async def main() -> None:
        reached, answers = asyncio.Event(), asyncio.Event()

        class Slow(Remote):
            async def areserve(self, *args: Any, **options: Any) -> Any:
                found = self._inner.reserve(*args, **options)
                reached.set()
                await answers.wait()
                if fails:
                    self._inner.settle(args[0], args[1], None)
                    raise StoreUnavailable("gone", retry_after=5)
                return found

        store: Any = Slow(MemoryStore())
        budget = ap.TokenBudget(tokens=1_000_000, per="total", store=store)

        @ap.Stack(budget)
        async def ask(model: str, messages: Any, max_tokens: int) -> Any:
            raise AssertionError("sent")

        task = asyncio.create_task(ask(MODEL, PROMPT, 100))
        await reached.wait()
        assert spent(budget)[0][1] > 100
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answers.set()
        while spent(budget)[0][1]:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert spent(budget) == [(0, 0)]

    asyncio.run(asyncio.wait_for(main(), 20))


def test_an_abandoned_coroutine_settles_at_once() -> None:
    """Where nothing may be awaited any more, as at the end of a loop, settling does not wait either."""
    budget = ap.TokenBudget(tokens=1_000_000, per="total", store=remote(MemoryStore()))

    async def main() -> None:
        task = await waiting(budget)
        assert spent(budget)[0][1] > 100
        task.get_coro().close()
        assert spent(budget) == [(ap.count_tokens(PROMPT, MODEL), 0)]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_a_long_stream_renews_its_lease() -> None:
    """As long as events come, what it holds does not lapse."""
    from agentprod.testing import FakeClock

    clock = FakeClock()
    budget = ap.TokenBudget(calls=1, per="total", lease=10)

    @ap.Stack(budget, clock=clock)
    def tell(prompt: str) -> Iterator[str]:
        for word in CHUNKS:
            clock.advance(4)
            yield word

    held = [spent(budget)[0][1] for _ in tell("go on")]
    assert held == [1] * len(CHUNKS)
    assert spent(budget) == [(1, 0)]


@pytest.mark.parametrize("fails", [False, True])
def test_a_lease_elsewhere_is_renewed_beside_the_stream(fails: bool) -> None:
    """The stream does not wait for it, nor does it mind when the store does not answer."""
    from agentprod.testing import FakeClock

    clock, renewed = FakeClock(), threading.Event()

    class Elsewhere(Remote):
        def renew(self, *args: Any, **options: Any) -> Any:
            renewed.set()
            if fails:
                raise StoreUnavailable("gone", retry_after=5)
            return self._inner.renew(*args, **options)

    store: Any = Elsewhere(MemoryStore(now=clock.monotonic))
    budget = ap.TokenBudget(calls=1, per="total", lease=10, store=store)

    @ap.Stack(budget, clock=clock)
    def tell(prompt: str) -> Iterator[str]:
        yield "one "
        clock.advance(6)
        yield "two "
        yield "three"

    assert "".join(tell("go on")) == "one two three"
    assert renewed.wait(10)
    assert spent(budget) == [(1, 0)]


def test_a_store_that_goes_down_costs_no_answer() -> None:
    """What the call used is not heard any more; its lease ends some day."""

    class Dying(Remote):
        def settle(self, *args: Any, **options: Any) -> Any:
            raise StoreUnavailable("gone", retry_after=5)

    store: Any = Dying(MemoryStore())
    ask, sent = asks(ap.TokenBudget(usd=10, per="total", store=store))
    assert ask()["choices"]
    assert (sent.calls, spent(ap.TokenBudget(usd=10, per="total", store=store))) == (1, [(0.0, 1.0)])


def test_usage_is_asked_for_and_hidden(provider: Provider) -> None:
    """A budget needs the counts of a stream; who did not ask for them does not see them."""
    budget = ap.TokenBudget(tokens=1_000_000, per="total")
    with client_of(provider, "openai", False) as client:
        events = list(open_stream(ap.Stack(budget).wrap(client), "openai"))
    assert provider.requests[0].json["stream_options"] == {"include_usage": True}
    assert all(event.usage is None for event in events)
    assert not ap.last().usage.estimated  # type: ignore[union-attr]


@pytest.mark.parametrize("surface", ["chat", "responses", "messages", "embeddings"])
def test_every_surface_is_billed_what_it_reports(surface: str, provider: Provider) -> None:
    """The provider's own counts, whole or streamed."""
    budget = ap.TokenBudget(tokens=1_000_000, usd=100, per="total")
    asks: dict[str, Callable[[], Any]] = {}
    with client_of(provider, "openai", False) as one, client_of(provider, "anthropic", False) as other:
        chat, messages = ap.Stack(budget).wrap(one), ap.Stack(budget).wrap(other)
        asks["chat"] = lambda: chat.chat.completions.create(model=MODEL, messages=HELLO)
        asks["responses"] = lambda: chat.responses.create(model=MODEL, input="hello")
        asks["messages"] = lambda: messages.messages.create(model=CLAUDE, messages=HELLO, max_tokens=9)
        asks["embeddings"] = lambda: chat.embeddings.create(model="text-embedding-3-small", input=["hello", "world"])
        reply = asks[surface]()
    meta = ap.meta(reply)
    assert meta.usage is not None
    assert meta.cost is not None
    tokens, usd = spent(budget)
    assert tokens == (meta.usage.total_tokens, 0)
    assert usd[0] == pytest.approx(float(meta.cost), abs=1e-9)
