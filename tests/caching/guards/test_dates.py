"""Weekdays, months, relative days and parts of the day."""

from __future__ import annotations

import pytest

from tests.caching.guards.judging import judge


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("open on Monday", "open on Tuesday"),
        ("open on Monday", "open"),
        ("in march", "in may"),
        ("rain today", "rain tomorrow"),
        ("tomorrow", "the day after tomorrow"),
        ("next week", "last week"),
        ("next friday", "this friday"),
        ("this morning", "this evening"),
        ("on the weekend", "on weekdays"),
        ("sat 5", "sun 5"),
        ("周一", "周二"),
        ("下周三", "上周三"),
        ("今天", "明天"),
        ("这个月", "上个月"),
        ("早上", "晚上"),
        ("三月", "四月"),
        ("去年", "今年"),
    ],
)
def test_other_dates_are_blocked(one: str, other: str) -> None:
    """Another day, month or part of the day asks for another answer."""
    assert judge(one, other, "date") == "date"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("on Mondays", "every monday"),
        ("in Sept 2020", "september 2020"),
        ("last night", "yesterday evening"),
        ("tonight", "this evening"),
        ("may I ask", "can I ask"),
        ("we march to the sea", "we walk to the sea"),
        ("the sun is hot", "our star is hot"),
        ("星期日", "周天"),
        ("礼拜三", "周三"),
        ("今晚", "今天晚上"),
        ("本月", "这个月"),
        ("3月份", "三月"),
        ("下面", "下边"),
    ],
)
def test_one_date_in_two_wordings_passes(one: str, other: str) -> None:
    """Abbreviations and synonyms of the calendar agree, and words that only look like dates are none."""
    assert judge(one, other, "date") is None
