"""One text taken apart once, for all guards: words, numbers, runs of Chinese, and the known words among them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from agentprod.caching.guards.lexicon import Hit, chinese_lexicon, english_lexicon
from agentprod.caching.guards.vocabulary import lines
from agentprod.caching.guards.words_en import NEGATIONS, stem

__all__ = ["CJK", "Sentence", "Token", "plain_text"]

CJK = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
"""Character class of Chinese ideographs, to stand between square brackets of a pattern."""

_TOKEN = re.compile(
    rf"(?P<chinese>[{CJK}]+)|(?P<word>[^\W\d_{CJK}]+(?:'[^\W\d_{CJK}]+)*)|(?P<number>\d+(?:[.,]\d+)*)|(?P<sign>[^\s])"
)
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "`": "'", "\u00b4": "'", "\u201c": '"', "\u201d": '"'})
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


class Token(NamedTuple):
    """A piece of a text: `kind` is `"word"`, `"number"`, `"chinese"` or `"sign"`, `start` its place."""

    kind: str
    surface: str
    lower: str
    start: int


class Sentence:
    """A text as the guards see it.

    Args:
        text: any text; it is read as `plain_text` gives it.
    """

    def __init__(self, text: str) -> None:
        plain = _CONTROL.sub(" ", plain_text(text).translate(_QUOTES))
        plain = _DOTTED.sub(lambda match: match[0].replace(".", ""), plain) if "." in plain else plain
        lower = plain.lower()
        for hint, pattern, spoken in _SPOKEN:
            if hint in lower:
                plain = pattern.sub(spoken, plain)
        plain = _EITHER.sub(r"\1", plain)
        self.plain = plain
        found = [(match.lastgroup or "", match[0], match.start()) for match in _TOKEN.finditer(plain)]
        self.tokens = [Token(kind, surface, surface.lower(), start) for kind, surface, start in found]

    @_Once
    def words(self) -> list[str]:
        """Latin words in small letters."""
        return [token.lower for token in self.tokens if token.kind == "word"]

    @_Once
    def stems(self) -> list[str]:
        """The stems of `words`."""
        return [stem(word) for word in self.words]

    @_Once
    def chinese(self) -> bool:
        """Whether the text is mainly Chinese."""
        ideographs = sum(len(token.lower) for token in self.tokens if token.kind == "chinese")
        return ideographs > len(self.words)

    @_Once
    def known_words(self) -> list[str]:
        """The Chinese text cut into known words and single characters."""
        lexicon = chinese_lexicon()
        return [word for token in self.tokens if token.kind == "chinese" for word in lexicon.cut(token.lower)]

    @_Once
    def hits(self) -> list[Hit]:
        """Known words and names of the text's language, in order."""
        if not self.chinese:
            return english_lexicon().find(self.words, self.stems)
        lexicon = chinese_lexicon()
        latin = [token.lower for token in self.tokens if token.kind == "word"]
        return lexicon.find([*self.known_words, *latin])

    @_Once
    def negated(self) -> frozenset[int]:
        """Places of the complementary words that a negation before them, in their clause, turns into the opposite."""
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
        lexicon = chinese_lexicon()
        return "".join(
            "".join(map(lexicon.blank, lexicon.cut(token.lower))) if token.kind == "chinese" else token.lower
            for token in self.tokens
        )


def plain_text(text: str) -> str:
    """Return a text in NFKC and simplified characters: full-width digits and traditional characters are read, too."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text).translate(_simplified())


@cache
def _simplified() -> dict[int, str]:
    """Return the simplified form of each traditional character, read on first use."""
    words = (word for line in lines("traditional_zh") for word in line.split())
    return {ord(traditional): word[0] for word in words for traditional in word[1:]}
