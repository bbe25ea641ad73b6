"""Pydantic AI, over both providers: runs, streamed runs, structured output, tools."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentprod.testing import behaviours as b
from tests.frameworks.place import Place

pytest.importorskip(
    "pydantic_ai", reason="Pydantic AI is tested in a session of its own: nox -s 'frameworks(pydantic_ai)'"
)
pytestmark = pytest.mark.filterwarnings("ignore")

PROMPT = "Say hello to Li Wei, 李伟."
AGENTS = (("agent", "chat"), ("responses_agent", "responses"), ("claude_agent", "messages"))


@pytest.fixture
def typed(place: Place) -> Any:
    """Return what the page's block makes."""
    place.provider.script([b.ok("Hello 李伟.")])
    return place.with_openai().with_anthropic().type("Pydantic AI")


@pytest.mark.parametrize(("name", "operation"), AGENTS)
def test_a_run_passes_once(typed: Any, name: str, operation: str) -> None:
    """`run` and a streamed run."""
    agent = getattr(typed, name)

    async def both() -> tuple[str, str]:
        whole = (await agent.run(PROMPT)).output
        typed.saw(1, operation)
        async with agent.run_stream(PROMPT) as streamed:
            text = "".join([piece async for piece in streamed.stream_text(delta=True)])
        return whole, text

    assert asyncio.run(both()) == ("Hello 李伟.", "Hello 李伟.")
    typed.saw(1, operation)


@pytest.mark.parametrize(("name", "operation"), AGENTS)
def test_a_turn_with_a_tool_is_a_call_each(typed: Any, name: str, operation: str) -> None:
    """The model asks for a tool, gets its result, answers: two calls, two requests."""
    agent = getattr(typed, name)
    asked: list[str] = []

    @agent.tool_plain
    def weather(city: str) -> str:
        asked.append(city)
        return "sun"

    typed.provider.script([b.ok(None, tool_calls=[{"name": "weather", "arguments": {"city": "北京"}}]), b.ok("Sunny.")])

    async def run() -> str:
        return str((await agent.run(PROMPT)).output)

    assert asyncio.run(run()) == "Sunny."
    assert asked == ["北京"]
    typed.saw(2, operation)
