"""The order guard: the same words in other places, as in `from A to B` and `from B to A`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from string import ascii_lowercase
from typing import NamedTuple

from agentprod.caching.guards.contract import Side
from agentprod.caching.guards.sentence import Sentence
from agentprod.caching.guards.tokens import CJK, LETTER
from agentprod.caching.guards.words_en import FUNCTION_WORDS, ROLE_WORDS, stem
from agentprod.caching.guards.words_zh import STOP_CHARS

__all__ = ["OrderGuard"]

_SHARED = 0.7
_MAX_WORDS = 400
_PIECE = re.compile(rf"[{CJK}]|[^\s{CJK}]+")
_PRONOUNS = {
    form: person
    for person, forms in (
        ("1", "i me"), ("2", "you"), ("3m", "he him"), ("3f", "she her"), ("3p", "they them"), ("1p", "we us")
    )
    for form in forms.split()
}  # fmt: skip
_JOINS = frozenset(("and", "or", "vs", "versus", "nor"))
_CALENDAR = frozenset(
    """today tonight tomorrow yesterday now morning afternoon evening night am pm week weekend month year
    monday tuesday wednesday thursday friday saturday sunday""".split()
)
"""Words that stand anywhere in a sentence, and are arguments only behind one of `_BOUNDS`, or when compared."""

_BOUNDS = frozenset(("from", "to", "than", "before", "after"))
_ADVERBS = frozenset(
    """already just still yet soon ever again currently actually always never often also only even maybe please
    right""".split()
)
_LIGHT_VERBS = frozenset("know want need like get got give show help find tell".split())
"""Function words that are the verb when they stand between two others, as in `does Ann like Bob`."""

_PARTS = {
    **dict.fromkeys(_CALENDAR, "calendar"),
    **dict.fromkeys(FUNCTION_WORDS | _ADVERBS, "idle"),
    **dict.fromkeys(_LIGHT_VERBS, "verb"),
    **dict.fromkeys(ROLE_WORDS, "role"),
    **dict.fromkeys(_JOINS, "join"),
    **dict.fromkeys(_PRONOUNS, "pronoun"),
}
"""What a word may be besides an argument; for a word of several parts the last one holds."""

_BE = frozenset("is are was were be been being get gets got".split())
_UNINFLECTED = frozenset("cut put set hit shut read let hurt cost split spread cast made built sent paid held".split())
_PRELUDE = re.compile(
    r"^(?:(?:can|could|would|will) you |please |kindly )*(?:tell|help|show|give|explain to) me "
    r"|^i (?:want|need|would like) you to "
)
_PRELUDE_WORDS = frozenset("can could would will please kindly tell help show give explain i".split())
_WHAT_IS = re.compile(rf"^(什么|谁|哪个|哪里|哪儿)是([{CJK}]+)$")
_PLACES = ROLE_WORDS | frozenset("从到由把被给向比在对为于以用将让再")
"""Words that hold a place but do not fill one; they may stay between two that change places."""


class OrderGuard:
    """Blocks pairs of the same words in which two words changed places around a third that stayed between them.

    `Does Alice owe Bob` and `Does Bob owe Alice`, `from Paris to London` and back, 甲方起诉乙方 and 乙方起诉甲方.
    Moving a part to the front (`In Paris, what is the weather`, 信用卡怎么申请) changes the places of two parts, not of
    three, and passes; so do `A and B` turned round and the passive. Needs 70 % of the words in common.
    """

    name = "order"

    def read(self, sentence: Sentence) -> str:
        """Return content words and prepositions in order; `&` stands for `and`, `^` behind a passive verb."""
        words = _active(sentence)
        passives = not _BE.isdisjoint(words)
        compared = "than" in words
        persons = len({_PRONOUNS[word] for word in _PRONOUNS.keys() & words})
        pieces: list[str] = []
        for index, word in enumerate(words[:_MAX_WORDS]):
            part = _PARTS.get(word)
            if part is None or (part == "calendar" and index and (compared or words[index - 1] in _BOUNDS)):
                passive = passives and index and words[index - 1] in _BE and _is_participle(word)
                # A number, or a run of Chinese, is its own root, and not worth a place among those known.
                root = stem(word) if word[-1] in ascii_lowercase else word
                pieces.append(f"{root}^" if passive else root)
            elif part == "role" or (part == "verb" and _stands_between(words, index)):
                pieces.append(word)
            elif part == "join":
                pieces.append("&")
            elif part == "pronoun" and persons > 1 and _meets_another(words, index):
                pieces.append(_PRONOUNS[word])
        return " ".join(pieces)

    def conflict(self, one: Side, other: Side) -> bool:
        """Return whether words changed places around another one."""
        mine, here = _pieces(one.reading)
        theirs, there = _pieces(other.reading)
        places: dict[str, list[int]] = defaultdict(list)
        for place in range(len(theirs) - 1, -1, -1):
            places[theirs[place].word].append(place)
        aligned: list[_Aligned] = []
        for piece in mine:
            if places.get(piece.word):
                place = places[piece.word].pop()
                aligned.append(_Aligned(piece.word, place, piece.passive == theirs[place].passive))
        if len(aligned) < 3 or len(aligned) < _SHARED * max(len(mine), len(theirs)):
            return False
        return _turned(_unite(aligned, here & there))


def _stands_between(words: Sequence[str], index: int) -> bool:
    """Tell whether the words on both sides have content."""
    sides = (words[index - 1] if index else "", words[index + 1] if index + 1 < len(words) else "")
    return all(word and word not in FUNCTION_WORDS and word not in ROLE_WORDS for word in sides)


class _Piece(NamedTuple):
    word: str
    passive: bool


class _Aligned(NamedTuple):
    word: str
    place: int
    same_voice: bool


def _pieces(reading: str) -> tuple[list[_Piece], set[frozenset[str]]]:
    """Return the pieces in order, and which of them stand beside an `and` or `or`."""
    pieces: list[_Piece] = []
    joined: set[frozenset[str]] = set()
    join = False
    for piece in _PIECE.findall(reading):
        if piece == "&":
            join = bool(pieces)
        elif piece not in STOP_CHARS:
            word = piece.removesuffix("^")
            if join:
                joined.add(frozenset((pieces[-1].word, word)))
            pieces.append(_Piece(word, word != piece))
            join = False
    return pieces, joined


def _unite(aligned: list[_Aligned], joined: set[frozenset[str]]) -> list[_Aligned]:
    """Let words joined in both texts stand in one order, since `A and B` means `B and A`."""
    if joined:
        for index, (first, second) in enumerate(pairwise(aligned)):
            if first.place > second.place and frozenset((first.word, second.word)) in joined:
                aligned[index] = first._replace(place=second.place)
                aligned[index + 1] = second._replace(place=first.place)
    return aligned


def _turned(aligned: Sequence[_Aligned]) -> bool:
    """Tell whether three pieces a, m, b stand as b, m, a in the other text, where a and b are no mere prepositions."""
    far = 1 << 30
    smallest_after = [far] * (len(aligned) + 1)
    for index in range(len(aligned) - 1, -1, -1):
        piece = aligned[index]
        smallest_after[index] = min(smallest_after[index + 1], far if piece.word in _PLACES else piece.place)
    largest_before = -1
    for index, piece in enumerate(aligned):
        if piece.same_voice and largest_before > piece.place > smallest_after[index + 1]:
            return True
        if piece.word not in _PLACES:
            largest_before = max(largest_before, piece.place)
    return False


def _meets_another(words: Sequence[str], index: int) -> bool:
    """Tell whether a pronoun has one of another person near it: `does he owe you`, but not `can you tell me`."""
    near = words[max(0, index - 4) : index + 5]
    return any(_PRONOUNS.get(word, _PRONOUNS[words[index]]) != _PRONOUNS[words[index]] for word in near)


def _is_participle(word: str) -> bool:
    return (
        word.endswith(("ed", "en", "wn"))
        or word in _UNINFLECTED
        or (stem(word) != word and not word.endswith(("ing", "s", "e", "y")))
    )


def _words(sentence: Sentence) -> list[str]:
    """Return the words in small letters, and a single letter that names something unlike the article `a`."""
    tokens = sentence.tokens
    if not sentence.traits & LETTER:
        return [token.lower for token in tokens if token.kind != "sign"]
    words = [f"{token.lower}." if token.traits & LETTER else token.lower for token in tokens if token.kind != "sign"]
    if tokens[0].traits & LETTER and not sentence.chinese and sentence.plain.startswith(tokens[0].surface):
        words[0] = tokens[0].lower
    return words


def _active(sentence: Sentence) -> list[str]:
    """Return the words, 什么是 behind what is asked about, and the agent of a passive first, as in the active."""
    words = _words(sentence)
    if words and words[0] in _PRELUDE_WORDS:
        words = _PRELUDE.sub("", " ".join(words)).split()
    if sentence.chinese:
        return [_WHAT_IS.sub(r"\2是\1", word) for word in words]
    if "by" not in words[2:]:
        return words
    by = words.index("by", 2)
    start = next((place for place in range(by - 2, -1, -1) if words[place] in _BE), -1)
    if start < 0 or not _is_participle(words[by - 1]) or words[by + 1 : by + 2] == [] or words[by + 1].isdigit():
        return words
    while start and words[start - 1] in _BE:
        start -= 1
    end = by + 1
    while end < len(words) and words[end] not in ROLE_WORDS and words[end] not in ("and", "who", "which", "that"):
        end += 1
    return [*words[by + 1 : end], words[by - 1], *words[:start], *words[end:]]
