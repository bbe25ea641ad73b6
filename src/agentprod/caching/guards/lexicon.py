"""Finds the words of the contrast sets and the names in a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, count
from typing import NamedTuple

from agentprod.caching.guards.tokens import Known, Marks, Token
from agentprod.caching.guards.vocabulary import lines
from agentprod.caching.guards.words_en import stem

__all__ = ["ChineseLexicon", "EnglishLexicon", "Hit", "chinese_lexicon", "english_lexicon"]

_ONE = (1,)


class Hit(NamedTuple):
    """A known word found in a text.

    Args:
        group: number of the contrast set; `-1` for a name.

        value: which of the set's values, or which name; aliases share it.

        word: the word as it was found.

        place: index of its first word among the words of the text.

        complementary: the set has two values, and one is the negation of the other.

        label: `group` and `value` as text.
    """

    group: int
    value: int
    word: str
    place: int
    complementary: bool
    label: str


class EnglishLexicon:
    """Words and phrases by their stems; a phrase and the words in it are all reported."""

    def __init__(self) -> None:
        self._stems: dict[str, Marks] = {}
        self._forms: dict[str, Marks] = {}
        self._longest: dict[str | tuple[str, ...], int] = {}
        """Words in the longest phrase that begins with these one or two."""
        self._complementary = _complementary("contrasts_en")
        exact: list[tuple[list[str], int, int]] = []
        for group, value, term in _read_sets("contrasts_en", "kinds_en"):
            if term.startswith("="):
                exact.append((term.removeprefix("=").split(" "), group, value))
            else:
                self._add(self._stems, [stem(word) for word in term.replace("-", " ").split()], group, value)
        for value, name in _read_names("names_en"):
            words = name.replace(".", "").replace("-", " ").split()
            self._add(self._forms, [word.removesuffix("'s") for word in words], -1, value)
        for words, group, value in exact:
            self._add(self._forms, words, group, value)

    def _add(self, phrases: dict[str, Marks], words: list[str], group: int, value: int) -> None:
        phrase = " ".join(words)
        mark = (group, value, group in self._complementary, f"{group}.{value}")
        marks = phrases.get(phrase, ())
        if mark not in marks:
            phrases[phrase] = (*marks, mark)
        for beginning in (words[0], tuple(words[:2])):
            self._longest[beginning] = max(len(words), self._longest.get(beginning, 0))

    def find(self, words: Sequence[Token]) -> list[Hit]:
        """Return what a text holds.

        Args:
            words: its words; names are matched by their forms, contrast sets by their stems.
        """
        found: list[Hit] = []
        covered: dict[int, int] = {}
        for start, word in enumerate(words):
            known = word.known
            if known is None:
                known = word.known = self._known(word)
            if not known.longest:
                continue
            if known.longest > 1:
                for length in range(self._longest_at(words, start), 1, -1):
                    form, marks = self._phrase(words, start, length)
                    end = start + length
                    for group, value, complementary, label in marks:
                        if end > covered.get(group, 0):
                            found.append(Hit(group, value, form, start, complementary, label))
                    for group, *_ in marks:
                        covered[group] = max(end, covered.get(group, 0))
            for group, value, complementary, label in known.marks:
                if start >= covered.get(group, 0):
                    found.append(Hit(group, value, word.bare, start, complementary, label))
        return found

    def _known(self, word: Token) -> Known:
        longest = max(self._longest.get(word.bare, 0), self._longest.get(word.stem, 0))
        return Known(self._stems.get(word.stem, ()) + self._forms.get(word.bare, ()), longest)

    def _phrase(self, words: Sequence[Token], start: int, length: int) -> tuple[str, Marks]:
        """Return the phrase of some words, and what it is."""
        phrase = words[start : start + length]
        form, root = " ".join([word.bare for word in phrase]), " ".join([word.stem for word in phrase])
        return form, self._stems.get(root, ()) + self._forms.get(form, ())

    def _longest_at(self, words: Sequence[Token], start: int) -> int:
        """Return how many words from one on may be a phrase, by the first two."""
        if start + 1 == len(words):
            return 1
        one, two = words[start], words[start + 1]
        longest = max(self._longest.get((one.bare, two.bare), 1), self._longest.get((one.stem, two.stem), 1))
        return min(longest, len(words) - start)


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
            Hit(group, value, word, place, group in self._complementary, f"{group}.{value}")
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
