"""Negation in English and Chinese."""

from __future__ import annotations

import pytest

from tests.caching.guards.judging import judge


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("my card works", "my card does not work"),
        ("my card works", "my card doesnt work"),
        ("I can do this", "I cannot do this"),
        ("a room with a view", "a room without a view"),
        ("the boy is unable to swim", "the boy is able to swim"),
        ("there is a dog", "there is no dog"),
        ("it is not useful and not cheap", "it is useful and cheap"),
        ("I don't know if it is contactless", "it is contactless"),
        ("会员可以退款", "会员不可以退款"),
        ("快递到了", "快递没到"),
        ("别去北京", "去北京"),
        ("他未收到", "他收到"),
        ("无糖饮料", "有糖饮料"),
        ("我没去过北京", "我去过北京"),
    ],
)
def test_one_negated_text_is_blocked(one: str, other: str) -> None:
    """A text and its negation never share an answer."""
    assert judge(one, other, "negation") == "negation"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("why isn't my card working", "my card does not work, why"),
        ("I don't know how to reset it", "how to reset it"),
        ("I have no idea what this is", "what is this"),
        ("it works, doesn't it?", "does it work?"),
        ("whether it fits or not", "whether it fits"),
        ("not only in Paris", "also in Paris"),
        ("item no. 5", "item 5"),
        ("the shop is not open", "the shop is closed"),
        ("this is not correct", "this is incorrect"),
        ("I can't remember my pin", "I forgot my pin"),
        ("能不能退款", "可以退款吗"),
        ("有没有优惠", "有优惠吗"),
        ("支不支持分期", "支持分期吗"),
        ("不好意思，几点开门", "几点开门"),
        ("不错的电影", "好电影"),
        ("无线耳机", "蓝牙耳机"),
        ("饭吃了没有", "饭吃了吗"),
        ("特别好吃", "非常好吃"),
        ("这里不安全", "这里危险"),
    ],
)
def test_texts_negated_alike_pass(one: str, other: str) -> None:
    """Questions that hold a negation only in form, and `not open` beside `closed`, pass."""
    assert judge(one, other, "negation") is None
