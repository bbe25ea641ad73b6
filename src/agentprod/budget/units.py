"""A conversation cut into what belongs together: messages, and tool calls with all their results.

Providers refuse a tool result without its call, a call without its result, and reasoning without what it led to; so
whoever shortens a history drops or keeps such an exchange as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

__all__ = ["Unit", "history_key", "pin", "split_history"]

Kind = Literal["system", "user", "assistant", "exchange"]
Item = Mapping[str, Any]

_CALLS = ("function_call", "custom_tool_call", "computer_call", "local_shell_call", "shell_call", "apply_patch_call")
_TOOL_USE = ("tool_use",)
_MAPPINGS = (dict, Mapping)
"""Whether something is a dictionary is told in a fifth of the time that the abstract class takes."""


class Unit:
    """Messages or items that stay together."""

    __slots__ = ("is_open", "is_pinned", "items", "kind", "tokens")

    def __init__(self, kind: Kind, items: Sequence[Any], *, is_open: bool = False) -> None:
        self.kind: Kind = kind
        self.items = list(items)
        self.is_open = is_open
        """Whether a call in it has no result yet."""
        self.is_pinned = False
        self.tokens = 0

    def __repr__(self) -> str:
        return f"Unit({self.kind}, {len(self.items)} items, {self.tokens} tokens)"


def history_key(request: Mapping[str, Any]) -> str | None:
    """Return where a request keeps its conversation, `"messages"` or `"input"`; `None` when it has none to cut."""
    if isinstance(request.get("messages"), list | tuple):
        return "messages"
    if isinstance(request.get("input"), list | tuple) and "model" in request:
        return "input"
    return None


def split_history(items: Sequence[Any], operation: str) -> list[Unit]:
    """Cut a conversation into units.

    Args:
        items: OpenAI chat messages, Responses items or Anthropic messages.

        operation: `"chat"`, `"responses"` or `"messages"`.
    """
    if operation == "responses":
        return _split_items(items)
    if operation == "messages":
        return _split_anthropic(items)
    return _split_chat(items)


def _split_chat(messages: Sequence[Any]) -> list[Unit]:
    units: list[Unit] = []
    waiting: set[str] = set()
    for message in messages:
        role = _role(message)
        if role in ("tool", "function"):
            if units and units[-1].kind == "exchange":
                units[-1].items.append(message)
                waiting.discard(str(message.get("tool_call_id")))
                units[-1].is_open = bool(waiting)
            else:  # the call it answers is not there
                units.append(Unit("exchange", [message]))
            continue
        if isinstance(message, _MAPPINGS) and (message.get("tool_calls") or message.get("function_call")):
            calls = message.get("tool_calls")
            waiting = {str(call.get("id")) for call in calls or () if isinstance(call, _MAPPINGS)}
            units.append(Unit("exchange", [message], is_open=True))
        else:
            units.append(Unit(_plain_kind(role), [message]))
    return units


def _split_anthropic(messages: Sequence[Any]) -> list[Unit]:
    units: list[Unit] = []
    waiting: set[str] = set()
    for message in messages:
        blocks = _blocks(message)
        answered = {str(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"}
        if answered:
            if units and units[-1].kind == "exchange":
                units[-1].items.append(message)
                waiting -= answered
                units[-1].is_open = bool(waiting)
            else:
                units.append(Unit("exchange", [message]))
            continue
        asked = {str(block.get("id")) for block in blocks if block.get("type") in _TOOL_USE}
        if asked:
            waiting = asked
            units.append(Unit("exchange", [message], is_open=True))
        else:
            units.append(Unit(_plain_kind(_role(message)), [message]))
    return units


def _split_items(items: Sequence[Any]) -> list[Unit]:
    units: list[Unit] = []
    group: list[Any] = []
    waiting: set[str] = set()
    interrupted: set[str] = set()
    has_calls = answers_earlier = False

    def close() -> None:
        nonlocal group, waiting, has_calls, answers_earlier
        if group:
            kind: Kind = "exchange" if has_calls or not any(_is_message(item) for item in group) else "assistant"
            # Where the user spoke between a call and its result, neither may go without the other: both stay.
            units.append(Unit(kind, group, is_open=bool(waiting) or answers_earlier))
        interrupted.update(waiting)
        group, waiting, has_calls, answers_earlier = [], set(), False, False

    for item in items:
        kind = item.get("type") if isinstance(item, _MAPPINGS) else None
        role = _role(item) if _is_message(item) else None
        if role is not None and role != "assistant":
            close()
            units.append(Unit(_plain_kind(role), [item]))
        elif isinstance(kind, str) and kind.endswith("_output"):
            group.append(item)
            has_calls = True
            waiting.discard(str(item.get("call_id")))
            answers_earlier = answers_earlier or str(item.get("call_id")) in interrupted
        else:
            # What comes after all results, or after a finished message, is the model's next turn.
            if has_calls and not waiting and any(_is_output(each) for each in group):
                close()
            elif group and not has_calls and _is_message(group[-1]):
                if kind == "reasoning" or _is_message(item):
                    close()
            group.append(item)
            if kind in _CALLS:
                has_calls = True
                waiting.add(str(item.get("call_id")))
    close()
    return units


def pin(units: Sequence[Unit], wanted: Callable[[Any], bool] | None = None) -> None:
    """Mark what must stay: system units, the last ask, what is not answered yet, and what the user wants.

    Args:
        units: of a whole conversation.

        wanted: says of a message whether it stays, too.
    """
    asks = [index for index, unit in enumerate(units) if unit.kind == "user"]
    for index, unit in enumerate(units):
        is_last_ask = bool(asks) and index == asks[-1]
        unit.is_pinned = unit.kind == "system" or is_last_ask or unit.is_open or index == len(units) - 1
        if wanted is not None and not unit.is_pinned:
            unit.is_pinned = any(wanted(item) for item in unit.items)


def _plain_kind(role: str) -> Kind:
    if role in ("system", "developer"):
        return "system"
    return "assistant" if role == "assistant" else "user"


def _role(message: Any) -> str:
    role = message.get("role") if isinstance(message, _MAPPINGS) else getattr(message, "role", None)
    return role if isinstance(role, str) else "user"


def _is_message(item: Any) -> bool:
    return isinstance(item, _MAPPINGS) and item.get("type", "message") == "message"


def _is_output(item: Any) -> bool:
    return isinstance(item, _MAPPINGS) and str(item.get("type", "")).endswith("_output")


def _blocks(message: Any) -> Iterable[Mapping[str, Any]]:
    content = message.get("content") if isinstance(message, _MAPPINGS) else None
    return [block for block in content if isinstance(block, _MAPPINGS)] if isinstance(content, list | tuple) else []
