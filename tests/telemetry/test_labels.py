"""Labels that cannot grow without end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.telemetry.labels import LabelCap, LabelSets


@given(st.lists(st.tuples(st.text(max_size=200), st.booleans())), st.integers(min_value=1, max_value=8))
def test_never_more_names_than_the_limit(values: list[tuple[str, bool]], limit: int) -> None:
    """Whatever comes, at most `limit` names and "other" come out, none longer than 80 characters."""
    cap = LabelCap(limit)
    names = {cap(value, proven=proven) for value, proven in values}
    assert len(names - {"other"}) <= limit
    assert all(len(name) <= 80 for name in names)


def test_a_name_keeps_its_label() -> None:
    """A value that has its own label keeps it, also after the limit is reached."""
    cap = LabelCap(2)
    assert [cap(value) for value in ("a", "b", "c", "a")] == ["a", "b", "other", "a"]
    assert len(cap) == 2


def test_long_junk_is_stored_once() -> None:
    """Names that differ after 80 characters are one label."""
    cap = LabelCap(10)
    assert cap("x" * 1000) == cap("x" * 5000) == "x" * 80
    assert len(cap) == 1


def test_overflowing_sets_keep_their_closed_labels() -> None:
    """Beyond the limit the names from outside become "other"; the status, one of four, stays."""
    sets = LabelSets(
        ("model", "status", "error.type"), overflow={"model": "other", "error.type": "_OTHER"}, limit=1, bind=dict
    )
    first = sets.get("a", "ok", None)
    assert first == {"model": "a", "status": "ok"}
    assert sets.get("a", "ok", None) is first
    assert sets.get("b", "error", "429") == {"model": "other", "status": "error", "error.type": "_OTHER"}
    assert len(sets) == 1


def test_a_missing_value_is_a_mistake() -> None:
    """As many values as labels, or the series would get the wrong names."""
    with pytest.raises(ValueError, match="zip"):
        LabelSets(("a", "b"), overflow={}, limit=5, bind=dict).get("x")
