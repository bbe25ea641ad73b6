"""The code guard."""

from __future__ import annotations

import pytest

from tests.caching.guards.judging import judge


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What does os.path.join do?", "What does os.path.exists do?"),
        ("What is user_id?", "What is order_id?"),
        ("When is getUser called?", "When is getUsername called?"),
        ("When is get_user() called?", "When is get_order() called?"),
        ("What does the -v flag do?", "What does the -V flag do?"),
        ("What does git push do?", "What does git push --force do?"),
        ("Is x == y true?", "Is x === y true?"),
        ("Is a > b true?", "Is a < b true?"),
        ("os.path.join怎么用", "os.path.exists怎么用"),
        ("--force是什么意思", "--hard是什么意思"),
    ],
)
def test_other_code_is_another_question(one: str, other: str) -> None:
    """Identifiers, options and operators must stand in both texts."""
    assert judge(one, other, "code") == "code"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What does os.path.join do?", "what does `os.path.join()` do"),
        ("Raise max_tokens", "Raise the max tokens"),
        ("What is a user_id?", "What are user ids?"),
        ("Is the iPhone good?", "Is the iphone good?"),
        ("What is 5 - 3?", "What is 5 minus 3?"),
        ("It is a well-known, e.g. old, problem", "It is a well known old problem"),
    ],
)
def test_code_in_other_words_passes(one: str, other: str) -> None:
    """An identifier may be written in words, with or without parentheses."""
    assert judge(one, other, "code") is None
