"""The number guard: every number of one text must stand in the other."""

from __future__ import annotations

import re
from collections import Counter

from agentprod.caching.guards.contract import Side
from agentprod.caching.guards.numerals_en import read_english
from agentprod.caching.guards.numerals_zh import read_chinese
from agentprod.caching.guards.sentence import Sentence
from agentprod.caching.guards.tokens import NUMBER

__all__ = ["NumberGuard"]

_DATE = re.compile(r"(?<![\d./-])(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})(?![\d./-]*\d)")


class NumberGuard:
    """Blocks pairs whose numbers differ: digits, numerals in words (English, Chinese), ordinals, times of day.

    `two` equals `2`, `third` equals `3rd`, `7 pm` equals `19:00`, 三百 equals 300. A `one` or 一 may be missing in the
    other text. Where both name a unit for the same number, the units must agree, and 5 % is not 5. 48 hours
    are not 2 days here.
    """

    name = "number"

    def read(self, sentence: Sentence) -> str:
        """Return the numbers as `value:unit`, sorted, with `?` behind one that may be an article."""
        quantities = read_chinese(sentence.bare_chinese) if sentence.chinese else read_english(sentence)
        items = [f"{q.value}={q.unit}{'?' if q.optional else ''}" for q in quantities]
        # Of a date in figures the order counts, too: 3/4/2021 is not 4/3/2021.
        if sentence.traits & NUMBER and _dated(sentence.plain):
            items += [f"{'/'.join(part.lstrip('0') for part in match)}=" for match in _DATE.findall(sentence.plain)]
        return " ".join(sorted(items))

    def conflict(self, one: Side, other: Side) -> bool:
        """Return whether the numbers differ."""
        mine, theirs = _parse(one.reading), _parse(other.reading)
        if _differ(mine.values - theirs.values, theirs.optional) or _differ(theirs.values - mine.values, mine.optional):
            return True
        return any(_other_unit(mine.units.get(v), theirs.units.get(v)) for v in mine.units.keys() | theirs.units.keys())


def _dated(text: str) -> bool:
    """Tell whether a date in figures may stand in a text."""
    return "." in text or "/" in text or "-" in text


class _Numbers:
    __slots__ = ("optional", "units", "values")

    def __init__(self) -> None:
        self.values: Counter[str] = Counter()
        self.units: dict[str, set[str]] = {}
        self.optional = 0


def _parse(reading: str) -> _Numbers:
    numbers = _Numbers()
    for item in reading.split():
        value, _, unit = item.rpartition("=")
        if unit.endswith("?"):
            numbers.optional += 1
            continue
        numbers.values[value] += 1
        if unit:
            numbers.units.setdefault(value, set()).add(unit)
    return numbers


def _differ(missing: Counter[str], ones: int) -> bool:
    """Tell whether the other text really lacks numbers: a 1 may stand there as `one` or 一."""
    return any(value != "1" for value in missing) or missing["1"] > ones


def _other_unit(unit: set[str] | None, other: set[str] | None) -> bool:
    """Tell whether units of one number differ; one that is left out goes without saying, unless it is the percent."""
    if unit and other:
        return unit != other
    return "%" in (unit or other or ())
