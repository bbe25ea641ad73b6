"""Find which of many words occur in a text, and where: one substring search per word beats one large alternation."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Keywords", "has_long_word", "lower"]

_LONG_WORDS: dict[int, re.Pattern[str]] = {}


def has_long_word(text: str, start: int, size: int) -> bool:
    """Tell whether the text has, from `start` on, `size` ASCII characters in a row without a space.

    A cheap test in front of searches for long values; ordinary prose seldom passes it.
    """
    if text.isascii():
        return max(map(len, text[start:].split()), default=0) >= size
    pattern = _LONG_WORDS.get(size)
    if pattern is None:
        pattern = _LONG_WORDS[size] = re.compile(f"[!-~]{{{size}}}")
    return pattern.search(text, start) is not None


def lower(text: str) -> str:
    """Return the text in lower case at equal offsets."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    # A few letters, such as İ, have two characters in lower case.
    return "".join(small if len(small := char.lower()) == 1 else char for char in text)


class Keywords:
    """A set of lower-case words.

    Args:
        words: looked for anywhere, also inside longer words.

        whole: of those, the ones that must not touch another letter.
    """

    def __init__(self, words: Iterable[str], *, whole: Iterable[str] = ()) -> None:
        self._whole = frozenset(whole)
        self._words = tuple(dict.fromkeys((*words, *self._whole)))

    def find(self, lowered: str, start: int = 0) -> list[tuple[int, int, str]]:
        """Return `(end, start, word)` of every occurrence, sorted by end."""
        found: list[tuple[int, int, str]] = []
        for word in self._words:
            at = lowered.find(word, start)
            if at < 0:
                continue
            whole, width = word in self._whole, len(word)
            while at >= 0:
                end = at + width
                if not (whole and (lowered[at - 1 : at].isalpha() or lowered[end : end + 1].isalpha())):
                    found.append((end, at, word))
                at = lowered.find(word, end)
        found.sort()
        return found
