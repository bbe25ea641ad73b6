"""All guards together on pairs written by hand, English and Chinese."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.caching.guards.judging import judge

_PAIRS = Path(__file__).parent / "pairs"


def _read(name: str) -> list[tuple[str, str]]:
    lines = (_PAIRS / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    return [(one, other) for one, _, other in (line.partition("\t") for line in lines)]


@pytest.mark.parametrize(("one", "other"), _read("different_en") + _read("different_zh"))
def test_a_pair_that_needs_two_answers_is_blocked(one: str, other: str) -> None:
    """Opposites, other numbers, dates and names, and swapped arguments never share an answer."""
    assert judge(one, other) is not None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_paraphrases_mostly_pass(language: str) -> None:
    """At most one paraphrase in twenty is lost."""
    pairs = _read(f"same_{language}")
    blocked = [(one, other, guard) for one, other in pairs if (guard := judge(one, other))]
    assert len(blocked) <= len(pairs) / 20, blocked
