"""Output tokens that are no text of the answer: tool arguments, reasoning, refusals, further choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["hidden_output"]

_TEXTS = ("reasoning_content", "reasoning", "refusal")
_MESSAGES = {"input_json_delta": "partial_json", "thinking_delta": "thinking"}


def hidden_output(event: Any) -> str:
    """Return what a stream event carries besides the text of the first choice; providers bill it as output, too.

    Args:
        event: the JSON of a chat chunk, a Responses event or an Anthropic event.
    """
    if type(event) is not dict:
        return ""
    choices = event.get("choices")
    if choices:
        return "".join(_choice(choice) for choice in choices if isinstance(choice, Mapping))
    kind, delta = event.get("type"), event.get("delta")
    if type(delta) is str:
        return delta if kind != "response.output_text.delta" else ""
    if type(delta) is dict and kind == "content_block_delta":
        text = delta.get(_MESSAGES.get(delta.get("type", ""), ""))
        return text if isinstance(text, str) else ""
    return ""


def _choice(choice: Mapping[str, Any]) -> str:
    delta = choice.get("delta")
    if not isinstance(delta, Mapping):
        return ""
    parts = [text for name in _TEXTS if isinstance(text := delta.get(name), str)]
    if choice.get("index", 0) != 0 and isinstance(delta.get("content"), str):
        parts.append(delta["content"])
    for call in delta.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            parts += [text for name in ("name", "arguments") if isinstance(text := function.get(name), str)]
    return "".join(parts)
