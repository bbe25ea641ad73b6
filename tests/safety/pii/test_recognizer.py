"""Recognisers of your own: patterns, terms, callables, and what is refused."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest

from agentprod.errors import Blocked, ConfigError
from agentprod.safety.pii import Recognizer, Scrubber, Span


def values(recognizer: Any, text: str, **options: Any) -> list[str]:
    """Return what a scrubber with this recogniser finds."""
    return [text[span.start : span.end] for span in Scrubber(recognizers=[recognizer], **options).find(text)]


def test_a_pattern_reports_its_entity_in_any_width() -> None:
    """The folded text is searched, offsets are the original's."""
    own = Recognizer.regex("EMPLOYEE_ID", r"EMP-\d{6}")
    assert (
        Scrubber(recognizers=[own]).scrub("工号EMP-123456和ＥＭＰ－１２３４５６").text
        == "工号[[EMPLOYEE_ID_1]]和[[EMPLOYEE_ID_1]]"
    )
    assert repr(own) == "Recognizer('EMPLOYEE_ID')"


def test_a_group_named_value_is_what_is_reported() -> None:
    """The rest of the match is context."""
    assert values(Recognizer.regex("CASE", r"case (?P<value>\d{4})"), "case 1234 and 5678") == ["1234"]


def test_a_value_may_be_validated() -> None:
    """What the callable refuses is not reported."""
    even = Recognizer.regex("NUMBER_X", r"#\d{2}", validate=lambda value: int(value[1:]) % 2 == 0)
    assert values(even, "#11 #12 #14") == ["#12", "#14"]


def test_context_words_must_stand_near() -> None:
    """Within 40 characters before, in any case; a single string is one word."""
    near = Recognizer.regex("CASE", r"\d{4}", context=["Aktenzeichen", "卷宗"])
    assert values(near, "aktenzeichen 1234, 卷宗5678") == ["1234", "5678"]
    assert values(near, "1234 aktenzeichen" + " " * 60 + "5678") == []
    assert values(Recognizer.regex("CASE", r"\d{4}", context="卷宗"), "卷宗5678") == ["5678"]


def test_a_score_decides_against_other_findings() -> None:
    """A surer recogniser of yours wins over ours, and one below the threshold is silent."""
    sure = Recognizer.regex("TICKET", r"\d{3}-\d{3}-\d{4}", score=0.99)
    assert [span.entity for span in Scrubber(recognizers=[sure]).find("978-645-9740")] == ["TICKET"]
    assert values(Recognizer.regex("TICKET", r"T\d{3}", score=0.3), "T123") == []


@pytest.mark.parametrize(
    ("name", "pattern", "message"),
    [
        ("X_1", "(", "invalid"), ("X_1", "a*", "empty string"), ("x", "a", "no entity name"), ("X_1", r"(a+)+$", "slow"), ("X_1", r"[\w.]+@[\w.]+x", "slow"), ("X_1", r"(x+x+)+y", "slow"),
        ("X_1", r"(a|aa)+b", "slow"),
    ],
)  # fmt: skip
def test_a_bad_pattern_is_refused_when_built(name: str, pattern: str, message: str) -> None:
    """Invalid, matching nothing, or made slow by some text."""
    with pytest.raises(ConfigError, match=message):
        Recognizer.regex(name, pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"EMP-\d{6}", r"(?<![0-9])\d{4}-\d{4}(?!\d)", r"工号\d{5,8}", r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}", r"(?i)a(?:b|c){1,3}d", r"(?>ab)+c", r"[^a]b", r".x", r"\s\w"],
)  # fmt: skip
def test_a_good_pattern_is_accepted(pattern: str) -> None:
    """Bounded repeats and clear beginnings pass the probe."""
    assert Recognizer.regex("X_1", pattern).window is not None


def test_the_probe_can_be_skipped() -> None:
    """For who knows their texts."""
    assert values(Recognizer.regex("X_1", r"(?:a+)+b", probe=False), "aab") == ["aab"]


def test_a_wrong_score_is_refused() -> None:
    """A score is a probability."""
    with pytest.raises(ConfigError, match="score"):
        Recognizer.regex("X_1", "abc", score=1.5)


def test_a_match_without_bound_is_cut() -> None:
    """So that a stream knows when to stop waiting."""
    assert [len(value) for value in values(Recognizer.regex("X_1", "x[a-y]+", probe=False), "x" * 2500)] == [
        1024,
        1024,
        452,
    ]


def test_terms_are_found_in_any_case_and_whole() -> None:
    """A term inside a longer word of its script is another word; Chinese characters may touch it."""
    own = Recognizer.terms("PROJECT", ["Apollo", "凤凰计划"])
    assert values(own, "APOLLO apollos 在Ａpollo的凤凰计划书") == ["APOLLO", "Ａpollo", "凤凰计划"]
    assert values(Recognizer.terms("PROJECT", ["Apollo"], whole=False), "apollos") == ["apollo"]
    for terms in ([], [""]):
        with pytest.raises(ConfigError, match="empty"):
            Recognizer.terms("PROJECT", terms)


@dataclass
class Like:
    """What Presidio and spaCy return."""

    entity_type: str = ""
    label_: str = ""
    start: int = 0
    end: int = 0
    start_char: int | None = None
    end_char: int | None = None
    score: float | None = None


@pytest.mark.parametrize(
    "item",
    [
        Span(4, 7, "PERSON", 0.9), (4, 7, "PERSON"), [4, 7, "person", 0.9], {"start": 4, "end": 7, "label": "person"}, {"start": 4, "end": 7, "entity_group": "PERSON", "score": 0.7},
        Like(entity_type="PERSON", start=4, end=7, score=0.8), Like(entity_type="", label_="PERSON", start=1, end=2, start_char=4, end_char=7),
    ],
    ids=["span", "tuple", "list", "dict", "pipeline", "presidio", "spacy"],
)  # fmt: skip
def test_a_callable_may_return_what_its_project_returns(item: Any) -> None:
    """Spans, tuples, dicts and the objects of other projects."""
    if isinstance(item, Like) and not item.entity_type:
        item.entity_type = item.label_
    found = Scrubber(recognizers=[lambda text: [item]]).find("hi, Ann Lee")
    assert [(span.entity, span.start, span.end) for span in found] == [("PERSON", 4, 7)]


@pytest.mark.parametrize(
    "item",
    [(0, 99, "PERSON"), (3, 1, "PERSON"), (0, 2, "?"), {"start": 1}, (1,)],
    ids=["outside", "backwards", "no name", "incomplete", "short"],
)
def test_a_span_that_makes_no_sense_blocks(item: Any) -> None:
    """A recogniser in error lets nothing through."""
    with pytest.raises(Blocked, match="recogniser LAMBDA failed"):
        Scrubber(recognizers=[Recognizer.of(lambda text: [item])]).find("hi, Ann")


def test_a_callable_reads_the_original_text_and_has_a_name() -> None:
    """Models want the text as it was; errors want a name."""
    seen: list[str] = []

    def my_model(text: str) -> list[Span]:
        seen.append(text)
        return []

    assert Recognizer.of(my_model).name == "MY_MODEL"
    assert Recognizer.of(my_model, name="NER").name == "NER"
    Scrubber(recognizers=[my_model]).find("Ａnn")
    assert seen == ["Ａnn"]


def test_a_callable_that_takes_too_long_blocks() -> None:
    """The deadline is an error like any other."""
    release = threading.Event()

    def slow(text: str) -> list[Span]:
        release.wait(30)
        return []

    try:
        with pytest.raises(Blocked, match="SLOW failed with TimeoutError"):
            Scrubber(recognizers=[Recognizer.of(slow, timeout=0.01)]).find("hi")
    finally:
        release.set()
    quick = Recognizer.of(lambda text: [(0, 2, "PERSON")], timeout=20)
    assert values(quick, "hi there") == ["hi"]
    assert values(quick, "hi again") == ["hi"]
    with pytest.raises(ConfigError, match="above 0"):
        Recognizer.of(slow, timeout=0)
