"""The negation guard: two texts must be negated alike."""

from __future__ import annotations

import re

from agentprod.caching.guards.contract import Side
from agentprod.caching.guards.sentence import Sentence
from agentprod.caching.guards.words_en import NEGATIONS

__all__ = ["NegationGuard"]

_ASKED = r"(?=(?:how|what|why|where|when|which|who)\b)"
_TAG = r"(?:is|are|was|were|do|does|did|ca|could|wo|would|should|has|have|had)n'?t (?:it|you|i|he|she|they|we|there)"
_IDLE_ENGLISH = re.compile(
    "|".join(
        (
            rf"\b(?:don'?t|do not|didn'?t|did not) (?:know|understand|remember|see|get) {_ASKED}",
            rf"\bnot (?:sure|certain|clear) (?:about |on )?{_ASKED}",
            rf"\b(?:can'?t|cannot|can not|couldn'?t|unable to) (?:\w+ out|understand|tell|see|remember) {_ASKED}",
            rf"\bno (?:idea|clue) {_ASKED}",
            r"\bnot only\b|\bno matter\b|\bor not\b|\bif not\b|\bno (?:problem|worries|wonder|doubt)\b",
            r"\bno \.? ?(?=\d)",
            r"\b(?:do|did|wo|would|could|ca)n't you\b",
            rf", {_TAG}\b|\b{_TAG} *\??$",
        )
    )
)
"""What has the form of a negation and is none, in a text whose words and signs stand apart."""

_CHINESE = re.compile("[不没無无未勿莫甭毋非]|别(?=[再让把给去说做用忘动买卖吃喝看想开关打点发来走跑怕急])")
_IDLE_CHINESE = re.compile(
    r"有无|了没有?(?=[?？吗呢]?$)|[不没](?=[?？]?$)|(?<=[?？!！。,， ])没有?[?？]|不是(?=.*吗[?？]?$)"
)


class NegationGuard:
    """Blocks pairs of which one is negated and the other is not, or whose negations differ in parity.

    English: not, n't (with or without apostrophe), no, never, without, -free, unable, hardly … Chinese: 不没无未非别,
    but not inside words such as 不错 or 无线, nor in questions of the form 能不能. Asking (`I don't know how to`, tag
    questions) is not negation, and `not open` agrees with `closed`.
    """

    name = "negation"

    def read(self, sentence: Sentence) -> str:
        """Return the number of negations, then the complementary words they stand before; empty for none."""
        if sentence.chinese:
            text = sentence.bare_chinese
            count = len(_CHINESE.findall(_IDLE_CHINESE.sub("", text)))
        elif NEGATIONS.isdisjoint(sentence.vocabulary) and "free" not in sentence.lower:
            return ""
        else:
            text = " ".join([token.lower for token in sentence.tokens])
            if not NEGATIONS.isdisjoint(sentence.vocabulary):
                text = _IDLE_ENGLISH.sub(" ", text)
            count = sum(word in NEGATIONS for word in text.split()) + text.count(" - free")
        words = {
            f"{hit.group}.{hit.value}" for hit in sentence.hits if hit.complementary and hit.place in sentence.negated
        }
        return " ".join([str(count), *sorted(words)]) if count else ""

    def conflict(self, one: Side, other: Side) -> bool:
        """Return whether just one text is negated, or their numbers of negations differ by an odd one."""
        mine, theirs = one.reading.split() or ["0"], other.reading.split() or ["0"]
        here, there = int(mine[0]), int(theirs[0])
        if not _differ(here, there):
            return False
        return _differ(
            here - min(here, _answered(mine[1:], other.text)), there - min(there, _answered(theirs[1:], one.text))
        )


def _differ(here: int, there: int) -> bool:
    return (here == 0) != (there == 0) or (here - there) % 2 == 1


def _answered(negated: list[str], text: str) -> int:
    """Return how many negated words the text has the opposite of, as `closed` for `not open`."""
    if not negated:
        return 0
    opposites = {f"{hit.group}.{1 - hit.value}" for hit in Sentence(text).hits if hit.complementary}
    return len({word.partition(".")[0] for word in negated if word in opposites})
