"""Agent runs, their steps and tool calls: spans and metrics around what the application does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

import agentprod as ap
from agentprod.runs import ToolCall
from agentprod.telemetry import agents
from agentprod.telemetry.drops import drops
from tests.telemetry.test_tracer_metrics import Meters
from tests.telemetry.tracing import HELLO, MODEL, Traces, clean, parent_id, span_id


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
def tracer(traces: Traces, meters: Meters) -> ap.Tracer:
    """The process's tracer: the one made last."""
    return ap.Tracer(capture="none", tracer_provider=traces.provider, meter_provider=meters.provider)


def thinker(tracer: ap.Tracer) -> Any:
    @ap.Stack(tracer)
    def think(model: str, messages: list[Any]) -> str:
        return "x"

    return think


def test_a_run_holds_its_model_and_tool_calls(traces: Traces, meters: Meters, tracer: ap.Tracer) -> None:
    """Calls hang below the run, which counts them; the tool knows after which model call it came."""
    think = thinker(tracer)
    with clean(), ap.agent("researcher", id="r1") as run:
        think(MODEL, HELLO)
        with ToolCall("search", call_id="call_1"):
            pass
        think(MODEL, HELLO)
        run.finish("completed")
    (agent,), (tool,) = traces.named("invoke_agent researcher"), traces.named("execute_tool search")
    assert agent.kind is tool.kind is SpanKind.INTERNAL
    assert parent_id(tool) == span_id(agent)
    assert {parent_id(span) for span in traces.spans() if span.name.startswith("chat")} == {span_id(agent)}
    assert dict(agent.attributes or {}) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "researcher",
        "agentprod.run.id": "r1",
        "agentprod.agent.loops": 2,
        "agentprod.agent.tool_calls": 1,
        "agentprod.agent.outcome": "completed",
        "agentprod.agent.exit_reason": "returned",
    }
    assert dict(tool.attributes or {}) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call_1",
        "gen_ai.agent.name": "researcher",
        "agentprod.tool.loop_index": 1,
    }
    assert [point.sum for point in meters.points("gen_ai.invoke_agent.inference_calls")] == [2]
    assert [point.sum for point in meters.points("gen_ai.invoke_agent.tool_calls")] == [1]
    assert [point.attributes["status"] for point in meters.points("agentprod.tool.calls")] == ["ok"]
    (runs,) = meters.points("agentprod.agent.runs")
    assert (runs.value, runs.attributes) == (1, {"agent": "researcher", "outcome": "completed"})


def test_a_step_is_a_span_and_a_duration(traces: Traces, meters: Meters, tracer: ap.Tracer) -> None:
    """The calls of a step hang below it, and its time is measured by agent and step."""
    think = thinker(tracer)
    with clean(), ap.agent("a") as run, run.step("plan"):
        think(MODEL, HELLO)
    (step,), (agent,) = traces.named("agentprod.step"), traces.named("invoke_agent a")
    assert parent_id(step) == span_id(agent)
    assert dict(step.attributes or {}) == {"agentprod.step.name": "plan", "gen_ai.agent.name": "a"}
    assert {parent_id(span) for span in traces.spans() if span.name.startswith("chat")} == {span_id(step)}
    (point,) = meters.points("agentprod.agent.step.duration")
    assert (point.count, point.attributes) == (1, {"agent": "a", "step": "plan"})


def test_a_tool_that_fails(traces: Traces, meters: Meters, tracer: ap.Tracer) -> None:
    """The span says which class it was and never the message; a cancelled run is no error."""
    with pytest.raises(KeyError), ToolCall("f"):
        raise KeyError("secret")
    (tool,) = traces.named("execute_tool f")
    assert tool.status.status_code is StatusCode.ERROR
    assert (tool.attributes or {})["error.type"] == "KeyError"
    assert "secret" not in str((tool.status.description, tool.attributes, tool.events))
    assert [point.attributes["status"] for point in meters.points("agentprod.tool.calls")] == ["error"]
    with pytest.raises(asyncio.CancelledError), ap.agent("a"):
        raise asyncio.CancelledError
    assert traces.named("invoke_agent a")[0].status.status_code is StatusCode.UNSET


def test_in_tasks(traces: Traces, tracer: ap.Tracer) -> None:
    """`async with` works too, and tasks do not see each other's runs."""

    async def one(number: int) -> None:
        async with ap.agent(f"agent {number}"):
            await asyncio.sleep(0)
            async with ToolCall("f"):
                await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(20)))

    with clean():
        asyncio.run(main())
    found = {span_id(span) for span in traces.spans() if span.name.startswith("invoke_agent")}
    assert {parent_id(span) for span in traces.named("execute_tool f")} == found


@pytest.mark.parametrize("capture", ["none", "span"])
def test_arguments_and_result_are_recorded_only_scrubbed(traces: Traces, capture: Any) -> None:
    """Without capture nothing of them is; with it both are, as JSON, with personal data named."""
    tracer = ap.Tracer(capture=capture, tracer_provider=traces.provider)
    thinker(tracer)
    with ToolCall("g", arguments={"to": "ann@example.com"}) as running:
        running.result = {"sent": ["ann@example.com"]}
    attributes: Any = traces.named("execute_tool g")[0].attributes
    if capture == "none":
        assert "example.com" not in str(attributes)
        assert "gen_ai.tool.call.arguments" not in attributes
    else:
        assert json.loads(attributes["gen_ai.tool.call.arguments"]) == {"to": "[EMAIL]"}
        assert json.loads(attributes["gen_ai.tool.call.result"]) == {"sent": ["[EMAIL]"]}


def test_recognisers_of_the_scrubber_look_at_tools_too(traces: Traces) -> None:
    """What the stack's `ScrubPII` was taught to find is named in arguments, results and exceptions as in messages."""
    tracer = ap.Tracer(capture="span", tracer_provider=traces.provider)
    own = ap.Recognizer.regex("EMPLOYEE_ID", r"E-\d{6}")

    @ap.Stack(tracer, ap.ScrubPII(recognizers=[own]))
    def ask(model: str, messages: list[Any]) -> str:
        raise ValueError("E-123456 is unknown, like ann@example.com")

    ap.Stack(latest := ap.Tracer(capture="span", tracer_provider=traces.provider))  # a stack without a scrubber
    with ToolCall("find", arguments={"who": "E-123456"}) as running:
        running.result = "ann@example.com, E-123456"
    with pytest.raises(ValueError, match="unknown"):
        ask(MODEL, HELLO)
    attributes: Any = traces.named("execute_tool find")[0].attributes
    assert json.loads(attributes["gen_ai.tool.call.arguments"]) == {"who": "[EMPLOYEE_ID]"}
    assert json.loads(attributes["gen_ai.tool.call.result"]) == "[EMAIL], [EMPLOYEE_ID]"
    assert latest.capture
    (failed,) = traces.operations()[1:]
    assert failed.status.description == "[EMPLOYEE_ID] is unknown, like [EMAIL]"


def test_without_an_sdk_nothing_is_attached() -> None:
    """A block without a collector runs as it is, and still counts for whoever asks."""
    tracer = ap.Tracer()
    before = get_current_span()
    with ap.agent("a") as run, ToolCall("f"):
        assert get_current_span() is before
    assert run.tool_calls == 1
    assert tracer.tracer_provider is None


def test_without_a_tracer_nobody_traces(traces: Traces) -> None:
    """A tracer that nobody keeps traces nothing any more."""
    ap.Tracer(tracer_provider=traces.provider)
    with ToolCall("f"):
        pass
    assert not traces.spans()


def test_a_broken_provider_does_not_reach_the_block() -> None:
    """What fails is counted."""

    class Broken:
        def get_tracer(self, *args: Any) -> Any:
            raise RuntimeError("no")

    tracer = ap.Tracer(tracer_provider=Broken())  # type: ignore[arg-type]
    before = drops.snapshot().get("tracer", 0)
    with ToolCall("f"):
        pass
    assert drops.snapshot()["tracer"] == before + 1
    assert tracer


def test_an_end_that_fails_does_not_reach_the_block(
    traces: Traces, tracer: ap.Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block's own outcome stands, and the span ends all the same."""

    def broken(*_: Any) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(agents._Traced, "_facts", broken)
    monkeypatch.setattr(agents, "_count", broken)
    before = drops.snapshot().get("tracer", 0)
    with ToolCall("f"):
        pass
    assert drops.snapshot()["tracer"] == before + 2
    assert len(traces.named("execute_tool f")) == 1
    assert traces.open == 0
