"""Random conversations in the three wire formats, and what makes one valid."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

SHAPES = ("chat", "responses", "messages")
WORDS = "the budget holds 预算 always and never fails where money is spent tool data file 中文".split()


def text(chance: random.Random, most: int) -> str:
    """Some words; now and then a very long text."""
    count = chance.randint(1, most) if chance.random() > 0.02 else most * 40
    return " ".join(chance.choices(WORDS, k=count))


def history(chance: random.Random, shape: str, turns: int) -> list[Any]:
    """A valid conversation: asks, answers, tool calls in parallel with results, perhaps one still open."""
    made: list[Any] = []
    if shape != "messages" and chance.random() < 0.8:
        made.append(
            {
                "role": chance.choice(["system", "developer"]),
                "content": " ".join(chance.choices(WORDS, k=chance.randint(1, 30))),
            }
        )
    for turn in range(turns):
        made.append({"role": "user", "content": _ask(chance, shape)})
        is_last = turn == turns - 1
        exchanges = chance.randint(0, 4)
        for _ in range(exchanges):
            made += _exchange(chance, shape)
        if not is_last or (chance.random() < 0.3 and shape != "messages"):
            made.append({"role": "assistant", "content": text(chance, 60)})
    return made


def _ask(chance: random.Random, shape: str) -> Any:
    said = text(chance, 40)
    if chance.random() < 0.7:
        return said
    return [{"type": "input_text" if shape == "responses" else "text", "text": said}]


def _exchange(chance: random.Random, shape: str) -> list[Any]:
    ids = [f"call_{chance.getrandbits(40)}" for _ in range(chance.randint(1, 3))]
    results = [text(chance, 120) for _ in ids]
    asked_for = {"q": text(chance, 6)}
    arguments = json.dumps(asked_for, ensure_ascii=False)
    if shape == "chat":
        calls = [{"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}} for id in ids]
        answered = [{"role": "tool", "tool_call_id": id, "content": r} for id, r in zip(ids, results, strict=True)]
        return [{"role": "assistant", "content": None, "tool_calls": calls}, *answered]
    if shape == "messages":
        thinking = (
            [{"type": "thinking", "thinking": text(chance, 20), "signature": "s"}] if chance.random() < 0.5 else []
        )
        used = [{"type": "tool_use", "id": id, "name": "f", "input": asked_for} for id in ids]
        found = [
            {
                "type": "tool_result",
                "tool_use_id": id,
                "content": r if chance.random() < 0.5 else [{"type": "text", "text": r}],
            }
            for id, r in zip(ids, results, strict=True)
        ]
        return [{"role": "assistant", "content": [*thinking, *used]}, {"role": "user", "content": found}]
    reasoning = [{"type": "reasoning", "id": "rs", "summary": []}] if chance.random() < 0.5 else []
    asked = [{"type": "function_call", "call_id": id, "name": "f", "arguments": arguments} for id in ids]
    outputs = [{"type": "function_call_output", "call_id": id, "output": r} for id, r in zip(ids, results, strict=True)]
    return [*reasoning, *asked, *outputs]


def request(shape: str, items: list[Any]) -> dict[str, Any]:
    """The request that holds such a conversation."""
    return {"model": "gpt-5-mini", "input" if shape == "responses" else "messages": items}


def orphans(items: list[Any], shape: str) -> int:
    """Calls without results and results without calls, in place, and reasoning without what it led to."""
    bad = 0
    open_calls: set[str] = set()
    for index, item in enumerate(items):
        blocks = item.get("content") if isinstance(item.get("content"), list) else []
        asked = {call["id"] for call in item.get("tool_calls") or ()}
        asked |= {block["id"] for block in blocks if block.get("type") == "tool_use"}
        asked |= {item["call_id"]} if item.get("type") == "function_call" else set()
        answered = {item["tool_call_id"]} if item.get("role") == "tool" else set()
        answered |= {block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"}
        answered |= {item["call_id"]} if item.get("type") == "function_call_output" else set()
        bad += len(answered - open_calls)
        if shape != "responses" and not answered and open_calls:
            bad += len(open_calls)
            open_calls = set()
        open_calls = (open_calls | asked) - answered
        if item.get("type") == "reasoning":
            bad += index + 1 == len(items) or items[index + 1].get("type") not in ("function_call", "reasoning", None)
    return bad + len(open_calls)


def alternates(items: list[Any]) -> bool:
    """Whether user and assistant take turns, the user first."""
    roles = [item["role"] for item in items if item["role"] != "system"]
    return roles[0] == "user" and all(one != other for one, other in pairwise(roles))


def is_result(item: Any) -> bool:
    """Whether a message of the user's role brings results of tools."""
    content = item.get("content")
    return isinstance(content, list) and any(block.get("type") == "tool_result" for block in content)


def systems_of(items: list[Any]) -> list[Any]:
    """What the application says to the model."""
    return [item for item in items if item.get("role") in ("system", "developer")]


def asks_of(items: list[Any]) -> list[Any]:
    """What the user asked."""
    return [item for item in items if item.get("role") == "user" and not is_result(item)]


def has_lost(items: list[Any], left: list[Any], *, clamped: bool) -> bool:
    """Whether system prompts or the last ask are gone; a clamped ask has another text, a retold call may join it."""
    ask = said_in(asks_of(items)[-1])
    is_there = any(item.get("role") == "user" and (clamped or ask in said_in(item)) for item in left)
    return systems_of(left) != systems_of(items) or not is_there


def said_in(item: Any) -> str:
    """The text of a message, without results of tools."""
    content = item["content"]
    return content if isinstance(content, str) else "\n".join(block.get("text", "") for block in content)
