"""Conversations are shortened so that they fit, stay valid, and keep their cached prefix."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentprod as ap
from agentprod.budget.context_edits import clamp_text, without_redundancy
from agentprod.budget.context_reduction import STAGES, Reduction
from agentprod.budget.tokens import unit_counter
from agentprod.budget.units import split_history
from agentprod.testing import Provider
from agentprod.testing.behaviours.content import ok
from tests.budget.histories import SHAPES, alternates, has_lost, history, orphans, text
from tests.budget.spending import answer

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

COUNT = unit_counter("gpt-5-mini")


def reduce(items: list[Any], shape: str, room: int, stages: Any = STAGES, **options: Any) -> Reduction:
    found = Reduction(items, shape, fixed=10, room=room, count=COUNT, **options)
    found.run(stages)
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_random_histories_stay_valid(shape: str) -> None:
    """No orphans, never over the room, system and last ask kept, roles in turn; doing it again changes nothing."""
    for seed in range(60):
        chance = random.Random(f"{shape} {seed}")
        items = history(chance, shape, chance.randint(1, 20))
        assert orphans(items, shape) == 0, "the test's own history"
        whole = Reduction(items, shape, fixed=10, room=10**9, count=COUNT).total
        room = max(300, int(whole * chance.choice([0.3, 0.5, 0.8, 0.95, 1.2])))
        reduction = reduce(items, shape, room)
        left = reduction.items
        assert orphans(left, shape) == 0, seed
        assert reduction.total <= room, (seed, reduction.total, room)
        assert 10 + sum(map(COUNT, left)) == reduction.total
        assert not has_lost(items, left, clamped="clamp" in reduction.done), seed
        if shape == "messages":
            assert alternates(left), seed
        assert reduce(left, shape, room).items == left, seed


@pytest.mark.parametrize("shape", SHAPES)
def test_what_fits_is_left_alone(shape: str) -> None:
    """Below 90 % of the room the very same messages are sent."""
    items = history(random.Random(1), shape, 10)
    whole = Reduction(items, shape, fixed=10, room=10**9, count=COUNT).total
    reduction = reduce(items, shape, int(whole / 0.89))
    assert reduction.done == []
    assert all(new is old for new, old in zip(reduction.items, items, strict=True))


def test_the_prefix_stays_while_the_conversation_grows() -> None:
    """What is taken away stays the same for many turns, so the provider's cache is read and not written anew."""
    chance = random.Random(5)
    items: list[Any] = [{"role": "system", "content": "Be brief."}]
    prefixes = []
    for _ in range(60):
        items += [{"role": "user", "content": text(chance, 30)}, {"role": "assistant", "content": text(chance, 30)}]
        left = reduce(items, "chat", 1500).items
        prefixes.append(left[1]["content"])
    changes = sum(one != other for one, other in pairwise(prefixes))
    assert 5 < changes < 30


def chat_turn(ask: str, *results: str) -> list[Any]:
    made: list[Any] = [{"role": "user", "content": ask}]
    for number, result in enumerate(results):
        call = {"id": f"{ask}{number}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
        made.append({"role": "assistant", "content": None, "tool_calls": [call]})
        made.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    return made


def test_results_that_came_again_are_cleared_first() -> None:
    """A file that was read three times stands in the conversation once, where it was read last."""
    page = "the contents of a file " * 60
    items = chat_turn("go", page, "other " * 60, page, page)
    reduction = reduce(items, "chat", 1000)
    assert reduction.done == ["duplicates"]
    assert [item["content"] == page for item in reduction.items if item["role"] == "tool"] == [
        False,
        False,
        False,
        True,
    ]
    assert "the same 1380 characters" in reduction.items[2]["content"]


def test_old_tool_results_are_cleared_before_turns_are_dropped() -> None:
    """All but those of the last three exchanges; the calls stay, so that the model knows what it has done."""
    items = chat_turn("go", *(f"result {number} " + "data " * 200 for number in range(8)))
    reduction = reduce(items, "chat", 1200, ("tool_results", "drop"))
    assert reduction.done == ["tool_results"]
    results = [item["content"] for item in reduction.items if item["role"] == "tool"]
    assert results[0] == "[old tool result of 1009 characters cleared]"
    assert all(result.startswith("result") for result in results[-3:])
    assert len(reduction.items) == len(items)


@pytest.mark.parametrize("shape", SHAPES)
def test_one_huge_result_still_fits(shape: str) -> None:
    """600,000 characters from a tool are clamped to head and tail, though nothing else could be left out."""
    huge = "\n".join(f"line {number} of a very long log" for number in range(20_000))[:600_000]
    if shape == "chat":
        items = chat_turn("read the log", huge)
    elif shape == "messages":
        items = [
            {"role": "user", "content": "read the log"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "read", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": huge}]},
        ]
    else:
        items = [
            {"role": "user", "content": "read the log"},
            {"type": "function_call", "call_id": "1", "name": "read", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": huge},
        ]
    reduction = reduce(items, shape, 8000)
    assert reduction.total <= 8000
    assert reduction.done == ["clamp"]
    assert len(reduction.items) == len(items)
    assert "line 1 of a very long log" in str(reduction.items[-1])
    assert "characters left out" in str(reduction.items[-1])


def test_pinned_messages_stay() -> None:
    """What the application pins is never dropped."""
    items = [item for number in range(40) for item in chat_turn(f"ask {number} " + "word " * 50, "result " * 60)]
    reduction = reduce(items, "chat", 3000, wanted=lambda item: str(item.get("content")).startswith("ask 7 "))
    assert any(str(item.get("content")).startswith("ask 7 ") for item in reduction.items)
    assert orphans(reduction.items, "chat") == 0


def test_orphans_of_the_caller_go_first() -> None:
    """A result whose call is not there is not made worse: it is the first to go."""
    stray = {"role": "tool", "tool_call_id": "gone", "content": "stray " * 300}
    reduction = reduce([stray, *chat_turn("go", "result"), *chat_turn("on")], "chat", 300, ("drop",))
    assert stray not in reduction.items


def test_a_result_that_comes_after_the_user_spoke_stays_with_its_call() -> None:
    """OpenAI's Responses allow it, while a tool is still running."""
    call = {"type": "function_call", "call_id": "1", "name": "build", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "1", "output": "built " * 20}
    turn = [{"role": "user", "content": "more " * 60}, {"role": "assistant", "content": "fine " * 60}]
    start = [{"role": "user", "content": "go"}, call, {"role": "user", "content": "still there?"}, result]
    for room in (200, 300, 500, 800):
        reduction = reduce([*start, *turn * 6], "responses", room, ("drop",))
        assert reduction.dropped
        assert orphans(reduction.items, "responses") == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_units_hold_all_messages_in_order(shape: str) -> None:
    """Cutting a conversation into units loses nothing."""
    items = history(random.Random(9), shape, 8)
    units = split_history(items, shape)
    assert [item for unit in units for item in unit.items] == items
    assert {unit.kind for unit in units} <= {"system", "user", "assistant", "exchange"}


# Texts


@given(st.text(max_size=400), st.integers(0, 300))
def test_clamped_texts_keep_head_and_tail(given_text: str, characters: int) -> None:
    """Never longer than asked for by more than the remark, and whole when it fits."""
    clamped = clamp_text(given_text, characters)
    if len(given_text) <= characters:
        assert clamped == given_text
    else:
        assert "characters left out" in clamped
        assert len(clamped) <= characters + 60


def test_redundancy_is_taken_out() -> None:
    """Blank runs, base64 and sentences that were said before, in English and Chinese."""
    said = "The quarterly report shows a strong increase. Please check it. "
    assert without_redundancy(said + "Something else entirely happened. " + said.upper()).count("uarterly") == 1
    assert without_redundancy("季度报告显示收入大幅增长，请尽快核对。" * 3) == "季度报告显示收入大幅增长，请尽快核对。"
    assert without_redundancy("a\n\n\n\n\n\nb") == "a\n\nb"
    assert without_redundancy("x " + "QUJD" * 100) == "x [base64, 400 characters]"


@pytest.mark.parametrize(
    "kept", ["```\na = 1\n\n\n\na = 1\n```", '{"a": "x     y",\n\n\n\n\n"b": 1}', "Yes. Yes. No. Yes.", "short"]
)
def test_code_and_json_are_left_alone(kept: str) -> None:
    """And so are short sentences, which come back for good reasons."""
    assert without_redundancy(kept) == kept


# The layer


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


_bare: list[Any] = []


@pytest.fixture(autouse=True)
def clients_are_closed() -> Iterator[None]:
    """Close the clients that a test has wrapped."""
    yield
    while _bare:
        _bare.pop().close()


def clients(provider: Provider, stack: ap.Stack) -> tuple[Any, Any]:
    one = openai.OpenAI(base_url=provider.openai_url, api_key="any", max_retries=0)
    other = anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any", max_retries=0)
    _bare.extend((one, other))
    return stack.wrap(one), stack.wrap(other)


def send(shape: str, chat: Any, messages: Any, items: list[Any], **options: Any) -> Any:
    if shape == "chat":
        return chat.chat.completions.create(model="gpt-5-mini", messages=items, **options)
    if shape == "responses":
        return chat.responses.create(model="gpt-5-mini", input=items, **options)
    return messages.messages.create(model="claude-sonnet-5", messages=items, max_tokens=100, **options)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stream", [False, True])
def test_real_clients_send_what_fits(provider: Provider, shape: str, stream: bool) -> None:
    """The caller's own list is not touched; the provider gets a shorter one, and the account says so."""
    items = history(random.Random(3), shape, 30)
    before = [*items]
    chat, messages = clients(provider, ap.Stack(ap.ContextWindow(max_tokens=3000, reserve=500)))
    reply = send(shape, chat, messages, items, stream=stream)
    if stream:
        list(reply)
    sent = provider.requests[0].json["input" if shape == "responses" else "messages"]
    assert items == before
    assert len(sent) < len(items)
    assert orphans(sent, shape) == 0
    model = "claude-sonnet-5" if shape == "messages" else "gpt-5-mini"
    assert ap.count_tokens(sent, model) <= 2500
    note = next(note for note in ap.meta(reply).notes if note.layer == "ContextWindow")
    assert note.event == "reduced"
    assert note.data["tokens_after"] < note.data["tokens_before"]


def test_a_model_nobody_knows_has_no_window(provider: Provider) -> None:
    """Nothing is taken away where nobody knows what fits."""
    items = history(random.Random(3), "chat", 30)

    @ap.Stack(ap.ContextWindow())
    def ask(model: str, messages: Any) -> Any:
        assert messages is items
        return answer(5)

    ask("in-house", items)


def test_a_summary_stands_for_what_was_dropped(provider: Provider) -> None:
    """Made by a cheap model through the layers inside, once, paid by the same budget, at its place."""

    def reply_to(asked: Any) -> Any:
        read = ap.count_tokens(asked.json["messages"], "gpt-5-mini")
        text = "They talked about budgets." if asked.json["model"] == "gpt-5-nano" else "Fine."
        return ok(text, usage={"input_tokens": read, "output_tokens": 5})

    provider.script(reply_to)
    budget = ap.TokenBudget(ap.Limit(calls=10, tokens=10**6, per="total"))
    window = ap.ContextWindow(max_tokens=4000, reserve=500, reduce=("drop",), summarize="gpt-5-nano")
    chat, messages = clients(provider, ap.Stack(budget, window, ap.Retry()))
    items = history(random.Random(4), "chat", 40)
    reply = send("chat", chat, messages, items)
    asked, sent = (request.json for request in provider.requests)
    assert asked["model"] == "gpt-5-nano"
    assert "user: " in asked["messages"][1]["content"]
    assert sent["model"] == "gpt-5-mini"
    summaries = [item for item in sent["messages"] if "They talked about budgets." in str(item["content"])]
    assert summaries == [{"role": "user", "content": "Summary of the conversation so far:\nThey talked about budgets."}]
    assert [attempt.model for attempt in ap.meta(reply).attempts] == ["gpt-5-nano", "gpt-5-mini"]
    tokens, calls = ((each.spent, each.held) for each in budget.status())
    assert tokens == (ap.meta(reply).usage.total_tokens, 0)  # type: ignore[union-attr]
    assert calls == (1, 0)
    send("chat", chat, messages, items)
    assert len(provider.requests) == 3  # the summary is known


@pytest.mark.parametrize("window", [1500, 4000, 10_000])
def test_what_was_dropped_leaves_room_for_its_summary(window: int) -> None:
    """However much was freed, the summary that was asked for is made, and all of it fits."""
    sent: list[list[Any]] = []

    @ap.Stack(ap.ContextWindow(max_tokens=window, reserve=100, reduce=("drop",), summarize=lambda said: "word " * 2000))
    def ask(model: str, messages: Any) -> Any:
        sent.append(messages)
        return answer(5, read=ap.count_tokens(messages, model))

    for seed in range(3):
        turns = [f"{seed} {number} " + "a question of several words " * (seed + 1) for number in range(window // 5)]
        said = [
            {"role": "user" if place % 2 == 0 else "assistant", "content": turn} for place, turn in enumerate(turns)
        ]
        ask("gpt-5-mini", [*said, {"role": "user", "content": "Now?"}])
        meta = ap.last()
        assert meta is not None
        assert meta.notes[0].data["by"] == ["drop", "summary"]
        assert sum(map(COUNT, sent[-1])) + 3 <= window - 100
        assert meta.notes[0].data["tokens_after"] == pytest.approx(ap.count_tokens(sent[-1], "gpt-5-mini"), rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stream", [False, True])
def test_summaries_in_every_shape(provider: Provider, shape: str, stream: bool) -> None:
    """Whole or streamed; for Anthropic the roles still take turns."""
    provider.script([ok("They talked about budgets."), ok("Fine.")])
    model = "claude-haiku-4-5" if shape == "messages" else "gpt-5-nano"
    chat, messages = clients(
        provider, ap.Stack(ap.ContextWindow(max_tokens=4000, reserve=500, reduce=("drop",), summarize=model))
    )
    reply = send(shape, chat, messages, history(random.Random(4), shape, 40), stream=stream)
    if stream:
        list(reply)
    sent = provider.requests[1].json["input" if shape == "responses" else "messages"]
    assert "They talked about budgets." in str(sent)
    assert orphans(sent, shape) == 0
    if shape == "messages":
        assert alternates(sent)


def test_a_summary_that_fails_is_left_out(provider: Provider) -> None:
    """The call itself goes on."""
    provider.script(["error", ok("Fine.")])
    chat, messages = clients(
        provider, ap.Stack(ap.ContextWindow(max_tokens=4000, reserve=500, reduce=("drop",), summarize="gpt-5-nano"))
    )
    reply = send("chat", chat, messages, history(random.Random(4), "chat", 40))
    assert reply.choices[0].message.content == "Fine."
    assert any(note.event == "summary_failed" for note in ap.meta(reply).notes)


def test_a_function_makes_summaries() -> None:
    """A plain one in sync calls, an async one in async calls; its own calls do not enter the stack again."""
    seen: list[Any] = []

    async def summarize(said: str) -> str:
        return f"{len(said)} characters"

    @ap.Stack(ap.ContextWindow(max_tokens=4000, reserve=500, reduce=("drop",), summarize=summarize))
    async def ask(model: str, messages: Any) -> Any:
        seen.extend(messages)
        return answer(5)

    asyncio.run(ask("gpt-5-mini", history(random.Random(4), "chat", 40)))
    assert any(str(message["content"]).startswith("Summary of the conversation so far:") for message in seen)
    with pytest.raises(ap.ConfigError, match="async function"):
        ap.Stack(ap.ContextWindow(summarize=summarize)).decorate(lambda model, messages: None)


def test_what_the_provider_counts_is_learned() -> None:
    """A tokenizer that is denser than ours makes the conversation shorter, within a few calls."""
    real: list[float] = []

    @ap.Stack(ap.ContextWindow(max_tokens=6000, reserve=500))
    def ask(model: str, messages: Any) -> Any:
        real.append(ap.count_tokens(messages, "gpt-5-mini") * 1.3)
        return answer(5, read=round(real[-1]))

    errors = []
    for seed in range(20):
        ask("gpt-5-mini", history(random.Random(seed), "chat", 60))
        told = next(note.data for note in ap.last().notes if note.event == "reduced")  # type: ignore[union-attr]
        errors.append(abs(told["tokens_after"] / real[-1] - 1))
    assert errors[0] > 0.2
    assert errors[-1] < 0.05


def test_reports_that_are_far_too_low_are_not_believed() -> None:
    """A server that reports only what it had not cached does not make the window grow by more than a quarter."""
    sent: list[int] = []

    @ap.Stack(ap.ContextWindow(max_tokens=6000, reserve=500))
    def ask(model: str, messages: Any) -> Any:
        sent.append(ap.count_tokens(messages, "gpt-5-mini"))
        return answer(5, read=20)

    for seed in range(4):
        ask("gpt-5-mini", history(random.Random(seed), "chat", 60))
    assert max(sent) <= 5500 / 0.8


def test_trim_is_an_action_of_budgets() -> None:
    """A budget that has too little left for the whole history sends the part that it can pay for."""
    sent: list[Any] = []
    budget = ap.TokenBudget(tokens=2000, per="total", on_exceeded="trim")

    @ap.Stack(budget)
    def ask(model: str, messages: Any, max_tokens: int) -> Any:
        sent.append(messages)
        return answer(10, read=ap.count_tokens(messages, model))

    items = history(random.Random(6), "chat", 60)
    ask("gpt-5-mini", items, 100)
    assert orphans(sent[0], "chat") == 0
    assert ap.count_tokens(sent[0], "gpt-5-mini") < 1900
    assert sent[0][-1] == items[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"reserve": -1}, "reserve"),
        ({"max_tokens": 100, "reserve": 100}, "leaves nothing"),
        ({"reduce": ()}, "reduce"),
        ({"reduce": "drop"}, "reduce"),
        ({"reduce": ("compress",)}, "reduce"),
        ({"summarize": ""}, "summarize"),
        ({"pin": True}, "pin"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    """They are refused when the layer is built."""
    with pytest.raises(ap.ConfigError, match=message):
        ap.ContextWindow(**options)


def test_options_are_shown() -> None:
    """`print(stack)` says what is held to what."""
    layer = ap.ContextWindow(max_tokens=100, reduce=("drop",), summarize="m")
    assert repr(layer) == "ContextWindow(max_tokens=100, reduce=('drop',), summarize=True)"
