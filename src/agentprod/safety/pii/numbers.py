"""Runs of digits with separators: the one pass that all number-like entities share, and what may stand beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import ascii_letters
from typing import NamedTuple

__all__ = ["SEPARATORS", "Run", "compact", "is_emphasis", "lettered", "number_runs", "starts_clean"]

SEPARATORS = " .\\-/()（）+"
"""Body of a character class: what may stand between the digits of one number."""

_RUN = re.compile(f"[0-9][0-9{SEPARATORS}]{{4,}}[0-9]")
_DATE = re.compile(r"(?:19|20)[0-9]{2}([\-/.])[01]?[0-9]\1[0-3]?[0-9](?:[ ]+|\Z)")
_GROUP = re.compile("[0-9]+")
_NO_SEPARATORS = dict.fromkeys(map(ord, SEPARATORS.replace("\\", "")))
_LETTERS = frozenset(ascii_letters)
_DIGITS = "0123456789"
"""`str.isdigit` would also take the ② that opens a line of a list."""
_NOT_DIGIT = re.compile(r"[^0-9A-Za-z]+")


class Run(NamedTuple):
    """A longest run of digits and the separators between them.

    Args:
        start: offset of the first digit.

        end: offset after the last digit.

        starts: offset of the first digit of each group.

        digits: how many digits there are.
    """

    start: int
    end: int
    starts: tuple[int, ...]
    digits: int


def number_runs(text: str, start: int = 0) -> list[Run]:
    """Return the runs with at least six digits, in order, without the date and the space that one begins with."""
    runs: list[Run] = []
    for match in _RUN.finditer(text, start):
        lo, hi = match.span()
        date = _DATE.match(text, lo, hi)
        if date:
            lo = date.end()
        value = text[lo:hi]
        if value.isdigit():
            runs.append(Run(lo, hi, (lo,), hi - lo))
            continue
        digits = len(value.translate(_NO_SEPARATORS))
        if digits >= 6:
            runs.append(Run(lo, hi, tuple([group.start() for group in _GROUP.finditer(text, lo, hi)]), digits))
    return runs


def lettered(text: str, runs: Iterable[Run]) -> list[tuple[Run, int]]:
    """Return the runs that touch one or two ASCII letters, as codes begin, each with the offset of the first letter."""
    codes: list[tuple[Run, int]] = []
    for run in runs:
        start = run.start
        if text[start - 1 : start] in _LETTERS:
            codes.append((run, start - 2 if text[start - 2 : start - 1] in _LETTERS else start - 1))
    return codes


def compact(value: str) -> str:
    """Return the letters and digits of a value."""
    return value if value.isalnum() and value.isascii() else _NOT_DIGIT.sub("", value)


def starts_clean(text: str, start: int, glued: re.Pattern[str] | None = None) -> bool:
    r"""Tell whether a number may begin here: not inside a word, a longer number, a decimal, a date or an identifier.

    Args:
        text: the folded text.

        start: offset of the number's first character.

        glued: keywords that may touch the number (`ID371…`); a pattern that ends with `\Z`.
    """
    if not start:
        return True
    before = text[start - 1]
    if before.isspace():
        return True
    if before in _DIGITS:
        return False
    if before == "_":
        return is_emphasis(text, start) or bool(glued and glued.search(text, max(0, start - 12), start))
    if before.isascii() and before.isalpha():
        return bool(glued and glued.search(text, max(0, start - 12), start))
    if before in ".-" and start > 1:
        earlier = text[start - 2]
        if before == "." or not earlier.isascii():
            return earlier not in _DIGITS
        if earlier == "-":
            return not text[max(0, start - 4) : start].rstrip("-")[-1:].isascii()  # a dash in a Chinese sentence
        if earlier.isalnum() or earlier in "_=":
            return bool(glued and glued.search(text, max(0, start - 13), start - 1))
    return True


def is_emphasis(text: str, start: int) -> bool:
    """Tell whether what stands before an offset is one to three `_` of Markdown, and not part of a name."""
    if text[start - 1 : start] != "_":
        return False
    before = text[max(0, start - 4) : start].rstrip("_")
    return not (before[-1].isascii() and before[-1].isalnum()) if before else start < 4
