"""Finds the words of the contrast sets and the names in a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, count
from typing import NamedTuple

from agentprod.caching.guards.tokens import Token
from agentprod.caching.guards.vocabulary import lines
from agentprod.caching.guards.words_en import stem

__all__ = ["ChineseLexicon", "EnglishLexicon", "Hit", "chinese_lexicon", "english_lexicon"]

_ONE = (1,)
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
        self._stems: dict[str, Marks] = {}
        self._forms: dict[str, Marks] = {}
        self._longest: dict[str, int] = {}
        """Words in the longest phrase that begins with these one or two."""
        self._complementary = _complementary("contrasts_en")
        exact: list[tuple[list[str], tuple[int, int]]] = []
        for group, value, term in _read_sets("contrasts_en", "kinds_en"):
            if term.startswith("="):
                exact.append((term.removeprefix("=").split(" "), (group, value)))
            else:
                self._add(self._stems, [stem(word) for word in term.replace("-", " ").split()], (group, value))
        for value, name in _read_names("names_en"):
            words = name.replace(".", "").replace("-", " ").split()
            self._add(self._forms, [word.removesuffix("'s") for word in words], (-1, value))
        for words, mark in exact:
            self._add(self._forms, words, mark)

    def _add(self, phrases: dict[str, Marks], words: list[str], mark: tuple[int, int]) -> None:
        phrase = " ".join(words)
        marks = phrases.get(phrase, ())
        if mark not in marks:
            phrases[phrase] = (*marks, mark)
        for beginning in (words[0], " ".join(words[:2])):
            self._longest[beginning] = max(len(words), self._longest.get(beginning, 0))

    def find(self, words: Sequence[Token]) -> list[Hit]:
        """Return what a text holds.

        Args:
            words: its words; names are matched by their forms, contrast sets by their stems.
        """
        found: list[Hit] = []
        covered: dict[int, int] = {}
        longest = self._longest
        for start, word in enumerate(words):
            if word.bare not in longest and word.stem not in longest:
                continue
            for length in range(self._longest_at(words, start), 0, -1):
                form, root = (word.bare, word.stem) if length == 1 else _joined(words[start : start + length])
                marks = self._stems.get(root, ()) + self._forms.get(form, ())
                if not marks:
                    continue
                end = start + length
                for group, value in marks:
                    if end > covered.get(group, 0):
                        found.append(Hit(group, value, form, start, group in self._complementary))
                for group, _ in marks:
                    covered[group] = max(end, covered.get(group, 0))
        return found

    def _longest_at(self, words: Sequence[Token], start: int) -> int:
        """Return how many words from a known one on may be a phrase."""
        longest, word = self._longest, words[start]
        if longest.get(word.bare, 1) == longest.get(word.stem, 1) == 1 or start + 1 == len(words):
            return 1
        form, root = _joined(words[start : start + 2])
        return min(max(longest.get(form, 1), longest.get(root, 1)), len(words) - start)


def _joined(words: Sequence[Token]) -> tuple[str, str]:
    """Return a phrase by its forms, and by its stems."""
    return " ".join([word.bare for word in words]), " ".join([word.stem for word in words])


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
        lengths: dict[str, set[int]] = {}
        for word in (*self._words, *self._splits):
            lengths.setdefault(word[0], {1}).add(len(word))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}
        """Lengths of the words that begin with a character, the longest first."""

    def find(self, words: Sequence[str]) -> list[Hit]:
        """Return the contrast words and names among the words of a text."""
        known = self._words
        return [
            Hit(group, value, word, place, group in self._complementary)
            for place, word in enumerate(words)
            if word in known
            for group, value in known[word]
        ]

    def blank(self, word: str) -> str:
        """Return a word, or spaces in place of one in which 不, 没 or a numeral means nothing by itself."""
        return " " * len(word) if word in self._neutral else word

    def cut(self, text: str) -> Iterator[str]:
        """Cut a text into known words and, between them, single characters."""
        start = 0
        while start < len(text):
            for length in self._lengths.get(text[start], _ONE):
                word = text[start : start + length]
                if word in self._splits:
                    word = word[: self._splits[word]]
                elif length > 1 and word not in self._words:
                    continue
                yield word
                start += len(word)
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
