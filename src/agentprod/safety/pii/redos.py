"""Find out whether a pattern can be made slow by the text it searches, before any text does.

Each probe text is searched at growing sizes, from tiny ones (exponential patterns) to 16 KB (quadratic ones), in
processor time, the best of three. A pattern fails when the time grows much faster than the text, twice in a row.
This is a measurement, not a proof: it says nothing about texts of another form.
"""

from __future__ import annotations

import re
from time import process_time

from agentprod.safety.pii.pattern_shape import example

__all__ = ["slow_probe"]

_SMALL = (6, 9, 12, 15, 18, 21, 24, 27, 30)
_LARGE = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_FAMILIES = ("a", "1", " ", "a.", "1-", "a@a.", ":", "A1 ", "//", "=", "汉")
_ENOUGH = 0.0008
"""Seconds; shorter times are noise."""


def slow_probe(pattern: re.Pattern[str]) -> str | None:
    """Return what makes the pattern slow, or `None` when no probe does.

    Args:
        pattern: the compiled pattern, as it will be searched with.

    Returns:
        A description of the probe: a repeated unit and the size in characters.
    """
    typical = example(pattern)[:64]
    for unit in dict.fromkeys((*_FAMILIES, *filter(None, (typical,)), *typical)):
        for ending in ("", "\0"):
            for sizes, limit in ((_SMALL, 6.0), (_LARGE, 3.0)):
                size = _first_slow(pattern, unit, ending, sizes, limit)
                if size:
                    return f"{unit!r} repeated to {size} characters"
    return None


def _first_slow(pattern: re.Pattern[str], unit: str, ending: str, sizes: tuple[int, ...], limit: float) -> int | None:
    before = 0.0
    strikes = 0
    for size in sizes:
        text = (unit * (size // len(unit) + 1))[:size] + ending
        took = _best_time(pattern, text)
        if took > 0.2:
            return size
        strikes = strikes + 1 if took > _ENOUGH and took > limit * max(before, _ENOUGH / 8) else 0
        if strikes >= (1 if sizes is _SMALL else 2):
            return size
        before = took
    return None


def _best_time(pattern: re.Pattern[str], text: str) -> float:
    best = float("inf")
    for _ in range(3):
        start = process_time()
        for _ in pattern.finditer(text):
            pass
        best = min(best, process_time() - start)
        if best < _ENOUGH or best > 0.2:
            break
    return best
