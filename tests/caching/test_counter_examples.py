"""Pairs reported as wrong."""

from __future__ import annotations

from agentprod.caching.counter_examples import CounterExamples


def test_a_reported_pair_forbids_matches_up_to_its_cosine() -> None:
    """Either text of the pair must be nearer to anything than the pair was."""
    wrong = CounterExamples()
    assert not wrong.forbid("p", "a", "b", 0.9)
    wrong.add("p", "a", "b", 0.96)
    assert wrong.forbid("p", "b", "a", 0.96)
    assert wrong.forbid("p", "a", "c", 0.95)
    assert not wrong.forbid("p", "a", "c", 0.97)
    assert not wrong.forbid("p", "c", "d", 0.5)
    assert not wrong.forbid("other", "a", "b", 0.96)


def test_the_highest_report_counts() -> None:
    """A later, lower report takes nothing back."""
    wrong = CounterExamples()
    wrong.add("p", "a", "b", 0.97)
    wrong.add("p", "a", "b", 0.95)
    assert wrong.forbid("p", "a", "b", 0.965)


def test_reports_survive_export_and_restore() -> None:
    """What was exported forbids the same after a restart, and holds no text."""
    wrong = CounterExamples()
    wrong.add("p", "my secret", "b", 0.96)
    exported = list(wrong.export())
    assert len(wrong) == len(exported) == 2
    assert all(b"secret" not in digest for _, digest, _ in exported)
    again = CounterExamples()
    for partition, digest, similarity in exported:
        again.restore(partition, digest, similarity)
    assert again.forbid("p", "my secret", "x", 0.95)


def test_the_oldest_report_goes_when_there_are_too_many() -> None:
    """Memory is bounded."""
    wrong = CounterExamples()
    for number in range(5_001):
        wrong.add("p", f"a{number}", f"b{number}", 0.96)
    assert len(wrong) == 10_000
    assert not wrong.forbid("p", "a0", "b0", 0.5)
    assert wrong.forbid("p", "a5000", "b5000", 0.5)
