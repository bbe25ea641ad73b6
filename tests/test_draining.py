"""Draining: no new calls, those under way finish, what waits is sent home, what does not end is stopped."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import openai
import pytest

import agentprod as ap
from agentprod import draining
from agentprod.runtime.drive import drive
from agentprod.runtime.waiter import SyncWaiter
from agentprod.stream import open_streams
from agentprod.testing import FakeClock, Provider, behaviours
from tests.callers import MODES, Caller, Script
from tests.sdk_errors import openai_error

WAIT = 10
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(autouse=True)
def taking_calls() -> Iterator[None]:
    """Let the process take calls again after each test, and leave none under way."""
    assert not draining.under_way()
    yield
    draining.resume()
    assert not draining.under_way()
    assert not draining._sleepers
    assert not draining._watchers


class Bench:
    """Five streams that hold all slots, five calls in line behind them, five that wait for a retry."""

    def __init__(self) -> None:
        self.bulkhead = ap.Bulkhead(5, queue=5)
        self.error = openai_error(500)
        retry = ap.Retry(wait=1000)

        @ap.Stack(self.bulkhead)
        async def stream(go: asyncio.Event) -> AsyncIterator[str]:
            yield "first"
            await go.wait()
            yield "last"

        @ap.Stack(self.bulkhead)
        async def queued() -> str:
            return "never"

        @ap.Stack(retry)
        async def failing() -> str:
            raise self.error

        self.stream, self.queued, self.failing = stream, queued, failing
        self.heard: list[str] = []

    async def read(self, go: asyncio.Event) -> list[str]:
        """Read a stream to its end."""
        items = []
        async with aclosing(self.stream(go)) as stream:  # type: ignore[type-var]
            async for item in stream:
                self.heard.append(item)
                items.append(item)
        return items

    async def start(self, go: asyncio.Event) -> tuple[list[Any], list[Any], list[Any]]:
        """Begin all calls, and come back when each is where it should be."""
        streams = [asyncio.create_task(self.read(go)) for _ in range(5)]
        while len(self.heard) < 5:
            await asyncio.sleep(0)
        queued = [asyncio.create_task(self.queued()) for _ in range(5)]
        backoffs = [asyncio.create_task(self.failing()) for _ in range(5)]
        while self.bulkhead.waiting < 5 or len(draining._sleepers) < 10:
            await asyncio.sleep(0)
        return streams, queued, backoffs


def test_scenario_49_streams_finish_and_waiting_calls_are_sent_home() -> None:
    """Calls in line raise ShuttingDown, calls in backoff their own error, new ones are refused; streams run on."""

    async def run() -> None:
        bench, go = Bench(), asyncio.Event()
        streams, queued, backoffs = await bench.start(go)
        drain = asyncio.create_task(ap.adrain(WAIT))
        told = await asyncio.gather(*queued, *backoffs, return_exceptions=True)
        assert {type(error) for error in told[:5]} == {ap.ShuttingDown}
        assert all(error is bench.error for error in told[5:])
        notes = ap.meta(told[5]).notes
        assert [note.data["reason"] for note in notes if note.event == "stop"] == ["draining"]
        with pytest.raises(ap.ShuttingDown, match="takes no more calls") as refused:
            await bench.queued()
        assert refused.value.status_code == 503
        assert not drain.done()
        go.set()
        assert await asyncio.gather(*streams) == [["first", "last"]] * 5
        assert await drain == (15, 0, 0)
        assert bench.bulkhead.in_flight == 0

    asyncio.run(run())


def test_scenario_49_after_the_timeout_tasks_are_cancelled() -> None:
    """What has not ended by then is cancelled, each on its own loop, and leaves nothing behind."""

    async def run() -> None:
        before = set(open_streams())
        bench, go = Bench(), asyncio.Event()
        streams, queued, backoffs = await bench.start(go)

        @ap.Stack(bench.bulkhead, check="off")
        async def hangs() -> None:
            await go.wait()

        draining.resume()
        drained = await ap.adrain(0.1)
        assert drained.running == 0
        assert drained.cancelled >= 5  # more where the machine is too slow to send the others home in time
        assert sum(drained) == 15
        told = await asyncio.gather(*streams, *queued, *backoffs, return_exceptions=True)
        assert {type(error) for error in told[:5]} == {asyncio.CancelledError}
        assert bench.bulkhead.in_flight == 0
        assert not set(open_streams()) - before
        draining.resume()
        hanging = asyncio.create_task(hangs())
        await asyncio.sleep(0)
        assert await ap.adrain(0) == (0, 1, 0)
        with pytest.raises(asyncio.CancelledError):
            await hanging

    asyncio.run(run())


def test_a_stream_that_nobody_reads_at_the_moment_is_broken_off() -> None:
    """Its connection is closed, and its reader hears of it at the next read."""

    async def run(provider: Provider) -> None:
        before = set(open_streams())
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url) as bare:
            stream = await ap.Stack(ap.Bulkhead(1)).wrap(bare).chat.completions.create(**CHAT, stream=True)
            await anext(aiter(stream))
            assert await ap.adrain(0) == (0, 1, 0)
            with pytest.raises(ap.StreamInterrupted, match="ShuttingDown") as raised:
                [chunk async for chunk in stream]
            assert isinstance(raised.value.__cause__, ap.ShuttingDown)
            assert raised.value.fault == "rejected"
            assert not set(open_streams()) - before

    with Provider(behaviours.stall(reply=behaviours.ok(chunks=["a ", "b ", "c "]))) as provider:
        asyncio.run(run(provider))


def test_a_reader_blocked_in_a_stream_is_freed() -> None:
    """Over a real socket that has gone silent, the task that reads is cancelled at the timeout."""

    async def read(provider: Provider, begun: asyncio.Event) -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url) as bare:
            async for _ in await ap.Stack(ap.Bulkhead(1)).wrap(bare).chat.completions.create(**CHAT, stream=True):
                begun.set()

    async def run(provider: Provider) -> None:
        begun = asyncio.Event()
        reading = asyncio.create_task(read(provider, begun))
        await begun.wait()
        await asyncio.sleep(0)
        assert await ap.adrain(0) == (0, 1, 0)
        with pytest.raises(asyncio.CancelledError):
            await reading

    with Provider(behaviours.stall(reply=behaviours.ok(chunks=["a ", "b ", "c "]))) as provider:
        asyncio.run(asyncio.wait_for(run(provider), WAIT))


def test_scenario_49_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for threads: a stream may finish, what waits is sent home, what runs on is reported as running."""
    monkeypatch.setattr(draining, "GRACE", 0.1)
    bulkhead, error = ap.Bulkhead(1, queue=1), openai_error(500)
    go, inside = threading.Event(), threading.Event()

    @ap.Stack(bulkhead)
    def stream() -> Iterator[str]:
        yield "first"
        assert go.wait(WAIT)
        yield "last"

    def read() -> list[str]:
        items = []
        for item in stream():
            items.append(item)
            inside.set()
        return items

    @ap.Stack(ap.Retry(wait=1000))
    def failing() -> str:
        raise error

    @ap.Stack(bulkhead)
    def queued() -> str:
        return "never"

    with ThreadPoolExecutor(3) as pool:
        reading = pool.submit(read)
        assert inside.wait(WAIT)
        waiting, backoff = pool.submit(queued), pool.submit(failing)
        pause = threading.Event()
        while len(draining._sleepers) < 2:
            pause.wait(0.001)
        drained = ap.drain(0)
        assert drained.cancelled == 0
        assert drained.running >= 1  # more where the machine is too slow to send the others home in time
        assert sum(drained) == 3
        assert isinstance(waiting.exception(WAIT), ap.ShuttingDown)
        assert backoff.exception(WAIT) is error
        with pytest.raises(ap.ShuttingDown):
            queued()
        go.set()
        assert ap.drain(WAIT).running == 0
        assert reading.result(WAIT) == ["first", "last"]
    assert bulkhead.in_flight == 0


@pytest.mark.parametrize("mode", MODES)
def test_no_call_is_tried_again(mode: str) -> None:
    """A call that fails while the process drains is not retried, and one that waits for room is not let in."""
    clock, caller = FakeClock(), Caller(mode)
    script = Script(openai_error(500), "fine", clock=clock)

    def begin() -> None:
        draining.begun = True

    limit = ap.RateLimit(requests=1, by="global")
    fn = caller.decorate(ap.Stack(ap.Retry(attempts=5), clock=clock), script, name="f")
    limited = caller.decorate(ap.Stack(limit, clock=clock), Script("fine"), name="g")
    assert caller.ask(limited).error is None
    clock.call_at(clock.monotonic() + 1, begin)
    assert isinstance(caller.ask(limited).error, ap.ShuttingDown)
    draining.resume()

    async def slow(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        begin()
        return await call_next(call)

    fn = caller.decorate(ap.Stack(ap.Retry(attempts=5), slow, clock=clock), script, name="f")
    told = caller.ask(fn)
    assert script.calls == 1
    assert told.error is script.steps[0]
    draining.resume()
    asks_again = ap.Retry(on_result=lambda reply: bool(begin()) or True)
    told = caller.ask(caller.decorate(ap.Stack(asks_again, clock=clock), Script("fine"), name="f"))
    assert isinstance(told.error, ap.ShuttingDown)


def test_nothing_under_way_is_drained_at_once() -> None:
    """Without calls there is nothing to wait for; and nothing changes when it is asked for twice."""
    assert ap.drain() == (0, 0, 0)
    assert ap.drain(timedelta(hours=1)) == (0, 0, 0)
    assert ap.drain(float("inf")) == (0, 0, 0)


def test_drain_does_not_block_a_loop() -> None:
    """On an event loop the blocking form is an error that names the other one."""

    async def run() -> None:
        ap.drain()

    with pytest.raises(ap.ConfigError, match="would block this event loop"):
        asyncio.run(run())
    with pytest.raises(ap.ConfigError, match="at least 0 seconds"):
        ap.drain(-1)
    assert not draining.begun


def test_a_loop_that_ended_takes_its_calls_along() -> None:
    """A call whose loop was closed under it is no reason to wait for it, nor to keep it in memory."""

    @ap.Retry()
    async def hangs() -> None:
        await asyncio.Event().wait()

    def leave() -> Any:
        loop = asyncio.new_event_loop()
        task = loop.create_task(hangs())
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        return task

    task = leave()
    assert draining.under_way() == 1
    assert ap.drain(0).running == 0
    draining.resume()
    del task
    leave()
    gc.collect()
    assert not draining.under_way()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_takes_calls() -> None:
    """A child begins anew, whatever its parent was about."""
    ap.drain(0)
    child = os.fork()
    if child == 0:
        fn = ap.Stack(ap.Bulkhead(1)).decorate(lambda: "fine", name="f")
        os._exit(0 if fn() == "fine" and not draining.begun else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_who_begins_to_wait_too_late_is_woken_at_once() -> None:
    """A wait that begins while the drain does, after it woke all others, does not begin at all."""
    draining.begun = True
    waiter = SyncWaiter()
    with draining.sleeping(waiter):
        assert drive(waiter.wait(0))
