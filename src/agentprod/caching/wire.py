"""What of a request decides the answer: hints and labels left out, two spellings of one text made one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["EXCLUDED", "HINTS", "meaning"]

EXCLUDED = frozenset(
    {
        "stream",
        "stream_options",
        "user",
        "safety_identifier",
        "metadata",
        "timeout",
        "extra_headers",
        "idempotency_key",
        "cache_control",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
    }
)
"""Parameters that never change an answer. Everything else does, known or not."""

HINTS = frozenset({"cache_control", "prompt_cache_breakpoint"})
"""What marks messages, content blocks and tools for the provider's own prompt cache."""

_TEXT_BLOCKS = frozenset({"text", "input_text"})
_BLOCK_LISTS = ("messages", "input", "system", "tools")


def meaning(request: Mapping[str, Any], ignore: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the part of a request that decides the answer.

    Args:
        request: wire JSON; never changed.

        ignore: more parameters to leave out.
    """
    left_out = EXCLUDED | ignore if ignore else EXCLUDED
    found = {name: value for name, value in request.items() if name not in left_out}
    for name in _BLOCK_LISTS:
        value = found.get(name)
        if isinstance(value, list | tuple):
            found[name] = _content(value) if name == "system" else [_item(item) for item in value]
    return found


def _item(item: Any) -> Any:
    """Return a message, an input item or a tool without hints, its content in the plainest form."""
    if not isinstance(item, Mapping):
        return item
    content = item.get("content")
    plain = isinstance(content, list | tuple)
    if not plain and not (HINTS & item.keys()):
        return item
    kept = {name: value for name, value in item.items() if name not in HINTS}
    if plain:
        kept["content"] = _content(content)
    return kept


def _content(blocks: Any) -> Any:
    """Return content blocks without hints; a single block of text as that text."""
    kept = [_item(block) for block in blocks]
    if len(kept) == 1:
        block = kept[0]
        if isinstance(block, Mapping) and len(block) == 2 and block.get("type") in _TEXT_BLOCKS:
            text = block.get("text")
            if isinstance(text, str):
                return text
    return kept
