"""What Anthropic's SDK builds on its calls: counting tokens, and a loop that runs tools."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.conftest import Run
from tests.clients.surfaces import MESSAGES, claude, make_client, result, shut


class Watch:
    """Keeps the calls that pass, other traffic too."""

    other_traffic = True

    def __init__(self) -> None:
        self.calls: list[ap.Call] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Take note."""
        self.calls.append(call)
        return await call_next(call)


@pytest.mark.parametrize("beta", [False, True], ids=["stable", "beta"])
def test_counting_tokens_is_other_traffic(beta: bool, kind: str, run: Run, provider: Provider) -> None:
    """It asks no model: it is seen, repeated when nothing can have happened yet, and never answered from a cache."""
    provider.script([b.error(529), "ok"])
    watch = Watch()

    async def scenario() -> list[int]:
        bare = make_client("anthropic", kind, provider)
        client = ap.Stack(ap.Cache(), ap.Retry(wait=0), watch).wrap(bare)
        owner = client.beta.messages if beta else client.messages
        counts = [await _count(owner), await _count(owner)]
        await shut(bare)
        return counts

    async def _count(owner: Any) -> int:
        made = await result(owner.count_tokens(model="claude-sonnet-5", messages=[MESSAGES[1]]))
        return int(made.input_tokens)

    first, second = run(scenario())
    assert first == second > 0
    assert {call.operation for call in watch.calls} == {"other"}
    assert len(provider.requests) == 3


def test_every_turn_of_a_tool_runner_passes_the_stack(kind: str, run: Run, provider: Provider) -> None:
    """The runner asks, runs the tool, asks again: two calls seen, two requests, and the tool's result in the second."""
    provider.script([b.ok(None, tool_calls=[{"name": "weather", "arguments": {"city": "北京"}}]), b.ok("Sunny.")])
    watch = Watch()

    def weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: where.
        """
        return f"sun over {city}"

    async def aweather(city: str) -> str:
        """Tell the weather.

        Args:
            city: where.
        """
        return f"sun over {city}"

    aweather.__name__ = "weather"

    async def scenario() -> Any:
        bare = make_client("anthropic", kind, provider)
        client = ap.Stack(watch, ap.Retry()).wrap(bare)
        tool: Any = anthropic.beta_tool(weather) if kind == "sync" else anthropic.beta_async_tool(aweather)
        runner = client.beta.messages.tool_runner(tools=[tool], **claude())
        final = await result(runner.until_done())
        await shut(bare)
        return final

    final = run(scenario())
    assert final.content[0].text == "Sunny."
    assert [call.operation for call in watch.calls] == ["messages", "messages"]
    assert len(provider.requests) == 2
    assert "sun over 北京" in str(provider.requests[1].json)


def test_every_turn_of_a_streaming_tool_runner_passes_the_stack(kind: str, run: Run, provider: Provider) -> None:
    """The same with each turn streamed."""
    provider.script([b.ok(None, tool_calls=[{"name": "weather", "arguments": {"city": "x"}}]), b.ok("Sunny.")])
    watch = Watch()

    def weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: where.
        """
        return "sun"

    async def aweather(city: str) -> str:
        """Tell the weather.

        Args:
            city: where.
        """
        return "sun"

    aweather.__name__ = "weather"

    async def scenario() -> list[str]:
        bare = make_client("anthropic", kind, provider)
        client = ap.Stack(watch).wrap(bare)
        tool: Any = anthropic.beta_tool(weather) if kind == "sync" else anthropic.beta_async_tool(aweather)
        runner: Any = client.beta.messages.tool_runner(tools=[tool], stream=True, **claude())
        said = []
        if kind == "sync":
            for stream in runner:
                said += [block.type for block in stream.get_final_message().content]
        else:
            async for stream in runner:
                said += [block.type for block in (await stream.get_final_message()).content]
        await shut(bare)
        return said

    assert run(scenario()) == ["tool_use", "text"]
    assert [call.streaming for call in watch.calls] == [True, True]
    assert len(provider.requests) == 2
