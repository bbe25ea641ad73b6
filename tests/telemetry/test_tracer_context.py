"""Whose child a span is: in threads, tasks, between chunks and inside what is called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from opentelemetry.trace import Span, get_current_span

import agentprod as ap
from agentprod.telemetry.tracer import Tracer
from tests.telemetry.tracing import HELLO, MODEL, Traces, clean, openai_client, parent_id, running, span_id


@pytest.fixture
def traces() -> Traces:
    return Traces()


def current() -> Any:
    return get_current_span()


def ids(span: Span) -> int:
    return span.get_span_context().span_id


def test_the_attempt_is_current_while_the_function_runs(traces: Traces) -> None:
    """A span opened inside the function hangs under the attempt, one opened after the call does not."""
    tracer = traces.provider.get_tracer("user")

    @Tracer(tracer_provider=traces.provider)
    def ask() -> str:
        with tracer.start_as_current_span("inside"):
            return "x"

    with clean(), tracer.start_as_current_span("around"):
        ask()
        with tracer.start_as_current_span("after"):
            pass
    found = {span.name: span for span in traces.spans()}
    assert parent_id(found["inside"]) == span_id(found["agentprod.attempt"])
    assert parent_id(found["after"]) == span_id(found["around"])
    assert parent_id(_named(traces, "chat ")) == span_id(found["around"])


def _named(traces: Traces, start: str) -> Any:
    (span,) = [span for span in traces.spans() if span.name.startswith(start)]
    return span


def test_a_layer_s_own_work_is_below_the_operation(traces: Traces) -> None:
    """What a layer does before and after the attempts is a child of the operation, not of an attempt."""
    tracer = traces.provider.get_tracer("layer")

    class Look:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            with tracer.start_as_current_span("before"):
                pass
            reply = await call_next(call)
            with tracer.start_as_current_span("after"):
                pass
            return reply

    @ap.Stack(Tracer(tracer_provider=traces.provider), Look())
    def ask() -> str:
        return "x"

    with clean():
        ask()
    operation = _named(traces, "chat ")
    found = {span.name: span for span in traces.spans()}
    assert parent_id(found["before"]) == parent_id(found["after"]) == span_id(operation)


def test_between_two_chunks_the_caller_has_its_own_context(traces: Traces) -> None:
    """A span opened while a stream is being read is a child of the caller's span, never of the call."""
    tracer = traces.provider.get_tracer("user")
    with running() as provider, clean():
        stack = ap.Stack(Tracer(tracer_provider=traces.provider))
        client = stack.wrap(openai_client(provider))
        with tracer.start_as_current_span("around") as around:
            stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
            assert current() is around
            for _ in stream:
                assert current() is around
                with tracer.start_as_current_span("between"):
                    pass
            assert current() is around
    between = traces.named("between")
    assert len(between) > 1
    assert {parent_id(span) for span in between} == {ids(around)}


def test_between_two_chunks_of_an_async_stream(traces: Traces) -> None:
    """The same in a task."""
    tracer = traces.provider.get_tracer("user")

    async def main() -> None:
        with running() as provider:
            stack = ap.Stack(Tracer(tracer_provider=traces.provider))
            client = stack.wrap(openai.AsyncOpenAI(base_url=provider.openai_url, api_key="k"))
            with tracer.start_as_current_span("around") as around:
                stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
                async for _ in stream:
                    assert current() is around
                assert current() is around
            await client._client.aclose()

    with clean():
        asyncio.run(main())


def test_a_generator_s_own_spans_are_below_the_attempt_and_stay_there(traces: Traces) -> None:
    """A span that a generator keeps open over a `yield` is current in the generator only."""
    tracer = traces.provider.get_tracer("user")
    before = current()

    @Tracer(tracer_provider=traces.provider)
    def words() -> Iterator[str]:
        with tracer.start_as_current_span("inside"):
            yield "a"
            assert current().name == "inside"
            yield "b"

    with clean():
        for _ in words():
            assert current() is before
    (inside,), (attempt,) = traces.named("inside"), traces.named("agentprod.attempt")
    assert parent_id(inside) == span_id(attempt)
    assert traces.open == 0


def test_an_async_generator_keeps_its_context_from_its_caller(traces: Traces) -> None:
    """The same for async generators, also when another task closes them."""
    before = current()
    seen: list[str] = []

    @Tracer(tracer_provider=traces.provider)
    async def words() -> AsyncIterator[str]:
        try:
            while True:
                seen.append(current().name)
                yield "a"
        finally:
            seen.append(current().name)

    async def main() -> None:
        items = words()
        async for _ in items:
            assert current() is before
            if len(seen) > 2:
                break
        await asyncio.create_task(items.aclose())  # type: ignore[attr-defined]

    with clean():
        asyncio.run(main())
    assert set(seen) == {"agentprod.attempt"}
    assert traces.operation["agentprod.stream.outcome"] == "closed"
    assert traces.open == 0


def test_threads_of_a_propagated_executor(traces: Traces) -> None:
    """A thousand calls in threads each have the parent of the line that submitted them."""
    tracer = traces.provider.get_tracer("user")

    @Tracer(tracer_provider=traces.provider)
    def ask(number: int) -> str:
        return str(number)

    expected: list[int] = []
    with clean(), ThreadPoolExecutor(8) as executor:
        pool = ap.propagate(executor)
        futures = []
        for number in range(1000):
            with tracer.start_as_current_span(f"around {number}") as around:
                expected.append(ids(around))
                futures.append(pool.submit(ask, number))
        assert [future.result() for future in futures] == [str(number) for number in range(1000)]
    found = sorted(str(parent_id(span)) for span in traces.operations())
    assert found == sorted(map(str, expected))
    assert traces.open == 0


def test_many_tasks_at_once(traces: Traces) -> None:
    """200 tasks with 5 calls each: every operation is below its own task's span, every attempt below an operation."""
    tracer = traces.provider.get_tracer("user")
    stack = ap.Stack(Tracer(tracer_provider=traces.provider), ap.Retry(attempts=2, wait=0, on=KeyError, budget=None))
    failed: set[tuple[int, int]] = set()

    @stack
    async def ask(task: int, number: int) -> str:
        await asyncio.sleep(0)
        if number == 3 and (task, number) not in failed:
            failed.add((task, number))
            raise KeyError(number)
        return "x"

    async def one(task: int) -> None:
        with tracer.start_as_current_span(f"task {task}"):
            for number in range(5):
                await ask(task, number)

    async def main() -> None:
        await asyncio.gather(*(one(task) for task in range(200)))

    with clean():
        asyncio.run(main())
    tasks = {span_id(span): span for span in traces.spans() if span.name.startswith("task ")}
    operations = {span_id(span): span for span in traces.spans() if span.name.startswith("chat ")}
    attempts = traces.named("agentprod.attempt")
    assert (len(tasks), len(operations), len(attempts)) == (200, 1000, 1200)
    counted = [sum(parent_id(span) == task for span in operations.values()) for task in tasks]
    assert counted == [5] * 200
    assert all(parent_id(span) in operations for span in attempts)


def test_a_call_within_a_call_is_below_its_attempt(traces: Traces) -> None:
    """A traced function that makes a traced call has it under its own attempt."""
    stack = ap.Stack(Tracer(tracer_provider=traces.provider))

    @stack
    def inner() -> str:
        return "x"

    @stack
    def outer() -> str:
        return inner()

    with clean():
        outer()
    first, second = sorted(traces.named("agentprod.attempt"), key=lambda span: span.start_time or 0)
    by_name = {span.name: span for span in traces.operations()}
    (inner_operation,) = [span for name, span in by_name.items() if name.endswith("inner")]
    assert parent_id(inner_operation) == span_id(first)
    assert parent_id(second) == span_id(inner_operation)
