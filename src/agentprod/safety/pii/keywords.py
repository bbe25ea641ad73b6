"""Find which of many words occur in a text, and where: one substring search per word beats one large alternation."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Keywords", "backwards", "long_words", "lower"]

_SHORTEST = 15


def long_words(text: str, start: int) -> list[str]:
    """Return the words of the text, from `start` on, that have 15 ASCII characters or more.

    A cheap sieve in front of searches for long values: ordinary prose leaves little in it, or nothing. Words end at
    question marks too, which no such value holds: encoding makes them of what is not ASCII.
    """
    words = text[start:].encode("ascii", "replace").decode().replace("?", " ").split()
    return [word for word in words if len(word) >= _SHORTEST]


def backwards(words: Iterable[str]) -> str:
    """Return a pattern of words spelt backwards, for texts turned round: `match` finds what stands before an offset."""
    return "|".join(re.escape(word[::-1]) for word in words)


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
        every = tuple(dict.fromkeys((*words, *self._whole)))
        self._ascii = tuple(word for word in every if word.isascii())
        # By their first character: most of those of other scripts are not in the text, and with them none of the words.
        self._wide: dict[str, list[str]] = {}
        for word in every:
            if not word.isascii():
                self._wide.setdefault(word[0], []).append(word)

    def before(self, text: str, at: int, reach: int = 40) -> bool:
        """Tell whether one of the words stands in the `reach` characters before an offset, in any case."""
        return bool(self.find(lower(text[max(0, at - reach) : at])))

    def find(self, lowered: str, start: int = 0) -> list[tuple[int, int, str]]:
        """Return `(end, start, word)` of every occurrence, sorted by end."""
        found: list[tuple[int, int, str]] = []
        # `in` costs a fifth of `find` where the word is not there, and most are not.
        for word in self._present(lowered):
            at = lowered.find(word, start)
            whole, width = word in self._whole, len(word)
            while at >= 0:
                end = at + width
                if not (whole and (_continues(lowered[at - 1 : at]) or _continues(lowered[end : end + 1]))):
                    found.append((end, at, word))
                at = lowered.find(word, end)
        found.sort()
        return found

    def _present(self, lowered: str) -> list[str]:
        """Return the words that occur in the text."""
        if lowered.isascii():
            return [word for word in self._ascii if word in lowered]
        wide = [word for first, words in self._wide.items() if first in lowered for word in words if word in lowered]
        # Python stores text of ASCII alone in half the memory or less, and searches it twice as fast.
        narrow = lowered.encode("ascii", "ignore").decode()
        return wide + [word for word in self._ascii if word in narrow and word in lowered]
