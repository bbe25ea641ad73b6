"""Which guards judge, in which order, and what may be one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.caching.guards import GuardSet, Sentence, Side
from agentprod.errors import ConfigError

_PIECES = st.lists(
    st.one_of(
        st.sampled_from("not can't 5 seven pm May monday Paris from to on off and is by A 'x y' \t \x1f".split(" ")),
        st.sampled_from("《书》 张三 打开 不 没有 三点半 第一 的 ， 下周三 好不好".split(" ")),
        st.text(max_size=4),
    ),
    max_size=12,
).map(" ".join)  # fmt: skip


class NoShouting:
    """A guard of one's own: texts in capitals are another thing."""

    name = "shouting"

    def read(self, sentence: Sentence) -> str:
        """Return a mark for a text in capitals."""
        return "!" if sentence.plain.isupper() else ""

    def conflict(self, one: Side, other: Side) -> bool:
        """Return whether just one text shouts."""
        return one.reading != other.reading


def test_strict_holds_all_guards_and_off_none() -> None:
    """The two words stand for all and for none."""
    names = ("placeholder", "number", "negation", "date", "tense", "entity", "code", "antonym", "order", "wording")
    assert GuardSet("strict").names == names
    off = GuardSet("off")
    assert off.names == ()
    assert off.conflict(off.read("turn on"), off.read("turn off")) is None


def test_the_first_guard_that_objects_is_named() -> None:
    """Guards judge in the order given."""
    one, other = "turn on 2 lights", "turn off 3 lights"
    for names in (["number", "antonym"], ["antonym", "number"]):
        guards = GuardSet(names)
        assert guards.conflict(guards.read(one), guards.read(other)) == names[0]


def test_a_guard_of_ones_own_stands_beside_the_built_in_ones() -> None:
    """A list may mix names and guards."""
    guards = GuardSet(["number", NoShouting()])
    assert guards.conflict(guards.read("HELP ME"), guards.read("help me")) == "shouting"
    assert guards.conflict(guards.read("help me"), guards.read("help us")) is None


@pytest.mark.parametrize("wrong", ["loose", ["numbers"], [object()], ["number", "number"]])
def test_what_is_no_guard_is_refused_with_the_choice(wrong: Any) -> None:
    """A wrong option says what would be right."""
    with pytest.raises(ConfigError, match=r"number|guard"):
        GuardSet(wrong)


@given(_PIECES)
def test_a_text_never_conflicts_with_itself(text: str) -> None:
    """The very same text passes, whatever stands in it."""
    guards = GuardSet()
    features = guards.read(text)
    assert features.text == text
    assert guards.conflict(features, guards.read(text)) is None


@given(_PIECES, _PIECES)
def test_a_pair_is_judged_alike_in_both_directions(one: str, other: str) -> None:
    """It does not matter which text was stored and which is asked."""
    guards = GuardSet()
    first, second = guards.read(one), guards.read(other)
    assert (guards.conflict(first, second) is None) == (guards.conflict(second, first) is None)
