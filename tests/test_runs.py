"""Runs of an agent and the calls of its tools."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import pytest

import agentprod as ap
from agentprod import activities
from agentprod.activities import Activity
from agentprod.runs import Run, Step, ToolCall, current_run
from agentprod.testing import Provider
from tests.telemetry.tracing import HELLO, MODEL


@ap.Stack(prices=lambda provider, model, usage: Decimal("0.25"))
def think(model: str, messages: list[Any]) -> dict[str, Any]:
    """Answer as a provider would, for a quarter of a dollar."""
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


@pytest.fixture
def seen() -> Iterator[list[tuple[str, str, str | None]]]:
    """What began and what ended, with its error."""
    events: list[tuple[str, str, str | None]] = []

    def watcher(activity: Activity) -> Any:
        events.append(("began", activity.name, None))
        return lambda: events.append(("ended", activity.name, activity.error_type))

    stop = activities.watch(watcher)
    yield events
    stop()


def test_a_run_adds_up_its_calls() -> None:
    """Model calls, tools, tokens and money of the block are the run's, and its id is the context's."""
    with ap.agent("researcher") as run, ap.record() as calls:
        think(MODEL, HELLO)
        with ToolCall("search") as tool:
            pass
        think(MODEL, HELLO)
        assert current_run() is run
    assert current_run() is None
    think(MODEL, HELLO)
    assert (run.model_calls, run.tool_calls, tool.loop, run.cost, run.usage.total_tokens) == (
        2,
        1,
        1,
        Decimal("0.50"),
        30,
    )
    assert {call.run for call in calls} == {run.id}
    assert run.duration is not None
    assert "researcher" in repr(run)


def test_a_run_within_a_run() -> None:
    """Loops are each run's own; money is that of all that happens within."""
    with ap.agent("outer") as outer:
        think(MODEL, HELLO)
        with ap.agent("inner", id="r2") as inner:
            think(MODEL, HELLO)
            assert inner.parent is outer
        assert current_run() is outer
    assert (outer.model_calls, inner.model_calls, inner.id) == (1, 1, "r2")
    assert (outer.cost, inner.cost) == (Decimal("0.50"), Decimal("0.25"))


def test_threads_and_tasks_are_part_of_the_run() -> None:
    """Calls in propagated threads and in tasks count, none is lost."""

    async def ask() -> None:
        await asyncio.gather(*(asyncio.to_thread(think, MODEL, HELLO) for _ in range(20)))

    with ap.agent("many") as run:
        with ThreadPoolExecutor(8) as threads:
            list(ap.propagate(threads).map(lambda _: think(MODEL, HELLO), range(50)))
        asyncio.run(ask())
    assert (run.model_calls, run.cost) == (70, Decimal("17.50"))


def test_async_blocks() -> None:
    """`async with` is the same."""

    async def work() -> Run:
        async with ap.agent("a") as run, ToolCall("t"):
            pass
        return run

    assert asyncio.run(work()).tool_calls == 1


def test_an_unknown_price_is_an_unknown_sum() -> None:
    """A call whose price is not known makes the cost of the run unknown, not smaller."""
    with ap.agent("a") as run:
        ap.Stack(prices=lambda *_: None)(think)(MODEL, HELLO)
    assert run.cost is None
    assert run.usage.input_tokens == 10


def test_a_stream_is_counted_when_somebody_asks() -> None:
    """A stream without counts is estimated on reading the run, not while the call ends."""
    with Provider() as provider:
        from openai import OpenAI

        with OpenAI(base_url=provider.openai_url, api_key="k") as bare, ap.agent("a") as run:
            stream = ap.Stack().wrap(bare).chat.completions.create(model=MODEL, messages=HELLO, stream=True)
            next(iter(stream))
            stream.close()
    assert run.model_calls == 1
    assert run.usage.estimated


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (None, None, "returned"),
        (ValueError("no"), "failed", "error"),
        (asyncio.CancelledError(), "cancelled", "cancelled"),
    ],
)
def test_how_a_run_ends(error: BaseException | None, outcome: str | None, reason: str) -> None:
    """A run that raises has failed, one that is cancelled says so, and of another only the application knows."""
    run = ap.agent("a")
    with nullcontext() if error is None else pytest.raises(type(error)), run:
        if error is not None:
            raise error
    assert (run.outcome, run.exit_reason) == (outcome, reason)
    assert run.error_type == ("ValueError" if isinstance(error, ValueError) else None)


def test_the_application_says_how_it_ended() -> None:
    """What was recorded stays, whatever is raised afterwards."""
    with pytest.raises(ValueError, match="late"), ap.agent("a") as run:
        run.finish("escalated", reason="refund_above_limit")
        raise ValueError("late")
    assert (run.outcome, run.exit_reason) == ("escalated", "refund_above_limit")
    with pytest.raises(ap.ConfigError, match="one of completed, failed"):
        run.finish("great")  # type: ignore[arg-type]


def test_a_limit_says_why_it_ended() -> None:
    """What a layer wrote as the reason is not overwritten."""
    with pytest.raises(RuntimeError), ap.agent("a") as run:
        run.exit_reason = "max_steps"
        raise RuntimeError
    assert run.exit_reason == "max_steps"


def test_tools_that_fail(seen: list[Any]) -> None:
    """A tool that raises, or says that it failed, is counted as failed, and watchers see the class."""
    with ap.agent("a") as run:
        with pytest.raises(KeyError), ToolCall("raises"):
            raise KeyError("x")
        with ToolCall("says") as tool:
            tool.fail("Timeout")
    assert (run.tool_calls, run.failed_tool_calls) == (2, 2)
    assert seen == [
        ("began", "a", None),
        ("began", "raises", None),
        ("ended", "raises", "KeyError"),
        ("began", "says", None),
        ("ended", "says", "Timeout"),
        ("ended", "a", None),
    ]


def test_steps(seen: list[Any]) -> None:
    """A step belongs to the run around it and is timed."""
    with ap.agent("a") as run, run.step("plan") as step:
        assert isinstance(step, Step)
        assert step.run is run
    assert step.duration is not None
    assert ("ended", "plan", None) in seen


def test_a_watcher_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """What a watcher raises, at the start or the end, is logged and not felt."""

    def bad_start(activity: Activity) -> Any:
        raise RuntimeError("bug")

    stops = [activities.watch(bad_start), activities.watch(lambda _: lambda: 1 / 0)]
    with ap.agent("a") as run:
        pass
    for stop in stops:
        stop()
    assert run.exit_reason == "returned"
    assert caplog.text.count("a watcher of agents and tools failed") == 2


def test_a_block_that_ends_elsewhere() -> None:
    """Leaving a run in another context, as generators do, is quiet."""
    run = ap.agent("a")
    asyncio.run(asyncio.to_thread(run.__enter__))
    run.__exit__(None, None, None)
    assert current_run() is None


@pytest.mark.parametrize("name", ["", 7])
def test_a_name_is_needed(name: Any) -> None:
    """An agent without a name is refused."""
    with pytest.raises(ap.ConfigError, match="takes a name"):
        ap.agent(name)


def test_a_run_is_used_once() -> None:
    """A second block with the same run is refused."""
    run = ap.agent("a")
    with run:
        pass
    with pytest.raises(ap.ConfigError, match="make another one"), run:
        pass
