"""Count what a text is made of: words, digits, marks, characters of each script.

The counts are what byte-pair encodings split text by, so that a weighted sum of them is close to the number of tokens.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby, pairwise

__all__ = ["FEATURES", "TextClasses"]

FEATURES = (
    "words",
    "letters past 4",
    "letters past 7",
    "letters past 12",
    "capitals after capitals",
    "accented letters",
    "words of accented text",
    "words of plain text without English function words",
    "digit groups",
    "spaces before digits",
    "runs of marks",
    "marks past the first",
    "marks past the third",
    "marks before letters",
    "marks before line ends",
    "underscores",
    "brackets and quotes",
    "repeated marks",
    "runs of line ends",
    "runs of spaces",
    "letters beside digits",
    "common hanzi",
    "rare hanzi",
    "hanzi in common pairs",
    "full-width marks",
    "kana",
    "hangul",
    "Greek",
    "Cyrillic",
    "Hebrew and Arabic",
    "Devanagari",
    "other Indic",
    "Thai and its neighbours",
    "other symbols",
    "emoji and beyond",
)
"""What `TextClasses.count` counts, in order."""

# Each character of a text is written as the letter of its kind; the rest is counting and matching in what that gives.
_SPACE, _LINE, _LOWER, _UPPER, _DIGIT, _MARK, _HANZI, _RARE, _WIDE, _KANA, _HANGUL = "snludmhrwkg"
_ACCENTED, _GREEK, _CYRILLIC, _SEMITIC, _DEVANAGARI, _INDIC, _THAI, _SYMBOL = "aeyjvito"
_SCRIPTS = (
    *(_WIDE, _KANA, _HANGUL, _GREEK, _CYRILLIC, _SEMITIC, _DEVANAGARI, _INDIC, _THAI),
    _SYMBOL,
)

# English prose is about a third function words, and its words are more often one token than other languages' words.
_FUNCTION_WORDS = " the , of , and , to , in , a , is , for , that , you , with , on ".split(",")
_ENGLISH_SHARE = 0.12

_BLOCKS = (
    (0x00C0, 0x0250, _ACCENTED),
    (0x0300, 0x0370, _ACCENTED),
    (0x0370, 0x0400, _GREEK),
    (0x0400, 0x0530, _CYRILLIC),
    (0x0530, 0x0900, _SEMITIC),
    (0x0900, 0x0980, _DEVANAGARI),
    (0x0980, 0x0E00, _INDIC),
    (0x0E00, 0x1200, _THAI),
    (0x1E00, 0x1F00, _ACCENTED),
    (0x1F00, 0x2000, _GREEK),
    (0x3000, 0x3040, _WIDE),
    (0x3040, 0x3100, _KANA),
    (0x3400, 0xA000, _RARE),
    (0xAC00, 0xD7B0, _HANGUL),
    (0xFF00, 0xFF61, _WIDE),
)
_WIDE_MARKS = "，。、；：？！“”‘’（）《》【】—…·"
_BRACKETS = "()[]{}\"'"

# A capital after a small letter begins a word too: camelCase is two.
_WORD = re.compile("u+[la]*|[la]+")
_CAPITALS = re.compile("uu+")
_DIGITS = re.compile("d+")
_MARKS = re.compile("m+")
_LINES = re.compile("n+")
_BLANKS = re.compile("ss+")
_HANZI_RUN = re.compile("[hr]{2,}")
_ASTRAL = re.compile(r"[^\x00-\x7f]")
_REPEATED = re.compile(r"([!-/:-@\[-`{-\x7f])\1+")


class TextClasses:
    """Counts the classes of characters that one encoding treats alike.

    Args:
        hanzi: code points of the hanzi that are one token.

        pairs: codes `first << 16 | second` of the pairs of hanzi that are one token.
    """

    def __init__(self, hanzi: Iterable[int], pairs: Iterable[int]) -> None:
        self._kinds = _kinds(hanzi)
        self._pairs = frozenset(chr(pair >> 16) + chr(pair & 0xFFFF) for pair in pairs)

    def count(self, text: str) -> list[float]:
        """Count what a text is made of.

        Args:
            text: any text, lone surrogates included.

        Returns:
            One count for each of `FEATURES`.
        """
        kinds = text.translate(self._kinds)  # a text is a table, too
        return [
            *_words(text, kinds),
            *_signs(text, kinds),
            kinds.count(_HANZI),
            kinds.count(_RARE),
            self._paired(text, kinds),
            *map(kinds.count, _SCRIPTS),
            0 if kinds.isascii() else len(_ASTRAL.findall(kinds)),
        ]

    def _paired(self, text: str, kinds: str) -> int:
        """How many pairs of hanzi would be taken, left to right, without overlap."""
        total, pairs = 0, self._pairs
        if _HANZI not in kinds and _RARE not in kinds:
            return 0
        for run in _HANZI_RUN.finditer(kinds):
            hanzi = text[run.start() : run.end()]
            hits = [first + second in pairs for first, second in pairwise(hanzi)]
            total += sum((len(list(group)) + 1) // 2 for is_pair, group in groupby(hits) if is_pair)
        return total


def _words(text: str, kinds: str) -> list[float]:
    """Count words of letters, long ones, and those of languages with accents or other words than English."""
    lengths = Counter(map(len, _WORD.findall(kinds)))
    words, accented = lengths.total(), kinds.count(_ACCENTED)
    english = sum(map(text.count, _FUNCTION_WORDS))
    in_accented = words * min(1.0, accented / (0.15 * words)) if words else 0.0
    foreign = words * max(0.0, 1.0 - english / (_ENGLISH_SHARE * words)) if words else 0.0
    return [
        words,
        *(_beyond(least, lengths) for least in (4, 7, 12)),
        sum([len(run) - 1 for run in _CAPITALS.findall(kinds)]),
        accented,
        in_accented,
        foreign - min(foreign, in_accented),
    ]


def _signs(text: str, kinds: str) -> list[float]:
    """Count digits, marks and blanks, and where they touch each other and words."""
    marks = Counter(map(len, _MARKS.findall(kinds)))
    return [
        sum([(len(run) + 2) // 3 for run in _DIGITS.findall(kinds)]),
        kinds.count("sd"),
        marks.total(),
        _beyond(1, marks),
        _beyond(3, marks),
        kinds.count("ml") + kinds.count("mu"),
        kinds.count("mn") + kinds.endswith(_MARK),
        text.count("_"),
        sum(map(text.count, _BRACKETS)),
        sum([len(run[0]) - 1 for run in _REPEATED.finditer(text)]),
        sum([(len(run) + 15) // 16 for run in _LINES.findall(kinds)]),
        sum([(len(run) + 79) // 80 for run in _BLANKS.findall(kinds)]),
        sum(map(kinds.count, ("dl", "du", "da", "ld", "ud", "ad"))) if _DIGIT in kinds else 0,
    ]


def _beyond(least: int, lengths: Counter[int]) -> int:
    """What is longer than so much, in all."""
    return sum([(length - least) * times for length, times in lengths.items() if length > least])


def _kinds(hanzi: Iterable[int]) -> str:
    """The kind of every code point below 65,536; those beyond stay what they are in a translation."""
    kinds = [_ascii_kind(chr(code)) for code in range(128)] + [_SYMBOL] * (0x10000 - 128)
    for start, stop, kind in _BLOCKS:
        kinds[start:stop] = [kind] * (stop - start)
    for code in (0xA0, 0x3000):
        kinds[code] = _SPACE
    for mark in _WIDE_MARKS:
        kinds[ord(mark)] = _WIDE
    for code in hanzi:
        kinds[code] = _HANZI
    return "".join(kinds)


def _ascii_kind(char: str) -> str:
    if char.isalpha():
        return _LOWER if char.islower() else _UPPER
    if char.isdigit():
        return _DIGIT
    if char in "\r\n":
        return _LINE
    return _SPACE if char.isspace() or char < " " else _MARK
