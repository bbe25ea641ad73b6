"""The items of a function take the straight way to its caller where nothing looks at them, and nobody can tell.

Each script runs three times: with nothing between, with a layer that watches every item, and with one that puts a
source of its own in front. What comes out is the same, in threads and in a loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentprod as ap
from agentprod import draining
from agentprod.budget.tokens import load
from agentprod.testing import FakeClock
from tests.callers import Script, Takes
from tests.virtual_time import LoopClock, run_virtually

HELLO: Any = [{"role": "user", "content": "hello"}]
COUNTS = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


@pytest.fixture(scope="module", autouse=True)
def counters() -> None:
    """Load what tokens are counted with: a stream that ends meanwhile would be counted otherwise than the next."""
    load()


class Chunk(pydantic.BaseModel):
    """A chunk as an SDK would yield it."""

    choices: list[dict[str, Any]]
    usage: dict[str, int] | None = None


class Undumpable:
    """An item that cannot be read."""

    def model_dump(self, **options: Any) -> Any:
        raise LookupError("not today")


def chunk(index: int = 0, finish: str | None = None, counts: Any = None, **delta: Any) -> dict[str, Any]:
    """Return one chat chunk."""
    choice = {"index": index, "delta": delta, **({"finish_reason": finish} if finish else {})}
    return {"choices": [choice], **({"usage": counts} if counts else {})}


def tool(name: str | None, arguments: str) -> dict[str, Any]:
    """Return a chunk with a piece of a tool call."""
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return chunk(tool_calls=[{"index": 0, "function": function}])


CHUNKS: list[Any] = [
    chunk(role="assistant", content=""),
    chunk(content="one "),
    chunk(content="two "),
    chunk(content="drei ", counts=COUNTS),
    chunk(content="四", role="assistant"),
    chunk(1, content="other "),
    chunk(content=["parts"]),
    chunk(reasoning_content="hm"),
    chunk(refusal="no"),
    tool("search", "{"),
    tool(None, '"q"'),
    chunk(finish="stop"),
    chunk(finish="length", content="end"),
    chunk(1, finish="stop"),
    chunk(finish="tool_calls", counts=COUNTS),
    {"choices": [], "usage": COUNTS},
    {"choices": [{"delta": {"content": "no index "}}]},
    {"choices": [{"index": 0}]},
    {"choices": [{"index": 0, "delta": None}]},
    {"choices": [chunk(content="a")["choices"][0], chunk(1, content="b")["choices"][0]]},
    {"choices": None, "usage": COUNTS},
    {"choices": ["malformed"]},
    {"error": {"message": "overloaded", "code": 503}},
    {**chunk(content="with an error"), "error": {"code": "x"}},
    {**chunk(content="counted"), "x_groq": {"usage": COUNTS}},
    {"other": 1},
    {},
    "a text ",
    "",
    7,
    None,
    Chunk(choices=[{"index": 0, "delta": {"content": "model "}}]),
    Chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=COUNTS),
    Undumpable(),
]
BREAKS: list[Any] = [ConnectionResetError("cut"), ValueError("bug"), KeyError("choices")]
PAUSES = [Takes(1), Takes(4), Takes(5), Takes(6), Takes(30)]
ODD = [*CHUNKS, *BREAKS, *PAUSES]
TEXT = [chunk(content="one "), chunk(content="two ")]  # most chunks of a real stream
END = [chunk(finish="stop"), {"choices": [], "usage": COUNTS}]
LIMITS: list[dict[str, float]] = [
    {},
    {"idle": 5},
    {"idle": 5, "deadline": 12},
    {"first_token": 3, "idle": 5},
    {"deadline": 7},
]
SCRIPTS = st.lists(st.sampled_from([TEXT, TEXT, END]) | st.sampled_from(ODD).map(lambda step: [step]), max_size=8).map(
    lambda groups: [chunk(role="assistant"), *(step for group in groups for step in group)]
)
LEAVES = st.none() | st.none() | st.integers(0, 12)


@dataclass
class Told:
    """All that a caller and the layers of a stream can tell of it."""

    read: list[Any] = field(default_factory=list)
    failure: Any = None
    ended: list[Any] = field(default_factory=list)
    log: list[Any] = field(default_factory=list)
    took: float = 0.0


class Ends:
    """A layer that hears how streams end."""

    def __init__(self, told: Told) -> None:
        self.told = told

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Listen at both kinds of end."""
        reply = await call_next(call)
        reply.on_end(self.end)
        reply.on_settle(self.settle)
        return reply

    def end(self, end: ap.End) -> None:
        """Note the end."""
        attempt = end.attempt
        assert attempt is not None
        counts = attempt.usage
        account = (attempt.outcome, attempt.fault, attempt.error_type, attempt.duration, counts)
        self.told.ended.append((end.outcome, type(end.error), end.partial, end.text, account))

    async def settle(self, end: ap.End) -> None:
        """Note where I/O is allowed."""
        self.told.ended.append(end.outcome)


class Looks(Ends):
    """Besides, it looks at every item."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Watch the items."""
        reply = await super().handle(call, call_next)
        reply.on_event(lambda event: None)
        return reply


class Between(Ends):
    """Besides, it puts a source in front of the function's."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Stand between the function and the stream."""
        reply = await super().handle(call, call_next)
        stream: Any = reply.stream
        stream.source = _Passing(stream.source)
        return reply


class _Passing:
    def __init__(self, source: Any) -> None:
        self._source = source

    async def read(self) -> Any:
        return await self._source.read()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class Straight(Ends):
    """Besides, it makes sure that nobody reads a batch once the stream is open."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Take the reading of batches away."""
        reply = await super().handle(call, call_next)
        stream: Any = reply.stream
        stream.source.read = None
        return reply


def function(steps: list[Any], script: Script, *, is_async: bool) -> Callable[..., Any]:
    """Return a chat function whose generator does these steps."""

    def made(item: Any) -> Any:
        if isinstance(item, BaseException):
            raise type(item)(*item.args)  # each run its own: the traceback of one is no other's
        return item

    def plain(model: str, messages: Any) -> Iterator[Any]:
        for step in steps:
            if isinstance(step, Takes):
                script.take(step.seconds)
            else:
                yield made(step)

    async def slowly(model: str, messages: Any) -> AsyncIterator[Any]:
        for step in steps:
            if isinstance(step, Takes):
                await script.take_slowly(step.seconds)
            else:
                yield made(step)

    return slowly if is_async else plain


def run(layer: type[Ends], steps: list[Any], leaves: int | None, limits: dict[str, float], *, is_async: bool) -> Told:
    """Read a stream as a caller who may leave after some items."""
    clock, told = FakeClock(), Told()
    layers: list[Any] = [layer(told)]
    if "deadline" in limits:
        layers.append(ap.Deadline(limits["deadline"], streams=True))
    if "idle" in limits:
        layers.append(ap.Timeout(first_token=limits.get("first_token"), idle=limits["idle"]))
    stack = ap.Stack(*layers, clock=clock)
    fn = stack.decorate(function(steps, Script(clock=clock), is_async=is_async))

    async def read() -> None:
        stream = fn("m", HELLO)
        try:
            while leaves is None or len(told.read) < leaves:
                told.read.append(await anext(stream) if is_async else next(stream))
        except (StopIteration, StopAsyncIteration):
            told.failure = "end"
        except Exception as error:
            told.failure = describe(error)
        if is_async:
            await stream.aclose()
        else:
            stream.close()

    begun = clock.monotonic()
    asyncio.run(read())
    told.took = clock.monotonic() - begun
    last = ap.last()
    if last is not None:
        told.log = [(note.layer, note.event, note.data) for note in last.notes]
    return told


def describe(error: BaseException | None) -> Any:
    """Return what can be told of an error and its causes."""
    if error is None:
        return None
    kept = {name: getattr(error, name, None) for name in ("partial", "fault", "phase", "open_tool_calls", "usage")}
    return type(error).__name__, str(error), kept, describe(error.__cause__)


def check(steps: list[Any], leaves: int | None, limits: dict[str, float], *, is_async: bool) -> None:
    """Compare the ways of one script."""
    straight = run(Straight, steps, leaves, limits, is_async=is_async)
    assert straight == run(Looks, steps, leaves, limits, is_async=is_async)
    assert straight == run(Between, steps, leaves, limits, is_async=is_async)


KINDS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@KINDS
@pytest.mark.parametrize("limits", LIMITS[:3], ids=str)
def test_both_ways_tell_the_same_of_one_odd_step(is_async: bool, limits: dict[str, float]) -> None:
    """Whatever one step in the middle is: what came of it, and of what follows it."""
    for odd in ODD:
        check([chunk(role="assistant"), *TEXT, odd, *TEXT, *END], None, limits, is_async=is_async)
        check([*TEXT, odd], None, limits, is_async=is_async)


@KINDS
@given(SCRIPTS, LEAVES, st.sampled_from(LIMITS))
def test_both_ways_tell_the_same(
    is_async: bool, steps: list[Any], leaves: int | None, limits: dict[str, float]
) -> None:
    """Items, errors with their causes and texts, ends, accounts and times are those of the way through the layers."""
    check(steps, leaves, limits, is_async=is_async)


@given(SCRIPTS, LEAVES)
def test_both_kinds_tell_the_same(steps: list[Any], leaves: int | None) -> None:
    """A generator and an async one that do the same are read the same."""
    plain = [step for step in steps if not isinstance(step, Takes)]
    told = [run(Straight, plain, leaves, {"idle": 5}, is_async=is_async) for is_async in (False, True)]
    assert told[0] == told[1]


# Who waits


def test_idle_ends_the_wait_of_the_task_that_reads() -> None:
    """A web framework may read the first item in one task and the rest in another: the second one is told, alone."""

    async def main(clock: LoopClock) -> None:
        @ap.Stack(ap.Timeout(idle=5), clock=clock)
        async def stream() -> AsyncIterator[str]:
            yield "first"
            yield "second"
            await asyncio.Event().wait()

        items = stream()
        assert await anext(items) == "first"

        async def read_on() -> list[str]:
            read: list[str] = []
            with pytest.raises(ap.StreamInterrupted) as told:
                while True:
                    read.append(await anext(items))
            assert isinstance(told.value.__cause__, ap.CallTimeout)
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
            return read

        begun = clock.monotonic()
        assert await asyncio.create_task(read_on()) == ["second"]
        assert clock.monotonic() - begun == 5

    run_virtually(main)


@pytest.mark.parametrize("outer_first", [True, False])
def test_scenario_19_an_outer_timeout_at_the_tick_of_idle_wins(outer_first: bool) -> None:
    """Both ask for the reader's cancellation in one step of the loop: it is the caller's, and the stream is left."""
    ended: list[str] = []

    class Watch:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            """Hear of the end."""
            reply = await call_next(call)
            reply.on_end(lambda end: ended.append(end.outcome))
            return reply

    async def main(clock: LoopClock) -> None:
        @ap.Stack(Watch(), ap.Timeout(idle=5), clock=clock)
        async def stream() -> AsyncIterator[str]:
            yield "first"
            if not outer_first:
                outer.reschedule(clock.monotonic() + 5)
            await asyncio.Event().wait()

        with pytest.raises(TimeoutError) as told:
            async with asyncio.timeout(60) as outer:
                items = stream()
                assert await anext(items) == "first"
                if outer_first:
                    outer.reschedule(clock.monotonic() + 5)
                await anext(items)
        assert not isinstance(told.value, ap.AgentprodError)

    run_virtually(main)
    assert ended == ["abandoned"]


def test_time_that_the_reader_takes_is_not_silence() -> None:
    """Between two items the caller may do what it likes, for longer than the source may be silent."""

    async def main(clock: LoopClock) -> None:
        @ap.Stack(ap.Timeout(idle=5), clock=clock)
        async def stream() -> AsyncIterator[int]:
            for number in range(4):
                await asyncio.sleep(4)
                yield number

        read: list[int] = []
        async for number in stream():
            await asyncio.sleep(20)
            read.append(number)
        assert read == [0, 1, 2, 3]

    run_virtually(main)


def test_a_drain_ends_a_straight_stream_between_two_items() -> None:
    """The caller's next step raises, although the function would go on."""

    async def main(clock: LoopClock) -> None:
        stack = ap.Stack(ap.Timeout(idle=5), clock=clock)

        @stack
        async def stream() -> AsyncIterator[str]:
            while True:
                yield "more"

        items = stream()
        for _ in range(3):
            assert await anext(items) == "more"
        await ap.adrain(0)
        with pytest.raises(ap.StreamInterrupted, match="ShuttingDown"):
            await anext(items)

    try:
        run_virtually(main)
    finally:
        draining.resume()
