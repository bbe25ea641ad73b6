"""The text of a request in any of the provider's wire formats, and a count of tokens that needs no tokenizer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["all_texts", "count_tokens", "last_user_text", "split_words"]

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_WORD = re.compile(rf"\s*(?:[{_CJK}]|[^\s{_CJK}]+)|\s+\Z")
# What holds text in messages, content parts, tool results and Responses items of the three wire formats.
_TEXT_KEYS = ("content", "text", "thinking", "reasoning_content", "refusal", "output", "arguments", "summary")


def count_tokens(text: str) -> int:
    """Return the number of words separated by white space, each Chinese, Japanese or Korean character being one."""
    return len(_TOKEN.findall(text))


def split_words(text: str) -> list[str]:
    """Split a text into its words, each with the white space before it; joined they are the text again."""
    return _WORD.findall(text)


def all_texts(body: Any) -> list[str]:
    """Return all text of a request in the order it stands in: instructions, messages, tool calls and results."""
    if not isinstance(body, Mapping):
        return []
    found = [text for key in ("system", "instructions") for text in _texts(body.get(key))]
    for key in ("messages", "input", "prompt"):
        found.extend(_texts(body.get(key)))
    return found


def last_user_text(body: Any) -> str:
    """Return the text of the last message of the user; of the last input where there are no roles; or `""`."""
    if not isinstance(body, Mapping):
        return ""
    turns = body.get("messages", body.get("input", body.get("prompt")))
    if isinstance(turns, list) and any(isinstance(turn, Mapping) for turn in turns):
        user = [turn for turn in turns if isinstance(turn, Mapping) and turn.get("role") == "user"]
        # A turn that only carries tool results has no text of the user's own.
        texts = [own for turn in user if (own := _own_text(turn.get("content")))]
        return texts[-1] if texts else ""
    strings = list(_texts(turns))
    return strings[-1] if strings else ""


def _own_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Mapping):
        for key in _TEXT_KEYS:
            if key in value:
                yield from _texts(value[key])
        if value.get("type") == "tool_use":
            yield json.dumps(value.get("input"), ensure_ascii=False)
        for call in value.get("tool_calls") or ():
            yield from _texts(call.get("function"))
