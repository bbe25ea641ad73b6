"""Streams of functions: where they commit, how they break, and that they end exactly once in every way they can."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentprod as ap
from agentprod.testing import FakeClock
from tests.callers import STREAMS, Caller, Script, Takes
from tests.sdk_errors import openai_error, openai_event_error

HELLO: Any = [{"role": "user", "content": "hello"}]


class Watch:
    """A layer that hears how each reply ends."""

    def __init__(self) -> None:
        self.ends: list[ap.End] = []
        self.settled: list[ap.End] = []
        self.order: list[str] = []
        self.threads: list[str] = []
        self.done = threading.Event()

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Hang the hooks on the reply."""
        reply = await call_next(call)
        reply.on_end(self.end)
        reply.on_settle(self.settle)
        return reply

    def end(self, end: ap.End) -> None:
        """Hear of the end."""
        self.ends.append(end)
        self.order.append("end")

    async def settle(self, end: ap.End) -> None:
        """Hear of it where I/O is allowed."""
        self.settled.append(end)
        self.order.append("settle")
        self.threads.append(threading.current_thread().name)
        self.done.set()

    def outcomes(self) -> list[str]:
        """Return how the replies ended; each one's two hooks agree."""
        assert [end.outcome for end in self.ends] == [end.outcome for end in self.settled]
        assert self.order == ["end", "settle"] * len(self.ends)
        return [end.outcome for end in self.ends]


@pytest.fixture(params=STREAMS)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return a caller of each kind of stream."""
    return Caller(request.param)


@pytest.fixture
def watch() -> Watch:
    """Return a layer that watches."""
    return Watch()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited for 30 seconds"
        time.sleep(0.001)


async def soon(condition: Callable[[], bool]) -> None:
    """Wait for something that the loop does."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("waited for 1,000 steps of the loop")


async def step(stream: Any) -> Any:
    """Return the next item of a stream of either kind."""
    return await anext(stream) if hasattr(stream, "__anext__") else next(stream)


async def leave(stream: Any) -> None:
    """Close a stream of either kind."""
    if hasattr(stream, "aclose"):
        await stream.aclose()
    else:
        stream.close()


# Commit


def test_nothing_runs_before_the_first_item_is_asked_for(caller: Caller, watch: Watch) -> None:
    """As without a stack, calling a generator function runs nothing; the stack is entered at the first item."""
    script = Script(["a", "b"])
    fn = caller.decorate(ap.Stack(watch), script)

    async def scenario() -> None:
        stream = fn()
        assert script.calls == 0
        assert await step(stream) == "a"
        assert script.calls == 1
        await leave(stream)
        never_read = fn()
        await leave(never_read)

    asyncio.run(scenario())
    assert script.calls == 1
    assert watch.outcomes() == ["abandoned"]


def test_items_come_as_they_are_made(caller: Caller) -> None:
    """The stack reads no further ahead than the first item."""
    clock = FakeClock()
    script = Script(["a", Takes(5), "b", Takes(5), "c"], clock=clock)
    fn = caller.decorate(ap.Stack(ap.Retry(), clock=clock), script)
    seen: list[tuple[str, float]] = []

    async def scenario() -> None:
        stream = fn()
        for _ in range(3):
            began = clock.monotonic()
            item = await step(stream)
            seen.append((item, clock.monotonic() - began))

    asyncio.run(scenario())
    assert seen == [("a", 0), ("b", 5), ("c", 5)]


def test_every_item_is_content(caller: Caller) -> None:
    """Items of any kind commit a function's stream, empty ones too, and come out as the objects they were."""
    items = ["", None, 0, {"a": 1}, object(), ValueError("a value"), "x"]
    made: Any = {
        "generator": lambda: iter(items),
        "async_generator": lambda: _each(items),
    }[caller.mode]
    read: list[Any] = []

    async def scenario() -> None:
        stream = ap.Stack(ap.Retry()).decorate(made, kind=caller.mode)()  # type: ignore[arg-type]
        for _ in items:
            read.append(await step(stream))  # noqa: PERF401 - the same step for both kinds of stream

    asyncio.run(scenario())
    assert all(got is item for got, item in zip(read, items, strict=True))


async def _each(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk of a chat completion."""
    delta = {} if content is None else {"content": content}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


ROLE = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}


def chat(*tries: list[Any], layers: Any = (), **options: Any) -> tuple[Callable[[], Iterator[Any]], list[int]]:
    """Return a chat function behind Retry whose n-th call yields these chunks, raising those that are exceptions."""
    calls: list[int] = []

    def complete(model: str, messages: Any) -> Iterator[Any]:
        calls.append(1)
        for item in tries[min(len(calls), len(tries)) - 1]:
            if isinstance(item, Exception):
                raise item
            yield item

    fn = ap.Stack(ap.Retry(wait=0), *layers, **options).decorate(complete, name="chat")
    return lambda: fn("m", HELLO), calls


def test_scenario_14_a_preamble_is_held(watch: Watch) -> None:
    """A role chunk alone commits nothing: a death after it is invisible, and the good try's own preamble comes once."""
    ask, calls = chat([ROLE, ConnectionResetError()], [ROLE, chunk("a"), chunk(finish="stop")], layers=[watch])
    assert list(ask()) == [ROLE, chunk("a"), chunk(finish="stop")]
    assert len(calls) == 2
    assert watch.outcomes() == ["complete"]


@pytest.mark.parametrize(
    "content",
    [
        {"content": "x"},
        {"refusal": "no"},
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]},
    ],
    ids=lambda content: next(iter(content)),
)
def test_what_commits_a_chat_stream(content: Any) -> None:
    """Text, refusal, reasoning and tool calls are content: after them nothing is replayed."""
    first = {"choices": [{"index": 0, "delta": content}]}
    ask, calls = chat([ROLE, first, ConnectionResetError()])
    stream = ask()
    assert [next(stream), next(stream)] == [ROLE, first]
    with pytest.raises(ap.StreamInterrupted):
        next(stream)
    assert len(calls) == 1


def test_a_very_long_preamble_commits() -> None:
    """After 16 events without content the stream is committed: it may be of a kind nobody knows."""
    ask, calls = chat([*[ROLE] * 40, ConnectionResetError()])
    stream = ask()
    assert next(stream) == ROLE
    assert len(calls) == 1
    with pytest.raises(ap.StreamInterrupted):
        list(stream)


def test_a_very_slow_preamble_commits() -> None:
    """After 5 seconds without content the stream is committed at the next event."""
    clock = FakeClock()

    def complete(model: str, messages: Any) -> Iterator[Any]:
        yield ROLE
        clock.advance(6)
        yield ROLE
        calls.append(1)
        yield chunk("a")

    calls: list[int] = []
    stream = ap.Stack(clock=clock).decorate(complete)("m", HELLO)
    assert next(stream) == ROLE
    assert calls == []


def test_scenario_13_a_chat_stream_without_content() -> None:
    """A stream that ends properly without content is a success."""
    ask, calls = chat([ROLE, chunk(finish="stop")])
    assert list(ask()) == [ROLE, chunk(finish="stop")]
    assert len(calls) == 1


# Breaks


@pytest.mark.parametrize("held", [[], [ROLE]])
def test_scenario_11_an_end_without_a_marker_is_tried_again(held: list[Any]) -> None:
    """A stream that ends before content and without its finish reason is truncated, and repeated."""
    ask, calls = chat(held, [ROLE, chunk("a"), chunk(finish="stop")])
    assert len(list(ask())) == 3
    assert len(calls) == 2


def test_scenario_11_an_end_without_a_marker_after_content(watch: Watch) -> None:
    """After content it is StreamInterrupted, never a complete reply."""
    ask, _ = chat([ROLE, chunk("Hel"), chunk("lo")], layers=[watch])
    read: list[Any] = []
    with pytest.raises(ap.StreamInterrupted) as raised:
        read.extend(ask())
    error = raised.value
    assert (error.partial, error.fault, error.target, error.open_tool_calls) == ("Hello", "truncated", "function/m", ())
    assert "ended without its terminal marker after 5 characters of text: the reply is not complete" in str(error)
    assert watch.outcomes() == ["failed"]
    assert [attempt.fault for attempt in ap.history(error)] == [ap.Fault.TRUNCATED]


def test_scenario_12_half_a_tool_call() -> None:
    """A break inside a tool call's arguments names the tool, so that nobody runs half of it."""
    call = {"index": 0, "id": "t", "function": {"name": "pay", "arguments": '{"amount": 1'}}
    second = {"index": 1, "id": "u", "function": {"arguments": "{"}}
    start = {"choices": [{"index": 0, "delta": {"tool_calls": [call, second]}}]}
    for end in ([], [ConnectionResetError()]):
        ask, _ = chat([start, *end])
        with pytest.raises(ap.StreamInterrupted, match="inside the arguments of pay, unnamed") as raised:
            list(ask())
        assert raised.value.open_tool_calls == ("pay", "unnamed")


def test_several_choices_must_all_finish() -> None:
    """With several choices the stream is whole when each of those seen has finished."""
    two = {"choices": [{"index": 1, "delta": {"content": "b"}}]}
    ask, _ = chat([chunk("a"), two, chunk(finish="stop")])
    with pytest.raises(ap.StreamInterrupted):
        list(ask())
    ask, _ = chat([chunk("a"), two, chunk(finish="stop"), {"choices": [{"index": 1, "finish_reason": "stop"}]}])
    assert len(list(ask())) == 4


@pytest.mark.parametrize(
    ("error", "told", "calls"),
    [
        ({"message": "x"}, "the stream carried an error event", 3),
        ({"type": "server_error", "code": None}, "the stream carried an error event server_error", 3),
        ({"type": "invalid_request_error", "code": "bad"}, "the stream carried an error event bad invalid_", 1),
        ("text", "the stream carried an error event", 3),
    ],
)
def test_an_error_event_before_content(error: Any, told: str, calls: int) -> None:
    """An error that comes as data fails the attempt, by its own code; as an event of an SDK's stream does."""
    ask, tried = chat([ROLE, {"error": error}])
    with pytest.raises(RuntimeError, match=told) as raised:
        list(ask())
    assert len(tried) == calls
    assert raised.value.body == {"error": error}  # type: ignore[attr-defined]


def test_an_error_event_after_content(watch: Watch) -> None:
    """After content what came before the error is delivered, then the stream is interrupted."""
    ask, _ = chat([chunk("a"), chunk("b"), {"error": {"message": "x"}}, chunk("never")], layers=[watch])
    read: list[Any] = []
    with pytest.raises(ap.StreamInterrupted):
        for item in ask():
            read.append(item)  # noqa: PERF402 - kept whatever comes
    assert read == [chunk("a"), chunk("b")]
    assert watch.outcomes() == ["failed"]


def test_an_interruption_is_also_the_sdk_s_own_error(caller: Caller) -> None:
    """`except openai.APIError` still works on a stream that an SDK's error broke, and so do its attributes."""
    error = openai_event_error("rate_limit_exceeded", "tokens")
    told = caller.ask(caller.decorate(ap.Stack(), Script(["a", error])))
    assert isinstance(told.error, ap.StreamInterrupted)
    assert isinstance(told.error, openai.APIError)
    assert told.error.__cause__ is error
    assert (told.error.code, told.error.body, told.error.fault) == (error.code, error.body, "rate_limit")  # type: ignore[attr-defined]
    again = caller.ask(caller.decorate(ap.Stack(), Script(["a", error])))
    assert type(again.error) is type(told.error)
    other = caller.ask(caller.decorate(ap.Stack(), Script(["a", KeyError("x")])))
    assert type(other.error) is ap.StreamInterrupted


def test_an_interruption_inside_an_interruption(caller: Caller) -> None:
    """A stream that reads another one hands its interruption on as it is."""
    inner = ap.StreamInterrupted("inner", partial="x", fault="idle")
    told = caller.ask(caller.decorate(ap.Stack(), Script(["a", inner])))
    assert told.error is inner


def test_a_failure_keeps_its_context(caller: Caller) -> None:
    """An exception from a generator keeps the context Python gave it."""
    error = KeyError("second")
    error.__context__ = ValueError("first")
    told = caller.ask(caller.decorate(ap.Stack(), Script([error])))
    assert told.error is error
    assert isinstance(error.__context__, ValueError)
    assert not error.__suppress_context__


# Every way to end


def test_reading_to_the_end(caller: Caller, watch: Watch) -> None:
    """A stream read to its end is complete, once, with its whole text."""
    told = caller.ask(caller.decorate(ap.Stack(watch), Script(["a", "b"])))
    assert told.value == "ab"
    assert watch.outcomes() == ["complete"]
    (end,) = watch.ends
    assert (end.text, end.partial, end.error, end.usage) == ("ab", False, None, None)
    assert end.attempt is not None
    assert end.attempt.outcome == "ok"


def test_a_stream_that_breaks(caller: Caller, watch: Watch) -> None:
    """A break is a failure, once, with what came before."""
    told = caller.ask(caller.decorate(ap.Stack(watch), Script(["a", openai_error(500)])))
    assert watch.outcomes() == ["failed"]
    (end,) = watch.ends
    assert (end.text, end.partial, end.error) == ("a", True, told.error)
    assert end.attempt is not None
    assert (end.attempt.outcome, end.attempt.fault, end.attempt.error_type) == (
        "failed",
        ap.Fault.SERVER,
        "InternalServerError",
    )


def test_a_stream_that_never_began(caller: Caller, watch: Watch) -> None:
    """A stream that fails before its first item never was a reply: no hook runs."""
    caller.ask(caller.decorate(ap.Stack(watch), Script([openai_error(500)])))
    assert watch.outcomes() == []


WAYS = ("close", "close twice", "throw", "break")


@pytest.mark.parametrize("way", WAYS)
def test_scenario_17_leaving_early(caller: Caller, watch: Watch, way: str) -> None:
    """Whoever leaves early ends the stream as abandoned, once; the function's generator is closed by then."""
    closed: list[str] = []
    fn: Any

    def stream() -> Iterator[str]:
        try:
            yield from "abc"
        finally:
            closed.append("closed")

    async def async_stream() -> AsyncIterator[str]:
        try:
            for letter in "abc":
                yield letter
        finally:
            closed.append("closed")

    fn = ap.Stack(watch).decorate(stream if caller.mode == "generator" else async_stream)

    async def scenario() -> None:
        items = fn()
        assert await step(items) == "a"
        if way == "throw":
            with pytest.raises(KeyError):
                await items.athrow(KeyError("x")) if caller.is_async else items.throw(KeyError("x"))
        elif way == "break":
            if caller.is_async:
                async for _ in items:
                    break
                await items.aclose()
            else:
                for _ in items:
                    break
        else:
            for _ in way.split():
                await leave(items)
        if way != "break" or caller.is_async:
            assert closed == ["closed"]
        del items
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(scenario())
    until(lambda: bool(watch.settled))
    assert closed == ["closed"]
    assert watch.outcomes() == ["abandoned"]
    assert watch.ends[0].text in ("a", "ab")


def test_leaving_a_chat_stream_early(watch: Watch) -> None:
    """The iterator of a chat function may be closed, used in `with`, and asked for what its own iterator has."""

    class Chunks:
        status = "attribute"
        closed = False

        def __init__(self) -> None:
            self.items = iter([chunk("a"), chunk("b"), chunk(finish="stop")])

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            return next(self.items)

        def close(self) -> None:
            self.closed = True

    made: list[Chunks] = []

    def complete(model: str, messages: Any, stream: bool = False) -> Chunks:
        made.append(Chunks())
        return made[-1]

    fn: Any = ap.Stack(watch).decorate(complete)
    with fn("m", HELLO, stream=True) as items:
        assert items.status == "attribute"
        assert next(items) == chunk("a")
        with pytest.raises(AttributeError, match="nothing"):
            items.nothing  # noqa: B018 - looked up for its error
    assert made[0].closed
    assert watch.outcomes() == ["abandoned"]
    assert list(items) == []


def test_leaving_an_async_chat_stream_early(watch: Watch) -> None:
    """The same for async iterators."""

    class Chunks:
        status = "attribute"
        closed = False

        def __init__(self) -> None:
            self.items = iter([chunk("a"), chunk("b"), chunk(finish="stop")])

        def __aiter__(self) -> AsyncIterator[Any]:
            return self

        async def __anext__(self) -> Any:
            return next(self.items)

        async def aclose(self) -> None:
            self.closed = True

    made: list[Chunks] = []

    async def complete(model: str, messages: Any, stream: bool = False) -> Chunks:
        made.append(Chunks())
        return made[-1]

    async def scenario() -> None:
        fn: Any = ap.Stack(watch).decorate(complete)
        async with await fn("m", HELLO, stream=True) as items:
            assert items.status == "attribute"
            assert await anext(items) == chunk("a")
        assert made[0].closed
        assert [item async for item in items] == []

    asyncio.run(scenario())
    assert watch.outcomes() == ["abandoned"]


def test_leaving_after_the_terminal_marker_is_complete(watch: Watch) -> None:
    """A reader that stops at the finish reason has a complete reply; only what lies behind it was not read."""
    ask, _ = chat([chunk("a"), chunk(finish="stop"), {"choices": [], "usage": {"prompt_tokens": 1}}], layers=[watch])
    stream = ask()
    assert [next(stream), next(stream)] == [chunk("a"), chunk(finish="stop")]
    stream.close()  # type: ignore[attr-defined]
    assert watch.outcomes() == ["complete"]
    assert watch.ends[0].partial


def test_scenario_18_a_reader_that_is_cancelled(watch: Watch) -> None:
    """A task cancelled while it waits for an item ends the stream as abandoned, at once and once."""

    async def stream() -> AsyncIterator[str]:
        yield "a"
        await asyncio.Event().wait()

    async def read(reached: asyncio.Event) -> None:
        async for _ in ap.Stack(watch).decorate(stream)():
            reached.set()

    async def scenario() -> None:
        reached = asyncio.Event()
        task = asyncio.create_task(read(reached))
        await reached.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert watch.outcomes() == ["abandoned"]

    asyncio.run(scenario())


def test_a_layer_discards_a_stream(caller: Caller, watch: Watch) -> None:
    """A reply that a layer discards ends as discarded, before the next attempt begins."""
    outcomes_then: list[list[str]] = []

    async def again(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        await reply.discard()
        await reply.discard()
        outcomes_then.append(watch.outcomes())
        return await call_next(call)

    told = caller.ask(caller.decorate(ap.Stack(again, watch), Script(["a"], ["b"])))
    assert told.value == "b"
    assert outcomes_then == [["discarded"]]
    assert watch.outcomes() == ["discarded", "complete"]


def test_a_layer_that_raises_and_forgets_its_stream(caller: Caller, watch: Watch) -> None:
    """A stream that a layer let go of when it raised is ended as discarded."""

    async def forgets(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        await call_next(call)
        raise KeyError("bug")

    told = caller.ask(caller.decorate(ap.Stack(forgets, watch), Script(["a"])))
    assert isinstance(told.error, KeyError)
    assert watch.outcomes() == ["discarded"]


def test_a_layer_that_forgets_its_stream(caller: Caller, watch: Watch) -> None:
    """A stream that a layer replaced without discarding it is ended as discarded before the caller has the other."""
    ended: list[list[str]] = []

    async def answers(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        await call_next(call)
        reply = call.reply("instead")
        reply.on_event(lambda event: ended.append(watch.outcomes()))
        return reply

    told = caller.ask(caller.decorate(ap.Stack(answers, watch), Script(["a", "b"])))
    assert told.value == "instead"
    assert ended == [["discarded"]]


# Streams that nobody holds


def pieces() -> Iterator[str]:
    """Yield three letters."""
    yield from "abc"


def test_scenario_17_a_dropped_stream_settles_on_a_thread(watch: Watch) -> None:
    """A stream that is dropped unread runs its hooks on the settling thread, exactly once, and closes its generator."""
    closed = threading.Event()

    class Chunks:
        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            return chunk("a")

        def close(self) -> None:
            closed.set()

    def complete(model: str, messages: Any, stream: bool = False) -> Any:
        return Chunks()

    stream: Any = ap.Stack(watch).decorate(complete)("m", HELLO, stream=True)
    next(stream)
    del stream
    assert watch.done.wait(5)
    assert closed.is_set()
    assert watch.outcomes() == ["abandoned"]
    assert watch.threads == ["agentprod-settle"]
    gc.collect()
    assert len(watch.ends) == 1


def test_a_dropped_stream_in_a_cycle_does_not_wait_for_locks(watch: Watch) -> None:
    """The collector may find a stream while a lock is held: the hooks wait for it, not the thread that holds it."""
    lock = threading.Lock()

    def locking(end: ap.End) -> None:
        with lock:
            watch.order.append("locked")

    async def hang(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        reply.on_end(locking)
        return reply

    def complete(model: str, messages: Any, stream: bool = False) -> Any:
        return itertools.repeat(chunk("a"))

    stream: Any = ap.Stack(watch, hang).decorate(complete)("m", HELLO, stream=True)
    next(stream)
    circle: list[Any] = [stream]
    circle.append(circle)
    with lock:
        del stream, circle
        gc.collect()
    assert watch.done.wait(5)
    assert watch.order == ["locked", "end", "settle"]


def test_a_generator_that_fails_while_it_is_dropped(watch: Watch) -> None:
    """A close that raises does not keep the hooks from running."""

    class Chunks:
        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            return chunk("a")

        def close(self) -> None:
            raise OSError("no")

    def complete(model: str, messages: Any, stream: bool = False) -> Any:
        return Chunks()

    stream: Any = ap.Stack(watch).decorate(complete)("m", HELLO, stream=True)
    next(stream)
    del stream
    assert watch.done.wait(5)
    assert watch.outcomes() == ["abandoned"]


async def endless(model: str, messages: Any, stream: bool = False) -> Any:
    """Return an async stream without an end."""

    async def items() -> AsyncIterator[Any]:
        while True:
            yield chunk("a")

    return items()


def test_a_dropped_async_stream_settles_in_its_loop(watch: Watch) -> None:
    """A dropped async stream ends in a later step of the loop it belongs to."""

    async def scenario() -> None:
        stream: Any = await ap.Stack(watch).decorate(endless)("m", HELLO, stream=True)
        await anext(stream)
        del stream
        await soon(lambda: bool(watch.settled))
        assert watch.threads == [threading.current_thread().name]

    asyncio.run(scenario())
    assert watch.outcomes() == ["abandoned"]


def test_an_async_stream_dropped_by_another_thread(watch: Watch) -> None:
    """The loop ends it, whichever thread dropped it."""

    async def scenario() -> None:
        box: list[Any] = [await ap.Stack(watch).decorate(endless)("m", HELLO, stream=True)]
        await anext(box[0])
        await asyncio.to_thread(box.clear)
        await soon(lambda: bool(watch.settled))

    asyncio.run(scenario())
    assert watch.outcomes() == ["abandoned"]


def test_an_async_stream_dropped_after_its_loop(watch: Watch) -> None:
    """When the loop is closed already the settling thread brings a loop of its own."""

    class Chunks:
        def __aiter__(self) -> AsyncIterator[Any]:
            return self

        async def __anext__(self) -> Any:
            return chunk("a")

    async def complete(model: str, messages: Any, stream: bool = False) -> Any:
        return Chunks()

    async def scenario() -> Any:
        stream: Any = await ap.Stack(watch).decorate(complete)("m", HELLO, stream=True)
        await anext(stream)
        return stream

    stream = asyncio.run(scenario())
    del stream
    assert watch.done.wait(5)
    assert watch.outcomes() == ["abandoned"]
    assert watch.threads == ["agentprod-settle"]


def test_a_coroutine_closed_while_its_stream_opens(watch: Watch) -> None:
    """A task that dies with its loop while a stream opens leaves nothing open behind."""
    closed: list[str] = []

    class Chunks:
        def __aiter__(self) -> AsyncIterator[Any]:
            return self

        async def __anext__(self) -> Any:
            await asyncio.Future()

        async def aclose(self) -> None:
            closed.append("closed")

    async def complete(model: str, messages: Any, stream: bool = False) -> Any:
        return Chunks()

    async def scenario() -> None:
        fn: Any = ap.Stack(watch).decorate(complete)
        opening = fn("m", HELLO, stream=True)
        opening.send(None)
        opening.close()
        await soon(lambda: bool(closed))

    asyncio.run(scenario())
    assert watch.outcomes() == []


def test_a_coroutine_closed_while_it_reads(watch: Watch) -> None:
    """The same while an item is waited for: the stream ends as abandoned."""

    class Chunks:
        first = True

        def __aiter__(self) -> AsyncIterator[Any]:
            return self

        async def __anext__(self) -> Any:
            if self.first:
                self.first = False
                return chunk("a")
            return await asyncio.Future()

    async def complete(model: str, messages: Any, stream: bool = False) -> Any:
        return Chunks()

    async def scenario() -> None:
        fn: Any = ap.Stack(watch).decorate(complete)
        items = await fn("m", HELLO, stream=True)
        await anext(items)
        reading = items.__anext__()
        reading.send(None)
        reading.close()
        await soon(lambda: bool(watch.settled))

    asyncio.run(scenario())
    assert watch.outcomes() == ["abandoned"]


# Hooks


def test_hooks_run_from_the_inside_out(caller: Caller) -> None:
    """Inner layers' hooks come first; a layer's text is what passed it."""
    heard: list[tuple[str, str]] = []

    def layer(name: str) -> Any:
        async def handle(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            reply = await call_next(call)
            reply.edit(lambda part: Suffix(name))
            reply.on_end(lambda end: heard.append((name, end.text)))
            return reply

        return handle

    fn = caller.decorate(ap.Stack(layer("2"), layer("1")), Script(["a", "b"]))
    assert caller.ask(fn).value == "a12b12"
    assert heard == [("1", "a1b1"), ("2", "a12b12")]


class Suffix:
    """An editor that writes something after each piece."""

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix

    def feed(self, text: str) -> str:
        """Write it."""
        return text + self.suffix

    def flush(self) -> str:
        """Hold nothing back."""
        return ""


@pytest.mark.parametrize("settles", [True, False])
def test_a_hook_that_fails(caller: Caller, watch: Watch, settles: bool, caplog: pytest.LogCaptureFixture) -> None:
    """What a hook raises is logged; the other hooks and the reader do not feel it."""

    async def broken(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)

        def fail(end: ap.End) -> None:
            raise RuntimeError("broken hook")

        async def settle(end: ap.End) -> None:
            fail(end)

        if settles:
            reply.on_settle(settle)
        else:
            reply.on_end(fail)
        return reply

    with caplog.at_level(logging.ERROR, "agentprod"):
        assert caller.ask(caller.decorate(ap.Stack(watch, broken), Script(["a"]))).value == "a"
    assert "a hook at the end of a reply failed" in caplog.text
    assert watch.outcomes() == ["complete"]


@pytest.mark.parametrize("streams", [True, False])
def test_a_hook_that_is_cancelled(watch: Watch, streams: bool) -> None:
    """A caller cancelled while a hook settles is cancelled, and the other hooks run all the same."""
    reached = asyncio.Event()

    async def slow(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)

        async def settle(end: ap.End) -> None:
            reached.set()
            await asyncio.Event().wait()

        reply.on_settle(settle)
        return reply

    mode = "async_generator" if streams else "async"
    fn = Caller(mode).decorate(ap.Stack(watch, slow), Script("a"))

    async def read() -> None:
        if streams:
            async for _ in fn():
                pass
        else:
            await fn()

    async def scenario() -> None:
        task = asyncio.create_task(read())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(scenario())
    assert watch.outcomes() == ["complete"]


def test_settling_is_over_before_the_reader_goes_on(caller: Caller) -> None:
    """What settles does its I/O before the stream says that it is over."""
    order: list[str] = []

    async def slow(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)

        async def settle(end: ap.End) -> None:
            await call.runtime.sleep(5)
            order.append("settled")

        reply.on_settle(settle)
        return reply

    fn = caller.decorate(ap.Stack(slow, clock=FakeClock()), Script(["a"]))
    assert caller.ask(fn).value == "a"
    order.append("read")
    assert order == ["settled", "read"]


def test_events_can_be_watched(caller: Caller) -> None:
    """`on_event` shows each item as it passes a layer; a whole reply has none."""
    seen: list[Any] = []

    async def watch(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        reply.on_event(seen.append)
        return reply

    assert caller.ask(caller.decorate(ap.Stack(watch), Script(["a", "b"]))).value == "ab"
    assert seen == ["a", "b"]
    assert ap.Stack(watch).decorate(lambda: "whole")() == "whole"
    assert seen == ["a", "b"]


# Layers that break a stream


@pytest.mark.parametrize("moment", ["feed", "flush", "event"])
def test_a_layer_that_breaks_a_stream(caller: Caller, watch: Watch, moment: str) -> None:
    """A guard that refuses what it reads ends the stream: its own error reaches the reader, as it is."""
    refusal = ap.Blocked("no", layer="Guard")

    class Guard:
        def feed(self, text: str) -> str:
            if moment == "feed" and text == "b":
                raise refusal
            return text

        def flush(self) -> str:
            if moment == "flush":
                raise refusal
            return ""

    async def guard(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)

        def look(event: Any) -> None:
            if event == "b":
                raise refusal

        if moment == "event":
            reply.on_event(look)
        else:
            reply.edit(lambda part: Guard())
        return reply

    told = caller.ask(caller.decorate(ap.Stack(guard, watch), Script(["a", "b"])))
    assert told.error is refusal
    assert told.read == (["a", "b"] if moment == "flush" else ["a"])
    assert watch.outcomes() == ["failed"]
    assert ap.history(refusal)[0].fault is ap.Fault.REJECTED


# Replies that a layer makes


def test_a_layer_s_own_stream(caller: Caller) -> None:
    """`call.reply` answers a stream with one: of an item, or of several."""
    for value, expected in (("whole", ["whole"]), (["a", "b"], ["a", "b"])):

        async def answer(call: ap.Call, call_next: ap.CallNext, value: Any = value) -> ap.Reply:
            reply = call.reply(value)
            assert reply.streaming
            return reply

        told = caller.ask(caller.decorate(ap.Stack(answer), Script("never")))
        assert told.read == expected
        assert told.meta is not None
        assert told.meta.attempts == []


def test_recorded_events_are_replayed() -> None:
    """A stored chat completion is replayed as chunks; stored chunks as they were."""
    stored = [ROLE, chunk("a"), chunk(finish="stop")]

    async def replay(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return ap.Reply.local(call, None, stored)

    def complete(model: str, messages: Any) -> Iterator[Any]:
        yield from ()

    assert list(ap.Stack(replay).decorate(complete)("m", HELLO)) == stored


@pytest.mark.parametrize("layers", [[], [ap.Retry(wait=0)]])
def test_a_recording_with_an_error_is_broken(layers: Any) -> None:
    """A stored error event is no reply."""

    async def replay(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return ap.Reply.local(call, None, [chunk("a"), {"error": {"message": "x"}}])

    def complete(model: str, messages: Any) -> Iterator[Any]:
        yield from ()

    with pytest.raises(ap.StreamInterrupted) as raised:
        list(ap.Stack(*layers, replay).decorate(complete)("m", HELLO))
    assert "the stream carried an error event" in str(raised.value.__cause__)


def test_a_recording_dropped_by_nobody_s_fault(watch: Watch) -> None:
    """A replay that is closed or dropped ends as any stream does."""

    async def replay(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return ap.Reply.local(call, None, [chunk("a"), chunk("b"), chunk(finish="stop")])

    def complete(model: str, messages: Any, stream: bool = False) -> Any:
        raise AssertionError("not called")

    fn: Any = ap.Stack(watch, replay).decorate(complete)
    stream = fn("m", HELLO, stream=True)
    next(stream)
    with pytest.raises(AttributeError):
        stream.response  # noqa: B018 - nothing is behind it
    del stream
    assert watch.done.wait(5)
    assert watch.outcomes() == ["abandoned"]


# Buffering


def test_a_buffered_stream_is_whole_or_nothing(caller: Caller, watch: Watch) -> None:
    """With `buffer=True` nothing is delivered until all has come, so a break anywhere is retried invisibly."""
    script = Script(["a", "b", openai_error(500)], ["c", "d"])
    told = caller.ask(caller.decorate(ap.Stack(ap.Retry(wait=0), watch, buffer=True), script))
    assert (told.read, script.calls) == (["c", "d"], 2)
    assert watch.outcomes() == ["complete"]


def test_a_buffered_stream_that_fails(caller: Caller) -> None:
    """The last failure is the provider's own error: nothing was delivered that could be interrupted."""
    error = openai_error(500)
    told = caller.ask(caller.decorate(ap.Stack(ap.Retry(wait=0), buffer=True), Script(["a", error])))
    assert told.error is error
    assert told.read == []
    assert len(ap.history(error)) == 3


def test_a_buffered_stream_that_is_cut() -> None:
    """A buffered stream without its end is retried, too."""
    ask, calls = chat([chunk("a")], [chunk("b"), chunk(finish="stop")], buffer=True)
    assert list(ask()) == [chunk("b"), chunk(finish="stop")]
    assert len(calls) == 2
    ask, calls = chat([chunk("a"), {"error": {"message": "x"}}], buffer=True)
    with pytest.raises(RuntimeError, match="error event"):
        list(ask())


# Any stream


@given(
    st.lists(st.text(max_size=4), max_size=8),
    st.none() | st.integers(0, 8),
    st.sampled_from(["read", "close"]),
    st.integers(0, 8),
)
def test_any_stream_ends_once_and_loses_nothing(
    items: list[str], breaks_at: int | None, way: str, leaves_at: int
) -> None:
    """Whatever breaks or leaves where: what was made is read in order, once, and the hooks run exactly once."""
    watch = Watch()
    steps: list[Any] = items if breaks_at is None else [*items[:breaks_at], ConnectionResetError()]
    told = Caller("generator")
    fn = told.decorate(ap.Stack(watch), Script(steps))
    stream, read, failed = fn(), [], None
    try:
        for position in itertools.count():
            if way == "close" and position == leaves_at:
                stream.close()
            read.append(next(stream))
    except StopIteration:
        pass
    except (ap.StreamInterrupted, ConnectionResetError) as error:
        failed = error
    good = [item for item in steps if isinstance(item, str)]
    assert read == good[: len(read)]
    if way == "close" and leaves_at <= len(good):
        assert len(read) == leaves_at
    began = bool(good) or breaks_at is None
    if isinstance(failed, ap.StreamInterrupted):
        assert watch.outcomes() == ["failed"]
        assert failed.partial == "".join(good)
    elif failed is None and began and not (way == "close" and leaves_at == 0):
        assert len(watch.outcomes()) == 1
