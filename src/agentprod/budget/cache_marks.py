"""Where to mark a request's prefix for the provider's prompt cache, and how the mark is written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentprod.budget.prefix_history import Segment

__all__ = ["Mark", "fixed_segments", "has_marks", "mark_anthropic", "mark_openai", "plan", "takes_breakpoints"]

_UNMARKABLE = ("thinking", "redacted_thinking")
_EXPLICIT = re.compile(r"^gpt-(?:5\.(?:[6-9]|\d\d)|[6-9]|\d\d)")
_MOST = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """The end of a prefix to be cached."""

    part: str
    """`"tools"`, `"system"` or `"messages"`."""
    index: int
    lifetime: str


def fixed_segments(request: Mapping[str, Any]) -> list[Segment]:
    """Return tools and system prompt as segments, in the order in which caches read them: tools come first."""
    found = [Segment(f"tools[{index}]", _plain(tool)) for index, tool in enumerate(_list(request.get("tools")))]
    system = request.get("system", request.get("instructions"))
    if isinstance(system, str):
        found.append(Segment("system", system))
    else:
        found += [Segment(f"system[{index}]", _plain(block)) for index, block in enumerate(_list(system))]
    for index, message in enumerate(_list(request.get("messages", request.get("input")))):
        if not isinstance(message, Mapping) or message.get("role") not in ("system", "developer"):
            break
        found.append(Segment(f"messages[{index}]", _plain(message)))
    return found


def has_marks(request: Mapping[str, Any]) -> bool:
    """Whether the application marks its prefixes itself, in either provider's way."""
    if request.get("cache_control"):
        return True
    holders = [request.get("tools"), request.get("system")]
    given = _list(request.get("messages", request.get("input")))
    holders += [message.get("content") for message in given if isinstance(message, Mapping)]
    blocks = (block for holder in holders for block in _list(holder) if isinstance(block, Mapping))
    return any("cache_control" in block or "prompt_cache_breakpoint" in block for block in blocks)


def plan(
    request: Mapping[str, Any],
    segments: Sequence[Segment],
    *,
    stable: int,
    least: int,
    count: Callable[[Any], int],
    count_fixed: Callable[[Sequence[Segment]], int],
    lifetime: str,
    talk_lifetime: str,
    is_talk: bool,
) -> list[Mark]:
    """Return the marks for an Anthropic request, in the order of its prefix.

    Args:
        request: the wire request, without marks.

        segments: its tools and system prompt.

        stable: how many of these, from the first, did not change since last time.

        least: tokens of the shortest prefix that is cached: a shorter one is silently not.

        count: counts one message.

        count_fixed: counts segments.

        lifetime: for the fixed part.

        talk_lifetime: for the conversation after it.

        is_talk: whether the conversation is likely to go on.

    Returns:
        Up to 4 marks, none below the least prefix, none after what changes, longer lifetimes first.
    """
    talk = is_talk and stable == len(segments)
    if talk and talk_lifetime == "1h":
        lifetime = "1h"  # entries of an hour must come before those of five minutes
    marks: list[Mark] = []
    tools = len(_list(request.get("tools")))
    ends = {end for end in (min(tools, stable), stable) if end}
    tokens = 0
    for end in sorted(ends):
        tokens = count_fixed(segments[:end])
        if tokens >= least:
            part, index = ("tools", end - 1) if end <= tools else ("system", end - tools - 1)
            marks.append(Mark(part, index, lifetime))
    if not talk:
        return marks
    messages = _list(request.get("messages"))
    wanted = _talk_ends(messages)
    tokens = count_fixed(segments)
    for index, message in enumerate(messages):
        tokens += count(message)
        if index in wanted and tokens >= least:
            marks.append(Mark("messages", index, talk_lifetime))
    return [*marks[: _MOST - 2], *marks[_MOST - 2 :][-2:]]


def _talk_ends(messages: Sequence[Any]) -> set[int]:
    """The last message, and the last one of the user before it: there the previous request has written its entry."""
    users = [index for index, message in enumerate(messages) if _markable(message) and message.get("role") == "user"]
    ends = set(users[-2:])
    if messages and _markable(messages[-1]):
        ends.add(len(messages) - 1)
    return set(sorted(ends)[-2:])


def mark_anthropic(request: Mapping[str, Any], marks: Sequence[Mark]) -> dict[str, Any]:
    """Return the request with its marks written in; nothing of the caller's is changed."""
    changed = dict(request)
    for mark in marks:
        part, index, lifetime = mark.part, mark.index, mark.lifetime
        control = {"type": "ephemeral"} if lifetime == "5m" else {"type": "ephemeral", "ttl": lifetime}
        if part == "system" and isinstance(changed["system"], str):
            changed["system"] = [{"type": "text", "text": changed["system"], "cache_control": control}]
            continue
        items = list(changed[part])
        items[index] = (
            _marked_message(items[index], control) if part == "messages" else {**items[index], "cache_control": control}
        )
        changed[part] = items
    return changed


def takes_breakpoints(model: str | None) -> bool:
    """Whether a model of OpenAI takes explicit breakpoints: GPT-5.6 and later (OpenAI, "Prompt caching")."""
    return model is not None and bool(_EXPLICIT.match(model.rpartition("/")[2]))


def mark_openai(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an OpenAI request with a breakpoint at the end of its leading system messages; `None` without any."""
    key = "messages" if "messages" in request else "input"
    items = list(_list(request.get(key)))
    last = -1
    while last + 1 < len(items) and _is_system(items[last + 1]):
        last += 1
    if last < 0:
        return None
    kind = "text" if key == "messages" else "input_text"
    content = items[last].get("content")
    parts = [{"type": kind, "text": content}] if isinstance(content, str) else list(_list(content))
    if not parts or not isinstance(parts[-1], Mapping):
        return None
    parts[-1] = {**parts[-1], "prompt_cache_breakpoint": {"mode": "explicit"}}
    items[last] = {**items[last], "content": parts}
    return {**request, key: items}


def _marked_message(message: Mapping[str, Any], control: Mapping[str, str]) -> dict[str, Any]:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    last = max(index for index, block in enumerate(blocks) if _block_markable(block))
    blocks[last] = {**blocks[last], "cache_control": control}
    return {**message, "content": blocks}


def _markable(message: Any) -> bool:
    content = message.get("content") if isinstance(message, Mapping) else None
    return bool(content) and (isinstance(content, str) or any(_block_markable(block) for block in _list(content)))


def _block_markable(block: Any) -> bool:
    if not isinstance(block, Mapping) or block.get("type") in _UNMARKABLE:
        return False
    return block.get("type") != "text" or bool(block.get("text"))


def _is_system(message: Any) -> bool:
    return isinstance(message, Mapping) and message.get("role") in ("system", "developer")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        value = {name: each for name, each in value.items() if name not in ("cache_control", "prompt_cache_breakpoint")}
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()
