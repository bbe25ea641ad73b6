"""A number in a text, and what it counts."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Quantity", "plain_number"]

_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")


class Quantity(NamedTuple):
    """A number found in a text.

    Args:
        value: the number in digits, `"19:30"` for a time of day.

        unit: what it counts, in a form shared by all spellings; empty when nothing known follows.

        optional: a `one` or 一 that may be an article, so that its absence says nothing.
    """

    value: str
    unit: str = ""
    optional: bool = False


def plain_number(digits: str, *, money: bool = False) -> str:
    """Return one spelling of a number: `1,000` and `1000.0` give `1000`, `05` gives `5`.

    Decimals are kept as written, because 3.10 is another version than 3.1; with `money` their final zeros go.

    Args:
        digits: a number in ASCII digits, with commas and a point.

        money: an amount, not a version.
    """
    if "," in digits and _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "")
    whole, point, fraction = digits.partition(".")
    if point and (not fraction.strip("0") or money) and "." not in fraction:
        fraction = fraction.rstrip("0")
    if len(whole) <= 2:
        whole = whole.lstrip("0") or "0"
    return f"{whole}.{fraction}" if fraction else whole
