"""Fold look-alike characters to ASCII for matching, and keep the way back to the original text.

Full-width forms, the decimal digits of every script, mathematical letters, dashes and spaces are replaced one for one,
so offsets stand. Characters that have no width (zero-width spaces, soft hyphens, bidirectional controls, tag
characters, variation selectors) are dropped; an index map is built only then. Percent-encoded characters (RFC 3986,
UTF-8) are read as what they mean. Other ASCII text is returned as it is.

Nothing is rewritten in what the user sends: detectors read the folded text, replacements are made in the original.
Source of the character sets: Unicode 15.1, general category Nd, blocks "Halfwidth and Fullwidth Forms" and
"Mathematical Alphanumeric Symbols", property Default_Ignorable_Code_Point.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["INVISIBLE", "INVISIBLE_TAGS", "Folded", "fold", "strip_invisible"]

# Code points of the digit zero of each script up to Unicode 16.0; nine more follow each.
_ZEROS = (
    0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50, 0xED0, 0xF20,
    0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0,
    0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30, 0x10D40, 0x11066, 0x110F0, 0x11136, 0x111D0,
    0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x116D0, 0x116DA, 0x11730, 0x118E0, 0x11950, 0x11BF0, 0x11C50,
    0x11D50, 0x11DA0, 0x11F50, 0x16130, 0x16A60, 0x16AC0, 0x16B50, 0x16D70, 0x1CCF0, 0x1D7CE, 0x1D7D8, 0x1D7E2,
    0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1, 0x1E950, 0x1FBF0,
)  # fmt: skip
_DASHES = "‐‑‒–—―−﹘﹣－ー"
_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
# Full-width comma, colon, semicolon, brackets, question and exclamation marks stay: they are the ordinary punctuation
# of Chinese text, and folding them would cost a rewrite of every sentence.
_FULL_WIDTH = [c for c in range(0xFF01, 0xFF5F) if chr(c) not in "，：；？！（）｛｝［］～"]

INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0"
)
"""Body of a character class: what is displayed with no width, and used to break up words a filter looks for.

Only the first plane; tag characters and the selectors beside them are `INVISIBLE_TAGS`. One class over both planes
would be matched ten times slower by `re`.
"""

INVISIBLE_TAGS = "\U000e0000-\U000e0fff"
"""Body of a character class: tag characters and supplementary variation selectors."""


def _table() -> dict[int, str]:
    table = {ord(dash): "-" for dash in _DASHES}
    table |= {ord(space): " " for space in _SPACES}
    table |= {code: chr(code - 0xFEE0) for code in _FULL_WIDTH}
    table |= {zero + value: str(value) for zero in _ZEROS for value in range(10)}
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    for block in range(0x1D400, 0x1D6A4, 52):
        table |= {block + place: letter for place, letter in enumerate(letters)}
    table |= {0x2024: ".", 0xFE52: ".", 0xFE6B: "@"}
    return table


_TABLE = _table()
_FOLDABLE = "".join(re.escape(chr(code)) for code in sorted(_TABLE) if code < 0x10000)
_SPECIAL_BMP = re.compile(f"[{_FOLDABLE}{INVISIBLE}]")
_FOLD_RUN = re.compile(f"[{_FOLDABLE}]+|[\U00010000-\U0001ffff]+")
_WIDE_COLON = re.compile("(?<=[０-９Ａ-Ｆａ-ｆ：])：(?=[０-９Ａ-Ｆａ-ｆ：])")
"""Between full-width digits it is no punctuation but part of an address."""
_HIDDEN_RUN = re.compile(f"(?:[{INVISIBLE}]|[{INVISIBLE_TAGS}])+")


class Folded(NamedTuple):
    """Folded text and the way back to the original.

    Args:
        text: what detectors read.

        places: folded offsets behind which characters were dropped, ascending; empty when offsets are equal.

        dropped: how many characters were dropped up to and including each place.

        encoded: where a percent-encoded character ends, by where it begins, in original offsets.
    """

    text: str
    places: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    encoded: Mapping[int, int] = MappingProxyType({})

    def offset(self, index: int) -> int:
        """Return the original offset of the folded character at `index`."""
        if not self.places:
            return index
        at = bisect_right(self.places, index)
        return index + self.dropped[at - 1] if at else index

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the original offsets of the folded range; what was dropped inside it is covered, at its rims not."""
        if not self.places or start == end:
            return self.offset(start), self.offset(end)
        last = self.offset(end - 1)
        return self.offset(start), self.encoded.get(last, last + 1)


_ENCODED = re.compile(
    "%(?:[2-6][0-9A-F]|7[0-9A-E]|[CD][0-9A-F]%[89AB][0-9A-F]|E[0-9A-F](?:%[89AB][0-9A-F]){2}|F[0-4](?:%[89AB][0-9A-F]){3})",
    re.IGNORECASE,
)


def _decode(text: str) -> tuple[str, Mapping[int, int]]:
    """Return text of equal length with percent-encoded characters read, and where each of them begins and ends."""
    encoded: dict[int, int] = {}

    def decoded(match: re.Match[str]) -> str:
        try:
            char = bytes.fromhex(match[0].replace("%", "")).decode()
        except UnicodeDecodeError:
            return match[0]
        encoded[match.start()] = match.end()
        # What fills up has no width, and is dropped with the rest.
        return char.ljust(match.end() - match.start(), "\u200b")

    return _ENCODED.sub(decoded, text), encoded


def _is_astral(text: str) -> bool:
    """Tell whether a character is beyond the first plane: UTF-16 takes two units for it."""
    return len(text.encode("utf-16-le", "surrogatepass")) > 2 * len(text)


def fold(text: str) -> Folded:
    """Return the text as detectors read it.

    Args:
        text: any text; lone surrogates are left alone.

    Returns:
        The folded text with its index map. Folding is done character by character: folding two halves and joining them
        equals folding the whole, unless a percent-encoded character is parted, or a full-width colon from the digits
        around it.
    """
    encoded: Mapping[int, int] = {}
    if "%" in text:
        text, encoded = _decode(text)
    if text.isascii() or not (_SPECIAL_BMP.search(text) or _is_astral(text)):
        return Folded(text)
    text = _WIDE_COLON.sub(":", text)
    text = _FOLD_RUN.sub(lambda run: run[0].translate(_TABLE), text)
    places: list[int] = []
    dropped: list[int] = []
    gone = 0
    for run in _HIDDEN_RUN.finditer(text):
        places.append(run.start() - gone)
        gone += run.end() - run.start()
        dropped.append(gone)
    if not gone:
        return Folded(text)
    return Folded(_HIDDEN_RUN.sub("", text), tuple(places), tuple(dropped), encoded)


def strip_invisible(text: str) -> str:
    """Return the text without characters that have no width."""
    return text if text.isascii() else _HIDDEN_RUN.sub("", text)
