"""One text taken apart once, for all guards: words, numbers, runs of Chinese, and the known words among them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

from agentprod.caching.guards.lexicon import Hit, chinese_lexicon, english_lexicon
from agentprod.caching.guards.tokens import CJK, SIGN, Token, take_apart
from agentprod.caching.guards.vocabulary import lines
from agentprod.caching.guards.words_en import NEGATIONS

__all__ = ["Sentence", "plain_text"]

_QUOTES = {"\u2018": "'", "\u2019": "'", "`": "'", "\u00b4": "'", "\u201c": '"', "\u201d": '"'}
_QUOTE_CODES = str.maketrans(_QUOTES)
_SPOKEN = tuple(
    (hint, re.compile(pattern), spoken)
    for hint, pattern, spoken in (
        ("c++", r"(?i)\bc\+\+", "cplusplus"),
        ("#", r"(?i)\b([cf])#", r"\1sharp"),
        ("e-mail", r"(?i)\be-mail", "email"),
        ("wi-fi", r"(?i)\bwi-fi", "wifi"),
        ("401", r"\b401 ?\(?[kK]\b\)?", "fouroonek"),
        ("us", r"\bUS\b(?=.*[a-z])", "USA"),
        (" dollar", r"\b(?:us|british) (?=dollars?\b)", ""),
        (" pound", r"\b(?:us|british) (?=pounds?\b)", ""),
    )
)
"""What the pattern of a word would take apart or read as something else; looked for where the hint is."""

_EITHER = re.compile(rf"([{CJK}])[不没]\1")
"""能不能, 有没有, 支不支持: a question, not a negation."""

_REACH = 8
_CLAUSE_STARTS = frozenset(
    "how why what where which who but and because if so when while although though since unless".split()
)
_CHINESE_NEGATIONS = frozenset(("不", "没", "没有", "未", "无", "并不", "不太", "不够", "不会", "不能", "不是"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DOTTED = re.compile(r"\b(?:(?:[A-Za-z]\.){2,}|(?:[DMS]r|Mrs|Ms|Prof|St)\.)")
"""Abbreviations whose full stop ends no sentence."""


T = TypeVar("T")


class _Once(Generic[T]):
    """A property worked out when it is first asked for, without the lock of `functools.cached_property` in 3.11."""

    def __init__(self, work_out: Callable[[Any], T]) -> None:
        self._work_out = work_out
        self.__doc__ = work_out.__doc__

    def __get__(self, instance: Any, owner: type) -> T:
        value = self._work_out(instance)
        instance.__dict__[self._work_out.__name__] = value  # found before this one from now on
        return value


class Sentence:
    """A text as the guards see it: read once, and shared by all of them.

    Args:
        text: any text; it is read as `plain_text` gives it.
    """

    def __init__(self, text: str) -> None:
        plain = plain_text(text)
        if "`" in plain or not (plain.isascii() or _QUOTES.keys().isdisjoint(plain)):
            plain = plain.translate(_QUOTE_CODES)
        if not plain.isprintable():
            plain = _CONTROL.sub(" ", plain)
        if "." in plain:
            plain = _DOTTED.sub(lambda match: match[0].replace(".", ""), plain)
        lower = plain.lower()
        for hint, pattern, spoken in _SPOKEN:
            if hint in lower:
                plain = pattern.sub(spoken, plain)
        if not plain.isascii():
            plain = _EITHER.sub(r"\1", plain)
        self.plain = plain
        self.lower = plain.lower()
        """The text in small letters."""
        tokens = self.tokens = take_apart(plain)
        inner = 0
        for token in tokens[1:]:
            inner |= token.traits
        self.inner_traits = inner
        """Traits that one token or another has, the first one aside."""
        traits = self.traits = inner | tokens[0].traits if tokens else 0
        """Traits that one token or another has."""
        self.words = [token.lower for token in tokens if token.kind == "word"]
        """Latin words in small letters."""
        self.vocabulary = frozenset(self.words)
        """The different `words`."""
        self.signs = frozenset([token.surface for token in tokens if token.kind == "sign"] if traits & SIGN else ())
        """What is neither a word nor a number."""
        self.chinese = not plain.isascii() and _mainly_chinese(tokens, len(self.words))
        """Whether the text is mainly Chinese."""

    @_Once
    def stems(self) -> list[str]:
        """The stems of `words`."""
        return [token.stem for token in self.tokens if token.kind == "word"]

    @_Once
    def places(self) -> list[int]:
        """Where each of the tokens begins."""
        places: list[int] = []
        end = 0
        for token in self.tokens:
            places.append(self.plain.index(token.surface, end))
            end = places[-1] + len(token.surface)
        return places

    def apart(self, index: int) -> bool:
        """Tell whether there is space between a token, which is not the first, and the one before it."""
        return self.places[index - 1] + len(self.tokens[index - 1].surface) < self.places[index]

    @_Once
    def known_words(self) -> list[str]:
        """The Chinese text cut into known words and single characters."""
        return [word for cut in self._cuts for word in cut]

    @_Once
    def _cuts(self) -> list[list[str]]:
        """The words of each run of Chinese."""
        lexicon = chinese_lexicon()
        return [list(lexicon.cut(token.lower)) for token in self.tokens if token.kind == "chinese"]

    @_Once
    def hits(self) -> list[Hit]:
        """Known words and names of the text's language, in order."""
        if self.chinese:
            return chinese_lexicon().find([*self.known_words, *self.words])
        return english_lexicon().find([token for token in self.tokens if token.kind == "word"])

    @_Once
    def negated(self) -> frozenset[int]:
        """Places of the complementary words that a negation before them, in their clause, turns into the opposite."""
        if not self.chinese and NEGATIONS.isdisjoint(self.vocabulary):
            return frozenset()
        places = {hit.place for hit in self.hits if hit.complementary}
        if self.chinese:
            words = self.known_words
            return frozenset(
                place
                for place in places
                if not _CHINESE_NEGATIONS.isdisjoint(words[max(0, place - 2) : min(place, len(words))])
            )
        turned: set[int] = set()
        reach = -1
        for place, word in enumerate(self.words):
            if place in places and place <= reach:
                turned.add(place)
                reach = -1
            if word in NEGATIONS:
                reach = place + _REACH
            elif word in _CLAUSE_STARTS:
                reach = -1
        return frozenset(turned)

    @_Once
    def bare_chinese(self) -> str:
        """The Chinese text and its numbers, with words blanked out in which a negation or numeral means nothing."""
        blank = chinese_lexicon().blank
        cuts = iter(self._cuts)
        return "".join(
            ["".join(map(blank, next(cuts))) if token.kind == "chinese" else token.lower for token in self.tokens]
        )


def _mainly_chinese(tokens: Sequence[Token], words: int) -> bool:
    return sum(len(token.lower) for token in tokens if token.kind == "chinese") > words


def plain_text(text: str) -> str:
    """Return a text in NFKC and simplified characters: full-width digits and traditional characters are read, too."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text)
    simplified = _simplified()
    return text if simplified.keys().isdisjoint(map(ord, text)) else text.translate(simplified)


@cache
def _simplified() -> dict[int, str]:
    """Return the simplified form of each traditional character, read on first use."""
    words = (word for line in lines("traditional_zh") for word in line.split())
    return {ord(traditional): word[0] for word in words for traditional in word[1:]}
