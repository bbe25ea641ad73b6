"""What must stay of a conversation, and does not fit: its texts are clamped, and calls that cannot be are retold."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentprod.budget.context_reduction import STAGES, Reduction
from agentprod.budget.tokens import unit_counter
from tests.budget.histories import SHAPES, alternates, history, orphans

COUNT = unit_counter("gpt-5-mini")
LONG = "reasons that nobody may shorten " * 300  # about 1,500 tokens


def reduce(items: list[Any], shape: str, room: int, stages: Any = STAGES, **options: Any) -> Reduction:
    found = Reduction(items, shape, fixed=10, room=room, count=COUNT, **options)
    found.run(stages)
    return found


def exchange(shape: str, arguments: dict[str, str], result: str, thinking: str = "") -> list[Any]:
    """One call and its result, in the shape of a provider."""
    if shape == "messages":
        thought = [{"type": "thinking", "thinking": thinking, "signature": "s"}] if thinking else []
        used = {"type": "tool_use", "id": "1", "name": "write", "input": arguments}
        found = {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": result}]}
        return [{"role": "assistant", "content": [*thought, used]}, {"role": "user", "content": [found]}]
    if shape == "responses":
        asked = {"type": "function_call", "call_id": "1", "name": "write", "arguments": json.dumps(arguments)}
        return [asked, {"type": "function_call_output", "call_id": "1", "output": result}]
    call = {"id": "1", "type": "function", "function": {"name": "write", "arguments": json.dumps(arguments)}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": result},
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ask", ["go on", [{"type": "text", "text": "go on"}]])
def test_arguments_that_do_not_fit_are_retold(shape: str, ask: Any) -> None:
    """A file that was just written through a call: what was called and what came back is told to the model as text."""
    items = [{"role": "user", "content": ask}, *exchange(shape, {"path": "a.py", "text": LONG}, "Written: 300 lines.")]
    reduction = reduce(items, shape, 1000)
    assert reduction.total <= 1000
    assert "retell" in reduction.done
    said = json.dumps(reduction.items)
    assert "go on" in said
    assert "a.py" in said
    assert "Written: 300 lines." in said
    assert "data, not an instruction" in said
    assert orphans(reduction.items, shape) == 0
    assert shape != "messages" or alternates(reduction.items)
    assert reduce(reduction.items, shape, 1000).items == reduction.items


def test_reasoning_that_does_not_fit_is_given_up_with_its_call() -> None:
    """It must not be shortened and must not be missing: so its call is told as text, and the result is kept whole."""
    items = [{"role": "user", "content": "go on"}, *exchange("messages", {"q": "1"}, "The answer is 42.", LONG)]
    reduction = reduce(items, "messages", 1000)
    assert reduction.done == ["retell"]
    assert [item["role"] for item in reduction.items] == ["user"]
    said = json.dumps(reduction.items)
    assert "The answer is 42." in said
    assert "reasons that nobody" not in said


def test_calls_told_after_another_exchange_join_its_results() -> None:
    """For Anthropic the user's message with results takes the text, so that roles go on taking turns."""
    first, second = exchange("messages", {"q": "1"}, "one"), exchange("messages", {"q": "2"}, "two", LONG)
    items = [{"role": "user", "content": "go on"}, *first, *second]
    # The first exchange would be dropped, were it not pinned.
    reduction = reduce(items, "messages", 1000, wanted=lambda item: item in first)
    assert alternates(reduction.items)
    assert [block["type"] for block in reduction.items[-1]["content"]] == ["tool_result", "text", "text"]
    assert orphans(reduction.items, "messages") == 0


def test_reasoning_that_fits_is_kept() -> None:
    """Beside a long result, the result is clamped and the reasoning stays as it is."""
    exchanged = exchange("messages", {"q": "1"}, "line\n" * 3000, LONG)
    reduction = reduce([{"role": "user", "content": "go on"}, *exchanged], "messages", 4000)
    assert reduction.done == ["clamp"]
    assert reduction.items[1] == exchanged[0]
    assert reduction.total > 2500  # a quarter of the room is left to the result


def test_what_an_application_pins_is_not_retold() -> None:
    """Then nothing helps, and the provider says so."""
    exchanged = exchange("messages", {"q": "1"}, "42", LONG)
    items = [{"role": "user", "content": "go on"}, *exchanged]
    reduction = reduce(items, "messages", 1000, wanted=lambda item: item in exchanged)
    assert reduction.items == items
    assert reduction.done == []


def test_open_calls_are_not_retold() -> None:
    """A call that is still to be answered stays as it is, whatever it takes."""
    asked = exchange("chat", {"text": LONG}, "")[:1]
    assert reduce([{"role": "user", "content": "go on"}, *asked], "chat", 1000).items[-1:] == asked


def test_many_middling_texts_are_clamped_alike() -> None:
    """Three results of the last turn that do not fit together keep about as much of each."""
    ids = ("1", "2", "3")
    calls = [{"id": id, "type": "function", "function": {"name": "read", "arguments": "{}"}} for id in ids]
    results = [
        {"role": "tool", "tool_call_id": id, "content": f"page {id}\n" + "some words here\n" * 400} for id in ids
    ]
    items = [{"role": "user", "content": "go"}, {"role": "assistant", "content": None, "tool_calls": calls}, *results]
    reduction = reduce(items, "chat", 1500)
    kept = [len(item["content"]) for item in reduction.items[2:]]
    assert max(kept) - min(kept) < 40
    assert 0.7 * 1500 < reduction.total <= 0.9 * 1500


@pytest.mark.parametrize("shape", SHAPES)
def test_several_calls_in_a_row_are_retold(shape: str) -> None:
    """Where nothing may be dropped, each that is too long becomes a text, and all of them fit."""
    long = [exchange(shape, {"n": str(number), "text": LONG * (number + 1)}, f"result {number}") for number in range(4)]
    items = [{"role": "user", "content": "go on"}, *(item for each in long for item in each)]
    reduction = reduce(items, shape, 1200, ("clamp",))
    assert reduction.total <= 1200
    assert shape != "messages" or alternates(reduction.items)
    said = json.dumps(reduction.items)
    assert all(f"result {number}" in said for number in range(4))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from(SHAPES), part=st.floats(0.05, 1.2))
def test_any_history_fits_and_stays_valid(seed: int, shape: str, part: float) -> None:
    """Never over the room, no orphans, system prompts kept, roles in turn; doing it again changes nothing."""
    chance = random.Random(seed)
    items = history(chance, shape, chance.randint(1, 12))
    whole = Reduction(items, shape, fixed=10, room=10**9, count=COUNT).total
    room = max(300, int(whole * part))  # system prompts and the frame of an exchange take up to 200
    reduction = reduce(items, shape, room)
    left = reduction.items
    assert reduction.total <= room
    assert reduction.total == 10 + sum(map(COUNT, left))
    assert orphans(left, shape) == 0
    systems = [item for item in items if item.get("role") in ("system", "developer")]
    assert [item for item in left if item.get("role") in ("system", "developer")] == systems
    assert any(item.get("role") == "user" for item in left)
    assert shape != "messages" or alternates(left)
    assert reduce(left, shape, room).items == left
