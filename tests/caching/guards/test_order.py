"""The same words in other places."""

from __future__ import annotations

import pytest

from tests.caching.guards.judging import judge


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("flights from Paris to London", "flights from London to Paris"),
        ("convert usd to eur", "convert eur to usd"),
        ("does alice owe bob", "does bob owe alice"),
        ("does he love her", "does she love him"),
        ("the dog was bitten by the man", "the dog bit the man"),
        ("a black dog and a white cat", "a white dog and a black cat"),
        ("I want tea, not coffee", "I want coffee, not tea"),
        ("is it cheaper than gas per mile, oil", "is it cheaper than oil per mile, gas"),
        ("from monday to friday", "from friday to monday"),
        ("从北京到上海", "从上海到北京"),
        ("甲方起诉乙方", "乙方起诉甲方"),
        ("小明给小红打电话", "小红给小明打电话"),
        ("我比他高", "他比我高"),
    ],
)
def test_swapped_arguments_are_blocked(one: str, other: str) -> None:
    """Two words that changed places around a third ask for another answer."""
    assert judge(one, other, "order") == "order"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("in paris, what is the weather", "what is the weather in paris"),
        ("the difference between apples and pears", "the difference between pears and apples"),
        ("what is the dollar and euro exchange rate", "what is the exchange rate between euro and dollar"),
        ("a man is playing a guitar", "a guitar is being played by a man"),
        ("vegetables are cut by a woman", "a woman cuts vegetables"),
        ("the app denied my top-up", "my top up was denied in the app"),
        ("if my card is lost, can I get a refund", "can I get a refund if my card is lost"),
        ("remind me to call mom at 5 tomorrow", "tomorrow at 5 remind me to call mom"),
        ("can you tell me how I pay you", "how do I pay you"),
        ("怎么申请信用卡", "信用卡怎么申请"),
        ("明天北京的天气", "北京明天的天气"),
        ("红和蓝的区别", "蓝和红的区别"),
        ("six divided by two", "two stars"),
    ],
)
def test_moved_parts_pass(one: str, other: str) -> None:
    """Fronting, `A and B` turned round, the passive and moved times are the same question."""
    assert judge(one, other, "order") is None
