"""The code guard: identifiers, options and operators of one text must stand in the other."""

from __future__ import annotations

import re

from agentprod.caching.guards.contract import Side
from agentprod.caching.guards.sentence import Sentence
from agentprod.caching.guards.tokens import HUMPED

__all__ = ["CodeGuard"]

_IDENTIFIER = re.compile(
    r"(?<![\w.@/])(?:[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)+|[A-Za-z]\w*_\w+|[a-z]+[A-Z]\w*|[A-Za-z_]\w+(?=\(\)))",
    re.ASCII,
)
_OPTION = re.compile(r"(?<![^\s'\"(])--?[A-Za-z][\w-]*", re.ASCII)
_OPERATOR = re.compile(r"(?<=\s)(?:[=!]?==?|<[<=>]?|>[>=]?|[-+*/%&|^]=|&&|\|\||[-=]>|\*\*|//)(?=\s)")
_SIGNS = frozenset("_():=<>&|+*/%^-")
_DOTTED = re.compile(r"\w\.[A-Za-z_]")

_WORD = re.compile(r"[a-z0-9]+")
_PARTS = 6
"""Most words that may stand for one identifier: `max_tokens` is `max tokens`."""


class CodeGuard:
    """Blocks pairs of which one has an identifier, an option or an operator that the other lacks.

    `os.path.join`, `user_id`, `getUser` and `get_user()` are identifiers, which may also be written in words; `-v` and
    `--force` options, whose case counts; `==` and `<` between spaces operators. Names of commands and functions that
    look like any word (`git rebase`, `strip`) are not seen unless they are quoted.
    """

    name = "code"

    def read(self, sentence: Sentence) -> str:
        """Return options and operators as they are written, and identifiers as one small word behind `=`."""
        text = sentence.plain
        if not (
            sentence.traits & HUMPED or not _SIGNS.isdisjoint(sentence.signs) or ("." in text and _DOTTED.search(text))
        ):
            return ""
        found = {f"={''.join(_WORD.findall(name.lower()))}" for name in _IDENTIFIER.findall(text)}
        return " ".join(sorted({*found, *_OPTION.findall(text), *(f"~{sign}" for sign in _OPERATOR.findall(text))}))

    def conflict(self, one: Side, other: Side) -> bool:
        """Return whether something is missing in either text."""
        mine, theirs = set(one.reading.split()), set(other.reading.split())
        return _missing(mine - theirs, other.text) or _missing(theirs - mine, one.text)


def _missing(items: set[str], text: str) -> bool:
    names = {item[1:] for item in items if item.startswith("=")}
    if len(names) < len(items):
        return True
    words = _WORD.findall(text.lower()) if names else []
    runs = {"".join(words[start : start + count]) for start in range(len(words)) for count in range(1, _PARTS + 1)}
    return any(name not in runs and name.removesuffix("s") not in runs and f"{name}s" not in runs for name in names)
