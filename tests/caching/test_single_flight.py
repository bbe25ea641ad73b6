"""One upstream call for all who ask the same at once: threads, tasks, streams in progress, cancellations, failures."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.caching.exact import Cache
from agentprod.dialects.openai_chat import CHAT as CHAT_DIALECT
from agentprod.testing import Provider, behaviours
from agentprod.testing.exchange import RecordedRequest

OpenAIWith = Callable[..., openai.OpenAI]
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
WAIT = 10


class Gate:
    """A script of a provider that answers once it is opened."""

    def __init__(self, reply: Any) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._reply = reply

    def __call__(self, request: RecordedRequest) -> Any:
        self.reached.set()
        assert self.opened.wait(WAIT)
        return self._reply


def joined(cache: Cache, count: int) -> None:
    """Wait until so many callers are aboard the flights of a cache."""
    pause = threading.Event()
    for _ in range(1000):
        flights = list(cache._fetcher._flights._flights.values())
        if sum(flight.callers for flight in flights) == count:
            return
        pause.wait(0.005)
    raise AssertionError(f"not {count} callers")


async def joined_async(cache: Cache, count: int) -> None:
    """Let the loop run until so many callers are aboard."""
    for _ in range(10_000):
        if sum(flight.callers for flight in cache._fetcher._flights._flights.values()) == count:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"not {count} callers")


def text_of(chunks: Any) -> str:
    """Return the text of chat chunks."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_two_hundred_threads_make_one_call(openai_with: OpenAIWith) -> None:
    """Threads that ask the same at once, some for streams and some not, share one upstream call."""
    gate = Gate(behaviours.ok("The one answer", chunks=["The ", "one ", "answer"]))
    cache = Cache()
    with Provider(gate) as provider, ThreadPoolExecutor(200) as pool:
        client: Any = openai_with(provider, cache)

        def ask(number: int) -> str:
            if number % 2:
                return text_of(client.chat.completions.create(**CHAT, stream=True))
            return str(client.chat.completions.create(**CHAT).choices[0].message.content)

        answers = [pool.submit(ask, number) for number in range(200)]
        joined(cache, 200)
        gate.opened.set()
        assert {answer.result(WAIT) for answer in answers} == {"The one answer"}
        assert len(provider.requests) == 1
    stats = cache.stats()
    assert (stats.misses, stats.hits, stats.joined) == (1, 199, 199)


def test_two_hundred_tasks_make_one_call() -> None:
    """The same for the tasks of one loop."""
    cache = Cache()
    with Provider(behaviours.slow(0.2, reply=behaviours.ok("The one answer"))) as provider:

        async def run() -> set[str]:
            async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url, max_retries=0) as bare:
                client = ap.Stack(cache).wrap(bare)

                async def ask(number: int) -> str:
                    if number % 2:
                        stream = await client.chat.completions.create(**CHAT, stream=True)
                        return text_of([chunk async for chunk in stream])
                    return str((await client.chat.completions.create(**CHAT)).choices[0].message.content)

                return set(await asyncio.gather(*(ask(number) for number in range(200))))

        assert asyncio.run(run()) == {"The one answer"}
        assert len(provider.requests) == 1
    assert cache.stats().joined == 199


def test_a_joiner_is_told_it_paid_nothing(openai_with: OpenAIWith) -> None:
    """The leader's call has the attempt; the others' have none, and say what they saved."""
    gate = Gate(behaviours.ok("Hi", usage={"input_tokens": 9, "output_tokens": 3}))
    cache = Cache()
    with Provider(gate) as provider, ThreadPoolExecutor(3) as pool:
        client: Any = openai_with(provider, cache)
        whole = pool.submit(client.chat.completions.create, **CHAT)
        assert gate.reached.wait(WAIT)
        other = pool.submit(client.chat.completions.create, **CHAT)
        streamed = pool.submit(lambda: _read(client.chat.completions.create(**CHAT, stream=True)))
        joined(cache, 3)
        gate.opened.set()
        leader, second, third = (ap.meta(future.result(WAIT)) for future in (whole, other, streamed))
    assert (leader.cache, len(leader.attempts)) == ("miss", 1)
    for meta in (second, third):
        assert (meta.cache, meta.attempts, meta.cost) == ("hit_exact", [], 0)
    stats = cache.stats()
    assert (stats.saved_input_tokens, stats.saved_output_tokens) == (18, 6)


def _read(stream: Any) -> Any:
    list(stream)
    return stream


CHUNKS = ["a", "b", "", "c", "d", "e", "f", "g"]


def test_late_joiners_get_a_stream_from_its_beginning(openai_with: OpenAIWith, provider: Provider) -> None:
    """A stream in progress is joined at any chunk, and read whole by each."""
    provider.script(behaviours.ok(chunks=CHUNKS))
    client: Any = openai_with(provider, Cache())
    whole = list(openai_with(provider, Cache()).chat.completions.create(**CHAT, stream=True))
    provider.reset()
    for position in range(len(whole)):
        leader = client.chat.completions.create(**CHAT, stream=True)
        read = [next(leader) for _ in range(position)]
        joiner = client.chat.completions.create(**CHAT, stream=True)
        late = list(joiner)
        assert late == [*read, *leader]
        assert len(late) == len(whole)
        client = openai_with(provider, Cache())
    assert len(provider.requests) == len(whole)


def test_a_caller_for_the_whole_joins_a_stream(openai_with: OpenAIWith, provider: Provider) -> None:
    """Who wants no stream reads one in progress to its end."""
    provider.script(behaviours.ok(chunks=CHUNKS))
    client: Any = openai_with(provider, Cache())
    leader = client.chat.completions.create(**CHAT, stream=True)
    next(leader)
    answer = client.chat.completions.create(**CHAT)
    assert answer.choices[0].message.content == "".join(CHUNKS)
    assert text_of(leader) == "".join(CHUNKS)
    assert len(provider.requests) == 1


def test_a_stream_whose_leader_leaves_goes_on(openai_with: OpenAIWith, provider: Provider) -> None:
    """A joiner takes over the reading; what it reads to the end is stored."""
    provider.script(behaviours.ok(chunks=CHUNKS))
    cache = Cache()
    client: Any = openai_with(provider, cache)
    leader = client.chat.completions.create(**CHAT, stream=True)
    next(leader)
    joiner = client.chat.completions.create(**CHAT, stream=True)
    leader.close()
    assert text_of(joiner) == "".join(CHUNKS)
    assert cache.stats().entries == 1
    assert len(provider.requests) == 1


def test_a_stream_that_all_leave_is_closed(openai_with: OpenAIWith, provider: Provider) -> None:
    """After the last reader the connection ends, and nothing is stored or joined."""
    provider.script(behaviours.slow(0, between=5, reply=behaviours.ok(chunks=CHUNKS)))
    cache = Cache()
    client: Any = openai_with(provider, cache)
    streams = [client.chat.completions.create(**CHAT, stream=True) for _ in range(3)]
    for stream in streams:
        next(stream)
        stream.close()
    assert ap.meta(streams[0]).attempts[0].outcome == "abandoned"
    assert len(cache._fetcher._flights) == 0
    assert cache.stats().refused == {"unread": 1}


def test_a_stream_nobody_holds_any_more_is_closed(openai_with: OpenAIWith, provider: Provider) -> None:
    """A reader that is garbage-collected counts as one that left."""
    provider.script(behaviours.ok(chunks=CHUNKS))
    cache = Cache()
    client: Any = openai_with(provider, cache)
    stream = client.chat.completions.create(**CHAT, stream=True)
    next(stream)
    del stream
    gc.collect()
    joined(cache, 0)  # a thread beside the collector ends what it finds
    assert cache.stats().entries == 0


def test_a_failure_goes_to_those_who_wait_and_no_further(openai_with: OpenAIWith) -> None:
    """Each waiter gets the provider's error with a traceback of its own; the next caller asks again."""
    gate = Gate(behaviours.error(500))
    cache = Cache()
    with Provider(gate) as provider, ThreadPoolExecutor(5) as pool:
        client: Any = openai_with(provider, cache)
        futures = [pool.submit(client.chat.completions.create, **CHAT) for _ in range(5)]
        joined(cache, 5)
        gate.opened.set()
        errors = [future.exception(WAIT) for future in futures]
        assert len(provider.requests) == 1
        assert {type(error) for error in errors} == {openai.InternalServerError}
        assert len({id(error) for error in errors}) == 5
        assert len({str(error) for error in errors}) == 1
        assert {error.status_code for error in errors if isinstance(error, openai.APIStatusError)} == {500}
        frames = [len(traceback.extract_tb(error.__traceback__)) for error in errors if error is not None]
        assert max(frames) < 60
        gate.opened.set()
        provider.script(behaviours.ok("fine"))
        assert client.chat.completions.create(**CHAT).choices[0].message.content == "fine"


def test_a_stream_that_breaks_breaks_for_all(openai_with: OpenAIWith) -> None:
    """Readers of one stream get its break, each an error of its own; a caller for the whole asks again."""
    cut = behaviours.truncate(after=4, reply=behaviours.ok(chunks=CHUNKS))
    with Provider([cut, behaviours.ok("whole")]) as provider:
        client: Any = openai_with(provider, Cache())
        leader, joiner = (client.chat.completions.create(**CHAT, stream=True) for _ in range(2))
        with ThreadPoolExecutor(1) as pool:
            whole = pool.submit(client.chat.completions.create, **CHAT)
            errors = []
            for stream in (leader, joiner):
                with pytest.raises(ap.StreamInterrupted) as raised:
                    list(stream)
                errors.append(raised.value)
            assert errors[0] is not errors[1]
            assert errors[0].partial == errors[1].partial
            assert whole.result(WAIT).choices[0].message.content == "whole"


def test_another_key_does_not_wait(openai_with: OpenAIWith) -> None:
    """Flights are per request: different requests run side by side."""
    gate = Gate(behaviours.ok("slow"))
    with Provider(gate) as provider, ThreadPoolExecutor(2) as pool:
        client: Any = openai_with(provider, Cache())
        futures = [pool.submit(client.chat.completions.create, **CHAT, seed=seed) for seed in range(2)]
        for _ in range(200):
            if len(provider.requests) == 2:
                break
            threading.Event().wait(0.01)
        gate.opened.set()
        for future in futures:
            future.result(WAIT)
        assert len(provider.requests) == 2


def test_tenants_do_not_join_each_other(openai_with: OpenAIWith) -> None:
    """Who may not share answers does not share calls."""
    gate = Gate(behaviours.ok("x"))
    cache = Cache()
    with Provider(gate) as provider, ThreadPoolExecutor(2) as pool:
        client: Any = openai_with(provider, cache)
        futures = [pool.submit(ap.bind(client, tenant=tenant).chat.completions.create, **CHAT) for tenant in ("a", "b")]
        joined(cache, 2)
        gate.opened.set()
        for future in futures:
            assert ap.meta(future.result(WAIT)).cache == "miss"


def test_a_waiting_thread_minds_its_own_deadline(openai_with: OpenAIWith) -> None:
    """A joiner's deadline ends its wait, not the leader's call."""
    gate = Gate(behaviours.ok("late"))
    cache = Cache()
    with Provider(gate) as provider, ThreadPoolExecutor(1) as pool:
        client: Any = openai_with(provider, cache)
        leader = pool.submit(client.chat.completions.create, **CHAT)
        assert gate.reached.wait(WAIT)
        with ap.context(deadline=0.05), pytest.raises(ap.DeadlineExceeded, match="another caller"):
            client.chat.completions.create(**CHAT)
        gate.opened.set()
        assert leader.result(WAIT).choices[0].message.content == "late"


def test_a_leader_s_own_deadline_is_not_the_others(openai_with: OpenAIWith) -> None:
    """When the leader runs out of time, one of the others leads and gets the answer."""
    entered = threading.Event()
    release = threading.Event()
    calls = []
    cache = Cache()

    @cache
    def ask() -> str:
        calls.append(1)
        if len(calls) == 1:
            entered.set()
            release.wait(WAIT)
            raise ap.DeadlineExceeded("too late")
        return "fine"

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(ask)
        assert entered.wait(WAIT)
        joiner = pool.submit(ask)
        joined(cache, 2)
        release.set()
        assert joiner.result(WAIT) == "fine"
        assert isinstance(leader.exception(WAIT), ap.DeadlineExceeded)


def test_a_leader_that_is_interrupted_is_succeeded() -> None:
    """What is no error of the call, such as Ctrl-C in the leader's thread, is not the others'."""
    entered, release = threading.Event(), threading.Event()
    calls = []
    cache = Cache()

    @cache
    def ask() -> str:
        calls.append(1)
        if len(calls) == 1:
            entered.set()
            release.wait(WAIT)
            raise KeyboardInterrupt
        return "fine"

    def lead() -> None:
        with pytest.raises(KeyboardInterrupt):
            ask()

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(lead)
        assert entered.wait(WAIT)
        joiner = pool.submit(ask)
        joined(cache, 2)
        release.set()
        assert joiner.result(WAIT) == "fine"
        leader.result(WAIT)


def test_values_that_cannot_be_copied_are_not_shared() -> None:
    """A function whose values JSON cannot bring back is called by each caller, side by side."""
    barrier = threading.Barrier(4)
    cache = Cache()

    @cache
    def connect(first: bool) -> Any:
        if not first:
            barrier.wait(WAIT)
        return object()

    with pytest.warns(ap.AgentprodWarning):
        connect(True)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(connect, False) for _ in range(4)]
        assert len({id(future.result(WAIT)) for future in futures}) == 4


def test_waiters_for_a_value_that_cannot_be_copied_ask_for_themselves() -> None:
    """Found out while others wait, they all go on side by side."""
    entered, release = threading.Event(), threading.Event()
    barrier = threading.Barrier(3)
    cache = Cache()
    calls = []

    @cache
    def connect() -> Any:
        calls.append(1)
        if len(calls) == 1:
            entered.set()
            release.wait(WAIT)
        else:
            barrier.wait(WAIT)
        return object()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(connect)]
            assert entered.wait(WAIT)
            futures += [pool.submit(connect) for _ in range(3)]
            joined(cache, 4)
            release.set()
            assert len({id(future.result(WAIT)) for future in futures}) == 4


def test_joiners_of_a_value_get_copies() -> None:
    """Callers who share a call do not share the object it returned."""
    release = threading.Event()
    cache = Cache()

    @cache
    def ask() -> dict[str, list[int]]:
        release.wait(WAIT)
        return {"list": []}

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(ask) for _ in range(3)]
        joined(cache, 3)
        release.set()
        values = [future.result(WAIT) for future in futures]
    for value in values:
        value["list"].append(1)
    assert values == [{"list": [1]}] * 3


def test_joiners_of_a_generator_get_copies() -> None:
    """Items are copied as values are, once a function is known to yield such as can be."""
    cache = Cache()

    @cache
    def stream(name: str) -> Iterator[dict[str, list[int]]]:
        yield {"list": []}
        yield {"list": []}

    list(stream("known"))
    leader, joiner = stream("x"), stream("x")
    first, second = next(leader), next(joiner)
    first["list"].append(1)
    assert second == {"list": []}
    assert cache.stats().misses == 2


def test_an_answer_that_comes_between_look_up_and_boarding_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds nothing, and then finds the flight over, looks again instead of asking."""
    cache = Cache()
    calls = []

    @cache
    def ask() -> str:
        calls.append(1)
        return "x"

    look = cache._shelf.get

    def late_look(key: str, now: float) -> Any:
        monkeypatch.setattr(cache._shelf, "get", look)
        assert ask() == "x"  # another caller's whole call, after our look-up found nothing

    monkeypatch.setattr(cache._shelf, "get", late_look)
    assert ask() == "x"
    assert len(calls) == 1
    assert cache.stats().hits == 1


def test_a_stream_of_another_wire_format_is_each_caller_s_own(openai_with: OpenAIWith, provider: Provider) -> None:
    """What is translated further out is neither stored nor shared."""

    class Foreign(type(CHAT_DIALECT)):  # type: ignore[misc]
        pass

    async def foreign(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        reply.dialect = Foreign()
        return reply

    cache = Cache()
    client: Any = openai_with(provider, cache, foreign)
    for stream in (True, False):
        list(client.chat.completions.create(**CHAT, stream=stream))
    assert cache.stats().refused == {"foreign_form": 2}
    assert len(cache._fetcher._flights) == 0


def test_a_reader_of_a_joined_stream_minds_its_own_deadline(openai_with: OpenAIWith) -> None:
    """A joiner's time ends its stream, while the leader is still waiting for the provider."""
    stalled = behaviours.stall(after=3, reply=behaviours.ok(chunks=CHUNKS))
    with Provider(stalled) as provider, ThreadPoolExecutor(1) as pool:
        client: Any = openai_with(provider, Cache(), ap.Timeout(idle=1))
        leader = client.chat.completions.create(**CHAT, stream=True)
        next(leader)
        with ap.context(deadline=0.3):
            joiner = client.chat.completions.create(**CHAT, stream=True)
        reading = pool.submit(lambda: list(leader))
        with pytest.raises(ap.StreamInterrupted, match="DeadlineExceeded"):
            list(joiner)
        assert isinstance(reading.exception(WAIT), ap.StreamInterrupted)


def test_a_stream_too_long_to_keep_is_not_kept_for_joiners() -> None:
    """Beyond the bound nobody can join, and what all have read is let go; those aboard read to the end."""
    cache = Cache()

    @cache
    def stream(count: int) -> Iterator[str]:
        for number in range(count):
            yield f"{number:07}" * 100_000

    list(stream(1))
    leader, joiner = stream(6), stream(6)
    first = next(leader)
    assert next(joiner) == first
    rest = list(leader)
    assert len(rest) == 5
    assert len(cache._fetcher._flights) == 0
    assert list(joiner) == rest
    assert len(list(stream(6))) == 6
    assert cache.stats().misses == 3


def test_a_forked_child_waits_for_nobody() -> None:
    """A fork in the middle of a call: the child's own call is asked, not waited for."""
    code = """
import os, sys, threading
import agentprod as ap
entered, release = threading.Event(), threading.Event()
parent = os.getpid()
@ap.Stack(ap.Cache())
def ask():
    if os.getpid() == parent:
        entered.set()
        release.wait(10)
    return 7
thread = threading.Thread(target=ask)
thread.start()
entered.wait(10)
child = os.fork()
if child == 0:
    os._exit(ask())
release.set()
thread.join()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(ap.__file__).parent.parent)}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment, timeout=30).returncode == 7


# In a loop


def slow_provider(between: float = 0.0, seconds: float = 0.3) -> Provider:
    """Return a provider slow enough to be joined."""
    return Provider(behaviours.slow(seconds, between=between, reply=behaviours.ok(chunks=CHUNKS)))


async def ask_async(client: Any, stream: bool = False) -> str:
    """Ask, whole or streamed."""
    answer = await client.chat.completions.create(**CHAT, stream=stream)
    if stream:
        return text_of([chunk async for chunk in answer])
    return str(answer.choices[0].message.content)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("cancelled", [[0], [1], [0, 1, 2], [3]])
def test_a_cancelled_caller_takes_nobody_along(cancelled: list[int], stream: bool) -> None:
    """Whoever of the callers is cancelled, the leader too, the others get the answer of the one call."""
    cache, release = Cache(), threading.Event()

    def answer(asked: Any) -> Any:
        release.wait(WAIT)
        return behaviours.ok(chunks=CHUNKS)

    async def run(provider: Provider) -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url, max_retries=0) as bare:
            client = ap.Stack(cache).wrap(bare)
            tasks = [asyncio.create_task(ask_async(client, stream)) for _ in range(5)]
            await joined_async(cache, 5)
            while not provider.requests:
                await asyncio.sleep(0.005)
            for number in cancelled:
                tasks[number].cancel()
            await asyncio.sleep(0)
            release.set()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            for number, answer in enumerate(answers):
                if number in cancelled:
                    assert isinstance(answer, asyncio.CancelledError)
                else:
                    assert answer == "".join(CHUNKS)

    with Provider(answer) as provider:
        asyncio.run(run(provider))
        assert len(provider.requests) == 1
    assert cache.stats().entries == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_cancelled_in_the_middle_of_a_stream_takes_nobody_along(stream: bool) -> None:
    """A stream goes on for its other readers, and for those who want the whole."""
    cache = Cache()

    async def run(provider: Provider) -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url, max_retries=0) as bare:
            client = ap.Stack(cache).wrap(bare)
            begun = asyncio.Event()

            async def lead() -> None:
                async for _ in await client.chat.completions.create(**CHAT, stream=True):
                    begun.set()

            leader = asyncio.create_task(lead())
            await begun.wait()
            joiner = asyncio.create_task(ask_async(client, stream))
            await joined_async(cache, 2)
            leader.cancel()
            assert await joiner == "".join(CHUNKS)
            with pytest.raises(asyncio.CancelledError):
                await leader

    with slow_provider(between=0.05, seconds=0) as provider:
        asyncio.run(run(provider))
        assert len(provider.requests) == 1
    assert cache.stats().entries == 1


@pytest.mark.parametrize("stream", [False, True])
def test_the_last_cancelled_caller_ends_the_call(stream: bool) -> None:
    """When nobody waits any more, the upstream call is cancelled, and the next caller asks anew."""
    cache, opened = Cache(), asyncio.Event()
    ended: list[str] = []

    async def watch(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        try:
            reply = await call_next(call)
        except BaseException as error:
            ended.append(type(error).__name__)
            raise
        opened.set()
        reply.on_end(lambda end: ended.append(end.outcome))
        return reply

    async def run(provider: Provider) -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url, max_retries=0) as bare:
            client = ap.Stack(cache, watch).wrap(bare)
            tasks = [asyncio.create_task(ask_async(client, stream)) for _ in range(3)]
            await joined_async(cache, 3)
            while not (opened.is_set() if stream else provider.requests):
                await asyncio.sleep(0.005)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)
            assert ended == ["abandoned" if stream else "CancelledError"]
            assert len(cache._fetcher._flights) == 0
            assert await ask_async(client) == "".join(CHUNKS)

    whole = behaviours.ok(chunks=CHUNKS)
    with Provider([behaviours.stall(3, reply=whole) if stream else "black_hole", whole]) as provider:
        asyncio.run(run(provider))
        assert len(provider.requests) == 2


def test_leaving_a_stream_closes_it_before_going_on() -> None:
    """Closing the only reader of a stream ends its attempt at once."""

    async def run(provider: Provider) -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url, max_retries=0) as bare:
            client: Any = ap.Stack(Cache()).wrap(bare)
            async with await client.chat.completions.create(**CHAT, stream=True) as stream:
                await anext(aiter(stream))
            assert ap.meta(stream).attempts[0].outcome == "abandoned"

    with slow_provider(between=1, seconds=0) as provider:
        asyncio.run(run(provider))


def test_a_cancelled_leader_s_reply_is_finished() -> None:
    """The hooks of layers inside run though the caller that began the call is gone."""
    cache = Cache()
    ended: list[str] = []

    async def watch(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        reply.on_end(lambda end: ended.append(end.outcome))
        return reply

    async def fetch() -> str:
        await asyncio.sleep(0.05)
        return "x"

    fn = ap.Stack(cache, watch).decorate(fetch)

    async def run() -> None:
        leader = asyncio.create_task(fn())
        await joined_async(cache, 1)
        joiner = asyncio.create_task(fn())
        await joined_async(cache, 2)
        leader.cancel()
        assert await joiner == "x"
        await asyncio.sleep(0)
        assert ended == ["complete"]

    asyncio.run(run())


def test_a_failure_goes_to_the_tasks_that_wait() -> None:
    """Each task gets an error of its own class and traceback; the next call asks again."""
    cache = Cache()
    calls = []

    @cache
    async def ask() -> str:
        calls.append(1)
        await asyncio.sleep(0.01)
        if len(calls) == 1:
            raise ConnectionError("gone", 7)
        return "fine"

    async def run() -> None:
        errors = await asyncio.gather(*(ask() for _ in range(4)), return_exceptions=True)
        assert [type(error) for error in errors] == [ConnectionError] * 4
        assert {error.args for error in errors if isinstance(error, Exception)} == {("gone", 7)}
        assert len({id(error) for error in errors}) == 4
        assert await ask() == "fine"

    asyncio.run(run())
    assert len(calls) == 2


def test_the_leader_keeps_its_context() -> None:
    """The task that asks sees the context variables of the caller that began it."""
    seen: list[Any] = []

    @Cache()
    async def ask() -> str:
        seen.append(ap.context().__enter__().user)
        return "x"

    async def run() -> None:
        with ap.context(user="u1"):
            await ask()

    asyncio.run(run())
    assert seen == ["u1"]


def test_a_deadline_ends_a_task_s_wait() -> None:
    """A joiner whose time is up leaves; the leader goes on."""
    cache, release = Cache(), asyncio.Event()

    @cache
    async def ask() -> str:
        await release.wait()
        return "x"

    async def run() -> None:
        leader = asyncio.create_task(ask())
        await joined_async(cache, 1)
        with ap.context(deadline=0.05), pytest.raises(ap.DeadlineExceeded):
            await ask()
        release.set()
        assert await leader == "x"

    asyncio.run(run())


def test_an_async_generator_is_joined() -> None:
    """Items of a function in progress go to all tasks that ask for them."""
    cache = Cache()
    calls = []

    @cache
    async def stream(name: str) -> AsyncIterator[str]:
        calls.append(name)
        for item in CHUNKS:
            await asyncio.sleep(0)
            yield item

    async def read() -> list[str]:
        return [item async for item in stream("x")]

    async def run() -> None:
        assert [item async for item in stream("known")] == CHUNKS
        assert await asyncio.gather(*(read() for _ in range(10))) == [CHUNKS] * 10

    asyncio.run(run())
    assert calls == ["known", "x"]


def test_a_slow_reader_is_read_ahead_of_only_so_far() -> None:
    """The task that reads a stream waits for its readers after a while."""
    yielded: list[int] = []

    @Cache()
    async def stream(name: str) -> AsyncIterator[int]:
        for number in range(1000):
            yielded.append(number)
            yield number

    async def run() -> None:
        assert len([item async for item in stream("known")]) == 1000
        yielded.clear()
        reader = stream("x")
        assert await anext(reader) == 0
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(yielded) < 100
        assert [item async for item in reader] == list(range(1, 1000))

    asyncio.run(run())


def test_loops_do_not_wait_for_each_other() -> None:
    """Two loops in two threads ask each for itself: what is awaited belongs to one loop."""
    cache = Cache()
    barrier = threading.Barrier(2)

    @cache
    async def ask() -> str:
        await asyncio.to_thread(barrier.wait, WAIT)
        return "x"

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(lambda: asyncio.run(ask())) for _ in range(2)]
        assert [future.result(WAIT) for future in futures] == ["x", "x"]


def test_anthropic_streams_are_joined_with_helpers() -> None:
    """Helpers of the SDK read a joined stream as their own."""
    with slow_provider(between=0.02, seconds=0) as provider:

        async def run() -> None:
            async with anthropic.AsyncAnthropic(api_key="k", base_url=provider.anthropic_url) as bare:
                client: Any = ap.Stack(Cache()).wrap(bare)

                async def read() -> Any:
                    async with client.messages.stream(max_tokens=9, **CHAT) as stream:
                        return await stream.get_final_message()

                first, *others = await asyncio.gather(*(read() for _ in range(5)))
                assert others == [first] * 4

        asyncio.run(run())
        assert len(provider.requests) == 1


def test_a_stream_nobody_holds_any_more_is_closed_in_a_loop() -> None:
    """A reader that is garbage-collected ends the task that reads for it."""
    cache = Cache()
    closed: list[int] = []

    async def numbers(count: int) -> AsyncIterator[int]:
        try:
            for number in range(count):
                yield number
        finally:
            closed.append(count)

    @cache
    async def completion(model: str, messages: list[Any], stream: bool, n: int) -> AsyncIterator[int]:
        return numbers(n)

    async def run() -> None:
        assert [number async for number in await completion("m", [], stream=True, n=3)] == [0, 1, 2]
        stream = await completion("m", [], stream=True, n=1000)
        assert await anext(stream) == 0
        assert len(cache._fetcher._flights) == 1
        del stream
        gc.collect()
        while len(cache._fetcher._flights):
            await asyncio.sleep(0)
        while len(closed) < 2:
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(run(), WAIT))
    assert closed == [3, 1000]
    assert cache.stats().entries == 1


def test_a_loop_that_ends_takes_its_streams_along() -> None:
    """What a finished loop left open is over, and the next loop asks anew."""
    cache = Cache()

    async def leave(provider: Provider) -> None:
        bare = openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url, max_retries=0)
        client: Any = ap.Stack(cache).wrap(bare)
        stream = await client.chat.completions.create(**CHAT, stream=True)
        await anext(aiter(stream))
        streams.append((bare, stream))

    async def read(provider: Provider) -> str:
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url, max_retries=0) as bare:
            return await ask_async(ap.Stack(cache).wrap(bare), stream=True)

    streams: list[Any] = []
    with slow_provider(between=0.2, seconds=0) as provider:
        asyncio.run(leave(provider))
        streams.clear()
        gc.collect()
        provider.script(behaviours.ok(chunks=CHUNKS))
        assert asyncio.run(read(provider)) == "".join(CHUNKS)


def test_an_error_whose_class_cannot_be_copied_is_shared() -> None:
    """Exceptions built in odd ways reach every waiter all the same."""

    class Odd(Exception):
        def __new__(cls, *args: Any, secret: Any = None) -> Any:
            if secret is None:
                raise TypeError("no copies")
            return super().__new__(cls, *args)

        def __init__(self, *args: Any, secret: Any = None) -> None:
            super().__init__(*args)

    @Cache()
    async def ask() -> str:
        await asyncio.sleep(0.01)
        raise Odd("odd", secret=1)

    async def run() -> None:
        errors = await asyncio.gather(*(ask() for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in errors] == ["odd"] * 3

    asyncio.run(run())
