"""Types of scrubbing, guards and tools, as type checkers see them; never run."""

from __future__ import annotations

from typing import assert_type

import anthropic
import openai
from anthropic.types import MessageParam
from openai.types.chat import ChatCompletionMessageParam

import agentprod as ap


@ap.tool
def add(a: int, b: int = 1) -> int:
    """A tool is called like the function it was made of."""
    return a + b


@ap.tool(risk="high", timeout=5)
async def send(to: str) -> str:
    """So is one with options, and one that is awaited."""
    return to


assert_type(add(1), int)
assert_type(add(a=1, b=2), int)
add("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def awaited() -> None:
    """What an async tool returns is to be awaited."""
    assert_type(await send("x"), str)


guard = ap.ToolGuard([add, send], approve=lambda request: request.digest, rate={"add": "5/hour"})


def tool_loop(history: list[ChatCompletionMessageParam], turns: list[MessageParam]) -> None:
    """Definitions and results go into each SDK's calls as they are."""
    reply = openai.OpenAI().chat.completions.create(model="m", messages=history, tools=guard.openai)
    history += guard.run(reply)
    message = anthropic.Anthropic().messages.create(model="m", max_tokens=1, messages=turns, tools=guard.anthropic)
    turns += guard.run(message)


async def awaited_tool_loop(history: list[ChatCompletionMessageParam]) -> None:
    """Also when the tools are awaited."""
    history += await guard.arun({})


assert_type(ap.scrub("x").text, str)
assert_type(ap.scrub("x").restore(), str)
assert_type(ap.untrusted("x"), str)

ap.Stack(
    ap.ScrubPII(
        entities=ap.pii.ALL - ap.pii.WEAK,
        strategy={"EMAIL": "mask", "PHONE": ap.pii.KeyedHash(b"0" * 16), "*": lambda entity, value: entity},
        restore={"text": True, "tools": {"send": ["EMAIL"]}},
        recognizers=[ap.Recognizer.regex("EMPLOYEE_ID", "EMP-[0-9]{6}"), lambda text: [(0, 1, "X")]],
        allow=["@corp.example", lambda entity, value: False],
    ),
    ap.InjectionGuard(mode="annotate", canary=True, egress_allow=["corp.example"]),
    ap.ContentFilter(lambda text: "bomb" in text, on="input"),
)
ap.ScrubPII(on_error="log")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ap.InjectionGuard(mode="guess")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
