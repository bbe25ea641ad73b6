"""The pieces of a text: words, numbers, runs of Chinese and signs."""

from __future__ import annotations

import re

from agentprod.caching.guards.words_en import NEGATIONS, is_past, stem

__all__ = ["CJK", "Token", "take_apart"]

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


class Token:
    """A piece of a text, and what the guards want to know of it; texts share the tokens of words.

    Args:
        surface: the piece as it stands in the text.
    """

    __slots__ = ("bare", "capital", "humped", "kind", "lower", "past", "prefixed", "single", "stem", "surface")

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
        self.capital = word and any(map(str.isupper, surface))
        """Whether there is a capital letter in it."""
        self.humped = self.capital and _HUMP.search(surface) is not None
        """Whether a capital letter follows a small one, as in `getUser`."""
        self.single = word and len(surface) == 1
        """Whether it is a single letter."""
        self.past = word and is_past(lower)
        """Whether it is a verb's past form or participle."""
        self.prefixed = word and lower not in NEGATIONS and _PREFIXED.match(lower) is not None
        """Whether it begins with what may turn a word into its opposite."""


class _Known(dict[str, Token]):
    """Tokens of the words met lately: texts are made of the same words again and again."""

    def __missing__(self, surface: str) -> Token:
        token = Token(surface)
        if token.kind in ("word", "sign") and len(surface) <= _LONGEST_KNOWN:
            if len(self) >= _MOST_KNOWN:
                self.clear()
            self[surface] = token
        return token


_token_of = _Known().__getitem__


def take_apart(text: str) -> list[Token]:
    """Return the pieces of a text, in order; spaces are none.

    Args:
        text: without control characters.
    """
    pieces = _ASCII_PIECES if text.isascii() else _PIECES
    return list(map(_token_of, pieces.findall(text)))
