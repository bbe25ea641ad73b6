"""What a compiled pattern consists of, read from the parse tree of `re`."""

from __future__ import annotations

import re

# `re` has no public parser; the module has stood under this name since Python 3.11.
from re import _parser  # type: ignore[attr-defined]
from typing import Any

__all__ = ["example", "reach"]


def reach(pattern: re.Pattern[str], most: int) -> int:
    """Return how far from its start a match and what it looks ahead to can extend, in characters, at most `most`."""
    tree = _parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)
    return int(min(tree.getwidth()[1] + _ahead(tree), most)) + 1


def _ahead(tree: Any) -> int:
    widest = 0
    for op, argument in tree:
        name = str(op)
        if name in ("ASSERT", "ASSERT_NOT"):
            widest = max(widest, argument[1].getwidth()[1] + _ahead(argument[1]))
        for part in _parts(name, argument):
            widest = max(widest, _ahead(part))
    return int(widest)


def _parts(name: str, argument: Any) -> list[Any]:
    if name == "SUBPATTERN":
        return [argument[3]]
    if name == "BRANCH":
        return list(argument[1])
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return [argument[2]]
    return [argument] if name == "ATOMIC_GROUP" else []


def example(pattern: re.Pattern[str]) -> str:
    """Return a text made the way the pattern is: usually a match, always of its literals."""
    return _example(_parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE))


def _example(tree: Any) -> str:
    out: list[str] = []
    for op, argument in tree:
        name = str(op)
        parts = _parts(name, argument)
        if name == "LITERAL":
            out.append(chr(argument))
        elif name == "IN":
            out.append(_member(argument))
        elif name in ("ANY", "NOT_LITERAL"):
            out.append("a")
        elif parts:
            times = max(1, min(int(argument[0]), 8)) if name.endswith("REPEAT") else 1
            out.append(_example(parts[0]) * times)
    return "".join(out)


def _member(members: Any) -> str:
    for op, argument in members:
        name = str(op)
        if name == "LITERAL":
            return chr(argument)
        if name == "RANGE":
            return chr(argument[0])
        if name == "CATEGORY":
            return {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " "}.get(str(argument), "a")
    return "a"
