"""Overlapping findings become disjoint without leaving a readable half."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agentprod.safety.pii.overlap import resolve
from agentprod.safety.pii.spans import Span

TEXT = "abcdefghij" * 10


def test_the_surest_one_wins_and_grows_over_a_long_residue() -> None:
    """A loser that sticks out by four letters or more is covered by the winner."""
    assert resolve(TEXT, [Span(0, 10, "A", 0.5), Span(5, 20, "B", 0.9)]) == [Span(0, 20, "B", 0.9)]


def test_a_short_residue_is_left() -> None:
    """Three characters of a loser are no value any more."""
    assert resolve(TEXT, [Span(2, 10, "A", 0.5), Span(5, 20, "B", 0.9)]) == [Span(5, 20, "B", 0.9)]


def test_on_equal_score_the_longer_one_wins_then_the_more_harmful() -> None:
    """Length, then rank of the entity."""
    assert resolve(TEXT, [Span(0, 8, "A", 0.5), Span(0, 9, "B", 0.5)]) == [Span(0, 9, "B", 0.5)]
    assert resolve(TEXT, [Span(0, 8, "PHONE", 0.5), Span(0, 8, "SECRET", 0.5)]) == [Span(0, 8, "SECRET", 0.5)]


def test_neighbours_are_not_merged() -> None:
    """Spans that only touch stay apart."""
    assert resolve(TEXT, [Span(5, 9, "A", 0.5), Span(0, 5, "A", 0.5)]) == [Span(0, 5, "A", 0.5), Span(5, 9, "A", 0.5)]


def test_a_loser_between_two_winners_is_covered_by_both() -> None:
    """What lies between two winners is shared out, not left."""
    spans = [Span(0, 5, "A", 0.9), Span(15, 20, "B", 0.9), Span(3, 17, "C", 0.5)]
    resolved = resolve(TEXT, spans)
    assert [span.entity for span in resolved] == ["A", "B"]
    assert resolved[0].end >= resolved[1].start - 3


def test_empty_spans_are_dropped() -> None:
    """A recogniser may report a span of no length."""
    assert resolve(TEXT, [Span(3, 3, "A", 0.9)]) == []


spans = st.lists(
    st.builds(
        lambda start, size, entity, score: Span(start, min(100, start + size), entity, score),
        st.integers(0, 99),
        st.integers(0, 30),
        st.sampled_from(("A", "B", "PHONE", "SECRET")),
        st.sampled_from((0.5, 0.6, 0.9)),
    ),
    max_size=12,
)


@given(spans)
def test_the_result_is_disjoint_and_leaves_no_readable_residue(found: list[Span]) -> None:
    """For any spans: in order, disjoint, and of each value at most three characters in a row are uncovered."""
    resolved = resolve(TEXT, found)
    assert all(left.end <= right.start for left, right in pairwise(resolved))
    covered = {place for span in resolved for place in range(span.start, span.end)}
    for span in found:
        run = longest = 0
        for place in range(span.start, span.end):
            run = 0 if place in covered else run + 1
            longest = max(longest, run)
        assert longest <= 3 or span.end == span.start


@given(spans)
def test_the_order_of_findings_does_not_matter(found: list[Span]) -> None:
    """Detectors may report in any order."""
    assert resolve(TEXT, found) == resolve(TEXT, reversed(found))
