"""Which texts may stand for a request."""

from __future__ import annotations

import pytest

from agentprod.caching.query_text import tidy, unfit


def test_white_space_and_composed_characters_are_brought_to_one_form() -> None:
    """Look-alikes become one text; case and punctuation stay."""
    assert tidy("  Where\tis\n my  cafe\u0301? ") == "Where is my caf\u00e9?"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" ?!… ", "empty"),
        ("13", "short"),
        ("yes!", "short"),
        ("退款", "short"),
        ("查余额", None),
        ("怎么退款", None),
        ("退款 please", None),
        ("refund please", None),
        ("fix this ```print(1)```", "code"),
        ('read {"a": ' + '"x", "b": ' * 30 + "1}", "json"),
        ('read {"a": 1}', None),
        ("} then {" + " word" * 100, None),
    ],
)
def test_texts_that_no_vector_should_stand_for_are_named(text: str, reason: str | None) -> None:
    """Too short, code and data are refused before anything is embedded."""
    assert unfit(tidy(text)) == reason
