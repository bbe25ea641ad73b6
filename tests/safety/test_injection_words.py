"""The words by which signals are looked up: none is missing that a match could do without."""

from __future__ import annotations

import random

# `re` has no public parser; the module has stood under this name since Python 3.11.
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from agentprod.safety.injection_signals import Signal, signals, word_index
from agentprod.safety.injection_words import WordIndex


def write(tree: Any, rng: random.Random) -> str:
    """Return a text made as the pattern is, with another choice at each turn; nearly always a match."""
    out: list[str] = []
    behind = ""
    for op, argument in tree:
        name = str(op)
        if name == "LITERAL":
            out.append(chr(argument))
        elif name == "IN":
            out.append(member(argument, rng))
        elif name in ("ANY", "NOT_LITERAL"):
            out.append(" ")
        elif name == "SUBPATTERN":
            out.append(write(argument[3], rng))
        elif name == "BRANCH":
            out.append(write(rng.choice(argument[1]), rng))
        elif name.endswith("REPEAT"):
            least, most, part = argument
            out += [write(part, rng) for _ in range(rng.randint(least, min(most, least + 2)))]
        elif name == "ASSERT":
            behind += write(argument[1], rng)
    return "".join(out) + (f" {behind}" if behind else "")


def member(members: Any, rng: random.Random) -> str:
    """Return a character of a class."""
    op, argument = rng.choice(members)
    if str(op) == "LITERAL":
        return chr(argument)
    if str(op) == "RANGE":
        return chr(rng.randint(*argument))
    return {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " "}.get(str(argument), "z")


@pytest.mark.parametrize("place", range(len(signals())), ids=lambda place: f"{place} {signals()[place].name}")
def test_every_match_holds_one_of_the_words(place: int) -> None:
    """A text that a signal's pattern matches is one that its words lead to."""
    signal: Signal = signals()[place]
    tree = _parser.parse(signal.pattern.pattern)
    rng = random.Random(place)
    matched = 0
    for _ in range(250):
        text = f" {write(tree, rng)} ".lower()
        if signal.pattern.search(text):
            matched += 1
            assert place in word_index().find(text), text
    assert matched > 5


def test_words_are_found_where_a_word_begins() -> None:
    """Of three letters and more; shorter ones, marks and other scripts anywhere."""
    index = WordIndex([["ignor"], ["do ", "_start"], ["忽略"], ["api key"]])
    assert index.find("please ignore it") == [0]
    assert index.find("what you undo it") == [1]
    assert index.find("<|im_start|>请忽略") == [1, 2]
    assert index.find("the api key, the apiary") == [3]
    assert index.find("apiary: signor, 省略") == []
