"""The antonym guard: no word of one text may stand where the other has its opposite, or another thing of its kind."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from agentprod.caching.guards.contract import Side
from agentprod.caching.guards.sentence import Sentence
from agentprod.caching.guards.tokens import PREFIXED
from agentprod.caching.guards.words_en import FUNCTION_WORDS

__all__ = ["AntonymGuard"]

_PREFIXES = re.compile(r"(?:un|in|im|il|ir|dis|non|de|mis|anti|re)(?=[a-z]{4})")
_DIRECTIONS = frozenset(("from", "to", "by"))


class AntonymGuard:
    """Blocks pairs in which one word is put for its opposite: on and off, before and after, 打开 and 关闭.

    The same holds for two things of one kind: colours, vegetables, file formats, family members, question words. A pair
    is blocked when each text has a word of the same set more often than the other text has it. `enable` against
    `disable` is also seen by the prefix, for words in no list, as is `restart` against `start`; and `from X` against
    `to X` or `by X`.
    """

    name = "antonym"

    def read(self, sentence: Sentence) -> str:
        """Return the known words as `set.value`, in Chinese with the word, and words with a prefix that may negate."""
        items = []
        for hit in sentence.hits:
            if hit.group >= 0:
                turned = hit.complementary and hit.place in sentence.negated
                label = f"{hit.group}.{1 - hit.value}" if turned else hit.label
                items.append(f"{label}:{hit.word}" if sentence.chinese else label)
        if not sentence.chinese:
            if sentence.traits & PREFIXED:
                known = {hit.word for hit in sentence.hits}
                prefixed = {token.lower for token in sentence.tokens if token.traits & PREFIXED}
                items += [f"-{word}" for word in prefixed - known]
            if not _DIRECTIONS.isdisjoint(sentence.vocabulary):
                items += _directions(sentence.stems)
        return " ".join(sorted(items))

    def conflict(self, one: Side, other: Side) -> bool:
        """Return whether a word was put for one of its opposites."""
        return _replaced(one, other) or _prefixed(one, other) or _prefixed(other, one)


def _replaced(one: Side, other: Side) -> bool:
    """Tell whether each text has a word of a set more often than the other has it."""
    items, others = one.reading.split(), other.reading.split()
    distinct, distinct_others = set(items), set(others)
    # One that has all the other has, none of it twice, lacks nothing; quicker than counting.
    if (distinct_others <= distinct and len(distinct_others) == len(others)) or (
        distinct <= distinct_others and len(distinct) == len(items)
    ):
        return False
    mine, here = _parse(items)
    theirs, there = _parse(others)
    rivals: dict[str, list[str]] = defaultdict(list)
    for value in theirs - mine:
        rivals[value.partition(".")[0]].append(value)
    for value in mine - theirs:
        for rival in rivals.get(value.partition(".")[0], ()):
            if _opposed(here[value], there[rival], one.text, other.text):
                return True
    return False


def _parse(items: Iterable[str]) -> tuple[Counter[str], dict[str, set[str]]]:
    """Return how often each value stands in a text, and by which words, where they are given."""
    values: Counter[str] = Counter()
    words: dict[str, set[str]] = defaultdict(set)
    for item in items:
        if not item.startswith("-"):
            value, _, word = item.partition(":")
            values[value] += 1
            if word:
                words[value].add(word)
    return values, words


def _opposed(words: set[str], rivals: set[str], text: str, other: str) -> bool:
    """Tell whether words oppose each other; a single Chinese character only in the place of the other word."""
    if not words or not rivals:
        return True
    return any(
        (len(word) > 1 and len(rival) > 1) or _same_place(word, rival, text, other)
        for word in words
        for rival in rivals
    )


def _same_place(word: str, rival: str, text: str, other: str) -> bool:
    """Tell whether two words have the same character before or behind them."""
    befores, behinds = _around(word, text)
    rival_befores, rival_behinds = _around(rival, other)
    return not befores.isdisjoint(rival_befores) or not behinds.isdisjoint(rival_behinds)


def _around(word: str, text: str) -> tuple[set[str], set[str]]:
    places = [match.start() for match in re.finditer(re.escape(word), text)]
    befores = {text[place - 1] for place in places if place and text[place - 1].isalpha()}
    ends = [place + len(word) for place in places]
    return befores, {text[end] for end in ends if end < len(text) and text[end].isalpha()}


def _directions(stems: list[str]) -> Iterator[str]:
    """Yield `@paris.from` and `@paris.to` for `from Paris` and `to the Paris`, `@percent.by` for `by 5 percent`."""
    for index, word in enumerate(stems[:-1]):
        if word in _DIRECTIONS:
            after = next((stem for stem in stems[index + 1 : index + 4] if stem not in FUNCTION_WORDS), None)
            if after:
                yield f"@{after}.{word}"


def _prefixed(one: Side, other: Side) -> bool:
    """Tell whether the other text has a word of this one without its negating prefix."""
    if "-" not in one.reading:
        return False
    for item in one.reading.split():
        if item.startswith("-") and item not in other.reading.split():
            base = re.compile(rf"\b{_PREFIXES.sub('', item[1:], count=1)}", re.IGNORECASE)
            if base.search(other.text) and not base.search(one.text):
                return True
    return False
