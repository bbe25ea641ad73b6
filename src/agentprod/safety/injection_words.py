"""Which signals a text may hold, told by the words in it: far fewer searches than there are words.

Words are looked up by the first letters of the text's own words, so a text is read once however many words are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["WordIndex"]

_WORD = re.compile("[a-z]{3,}")
_STEM = 3
"""Letters by which words are looked up; shorter ones are searched in the whole text."""


class WordIndex:
    """Finds the entries one of whose words is in a text.

    Args:
        entries: the words of each entry. A word of letters counts where a word of the text begins with it.
    """

    __slots__ = ("_by_character", "_by_stem", "_owners", "_short")

    def __init__(self, entries: Iterable[Iterable[str]]) -> None:
        self._owners: dict[str, list[int]] = {}
        for place, words in enumerate(entries):
            for word in words:
                self._owners.setdefault(word, []).append(place)
        self._by_stem: dict[str, list[str]] = {}
        self._by_character: dict[str, list[str]] = {}
        self._short: list[str] = []
        for word in self._owners:
            if _WORD.match(word):
                self._by_stem.setdefault(word[:_STEM], []).append(word)
            elif word[0].isascii():
                self._short.append(word)
            else:
                self._by_character.setdefault(word[0], []).append(word)

    def find(self, text: str) -> list[int]:
        """Return the places of the entries, in order.

        Args:
            text: in lower case.
        """
        words = [word for word in self._short if word in text]
        for stem in self._by_stem.keys() & {word[:_STEM] for word in _WORD.findall(text)}:
            words += [word for word in self._by_stem[stem] if word in text]
        if not text.isascii():
            for character in self._by_character.keys() & set(text):
                words += [word for word in self._by_character[character] if word in text]
        return sorted({place for word in words for place in self._owners[word]})
