"""The OpenAI Agents SDK: runs, streamed runs, tools, both of OpenAI's APIs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from agentprod.testing import behaviours as b
from tests.frameworks.place import Place

agents = pytest.importorskip(
    "agents", reason="OpenAI Agents is tested in a session of its own: nox -s 'frameworks(openai_agents)'"
)
pytestmark = pytest.mark.filterwarnings("ignore")

PROMPT = "Say hello to Li Wei, 李伟."


@pytest.fixture(params=["responses", "chat"])
def typed(place: Place, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return what the page's block makes, for each API."""
    place.provider.script([b.ok("Hello 李伟.")])
    agents.set_tracing_disabled(True)
    agents.set_default_openai_api("responses" if request.param == "responses" else "chat_completions")
    place.names["operation"] = request.param
    yield place.with_openai().type("OpenAI Agents")
    agents.set_default_openai_api("responses")


def test_a_run_passes_once(typed: Any) -> None:
    """`Runner.run`."""

    async def run() -> str:
        return str((await agents.Runner.run(typed.agent, PROMPT)).final_output)

    assert asyncio.run(run()) == "Hello 李伟."
    typed.saw(1, typed.operation)


def test_a_streamed_run_passes_once(typed: Any) -> None:
    """`Runner.run_streamed`, read to its end."""

    async def run() -> str:
        streamed = agents.Runner.run_streamed(typed.agent, PROMPT)
        async for _ in streamed.stream_events():
            pass
        return str(streamed.final_output)

    assert asyncio.run(run()) == "Hello 李伟."
    assert typed.counter.calls[0].streaming
    typed.saw(1, typed.operation)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_turn_with_a_tool_is_a_call_each(typed: Any, streamed: bool) -> None:
    """Two turns, two calls, two requests."""
    asked: list[str] = []

    @agents.function_tool
    def weather(city: str) -> str:
        """Tell the weather."""
        asked.append(city)
        return "sun"

    typed.provider.script([b.ok(None, tool_calls=[{"name": "weather", "arguments": {"city": "北京"}}]), b.ok("Sunny.")])
    agent = agents.Agent(name="Weather", model="gpt-5-mini", tools=[weather])

    async def run() -> str:
        if not streamed:
            return str((await agents.Runner.run(agent, PROMPT)).final_output)
        running = agents.Runner.run_streamed(agent, PROMPT)
        async for _ in running.stream_events():
            pass
        return str(running.final_output)

    assert asyncio.run(run()) == "Sunny."
    assert asked == ["北京"]
    typed.saw(2, typed.operation)
