"""Add a sentence to the system prompt, wherever a wire format keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["edit_system"]


def edit_system(operation: str, request: Mapping[str, Any], edit: Callable[[str], str]) -> Mapping[str, Any]:
    """Return the request with its system prompt edited, an empty one where there was none.

    Args:
        operation: `"chat"`, `"responses"` or `"messages"`; other requests have no system prompt and stay as they are.

        request: of that operation.

        edit: takes the prompt's text and returns the new one.
    """
    if operation == "messages":
        return {**request, "system": _edited(request.get("system"), edit)}
    if operation == "responses":
        given = request.get("instructions")
        return {**request, "instructions": edit(given if isinstance(given, str) else "")}
    messages = request.get("messages")
    if operation != "chat" or not isinstance(messages, list | tuple):
        return request
    for index, message in enumerate(messages):
        if isinstance(message, Mapping) and message.get("role") in ("system", "developer"):
            changed = {**message, "content": _edited(message.get("content"), edit)}
            return {**request, "messages": [*messages[:index], changed, *messages[index + 1 :]]}
    return {**request, "messages": [{"role": "system", "content": edit("")}, *messages]}


def _edited(content: Any, edit: Callable[[str], str]) -> Any:
    if isinstance(content, str) or not content:
        return edit(content or "")
    blocks = list(content)
    for index, block in enumerate(blocks):
        if isinstance(block, Mapping) and isinstance(block.get("text"), str):
            return [*blocks[:index], {**block, "text": edit(block["text"])}, *blocks[index + 1 :]]
    return [{"type": "text", "text": edit("")}, *blocks]
