"""Finds the words of the contrast sets and the names in a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, count
from typing import NamedTuple

from agentprod.caching.guards.vocabulary import lines
from agentprod.caching.guards.words_en import stem

__all__ = ["ChineseLexicon", "EnglishLexicon", "Hit", "chinese_lexicon", "english_lexicon"]

Marks = tuple[tuple[int, int], ...]
"""Which values of which contrast sets a phrase is."""


class Hit(NamedTuple):
    """A known word found in a text.

    Args:
        group: number of the contrast set; `-1` for a name.

        value: which of the set's values, or which name; aliases share it.

        word: the word as it was found.

        place: index of its first word among the words of the text.

        complementary: the set has two values, and one is the negation of the other.
    """

    group: int
    value: int
    word: str
    place: int
    complementary: bool


class EnglishLexicon:
    """Words and phrases by their stems; a phrase and the words in it are all reported."""

    def __init__(self) -> None:
        self._sets: dict[str, Marks] = {}
        self._exact: dict[str, Marks] = {}
        self._names: dict[str, Marks] = {}
        self._longest: dict[str, int] = {}
        self._complementary = _complementary("contrasts_en")
        for group, value, term in _read_sets("contrasts_en", "kinds_en"):
            if term.startswith("="):
                self._add(self._exact, term.removeprefix("=").split(" "), (group, value))
            else:
                self._add(self._sets, [stem(word) for word in term.replace("-", " ").split()], (group, value))
        for value, name in _read_names("names_en"):
            words = name.replace(".", "").replace("-", " ").split()
            self._add(self._names, [word.removesuffix("'s") for word in words], (-1, value))

    def _add(self, phrases: dict[str, Marks], words: list[str], mark: tuple[int, int]) -> None:
        phrase = " ".join(words)
        marks = phrases.get(phrase, ())
        if mark not in marks:
            phrases[phrase] = (*marks, mark)
        self._longest[words[0]] = max(len(words), self._longest.get(words[0], 0))

    def find(self, words: Sequence[str], stems: Sequence[str]) -> list[Hit]:
        """Return what a text holds.

        Args:
            words: its words in small letters; names are matched by these.

            stems: the stem of each; contrast sets are matched by these.
        """
        found: list[Hit] = []
        covered: dict[int, int] = {}
        bare = [word.removesuffix("'s") for word in words]
        for start, (word, root) in enumerate(zip(bare, stems, strict=True)):
            longest = max(self._longest.get(word, 0), self._longest.get(root, 0))
            for end in range(min(start + longest, len(words)), start, -1):
                name, phrase = word, root
                if end > start + 1:
                    name, phrase = " ".join(bare[start:end]), " ".join(stems[start:end])
                marks = (*self._sets.get(phrase, ()), *self._names.get(name, ()), *self._exact.get(name, ()))
                for group, value in marks:
                    if end > covered.get(group, 0):
                        found.append(Hit(group, value, name, start, group in self._complementary))
                for group, _ in marks:
                    covered[group] = max(end, covered.get(group, 0))
        return found


class ChineseLexicon:
    """Words by longest match from the left, since Chinese is written without spaces."""

    def __init__(self) -> None:
        self._words: dict[str, list[tuple[int, int]]] = {
            word: [] for line in lines("neutral_zh") for word in line.split()
        }
        self._neutral = frozenset(self._words)
        self._complementary = _complementary("contrasts_zh")
        for group, value, term in _read_sets("contrasts_zh", "kinds_zh"):
            self._words.setdefault(term, []).append((group, value))
        for value, name in _read_names("names_zh"):
            self._words.setdefault(name, []).append((-1, value))
        self._splits = {
            split.replace("/", ""): len(split.partition("/")[0])
            for line in lines("splits_zh")
            for split in line.split()
        }
        self._longest = max(map(len, (*self._words, *self._splits)))

    def find(self, words: Sequence[str]) -> list[Hit]:
        """Return the contrast words and names among the words of a text."""
        return [
            Hit(group, value, word, place, group in self._complementary)
            for place, word in enumerate(words)
            for group, value in self._words.get(word, ())
        ]

    def blank(self, word: str) -> str:
        """Return a word, or spaces in place of one in which 不, 没 or a numeral means nothing by itself."""
        return " " * len(word) if word in self._neutral else word

    def cut(self, text: str) -> Iterator[str]:
        """Cut a text into known words and, between them, single characters."""
        start = 0
        while start < len(text):
            for length in range(min(self._longest, len(text) - start), 0, -1):
                word = text[start : start + length]
                if word in self._splits:
                    length = self._splits[word]
                    word = word[:length]
                elif length > 1 and word not in self._words:
                    continue
                yield word
                start += length
                break


@cache
def english_lexicon() -> EnglishLexicon:
    """Return the English lexicon, built on first use."""
    return EnglishLexicon()


@cache
def chinese_lexicon() -> ChineseLexicon:
    """Return the Chinese lexicon, built on first use."""
    return ChineseLexicon()


def _read_sets(*names: str) -> Iterator[tuple[int, int, str]]:
    """Yield (set, value, word) for each word of each set."""
    for group, line in enumerate(chain.from_iterable(map(lines, names))):
        for value, synonyms in enumerate(line.removeprefix("!").split("|")):
            for term in dict.fromkeys(filter(None, map(str.strip, synonyms.split(",")))):
                yield group, value, term


def _complementary(name: str) -> frozenset[int]:
    """Return the numbers of the sets whose two values negate each other."""
    return frozenset(group for group, line in enumerate(lines(name)) if line.startswith("!"))


def _read_names(name: str) -> Iterator[tuple[int, str]]:
    """Yield (name, alias) for each alias of each name."""
    numbers = count()
    for line in lines(name):
        for aliases in filter(None, map(str.strip, line.split(","))):
            number = next(numbers)
            for alias in aliases.split("="):
                yield number, alias
