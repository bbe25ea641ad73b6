"""Find which of many words occur in a text, and where: one substring search per word beats one large alternation."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Keywords", "long_words", "lower"]

_SHORTEST = 15
_LONG = re.compile(f"[!-~]{{{_SHORTEST},}}")


def long_words(text: str, start: int) -> str:
    """Return the words of the text, from `start` on, that have 15 ASCII characters or more, in one string.

    A cheap sieve in front of searches for long values: ordinary prose leaves little in it, or nothing.
    """
    if text.isascii():
        return " ".join([word for word in text[start:].split() if len(word) >= _SHORTEST])
    return " ".join(_LONG.findall(text, start))


def lower(text: str) -> str:
    """Return the text in lower case at equal offsets."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    # A few letters, such as İ, have two characters in lower case.
    return "".join(small if len(small := char.lower()) == 1 else char for char in text)


def _continues(char: str) -> bool:
    """Tell whether a word goes on with this character: a letter of a script that parts words by spaces."""
    return char.isalpha() and char < "\u2e80"


class Keywords:
    """A set of lower-case words.

    Args:
        words: looked for anywhere, also inside longer words.

        whole: of those, the ones that must not touch another letter; Chinese characters may touch them.
    """

    def __init__(self, words: Iterable[str], *, whole: Iterable[str] = ()) -> None:
        self._whole = frozenset(whole)
        self._words = tuple(dict.fromkeys((*words, *self._whole)))
        self._ascii = tuple(word for word in self._words if word.isascii())

    def find(self, lowered: str, start: int = 0) -> list[tuple[int, int, str]]:
        """Return `(end, start, word)` of every occurrence, sorted by end."""
        found: list[tuple[int, int, str]] = []
        # `in` costs a fifth of `find` where the word is not there, and most are not.
        for word in [word for word in (self._ascii if lowered.isascii() else self._words) if word in lowered]:
            at = lowered.find(word, start)
            whole, width = word in self._whole, len(word)
            while at >= 0:
                end = at + width
                if not (whole and (_continues(lowered[at - 1 : at]) or _continues(lowered[end : end + 1]))):
                    found.append((end, at, word))
                at = lowered.find(word, end)
        found.sort()
        return found
