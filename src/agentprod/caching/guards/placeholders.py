"""The placeholder guard: what a scrubber put in the place of values must stand in the same places."""

from __future__ import annotations

import re
from collections import Counter

from agentprod.caching.guards.contract import Side
from agentprod.caching.guards.sentence import Sentence
from agentprod.caching.guards.tokens import CJK

__all__ = ["PlaceholderGuard"]

_PLACEHOLDER = re.compile(r"\[\[([A-Z][A-Z0-9_]*)_(\d+)\]\]")
_BEFORE = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")


class PlaceholderGuard:
    """Blocks pairs whose placeholders differ, or of which two of one kind changed their parts in the sentence.

    Placeholders are numbered by first appearance, so `from [[EMAIL_1]] to [[EMAIL_2]]` and `to [[EMAIL_1]] from
    [[EMAIL_2]]` name sender and receiver the other way round. Where a text has several of one kind, the word before
    each must be the same.
    """

    name = "placeholder"

    def read(self, sentence: Sentence) -> str:
        """Return each placeholder, and with several of its kind the word before it."""
        text = sentence.plain
        if "[[" not in text:
            return ""
        found = list(_PLACEHOLDER.finditer(text))
        kinds = Counter(kind for kind, _ in {(match[1], match[2]) for match in found})
        items = {f"{match[0]}{_word_before(text, match.start()) if kinds[match[1]] > 1 else ''}" for match in found}
        return " ".join(sorted(items))

    def conflict(self, one: Side, other: Side) -> bool:
        """Return whether the placeholders differ, which is so whenever this is asked."""
        return one.reading != other.reading


def _word_before(text: str, place: int) -> str:
    words = _BEFORE.findall(text[max(0, place - 40) : place])
    return words[-1].lower() if words else ""
