"""Make old parts of a conversation smaller without changing what belongs together."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["clamp_text", "edit_answers", "edit_results", "edit_user_texts", "without_redundancy"]

Edit = Callable[[str], str]

_TEXTS = ("text", "input_text", "output_text")
_FENCE = re.compile(r"^(?:```|~~~)", re.MULTILINE)
_BLANKS = re.compile(r"[ \t]*\n(?:[ \t]*\n){2,}")
_SPACES = re.compile(r"(?<=\S)[ \t]{3,}")
_BLOB = re.compile(r"(?:data:[\w./+-]+;base64,)?(?<![\w+/])[A-Za-z0-9+/]{200,}={0,2}(?![\w+/])")
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*\n?|\n")
_LOOSE = re.compile(r"[\W_]+")
_SHORTEST = 24
"""Sentences of fewer letters come back for good reasons."""


def edit_results(item: Any, edit: Edit) -> Any:
    """Return a message or item with every text of its tool results changed; the same object when nothing changes."""
    if not isinstance(item, Mapping):
        return item
    if item.get("role") in ("tool", "function"):
        return _with(item, "content", edit)
    if str(item.get("type", "")).endswith("_output"):
        return _with(item, "output", edit)
    content = item.get("content")
    if not isinstance(content, list | tuple):
        return item
    blocks = [
        _with(block, "content", edit) if isinstance(block, Mapping) and block.get("type") == "tool_result" else block
        for block in content
    ]
    return item if all(new is old for new, old in zip(blocks, content, strict=True)) else {**item, "content": blocks}


def edit_user_texts(item: Any, edit: Edit) -> Any:
    """Return a user's message with its own texts changed; the same object when nothing changes."""
    if not isinstance(item, Mapping) or item.get("role") != "user":
        return item
    return _with(item, "content", edit)


def edit_answers(item: Any, edit: Edit) -> Any:
    """Return an answer of the model with its texts changed, but not its reasoning and calls."""
    if not isinstance(item, Mapping) or item.get("role") != "assistant":
        return item
    return _with(item, "content", edit)


def _with(holder: Mapping[str, Any], key: str, edit: Edit) -> Any:
    """Change the text under a key, or the texts of the parts listed there."""
    value = holder.get(key)
    if isinstance(value, str):
        changed = edit(value)
        return holder if changed == value else {**holder, key: changed}
    if not isinstance(value, list | tuple):
        return holder
    parts = []
    for part in value:
        if isinstance(part, Mapping) and part.get("type") in _TEXTS and isinstance(part.get("text"), str):
            changed = edit(part["text"])
            parts.append(part if changed == part["text"] else {**part, "text": changed})
        else:
            parts.append(part)
    return holder if all(new is old for new, old in zip(parts, value, strict=True)) else {**holder, key: parts}


def clamp_text(text: str, characters: int) -> str:
    """Return the beginning and the end of a text, cut at line borders where there are any near.

    Args:
        text: any text; it is cut between code points.

        characters: how many to keep, about; two thirds of them from the beginning.
    """
    if len(text) <= characters:
        return text
    first = max(0, characters * 2 // 3)
    last = max(0, characters - first)
    head, tail = text[:first], text[len(text) - last :] if last else ""
    border = head.rfind("\n", first - first // 10)
    if border > 0:
        head = head[: border + 1]
    border = tail.find("\n", 0, last // 10)
    if border >= 0:
        tail = tail[border + 1 :]
    left_out = len(text) - len(head) - len(tail)
    return f"{head}\n[… {left_out} characters left out …]\n{tail}"


def without_redundancy(text: str) -> str:
    """Return a text without blank runs, blobs of base64, and sentences that were said before.

    Code and JSON are left alone: what looks redundant there may be none. A sentence counts as said before when it is
    the same but for case, spaces and punctuation.

    Args:
        text: any text.
    """
    if _FENCE.search(text) or _is_json(text):
        return text
    shorter = _BLOB.sub(lambda found: f"[base64, {len(found[0])} characters]", text)
    shorter = _SPACES.sub(" ", _BLANKS.sub("\n\n", shorter))
    if len(shorter) < 2 * _SHORTEST:
        return shorter
    said: set[str] = set()
    kept: list[str] = []
    for sentence in _SENTENCE.findall(shorter):
        plain = _LOOSE.sub("", sentence).casefold()
        if len(plain) >= _SHORTEST or (len(plain) >= _SHORTEST // 2 and not plain.isascii()):
            if plain in said:
                continue
            said.add(plain)
        kept.append(sentence)
    return "".join(kept)


def _is_json(text: str) -> bool:
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
