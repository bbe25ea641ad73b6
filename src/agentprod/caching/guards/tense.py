"""The tense guard: what was, what is and what will be have different answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from agentprod.caching.guards.contract import Side
from agentprod.caching.guards.sentence import Sentence
from agentprod.caching.guards.tokens import PAST
from agentprod.caching.guards.words_en import is_past

__all__ = ["TenseGuard"]

_FUTURE, _NOW, _THEN = "will", "is", "was"
_WILL = frozenset("will shall won't wont shan't gonna".split())
_IS = frozenset("is are am what's who's where's when's how's it's that's there's isn't aren't".split())
_WAS = frozenset("was were wasn't weren't".split())
_DID = frozenset("did didn't had hadn't".split())
_MARKED = _WILL | _IS | _WAS | _DID | {"going"}
_WITHIN = 5
"""Words behind a form of `be` in which a verb makes it passive or progressive."""

_CHINESE_FUTURE = re.compile(
    r"(?<![机社约开一晚宴聚大协工委年不])会(?![议员计所场长话籍馆面诊谈])|将要|将会|即将"
    r"|(?<![需重主必只不想都没还])要(?![求点素紧是么闻不]|怎|如何|多|几|什么|在|带)"
)
_CHINESE_PAST = re.compile(
    r"(?<![为除])了(?!解|不起|结)|(?<![通超不经难路错])过(?![敏期年程滤分来去得户渡段量大小高低多少])"
)
_CHINESE_SOON = re.compile(r"[要快将]\w{1,4}了")


class TenseGuard:
    """Blocks pairs of which one asks about the past and the other about the future, or now and then.

    `Who won` and `who will win`, `who is` and `who was the president`, 他来过 and 他会来. Only what the grammar marks
    is compared: `will`, `going to`, past forms and `be` as the only verb; 会, 要, 即将 against 了 and 过. Present and
    future pass (`when does it arrive`, `when will it arrive`), and so do passives (`was` or `is declined`).
    """

    name = "tense"

    def read(self, sentence: Sentence) -> str:
        """Return the markers of tense, past verbs among them."""
        if sentence.chinese:
            found = _read_chinese(sentence.plain)
        elif sentence.traits & PAST or not _MARKED.isdisjoint(sentence.vocabulary) or "'ll" in sentence.lower:
            found = _read_english(sentence.words)
        else:
            return ""
        return " ".join(sorted(set(found)))

    def conflict(self, one: Side, other: Side) -> bool:
        """Return whether the times differ."""
        mine, theirs = set(one.reading.split()), set(other.reading.split())
        return _apart(mine, theirs) or _apart(theirs, mine)


def _apart(mine: set[str], theirs: set[str]) -> bool:
    """Tell whether one text is about the future or now, and the other about what was before that."""
    if _FUTURE in mine and _FUTURE not in theirs and theirs - mine - {_NOW}:
        return True
    return _NOW in mine and _THEN not in mine and _THEN in theirs and _NOW not in theirs


def _read_english(words: Sequence[str]) -> Iterator[str]:
    for index, word in enumerate(words):
        if word in _WILL or word.endswith("'ll") or (word == "going" and words[index + 1 : index + 2] == ["to"]):
            yield _FUTURE
        elif word in _IS or word in _WAS:
            if not any(map(_is_verb, words[index + 1 : index + 1 + _WITHIN])):
                yield _NOW if word in _IS else _THEN
        elif word in _DID or is_past(word):
            yield f"-{word}"


def _is_verb(word: str) -> bool:
    return word.endswith("ing") or is_past(word)


def _read_chinese(text: str) -> Iterator[str]:
    if _CHINESE_FUTURE.search(text):
        yield _FUTURE
    if _CHINESE_PAST.search(text) and not _CHINESE_SOON.search(text):
        yield "-了"
