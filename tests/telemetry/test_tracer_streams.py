"""Streams: whatever way one ends, its span ends once, says how, and carries counts."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import openai
import pytest
from opentelemetry.trace import StatusCode

import agentprod as ap
from agentprod.telemetry.later import later
from agentprod.telemetry.tracer import Tracer
from agentprod.testing import FakeClock, Provider, behaviours
from tests.telemetry.tracing import CLAUDE, HELLO, MODEL, Traces, anthropic_client, clean, openai_client, running

# 48 tokens by o200k_base; one chunk per sentence.
SENTENCES = (
    "The old lighthouse stood on a narrow cliff above the sea. ",
    "Every evening its keeper climbed the iron stairs and lit the lamp. ",
    "Ships far away saw the light and turned toward the open water. ",
    "Nobody on board ever learned the keeper's name.",
)
STORY = "".join(SENTENCES)
STORY_TOKENS = 48
FIRST_TOKENS = 13

# When the garbage collector comes to the SDK's own generator first, that one closes the stream.
COLLECTED = "abandoned or closed"

Make = Callable[..., Any]


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running(behaviours.ok(STORY, chunks=SENTENCES)) as server:
        yield server


def sync_client(provider: Provider, traces: Traces) -> openai.OpenAI:
    stack = ap.Stack(Tracer(tracer_provider=traces.provider), ap.Retry(wait=0))
    return stack.wrap(openai_client(provider))


def async_client(provider: Provider, traces: Traces) -> openai.AsyncOpenAI:
    stack = ap.Stack(Tracer(tracer_provider=traces.provider), ap.Retry(wait=0))
    return stack.wrap(openai.AsyncOpenAI(base_url=provider.openai_url, api_key="k"))


def with_text(chunk: Any) -> bool:
    return bool(chunk.choices and chunk.choices[0].delta.content)


def until_text(stream: Iterator[Any]) -> None:
    for chunk in stream:
        if with_text(chunk):
            return


# The ways a synchronous stream can end. Each takes a function that opens the stream.


def read_all(opened: Make) -> None:
    for _ in opened(stream_options={"include_usage": True}):
        pass


def read_all_without_asking_for_usage(opened: Make) -> None:
    chunks = list(opened())
    assert not [chunk for chunk in chunks if chunk.usage is not None]


def close(opened: Make) -> None:
    stream = opened()
    until_text(iter(stream))
    stream.close()


def break_in_with(opened: Make) -> None:
    with opened() as stream:
        for chunk in stream:
            if with_text(chunk):
                break


def collect(opened: Make) -> None:
    stream = opened()
    until_text(iter(stream))
    del stream
    gc.collect()


def never_iterate(opened: Make) -> None:
    opened()
    gc.collect()


def wrap_in_generator(opened: Make) -> None:
    def texts() -> Iterator[str]:
        with opened() as stream:
            for chunk in stream:
                if with_text(chunk):
                    yield chunk.choices[0].delta.content

    generator = texts()
    assert next(generator) == SENTENCES[0]
    generator.close()


def interrupt(opened: Make) -> None:
    class Stop(BaseException):
        pass

    stream = opened()
    until_text(iter(stream))
    with contextlib.suppress(Stop):
        try:
            raise Stop
        finally:
            stream.close()


SYNC: tuple[tuple[Make, str, int], ...] = (
    (read_all, "completed", 0),
    (read_all_without_asking_for_usage, "completed", 0),
    (close, "closed", FIRST_TOKENS),
    (break_in_with, "closed", FIRST_TOKENS),
    (collect, COLLECTED, FIRST_TOKENS),
    (never_iterate, "abandoned", FIRST_TOKENS),
    (wrap_in_generator, "closed", FIRST_TOKENS),
    (interrupt, "closed", FIRST_TOKENS),
)


@pytest.mark.parametrize(("way", "outcome", "estimate"), SYNC, ids=lambda value: getattr(value, "__name__", None))
def test_every_end_of_a_sync_stream(provider: Provider, traces: Traces, way: Make, outcome: str, estimate: int) -> None:
    """One operation span, one attempt, both ended, the outcome named, counts there and flagged when estimated."""
    client = sync_client(provider, traces)

    def opened(**options: Any) -> Any:
        return client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, **options)

    with clean():
        way(opened)
        check(traces, outcome, estimate)


async def aread_all(opened: Make) -> None:
    async for _ in await opened(stream_options={"include_usage": True}):
        pass


async def aread_all_without_asking_for_usage(opened: Make) -> None:
    chunks = [chunk async for chunk in await opened()]
    assert not [chunk for chunk in chunks if chunk.usage is not None]


async def auntil_text(stream: AsyncIterator[Any]) -> None:
    async for chunk in stream:
        if with_text(chunk):
            return


async def aclose(opened: Make) -> None:
    stream = await opened()
    await auntil_text(aiter(stream))
    await stream.close()


async def abreak_in_with(opened: Make) -> None:
    async with await opened() as stream:
        async for chunk in stream:
            if with_text(chunk):
                break


async def acollect(opened: Make) -> None:
    stream = await opened()
    await auntil_text(aiter(stream))
    del stream
    gc.collect()


async def anever_iterate(opened: Make) -> None:
    await opened()
    gc.collect()


async def aclose_in_another_task(opened: Make) -> None:
    stream = await opened()
    await auntil_text(aiter(stream))
    await asyncio.create_task(stream.close())


async def awrap_in_generator(opened: Make) -> None:
    async def texts() -> AsyncIterator[str]:
        async with await opened() as stream:
            async for chunk in stream:
                if with_text(chunk):
                    yield chunk.choices[0].delta.content

    generator = texts()
    assert await anext(generator) == SENTENCES[0]
    await generator.aclose()  # type: ignore[attr-defined]


ASYNC: tuple[tuple[Make, str, int], ...] = (
    (aread_all, "completed", 0),
    (aread_all_without_asking_for_usage, "completed", 0),
    (aclose, "closed", FIRST_TOKENS),
    (abreak_in_with, "closed", FIRST_TOKENS),
    (acollect, COLLECTED, FIRST_TOKENS),
    (anever_iterate, "abandoned", FIRST_TOKENS),
    (aclose_in_another_task, "closed", FIRST_TOKENS),
    (awrap_in_generator, "closed", FIRST_TOKENS),
)


@pytest.mark.parametrize(("way", "outcome", "estimate"), ASYNC, ids=lambda value: getattr(value, "__name__", None))
def test_every_end_of_an_async_stream(
    provider: Provider, traces: Traces, way: Make, outcome: str, estimate: int
) -> None:
    """As for sync streams, and nothing is detached in the wrong task."""

    async def main() -> None:
        client = async_client(provider, traces)
        await way(lambda **options: client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, **options))
        if way in (acollect, anever_iterate):
            # The SDK's stream is a chain of generators: each is collected once the loop has closed the one around it.
            for _ in range(50):
                gc.collect()
                await asyncio.sleep(0)
                if later.flush(0.1) and not traces.open:
                    break
        await client._client.aclose()

    with clean():
        asyncio.run(main())
        check(traces, outcome, estimate)


def check(traces: Traces, outcome: str, estimate: int) -> None:
    (span,) = traces.operations()
    seen = traces.operation
    assert traces.open == 0
    assert len(traces.attempts) == 1
    assert seen["agentprod.stream.outcome"] in outcome
    assert span.status.status_code is StatusCode.UNSET
    assert seen["gen_ai.request.stream"] is True
    assert 0 < seen["gen_ai.response.time_to_first_chunk"]
    if estimate:
        assert seen["agentprod.usage.estimated"] is True
        assert seen["gen_ai.usage.output_tokens"] == pytest.approx(estimate, rel=0.1, abs=1.5)
    else:
        assert "agentprod.usage.estimated" not in seen
        assert seen["gen_ai.response.finish_reasons"] == ("stop",)
        assert seen["agentprod.stream.chunks"] > len(SENTENCES)
        assert seen["agentprod.stream.output_tokens_per_s"] > 0
    assert len(traces.billed()) == len(traces.billed("output_tokens")) == 1
    assert traces.billed()[0] > 0


def test_a_stream_that_breaks_is_an_error_with_what_was_delivered(provider: Provider, traces: Traces) -> None:
    """A cut connection after content fails the operation, names the cause on the attempt, and counts what came."""
    provider.script(behaviours.cut(after=3, reply=behaviours.ok(STORY, chunks=SENTENCES)))
    stream = sync_client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    with clean(), pytest.raises(ap.StreamInterrupted):
        for _ in stream:
            pass
    (span,) = traces.operations()
    seen = traces.operation
    assert span.status.status_code is StatusCode.ERROR
    assert (seen["agentprod.stream.outcome"], seen["error.type"]) == ("error", "StreamInterrupted")
    assert seen["agentprod.usage.estimated"] is True
    assert 0 < seen["gen_ai.usage.output_tokens"] <= STORY_TOKENS
    assert traces.attempts[0]["agentprod.attempt.outcome"] == "failed"
    assert traces.attempts[0]["agentprod.attempt.fault"] == "connection"
    assert traces.open == 0


def test_a_stream_that_fails_before_content_is_tried_again(provider: Provider, traces: Traces) -> None:
    """What fails before the first content is an attempt of one operation."""
    good = behaviours.ok(STORY, chunks=SENTENCES)
    provider.script([behaviours.cut(after=0, reply=good), good])
    stream = sync_client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    with clean():
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == STORY
    assert [seen["agentprod.attempt.outcome"] for seen in traces.attempts] == ["failed", "ok"]
    assert traces.operation["agentprod.stream.outcome"] == "completed"
    assert len(traces.billed()) == 1


def test_an_async_stream_that_is_cancelled(provider: Provider, traces: Traces) -> None:
    """Cancelling the reading task ends the span at once, as cancelled and without an error."""
    provider.script(behaviours.stall(after=3, reply=behaviours.ok(STORY, chunks=SENTENCES)))

    async def main() -> None:
        client = async_client(provider, traces)
        stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        reached = asyncio.Event()

        async def read() -> None:
            async for chunk in stream:
                if with_text(chunk):
                    reached.set()

        task = asyncio.create_task(read())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client._client.aclose()

    with clean():
        asyncio.run(main())
    (span,) = traces.operations()
    seen = traces.operation
    assert (seen["agentprod.stream.outcome"], seen["agentprod.outcome"]) == ("cancelled", "cancelled")
    assert span.status.status_code is StatusCode.UNSET
    assert seen["agentprod.usage.estimated"] is True
    assert traces.open == 0


def test_a_provider_that_never_counts(provider: Provider, traces: Traces) -> None:
    """A complete stream without counts is estimated too, within a tenth."""
    provider.script(behaviours.ok(STORY, chunks=SENTENCES, usage={}))
    for _ in sync_client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO, stream=True):
        pass
    seen = traces.operation
    assert seen["agentprod.usage.estimated"] is True
    assert seen["gen_ai.usage.output_tokens"] == pytest.approx(STORY_TOKENS, rel=0.1)
    assert traces.attempts[0]["agentprod.attempt.output_tokens"] == seen["gen_ai.usage.output_tokens"]


def test_an_anthropic_stream_cut_short_counts_what_came(provider: Provider, traces: Traces) -> None:
    """Of a cut message the input is what the provider said, the output what was delivered."""
    provider.script(behaviours.ok(STORY, chunks=SENTENCES, usage=ap.Usage(input_tokens=1234, output_tokens=500)))
    stack = ap.Stack(Tracer(tracer_provider=traces.provider))
    client = stack.wrap(anthropic_client(provider))
    with clean(), client.messages.create(model=CLAUDE, max_tokens=99, messages=HELLO, stream=True) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                break
    seen = traces.operation
    assert seen["gen_ai.usage.input_tokens"] == 1234
    assert seen["gen_ai.usage.output_tokens"] == pytest.approx(FIRST_TOKENS, rel=0.4)
    assert seen["agentprod.usage.estimated"] is True


def test_stopping_at_the_finish_reason_is_complete(provider: Provider, traces: Traces) -> None:
    """A consumer that leaves once the answer is whole has a completed stream."""
    stream = sync_client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    with clean(), stream:
        for chunk in stream:
            if chunk.choices and chunk.choices[0].finish_reason:
                break
    assert traces.operation["agentprod.stream.outcome"] == "completed"
    assert traces.operation["gen_ai.response.finish_reasons"] == ("stop",)


def test_a_stream_that_comes_too_late(provider: Provider, traces: Traces) -> None:
    """A limit that ends a traced stream raises the library's own timeout, caused by the SDK's."""
    provider.script(behaviours.stall(after=3, reply=behaviours.ok(STORY, chunks=SENTENCES)))
    stack = ap.Stack(Tracer(tracer_provider=traces.provider), ap.Timeout(idle=0.05))
    stream = stack.wrap(openai_client(provider)).chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    with clean(), pytest.raises(ap.StreamInterrupted):
        for _ in stream:
            pass
    seen = traces.operation
    assert (seen["agentprod.stream.outcome"], seen["agentprod.outcome"]) == ("error", "error")
    assert traces.attempts[0]["agentprod.attempt.fault"] in ("idle", "timeout")
    assert traces.open == 0


def test_an_error_event_in_a_stream(provider: Provider, traces: Traces) -> None:
    """What the provider says in the stream is the SDK's error, and the attempt's."""
    provider.script(behaviours.sse_error(after=3, reply=behaviours.ok(STORY, chunks=SENTENCES)))
    stream = sync_client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    with clean(), pytest.raises(openai.APIError):
        for _ in stream:
            pass
    assert traces.operation["error.type"] == "StreamInterrupted"
    assert traces.attempts[0]["error.type"] == "APIError"


def test_a_stream_left_in_another_context(traces: Traces) -> None:
    """A generator that is closed in a copy of the context it was opened in leaves nothing behind."""

    @Tracer(tracer_provider=traces.provider)
    def words() -> Iterator[str]:
        yield "a"
        yield "b"

    with clean():
        items = words()
        assert contextvars.copy_context().run(next, items) == "a"
        assert contextvars.copy_context().run(list, items) == ["b"]
    assert traces.operation["agentprod.stream.outcome"] == "completed"


def test_helpers_of_the_sdk_are_streams_too(provider: Provider, traces: Traces) -> None:
    """`messages.stream` ends its span like any other stream."""
    stack = ap.Stack(Tracer(tracer_provider=traces.provider))
    client = stack.wrap(anthropic_client(provider))
    with clean(), client.messages.stream(model=CLAUDE, max_tokens=99, messages=HELLO) as stream:
        assert stream.get_final_text() == STORY
    assert traces.operation["agentprod.stream.outcome"] == "completed"
    assert len(traces.billed()) == 1


def test_the_longest_wait_is_the_provider_s_not_the_consumer_s(traces: Traces) -> None:
    """The gap is measured while the provider is read."""
    clock = FakeClock()

    @ap.Stack(Tracer(tracer_provider=traces.provider), clock=clock)
    def words() -> Iterator[str]:
        yield "a"
        clock.advance(2)
        yield "b"
        yield "c"

    for _ in words():
        clock.advance(10)
    assert traces.operation["agentprod.stream.max_gap_s"] == 2


def test_chunks_are_those_that_reached_the_consumer(provider: Provider, traces: Traces) -> None:
    """What was read ahead for a consumer that never came is not counted, nor is the marker at the end."""
    client = sync_client(provider, traces)
    asked: dict[str, Any] = {"model": MODEL, "messages": HELLO, "stream": True}
    seen = list(client.chat.completions.create(**asked, stream_options={"include_usage": True}))
    client.chat.completions.create(**asked).close()
    later.flush()
    read, left = (dict(span.attributes or {})["agentprod.stream.chunks"] for span in traces.operations())
    assert (read, left) == (len(seen), 0)
