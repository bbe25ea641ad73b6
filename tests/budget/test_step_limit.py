"""Runs end at their limits, before anything more is sent, and say why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentprod as ap
from agentprod.budget.repeated_calls import repeats, signature
from agentprod.testing import FakeClock, Provider
from agentprod.testing.behaviours.content import ok
from tests.budget.spending import HELLO, MODEL, answer

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")


def calling(name: str = "search", arguments: str = '{"q": "x"}', id: str = "c1") -> dict[str, Any]:
    """A completion that asks for a tool."""
    call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return answer(5, "", tool_calls=[call])


def agent_of(limit: ap.StepLimit, *replies: Any, **options: Any) -> tuple[Callable[[], Any], list[Any]]:
    """A model behind a limit that answers one reply after the other, the last for ever."""
    sent: list[Any] = []

    @ap.Stack(limit, **options)
    def ask(model: str, messages: Any) -> Any:
        sent.append(messages)
        return replies[min(len(sent), len(replies)) - 1]

    return lambda: ask(MODEL, HELLO), sent


def test_a_run_ends_after_its_steps() -> None:
    """The call after the last step is refused, nothing is sent, and the run says why."""
    ask, sent = agent_of(ap.StepLimit(max_steps=2), answer(5))
    with pytest.raises(ap.BudgetExceeded, match="made its 2 model calls") as refused, ap.agent("a") as run:
        for _ in range(3):
            ask()
    assert (len(sent), run.exit_reason, refused.value.layer, refused.value.limit) == (2, "max_steps", "StepLimit", 2)


def test_runs_have_steps_of_their_own() -> None:
    """What one run has used is not missing to the next, whether it is an object or only named."""
    ask, _ = agent_of(ap.StepLimit(max_steps=1), answer(5))
    for _ in range(2):
        with ap.agent("a"):
            ask()
    for name in ("r1", "r2"):
        with ap.context(run=name):
            ask()
    with ap.context(run="r1"), pytest.raises(ap.BudgetExceeded):
        ask()


def test_a_run_within_a_run_draws_on_both() -> None:
    """Children in parallel never take more steps than their parent has."""
    ask, sent = agent_of(ap.StepLimit(max_steps=10), answer(5))

    def child(_: int) -> str | None:
        with ap.agent("child") as run:
            for _ in range(6):
                try:
                    ask()
                except ap.BudgetExceeded:
                    break
        return run.exit_reason

    with ap.agent("parent") as parent, ThreadPoolExecutor(3) as threads:
        reasons = list(ap.propagate(threads).map(child, range(3)))
    assert len(sent) == 10
    assert parent.exit_reason == "max_steps"
    assert "max_steps" in reasons


def test_three_equal_tool_calls_end_a_run() -> None:
    """Other ids, other spacing and another order of keys make no other call."""
    turns = [calling(id="1"), calling(arguments='{"q":"x"}', id="2"), calling(arguments='{ "q" : "x" }', id="3")]
    ask, sent = agent_of(ap.StepLimit(same_call=3), *turns)
    with pytest.raises(ap.BudgetExceeded, match="same tool calls 3 times"), ap.agent("a") as run:
        for _ in range(10):
            ask()
    assert (len(sent), run.exit_reason) == (3, "repeated_call")


def test_other_arguments_are_no_repetition() -> None:
    """A search that goes on to the next page works."""
    ask, sent = agent_of(ap.StepLimit(), *(calling(arguments=f'{{"page": {n}}}') for n in range(9)), answer(5))
    with ap.agent("a") as run:
        for _ in range(12):
            ask()
    assert (len(sent), run.exit_reason) == (12, "returned")


def test_a_cycle_of_two_calls_is_a_repetition() -> None:
    """Turning between two tools is no progress either."""
    ask, sent = agent_of(ap.StepLimit(same_call=2), calling("a"), calling("b"), calling("a"), calling("b"), answer(5))
    with pytest.raises(ap.BudgetExceeded), ap.agent("a") as run:
        for _ in range(9):
            ask()
    assert (len(sent), run.exit_reason) == (4, "repeated_call")


def test_tool_calls_are_limited() -> None:
    """The reply that asks for one too many is the last."""
    ask, sent = agent_of(ap.StepLimit(max_tool_calls=2), *(calling(arguments=str(n)) for n in range(9)))
    with pytest.raises(ap.BudgetExceeded, match="3 tool calls, more than the 2"), ap.agent("a") as run:
        for _ in range(9):
            ask()
    assert (len(sent), run.exit_reason) == (3, "max_tool_calls")


def test_time_is_limited() -> None:
    """From the first call on."""
    clock = FakeClock()
    ask, sent = agent_of(ap.StepLimit(max_seconds=60), answer(5), clock=clock)
    with ap.agent("a") as run:
        ask()
        clock.advance(59)
        ask()
        clock.advance(1)
        with pytest.raises(ap.BudgetExceeded, match=r"60\.0 s"):
            ask()
    assert (len(sent), run.exit_reason) == (2, "max_seconds")


def test_nobody_named_a_run() -> None:
    """Steps of nobody are never counted together: that is an error that says what to write."""
    ask, _ = agent_of(ap.StepLimit(max_steps=1), answer(5))
    with pytest.raises(ap.ConfigError, match=r"ap\.agent"):
        ask()


@pytest.mark.parametrize(
    "surface", ["chat", "chat stream", "responses", "responses stream", "messages", "messages stream"]
)
def test_real_clients_repeat_themselves(surface: str) -> None:
    """Tool calls are read from every wire format, whole or streamed."""
    script = [ok(tool_calls=[{"name": "search", "arguments": {"q": "x"}}])]
    with (
        Provider(script) as provider,
        openai.OpenAI(base_url=provider.openai_url, api_key="any") as one,
        anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any") as other,
        ap.agent("a") as run,
    ):
        stack = ap.Stack(ap.StepLimit(same_call=3))
        chat, messages, stream = stack.wrap(one), stack.wrap(other), surface.endswith("stream")

        def ask() -> None:
            if surface.startswith("chat"):
                made = chat.chat.completions.create(model=MODEL, messages=HELLO, stream=stream)
            elif surface.startswith("responses"):
                made = chat.responses.create(model=MODEL, input="hello", stream=stream)
            else:
                made = messages.messages.create(model="claude-sonnet-5", messages=HELLO, max_tokens=99, stream=stream)
            if stream:
                list(made)

        for _ in range(3):
            ask()
        with pytest.raises(ap.BudgetExceeded):
            ask()
        assert len(provider.requests) == 3
    assert run.exit_reason == "repeated_call"


def test_the_last_step_can_be_announced() -> None:
    """The model is told once, in its own wire format; the caller's own messages stay as they are."""
    with (
        Provider() as provider,
        openai.OpenAI(base_url=provider.openai_url, api_key="any") as one,
        anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any") as other,
    ):
        stack = ap.Stack(ap.StepLimit(max_steps=1, notice="That was it."))
        chat, messages = stack.wrap(one), stack.wrap(other)
        for ask in (
            lambda: chat.chat.completions.create(model=MODEL, messages=HELLO),
            lambda: chat.responses.create(model=MODEL, input="hello"),
            lambda: messages.messages.create(model="claude-sonnet-5", messages=HELLO, max_tokens=9, system="Be kind."),
        ):
            with ap.agent("a"):
                ask()
        told = [request.json for request in provider.requests]
    assert told[0]["messages"] == [*HELLO, {"role": "system", "content": "That was it."}]
    assert told[1]["input"][-1] == {"role": "system", "content": "That was it."}
    assert [block["text"] for block in told[2]["system"]] == ["Be kind.", "That was it."]
    assert len(HELLO) == 1


def test_async_runs() -> None:
    """Tasks of one run share its steps."""

    @ap.Stack(ap.StepLimit(max_steps=5))
    async def ask(model: str, messages: Any) -> Any:
        await asyncio.sleep(0)
        return answer(5)

    async def main() -> tuple[int, str | None]:
        async with ap.agent("a") as run:
            found = await asyncio.gather(*(ask(MODEL, HELLO) for _ in range(8)), return_exceptions=True)
        return sum(isinstance(each, ap.BudgetExceeded) for each in found), run.exit_reason

    assert asyncio.run(main()) == (3, "max_steps")


@pytest.mark.parametrize(
    "options",
    [
        {"same_call": None},
        {"max_steps": 0},
        {"max_steps": True},
        {"same_call": 1},
        {"max_tool_calls": -1},
        {"max_seconds": 0},
        {"notice": True},
    ],
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    """They are refused when the layer is built."""
    with pytest.raises(ap.ConfigError, match="StepLimit"):
        ap.StepLimit(**options)


def test_options_are_shown() -> None:
    """`print(stack)` says what is limited."""
    assert repr(ap.StepLimit(max_steps=3, same_call=4)) == "StepLimit(max_steps=3, same_call=4)"


@given(st.lists(st.sampled_from(["a", "b", None]), max_size=24), st.integers(2, 3))
def test_repetitions_are_found_as_by_hand(steps: list[str | None], times: int) -> None:
    """What ends in `times` copies of up to four steps, and nothing else, is a repetition."""
    by_hand = any(
        len(steps) >= n * times and None not in steps[-n:] and steps[-n * times :] == steps[-n:] * times
        for n in range(1, 5)
    )
    assert repeats(steps, times) is by_hand


def test_signatures_of_free_text() -> None:
    """A custom tool's text is compared as it is; calls in another order are the same calls."""
    one, other = {"name": "sh", "arguments": "ls -l"}, {"name": "sh", "arguments": {"a": 1}}
    assert signature([one, other]) == signature([other, one]) != signature([one])
    assert signature([]) is None
