"""Runs of digits with separators: the one pass that all number-like entities share, and what may stand beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import ascii_letters
from typing import NamedTuple

__all__ = ["LETTERS", "SEPARATORS", "Glued", "Run", "compact", "is_emphasis", "lettered", "number_runs", "starts_clean"]

SEPARATORS = " .\\-/()（）+"
"""Body of a character class: what may stand between the digits of one number."""

_RUN = re.compile(f"[0-9][0-9{SEPARATORS}]{{4,}}[0-9]")
_DATE = re.compile(r"(?:19|20)[0-9]{2}([\-/.])[01]?[0-9]\1[0-3]?[0-9](?:[ ]+|\Z)")
_MARKS = b" .-/()+"
_BEGINNING = re.compile(
    # What stands before the first digit is looked at behind it: a pattern that begins with a class is found faster.
    rf"[0-9](?<![0-9].)(?<![0-9][.\-].)(?![{SEPARATORS}][0-9][{SEPARATORS}][0-9])(?=[0-9{SEPARATORS}]{{5}})[0-9]*"
)
LETTERS = frozenset(ascii_letters)
_DIGITS = "0123456789"
"""`str.isdigit` would also take the ② that opens a line of a list."""
_NOT_DIGIT = re.compile(r"[^0-9A-Za-z]+")


class Run(NamedTuple):
    """A longest run of digits and the separators between them.

    Args:
        start: offset of the first digit.

        end: offset after the last digit.

        starts: where a number of six characters or more may begin, in order: at the first digit of a group that no dot
            or hyphen ties to a digit before it, and that does not begin with digits one by one.

        digits: how many digits there are.
    """

    start: int
    end: int
    starts: tuple[int, ...]
    digits: int

    @property
    def solid(self) -> bool:
        """Tell whether there are no separators."""
        return self.digits == self.end - self.start


def number_runs(text: str, start: int = 0) -> list[Run]:
    """Return the runs with at least six digits, in order, without the date and the space that one begins with."""
    runs: list[Run] = []
    for match in _RUN.finditer(text, start):
        lo, hi = match.span()
        if match[0].isdigit():
            runs.append(Run(lo, hi, (lo,), hi - lo))
            continue
        date = _DATE.match(text, lo, hi)
        if date:
            lo = date.end()
        digits = len(text[lo:hi].encode("ascii", "ignore").translate(None, _MARKS))
        if digits >= 6:
            starts = tuple([found.start() for found in _BEGINNING.finditer(text, lo, hi)])
            runs.append(Run(lo, hi, starts, digits))
    return runs


def lettered(text: str, runs: Iterable[Run]) -> list[tuple[Run, int]]:
    """Return the runs that touch one or two ASCII letters, as codes begin, each with the offset of the first letter."""
    codes: list[tuple[Run, int]] = []
    for run in runs:
        start = run.start
        if text[start - 1 : start] in LETTERS:
            codes.append((run, start - 2 if text[start - 2 : start - 1] in LETTERS else start - 1))
    return codes


def compact(value: str) -> str:
    """Return the letters and digits of a value."""
    if not value.isalnum():
        value = value.replace(" ", "").replace("-", "")  # in nearly all of them, these are all there is
    return value if value.isalnum() and value.isascii() else _NOT_DIGIT.sub("", value)


class Glued:
    """Words that may touch a number, as in `ID371…`.

    Args:
        words: in lower case, parted by spaces.

        letters: single letters, where no other letter stands before them.
    """

    __slots__ = ("_letters", "_words")

    def __init__(self, words: str, *, letters: str = "") -> None:
        self._words, self._letters = tuple(words.split()), frozenset(letters)

    def ends(self, text: str) -> bool:
        """Tell whether a text ends with one of the words."""
        end = text[-12:].lower()
        return end.endswith(self._words) or (end[-1:] in self._letters and not ("a" <= end[-2:-1] <= "z"))


def starts_clean(text: str, start: int, glued: Glued | None = None) -> bool:
    r"""Tell whether a number may begin here: not inside a word, a longer number, a decimal, a date or an identifier.

    Args:
        text: the folded text.

        start: offset of the number's first character.

        glued: words that may touch the number.
    """
    if not start:
        return True
    before = text[start - 1]
    if before.isspace():
        return True
    if before in _DIGITS:
        return False
    if before == "_":
        return is_emphasis(text, start)
    if before.isascii() and before.isalpha():
        return glued is not None and glued.ends(text[max(0, start - 12) : start])
    if before in ".-" and start > 1:
        earlier = text[start - 2]
        if before == "." or not earlier.isascii():
            return earlier not in _DIGITS
        if earlier == "-":
            return not text[max(0, start - 4) : start].rstrip("-")[-1:].isascii()  # a dash in a Chinese sentence
        if earlier.isalnum() or earlier in "_=":
            return glued is not None and glued.ends(text[max(0, start - 13) : start - 1])
    return True


def is_emphasis(text: str, start: int) -> bool:
    """Tell whether what stands before an offset is one to three `_` of Markdown, and not part of a name."""
    if text[start - 1 : start] != "_":
        return False
    before = text[max(0, start - 4) : start].rstrip("_")
    return not (before[-1].isascii() and before[-1].isalnum()) if before else start < 4
