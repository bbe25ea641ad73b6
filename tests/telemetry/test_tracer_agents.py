"""Agent runs and tool calls: spans around what the application does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

import agentprod as ap
from agentprod.telemetry.agents import AgentSpan, ToolSpan, current_run
from agentprod.telemetry.drops import drops
from agentprod.telemetry.tracer import Tracer
from tests.telemetry.test_tracer_metrics import Meters
from tests.telemetry.tracing import HELLO, MODEL, Traces, clean, parent_id, span_id


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
def meters() -> Meters:
    return Meters()


def test_a_run_holds_its_model_and_tool_calls(traces: Traces, meters: Meters) -> None:
    """Calls hang below the run, which counts them; the tool knows after which model call it came."""
    both: Any = {"tracer_provider": traces.provider, "meter_provider": meters.provider}

    @ap.Stack(Tracer(tracer_provider=traces.provider))
    def think(model: str, messages: list[Any]) -> str:
        return "x"

    with clean(), AgentSpan("researcher", **both) as run:
        think(MODEL, HELLO)
        with ToolSpan("search", call_id="call_1", **both):
            pass
        think(MODEL, HELLO)
        assert current_run() is run
    assert current_run() is None
    (agent,), (tool,) = traces.named("invoke_agent researcher"), traces.named("execute_tool search")
    assert agent.kind is tool.kind is SpanKind.INTERNAL
    assert parent_id(tool) == span_id(agent)
    assert {parent_id(span) for span in traces.spans() if span.name.startswith("chat")} == {span_id(agent)}
    assert dict(agent.attributes or {}) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "researcher",
        "agentprod.agent.loops": 2,
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


def test_a_run_within_a_run_counts_its_own(traces: Traces) -> None:
    """Model calls belong to the innermost run."""

    @ap.Stack(Tracer(tracer_provider=traces.provider))
    def think(model: str, messages: list[Any]) -> str:
        return "x"

    with AgentSpan("outer", tracer_provider=traces.provider) as outer:
        think(MODEL, HELLO)
        with AgentSpan("inner", tracer_provider=traces.provider) as inner:
            think(MODEL, HELLO)
            think(MODEL, HELLO)
        think(MODEL, HELLO)
    assert (outer.inference_calls, inner.inference_calls) == (2, 2)


def test_an_error_is_told_and_passes(traces: Traces, meters: Meters) -> None:
    """The span is an error of that class; a cancellation is not."""
    with pytest.raises(KeyError), ToolSpan("f", tracer_provider=traces.provider, meter_provider=meters.provider):
        raise KeyError("secret")
    (tool,) = traces.named("execute_tool f")
    assert tool.status.status_code is StatusCode.ERROR
    assert (tool.attributes or {})["error.type"] == "KeyError"
    assert "secret" not in str((tool.status.description, tool.attributes, tool.events))
    assert [point.attributes["status"] for point in meters.points("agentprod.tool.calls")] == ["error"]
    with pytest.raises(asyncio.CancelledError), AgentSpan("a", tracer_provider=traces.provider):
        raise asyncio.CancelledError
    assert traces.named("invoke_agent a")[0].status.status_code is StatusCode.UNSET


def test_in_tasks(traces: Traces) -> None:
    """`async with` works too, and tasks do not see each other's runs."""

    async def one(number: int) -> None:
        async with AgentSpan(f"agent {number}", tracer_provider=traces.provider) as run:
            await asyncio.sleep(0)
            assert current_run() is run
            async with ToolSpan("f", tracer_provider=traces.provider):
                await asyncio.sleep(0)
            assert run.tool_calls == 1

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(20)))

    with clean():
        asyncio.run(main())
    agents = {span_id(span) for span in traces.spans() if span.name.startswith("invoke_agent")}
    assert {parent_id(span) for span in traces.named("execute_tool f")} == agents


def test_arguments_and_result_are_recorded_only_scrubbed(traces: Traces) -> None:
    """Without a scrub nothing is; with one both are, as JSON."""
    with ToolSpan("f", arguments={"to": "a@b.io"}, tracer_provider=traces.provider) as span:
        span.result("sent to a@b.io")
    assert "a@b.io" not in str(traces.named("execute_tool f")[0].attributes)
    with ToolSpan(
        "g",
        arguments={"to": "a@b.io"},
        scrub=lambda text: text.replace("a@b.io", "[EMAIL]"),
        tracer_provider=traces.provider,
    ) as span:
        span.result({"sent": ["a@b.io"]})
    attributes: Any = traces.named("execute_tool g")[0].attributes
    assert json.loads(attributes["gen_ai.tool.call.arguments"]) == {"to": "[EMAIL]"}
    assert json.loads(attributes["gen_ai.tool.call.result"]) == {"sent": ["[EMAIL]"]}


def test_without_an_sdk_nothing_is_attached() -> None:
    """A block without a collector runs as it is, and still counts for whoever asks."""
    before = get_current_span()
    with AgentSpan("a") as run, ToolSpan("f"):
        assert get_current_span() is before
        assert run.span is None
        assert run.tool_calls == 1


def test_a_broken_provider_does_not_reach_the_block() -> None:
    """What fails is counted."""

    class Broken:
        def get_tracer(self, *args: Any) -> Any:
            raise RuntimeError("no")

    before = drops.snapshot().get("tracer", 0)
    with ToolSpan("f", tracer_provider=Broken()):  # type: ignore[arg-type]
        pass
    assert drops.snapshot()["tracer"] == before + 1


def test_an_end_that_fails_does_not_reach_the_block(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block's own outcome stands."""

    def broken(self: Any) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(ToolSpan, "_facts", broken)
    before = drops.snapshot().get("tracer", 0)
    with ToolSpan("f", tracer_provider=traces.provider):
        pass
    assert drops.snapshot()["tracer"] == before + 1


def test_a_name_is_needed() -> None:
    """An empty name would make a span nobody can find."""
    with pytest.raises(ap.ConfigError, match="AgentSpan takes a name"):
        AgentSpan("")
    with pytest.raises(ap.ConfigError, match="ToolSpan takes a name"):
        ToolSpan(3)  # type: ignore[arg-type]
