"""What is asked is read from requests of every wire format, in English and Chinese."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.routing.ask import Ask, is_continuation, read_ask
from agentprod.routing.heuristic import LABELS, classify, difficulty


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_the_last_question_of_the_user_is_the_ask() -> None:
    """System prompts, reminders and answers are not what is asked."""
    ask = read_ask(
        {
            "messages": [
                {"role": "system", "content": "Analyse, compare and prove everything, step by step."},
                {"role": "developer", "content": "Be thorough."},
                user("Who wrote Faust?"),
                {"role": "assistant", "content": "Goethe."},
                user([{"type": "text", "text": "And when?"},
                      {"type": "text", "text": "<system-reminder>prove it</system-reminder>"}]),
            ],
            "tools": [{"type": "function"}],
        }
    )  # fmt: skip
    assert ask.text == "And when?"
    assert (ask.turns, ask.tool_results, ask.continues, ask.has_tools) == (2, 0, False, True)
    assert ask.characters == sum(map(len, ["Who wrote Faust?", "Goethe.", "And when?"])) + 1 + len(
        "<system-reminder>prove it</system-reminder>"
    )


@pytest.mark.parametrize(
    "request_body",
    [
        {"messages": [user("q")]},
        {"messages": [user([{"type": "text", "text": "q"}])], "system": "long system prompt"},
        {"input": "q", "instructions": "long instructions"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "q"}]}]},
        {"input": ["first", "q"]},
    ],
)
def test_every_wire_format_is_read(request_body: dict[str, Any]) -> None:
    """Chat, messages, responses and embeddings all tell what is asked."""
    assert read_ask(request_body).text == "q"


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "Yes, please!",
        "ok continue",
        "继续",
        "好的，继续",
        "继续。",
        "嗯",
        "go ahead",
        "LGTM",
        "对的，没问题",
    ],
)
def test_going_on_keeps_the_question_before(text: str) -> None:
    """A message that only agrees stands for the question before it, so that the route stays."""
    ask = read_ask({"messages": [user("证明勾股定理"), {"role": "assistant", "content": "…"}, user(text)]})
    assert ask.text == "证明勾股定理"
    assert ask.continues


@pytest.mark.parametrize(
    "text", ["yes but why is it so?", "继续写第三章，换成悲剧结局", "no", "", "ok" * 40, "好的代码是什么样的"]
)
def test_saying_more_is_a_question_of_its_own(text: str) -> None:
    """What adds anything is not a mere continuation."""
    assert not is_continuation(text)


def test_a_lone_yes_is_all_there_is() -> None:
    """With nothing before it, even a continuation is the ask."""
    ask = read_ask({"messages": [user("yes")]})
    assert (ask.text, ask.continues) == ("yes", False)


def test_tool_exchanges_are_told() -> None:
    """In the middle of a tool exchange the last question is still the ask, and the exchange is known."""
    openai = [
        user("What is the weather?"),
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
    ]
    anthropic = [
        user("What is the weather?"),
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1"}]},
        user([{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "sunny"}]}]),
    ]
    items = [
        user("What is the weather?"),
        {"type": "function_call"},
        {"type": "function_call_output", "output": "sunny"},
    ]
    for body in ({"messages": openai}, {"messages": anthropic}, {"input": items}):
        ask = read_ask(body)
        assert ask.text == "What is the weather?"
        assert (ask.turns, ask.tool_results, ask.in_tool_exchange) == (1, 1, True)
    ended = read_ask({"messages": [*openai, {"role": "assistant", "content": "It is sunny."}, user("And tomorrow?")]})
    assert (ended.text, ended.in_tool_exchange) == ("And tomorrow?", False)


def test_images_are_noticed() -> None:
    """A message with an image asks something even without words."""
    ask = read_ask({"messages": [user([{"type": "image_url", "image_url": {"url": "data:"}}])]})
    assert (ask.media, ask.turns, ask.text) == ({"image"}, 1, "")
    both = [{"type": "input_audio"}, {"type": "document"}, {"type": "text", "text": "Sum it up"}]
    assert read_ask({"messages": [user(both)]}).media == {"audio", "file"}


def test_sizes_tell_what_is_sent() -> None:
    """The length of the conversation leaves system prompt and tools out; the size of the request holds them."""
    ask = read_ask({"system": "s" * 10, "messages": [user("hello"), {"role": "assistant", "content": "yo"}]})
    assert (ask.characters, ask.size) == (7, 17)
    assert read_ask({"input": "hello", "instructions": "brief", "tools": [{"name": "x"}]}).size > 20


def test_a_reminder_beside_results_is_not_the_user() -> None:
    """Agents put reminders into the message that brings results: the exchange goes on."""
    results = [
        {"type": "tool_result", "content": "sunny"},
        {"type": "text", "text": "<system-reminder>x</system-reminder>"},
    ]
    ask = read_ask({"messages": [user("What is the weather?"), user(results)]})
    assert (ask.text, ask.turns, ask.in_tool_exchange) == ("What is the weather?", 1, True)


@dataclasses.dataclass
class Message:
    """A message as an object, the way SDKs hand replies back."""

    role: str
    content: str


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"prompt": "q"}, "q"),
        ({"system_prompt": "s", "question": "q"}, "q"),
        ({"anything": "q", "n": 3}, "q"),
        ({"one": "a", "two": "b"}, ""),
        ({"model": "m", "topic": "q"}, "q"),
        ({"model": "m", "messages": [Message("user", "q"), 7]}, "q"),
    ],
)
def test_arguments_of_functions_are_read(arguments: dict[str, Any], text: str) -> None:
    """A function's prompt is found by its usual names, or as the only text; otherwise nothing is known to be asked."""
    assert read_ask(arguments).text == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "messages", "input", "output"]),
                          inner | st.sampled_from(["user", "tool", "tool_result", "image"]), max_size=4),
        max_leaves=10,
    )
)  # fmt: skip
def test_no_request_raises(body: Any) -> None:
    """Whatever a request holds, there is an ask."""
    assert isinstance(read_ask({"messages": body}), Ask)
    assert isinstance(read_ask({"input": body}), Ask)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("你好", "simple"), ("Who wrote Faust?", "simple"), ("x" * 501, "medium"), ("字" * 201, "medium"),
        ("请比较这两个方案", "reasoning"), ("Derive the formula", "reasoning"), ("```x```", "code"),
        ("这段代码报错了", "code"),
    ],
)  # fmt: skip
def test_keywords_and_length(text: str, label: str) -> None:
    """The rule of thumb labels by words first and by length last."""
    ask = read_ask({"input": text})
    assert classify(ask) == label
    assert LABELS.index(label) <= difficulty(ask) < LABELS.index(label) + 1


def test_long_conversations_are_complex() -> None:
    """More than ten user messages are complex by the rule."""
    ask = read_ask({"messages": [user(f"message {number} of many") for number in range(11)]})
    assert classify(ask) == "complex"
