"""Opposites, and things of one kind."""

from __future__ import annotations

import pytest

from tests.caching.guards.judging import judge


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("turn it on", "turn it off"),
        ("turn the light on on the left", "turn the light off on the left"),
        ("enabling it", "disable it"),
        ("is it legible", "is it illegible"),
        ("before lunch", "after lunch"),
        ("a red car and a blue bike", "a blue car and a blue bike"),
        ("transfer from savings", "transfer to savings"),
        ("what is my name", "what is your name"),
        ("when does it open", "where does it open"),
        ("how many are there", "how often are there"),
        ("打开蓝牙", "关闭蓝牙"),
        ("开灯", "关灯"),
        ("大学学费", "小学学费"),
        ("红烧鱼", "红烧排骨"),
        ("为什么发货", "什么时候发货"),
        ("不同意的话", "同意的话"),
        ("Please tell me why I am sad", "Tell me why I am happy"),  # please is no word of joy
    ],
)
def test_an_opposite_in_its_place_is_blocked(one: str, other: str) -> None:
    """A word put for its opposite, or for another thing of its kind, asks for another answer."""
    assert judge(one, other, "antonym") == "antonym"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("log in on my phone", "log in with my phone"),
        ("delete my account", "remove my account"),
        ("the shop is not open", "the shop is closed"),
        ("not correct", "incorrect"),
        ("I am unable to pay", "I am not able to pay"),
        ("how much time does it take", "how long does it take"),
        ("open and close it", "close and open it"),
        ("how to import interesting files", "how to import files"),
        ("取消订单", "退订"),
        ("开心的事", "关于开心的事"),
        ("大家好", "小朋友好"),
        ("上海的路", "下载上海的路"),
    ],
)
def test_synonyms_and_one_sided_words_pass(one: str, other: str) -> None:
    """Words of one meaning, words that only one text has, and parts of other words pass."""
    assert judge(one, other, "antonym") is None
