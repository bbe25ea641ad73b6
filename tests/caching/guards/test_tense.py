"""The tense guard."""

from __future__ import annotations

import pytest

from tests.caching.guards.judging import judge


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who won the final?", "Who will win the final?"),
        ("Has the game started?", "Will the game start?"),
        ("I cancelled my order", "I'll cancel my order"),
        ("What did they announce?", "What are they going to announce?"),
        ("Who is the mayor?", "Who was the mayor?"),
        ("What's the exchange rate?", "What was the exchange rate?"),
        ("火车开了吗", "火车要开了吗"),
        ("他去过日本", "他会去日本"),
        ("我取消了订单", "我要取消订单"),
    ],
)
def test_another_time_is_another_question(one: str, other: str) -> None:
    """The future is not the past, and what is is not what was."""
    assert judge(one, other, "tense") == "tense"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("When will my order arrive?", "When does my order arrive?"),
        ("Will it rain?", "Is it going to rain?"),
        ("I forgot my PIN", "I have forgotten my PIN"),
        ("Why was my payment declined?", "Why is my payment declined?"),
        ("I was trying to log in", "I am trying to log in"),
        ("When will the parcel I ordered arrive?", "When does the parcel I ordered arrive?"),
        ("How do I feed people in need?", "How will I feed people in need?"),
        ("验证码收不到怎么办", "收不到验证码了怎么办"),
        ("忘记密码了怎么办", "忘记密码要怎么办"),
        ("除了现金还能用什么", "会不会除了现金还能用什么"),
    ],
)
def test_one_time_in_other_words_passes(one: str, other: str) -> None:
    """Tenses that people put for each other do not count."""
    assert judge(one, other, "tense") is None
