"""Encoded files inside messages, told by type and size instead of by content."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["TYPE_KEYS", "describe_encoded", "without_data_urls"]

# The quantifiers are bounded so that no input makes matching slow.
_DATA_URL = re.compile(r"data:([\w.+/-]{0,100})(?:;[\w=.+-]{0,100}){0,4}?;base64,([A-Za-z0-9+/_=-]*)")
_ALPHABET = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_SHORTEST = 256
_SHORTEST_NAMED = 32
_HOLDERS = ("data", "content", "file_data", "b64_json", "bytes")
TYPE_KEYS = frozenset({"media_type", "mime_type", "format"})
"""Members by which a message part names the type of the file it carries."""


def without_data_urls(text: str) -> str:
    """Return the text with every data URL, or the whole text if it is one encoded file, replaced by its description."""
    # One character is found much faster than several, and prose has few semicolons.
    if ";" in text and ";base64," in text:
        text = _DATA_URL.sub(lambda found: _describe(found[1], len(found[2])), text)
    if _is_encoded(text, _SHORTEST):
        return _describe("", len(text))
    return text


def describe_encoded(part: dict[Any, Any]) -> dict[str, str]:
    """Return descriptions, by key, of the encoded files in a message part that also names their type.

    That is how Anthropic (`source`), Gemini (`inline_data`), OpenAI's audio (`input_audio`) and the neutral form
    (`blob`) carry files.
    """
    kind = next((part[name] for name in sorted(TYPE_KEYS) if isinstance(part.get(name), str)), "")
    shown = kind if re.fullmatch(r"[\w.+/-]{1,100}", kind) else ""
    found = {}
    for name in _HOLDERS:
        value = part.get(name)
        if isinstance(value, str) and _is_encoded(value, _SHORTEST_NAMED):
            found[name] = _describe(shown, len(value))
        elif isinstance(value, bytes | bytearray):
            found[name] = f"[{shown or 'bytes'}, {len(value)} bytes]"
    return found


def _is_encoded(text: str, shortest: int) -> bool:
    # A look at the start settles nearly all prose; the whole is matched only when it passes.
    if len(text) < shortest or " " in text[:shortest]:
        return False
    return bool(_ALPHABET.fullmatch(text, 0, shortest) and _ALPHABET.fullmatch(text))


def _describe(kind: str, length: int) -> str:
    return f"[{kind or 'base64'}, {length * 3 // 4} bytes]"
