"""The pieces of a text: words, numbers, runs of Chinese and signs."""

from __future__ import annotations

import re
from typing import NamedTuple

from agentprod.caching.guards.words_en import NEGATIONS, is_past, stem

__all__ = [
    "CAPITAL",
    "CJK",
    "HUMPED",
    "LETTER",
    "NUMBER",
    "PAST",
    "PREFIXED",
    "SIGN",
    "SINGLE",
    "Known",
    "Marks",
    "Token",
    "take_apart",
]

CJK = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
"""Character class of Chinese ideographs, to stand between square brackets of a pattern."""

_LETTER = rf"[^\W\d_{CJK}]"
_PIECES = re.compile(rf"[{CJK}]+|{_LETTER}+(?:'{_LETTER}+)*|\d+(?:[.,]\d+)*|\S")
_ASCII_PIECES = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*|[0-9]+(?:[.,][0-9]+)*|\S")
_KIND = re.compile(rf"(?P<chinese>[{CJK}])|(?P<word>{_LETTER})|(?P<number>\d)|(?P<sign>.)", re.DOTALL)
_PREFIXED = re.compile(r"(?:un|in|im|il|ir|dis|non|de|mis|anti|re)[a-z]{4}")
_HUMP = re.compile(r"[a-z][A-Z]")
_MOST_KNOWN = 8_000
_LONGEST_KNOWN = 24


NUMBER, SIGN, CAPITAL, HUMPED, SINGLE, LETTER, PAST, PREFIXED = (1 << bit for bit in range(8))
"""Traits of a token: it is a number in digits, or a sign; a word other than I with a capital letter; with one behind a
small letter, as in `getUser`; of a single letter, and of a capital one
other than I; a verb's past form or participle; with a prefix that may negate."""

_TRAIT_OF_KIND = {"number": NUMBER, "sign": SIGN}

Marks = tuple[tuple[int, int, bool, str], ...]
"""Which values of which contrast sets a phrase is, whether the set is complementary, and both numbers as text."""


class Known(NamedTuple):
    """What the English lexicon knows of a word.

    Args:
        marks: what the word is by itself.

        longest: words in the longest phrase that begins with it; 0 when there is none, not even the word itself.
    """

    marks: Marks
    longest: int


class Token:
    """A piece of a text, and what the guards want to know of it; texts share the tokens of words.

    Args:
        surface: the piece as it stands in the text.
    """

    __slots__ = ("bare", "kind", "known", "lower", "stem", "surface", "traits")

    def __init__(self, surface: str) -> None:
        match = _KIND.match(surface)
        self.kind = (match and match.lastgroup) or "sign"
        """`"word"`, `"number"`, `"chinese"` or `"sign"`."""
        self.surface = surface
        lower = self.lower = surface.lower()
        """In small letters."""
        word = self.kind == "word"
        self.bare = lower.removesuffix("'s") if word else lower
        """Without the ending of a genitive."""
        self.stem = stem(lower) if word else lower
        """Shared by the inflections of a word."""
        self.traits = _traits(surface, lower) if word else _TRAIT_OF_KIND.get(self.kind, 0)
        """Some of `NUMBER`, `CAPITAL` … together."""
        self.known: Known | None = None
        """Kept here by the lexicon once it has looked the word up."""


def _traits(surface: str, lower: str) -> int:
    traits = PAST if is_past(lower) else 0
    if surface != "I" and any(map(str.isupper, surface)):
        traits |= CAPITAL | (HUMPED if _HUMP.search(surface) else 0) | (LETTER if len(surface) == 1 else 0)
    if len(surface) == 1:
        traits |= SINGLE
    if lower not in NEGATIONS and _PREFIXED.match(lower):
        traits |= PREFIXED
    return traits


class _Tokens(dict[str, Token]):
    """Tokens of the words met lately: texts are made of the same words again and again."""

    def __missing__(self, surface: str) -> Token:
        token = Token(surface)
        if token.kind in ("word", "sign") and len(surface) <= _LONGEST_KNOWN:
            if len(self) >= _MOST_KNOWN:
                self.clear()
            self[surface] = token
        return token


_token_of = _Tokens().__getitem__


def take_apart(text: str) -> list[Token]:
    """Return the pieces of a text, in order; spaces are none.

    Args:
        text: without control characters.
    """
    pieces = _ASCII_PIECES if text.isascii() else _PIECES
    return list(map(_token_of, pieces.findall(text)))
