"""What a text is made of, counted by hand: what token estimates rest on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.budget.text_classes import FEATURES, TextClasses

CLASSES = TextClasses(map(ord, "天气很好"), [ord("天") << 16 | ord("气"), ord("气") << 16 | ord("很")])


def counted(text: str) -> dict[str, float]:
    return dict(zip(FEATURES, CLASSES.count(text), strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("getHTMLParser now", {"words": 3, "letters past 7": 3, "capitals after capitals": 4}),
        ("école élève", {"words": 2, "accented letters": 3, "words of accented text": 2}),
        ("the end of the road is in sight", {"words": 8, "words of plain text without English function words": 0}),
        ("der Weg ist lang", {"words of plain text without English function words": 4}),
        ("in 2026, 12345 x7", {"digit groups": 5, "spaces before digits": 2, "letters beside digits": 1}),
        ("f(x) == g[0];\n", {"runs of marks": 5, "marks past the first": 2, "marks before letters": 1}),
        ("a;", {"marks before line ends": 1, "runs of line ends": 0}),
        ("=====", {"runs of marks": 1, "marks past the third": 2, "repeated marks": 4}),
        ("a_b{}", {"underscores": 1, "brackets and quotes": 2, "runs of marks": 2}),
        ("a\n\n\nb" + " " * 100 + "c d", {"runs of line ends": 1, "runs of spaces": 2}),
        ("天气很好龘，", {"common hanzi": 4, "rare hanzi": 1, "full-width marks": 1, "hanzi in common pairs": 1}),
        ("天气 气很", {"hanzi in common pairs": 2}),
        ("ひらがな 한글 Ωμ Ж אا अ অ ก", {"kana": 4, "hangul": 2, "Greek": 2, "Cyrillic": 1, "Hebrew and Arabic": 2}),
        ("€ 😀👍", {"other symbols": 1, "emoji and beyond": 2}),
    ],
)
def test_classes_of_a_text(text: str, expected: dict[str, float]) -> None:
    """Words as encodings cut them, groups of digits, runs of marks and blanks, scripts, pairs of hanzi."""
    found = counted(text)
    assert {name: found[name] for name in expected} == expected


@given(st.text(), st.text())
def test_counts_are_never_negative_and_grow_with_the_text(one: str, other: str) -> None:
    """Lines apart, two texts have the classes of both, but for what is weighed by the share of English and accents."""
    weighed = {"words of accented text", "words of plain text without English function words"}
    parts, whole = (counted(one), counted(other)), counted(f"{one}\n{other}")
    assert min(whole.values()) >= 0
    for name in set(FEATURES) - weighed - {"runs of line ends", "repeated marks"}:
        assert whole[name] == parts[0][name] + parts[1][name], name
