"""Which text of a request may stand for it, and in what form."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["tidy", "unfit"]

_MAX_DATA_CHARS = 200
_WORD = re.compile(
    r"(?P<cjk>[\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0002fa1f]+)|\w+"
)
_TWO_WORDS = re.compile(r"\w\W+\w", re.ASCII)


def tidy(text: str) -> str:
    """Return a text in NFC with every run of white space as one space, so that look-alikes are one.

    A text that is tidy comes back as the same object, so that those who keep it keep it once.
    """
    if text.isascii() and text.isprintable() and "  " not in text and text == text.strip():
        return text  # looked for in a third of the time that making it tidy takes
    tidied = " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())
    return text if tidied == text else tidied


def unfit(text: str) -> str | None:
    """Say why no vector should stand for a text, whatever the embedder.

    Args:
        text: the user's text.

    Returns:
        `"empty"`; `"short"` for fewer than two words (two CJK characters count as one), whose meaning hangs on what was
        asked before; `"code"` for a fenced block, `"json"` for more than 200 characters of data, in which one character
        decides; else `None`.
    """
    if not (text.isascii() and _TWO_WORDS.search(text)):
        words = 0
        for match in _WORD.finditer(text):
            words += (len(match[0]) + 1) // 2 if match["cjk"] else 1
            if words > 1:
                break
        if words < 2:
            return "short" if words else "empty"
    if "```" in text:
        return "code"
    start, end = text.find("{"), text.rfind("}")
    return "json" if end - start > _MAX_DATA_CHARS and start >= 0 and '":' in text[start:end] else None
