"""Numbers: one value in many spellings, and different ones."""

from __future__ import annotations

import pytest

from agentprod.caching.guards import NumberGuard, Sentence
from tests.caching.guards.judging import judge


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a table for 2", "a table for two"),
        ("twenty-five guests", "25 guests"),
        ("one hundred and five rooms", "105 rooms"),
        ("two thousand twenty four", "2024"),
        ("nineteen ninety-nine", "1999"),
        ("twenty twenty four", "2024"),
        ("a hundred people", "100 people"),
        ("a dozen eggs", "12 eggs"),
        ("1,000 users", "1000 users"),
        ("5k followers", "5000 followers"),
        ("3 million rows", "3000000 rows"),
        ("the 3rd floor", "the third floor"),
        ("may 7th", "may 7"),
        ("at 7 pm", "at 19:00"),
        ("at 7:30pm", "at 19:30"),
        ("at 7.30 pm", "at 7:30 PM"),
        ("at 12am", "at midnight"),
        ("at 12 pm", "at noon"),
        ("at 7:00", "at 7"),
        ("chapter IV", "chapter 4"),
        ("$5", "5 dollars"),
        ("$5.50", "5.5 USD"),
        ("10%", "ten percent"),
        ("5 per cent", "5%"),
        ("2.0 GB", "2 gb"),
        ("for 1 person", "for one person"),
        ("which one is it", "which is it"),
        ("charged twice", "charged two times"),
        ("２０ items", "20 items"),
        ("a 5-day trip", "a five day trip"),
        ("05 items", "5 items"),
        ("split second", "split second"),
        ("三百二十块", "320元"),
        ("一百二", "120"),
        ("两万五", "25000"),
        ("3.5万", "35000"),
        ("二零二四年", "2024年"),
        ("下午三点半", "15:30"),
        ("下午3点", "15点"),
        ("三点一刻", "3点15分"),
        ("百分之五", "5%"),
        ("十二个人", "12个人"),
        ("两千零五", "2005"),
        ("一亿两千万", "120000000"),
        ("来一份", "来份"),
        ("第三季", "第3季"),
        ("十分重要", "非常重要"),
    ],
)
def test_one_number_in_two_spellings_agrees(one: str, other: str) -> None:
    """Words and digits, ordinals, times, currencies and Chinese numerals are one value."""
    assert judge(one, other, "number") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 people", "3 people"),
        ("two people", "people"),
        ("5 GB", "5 MB"),
        ("5 days", "5 weeks"),
        ("$5", "€5"),
        ("version 3.1", "version 3.10"),
        ("at 7 am", "at 7 pm"),
        ("at 7 am", "at 7"),
        ("7:15", "7:45"),
        ("first prize", "second prize"),
        ("it is -5 degrees", "it is 5 degrees"),
        ("world war i", "world war ii"),
        ("ten to the sixth", "ten to the ninth"),
        ("3 and 3", "3 and 4"),
        ("1 ticket", "11 tickets"),
        ("192.168.0.1", "192.168.0.2"),
        ("三天", "五天"),
        ("三点半", "三点"),
        ("第一名", "第二名"),
        ("2万", "3万"),
        ("5公里", "5米"),
        ("半年", "一年"),
    ],
)
def test_different_numbers_are_blocked(one: str, other: str) -> None:
    """A number, or the unit of one, that differs asks for another answer."""
    assert judge(one, other, "number") == "number"


def test_a_scale_without_a_number_is_no_number() -> None:
    """In 千 alone there is nothing to count."""
    assert NumberGuard().read(Sentence("千不该万不该")) == ""


def test_a_second_of_time_is_no_ordinal() -> None:
    """`a second` and `per second` name a unit, `the second` a place."""
    guard = NumberGuard()
    assert guard.read(Sentence("wait a second")) == ""
    assert guard.read(Sentence("the second page")) == "2="


def test_first_as_an_adverb_may_be_missing() -> None:
    """`need to activate it first` says no number, `the first president` does."""
    assert judge("do I need to activate it first", "do I need to activate it", "number") is None
    assert judge("who was the first president", "who was the president", "number") == "number"


@pytest.mark.parametrize("text", ["the 3.4.2021 hundred of them", "version 1.2.3 million", "3.4.2021万", "1.2.3亿元"])
def test_a_version_before_a_scale_is_read_as_it_is(text: str) -> None:
    """A number with several points has no value to multiply, and is compared as it is written."""
    assert judge(text, text.replace(".2", ".5"), "number") == "number"
