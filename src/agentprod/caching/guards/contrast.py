"""The antonym guard: no word of one text may stand where the other has its opposite, or another thing of its kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from agentprod.caching.guards.contract import Side
from agentprod.caching.guards.sentence import Sentence
from agentprod.caching.guards.words_en import FUNCTION_WORDS, NEGATIONS

__all__ = ["AntonymGuard"]

_PREFIXES = re.compile(r"(?:un|in|im|il|ir|dis|non|de|mis|anti)(?=[a-z]{4})")


class AntonymGuard:
    """Blocks pairs in which one word is put for its opposite: on and off, before and after, 打开 and 关闭.

    The same holds for two things of one kind: colours, vegetables, file formats, family members, question words. A pair
    is blocked when each text has a word of the same set more often than the other text has it. `enable` against
    `disable` is also seen by the prefix, for words in no list.
    """

    name = "antonym"

    def read(self, sentence: Sentence) -> str:
        """Return the known words as `set.value`, with the character itself where it is a single Chinese one."""
        items = []
        for hit in sentence.hits:
            if hit.group >= 0:
                single = f":{hit.word}" if sentence.chinese and len(hit.word) == 1 else ""
                value = 1 - hit.value if hit.complementary and hit.place in sentence.negated else hit.value
                items.append(f"{hit.group}.{value}{single}")
        if not sentence.chinese:
            known = NEGATIONS.union(hit.word for hit in sentence.hits)
            items += [f"-{word}" for word in set(sentence.words) - known if _PREFIXES.match(word)]
            items += _directions(sentence.stems)
        return " ".join(sorted(items))

    def conflict(self, one: Side, other: Side) -> bool:
        """Return whether a word was put for one of its opposites."""
        mine, theirs = Counter(one.reading.split()), Counter(other.reading.split())
        extra, missing = mine - theirs, theirs - mine
        groups: dict[str, set[str]] = {}
        for item in missing:
            groups.setdefault(item.partition(".")[0], set()).add(item)
        for item in extra:
            for rival in groups.get(item.partition(".")[0], ()):
                if item.startswith("-") or item.partition(":")[0] == rival.partition(":")[0]:
                    continue
                if _same_place(item.partition(":")[2], rival.partition(":")[2], one.text, other.text):
                    return True
        return _prefixed(extra, one.text, other.text) or _prefixed(missing, other.text, one.text)


def _directions(stems: list[str]) -> Iterator[str]:
    """Yield `@paris.from` and `@paris.to` for `from Paris` and `to the Paris`."""
    for index, word in enumerate(stems[:-1]):
        if word in ("from", "to"):
            after = next((stem for stem in stems[index + 1 : index + 4] if stem not in FUNCTION_WORDS), None)
            if after:
                yield f"@{after}.{word}"


def _same_place(char: str, rival: str, text: str, other: str) -> bool:
    """Tell whether single characters have a neighbour in common; longer words need none."""
    if not char or not rival:
        return not char and not rival
    return any(
        before + rival in other if before else rival + after in other for before, after in _neighbours(char, text)
    )


def _neighbours(char: str, text: str) -> Iterator[tuple[str, str]]:
    for match in re.finditer(char, text):
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if before.isalpha():
            yield before, ""
        if after.isalpha():
            yield "", after


def _prefixed(items: Counter[str], text: str, other: str) -> bool:
    """Tell whether the other text has a word of this one without its negating prefix."""
    for item in items:
        if item.startswith("-"):
            word = item[1:]
            base = _PREFIXES.sub("", word, count=1)
            if re.search(rf"\b{base}", other, re.IGNORECASE) and not re.search(rf"\b{base}", text, re.IGNORECASE):
                return True
    return False
