"""Names, letters, quotations and addresses."""

from __future__ import annotations

import pytest

from tests.caching.guards.judging import judge


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the weather in paris", "the weather in london"),
        ("the weather in paris", "the weather"),
        ("chinese restaurants", "italian restaurants"),
        ("call john", "call mary"),
        ("what did Zuleika say", "what did Ramona say"),
        ("is vitamin c healthy", "is vitamin d healthy"),
        ("who sang 'Hello Goodbye' first", "who sang 'Yellow Submarine' first"),
        ("open https://a.example/x", "open https://a.example/y"),
        ("write to ann@a.example", "write to bob@a.example"),
        ("run setup.py", "run tests.py"),
        ("北京的天气", "上海的天气"),
        ("《红楼梦》的作者", "《西游记》的作者"),
        ("怎么下载QQ", "怎么下载"),
        ("iPhone怎么截屏", "Pixel怎么截屏"),
        ("张三欠我钱", "李四欠我钱"),
        ("给小明打电话", "给小红打电话"),
        ("王老师在哪", "刘老师在哪"),
        ("约翰·史密斯的书", "约翰·米勒的书"),
    ],
)
def test_another_name_is_blocked(one: str, other: str) -> None:
    """A name that the other text lacks asks for another answer."""
    assert judge(one, other, "entity") == "entity"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("what is my PIN", "what is my pin"),
        ("How Do I Reset My Password", "how can I reset a password"),
        ("the population of the USA", "the population of the United States"),
        ("flights to the U.S. today", "flights to America today"),
        ("pay me ASAP please", "pay me please"),
        ("iPhone 12 price", "iphone12 price"),
        ("use Wi-Fi here", "use wifi here"),
        ("flip us a coin", "flip a coin"),
        ("I am here. When do you open?", "I am here, when do you open?"),
        ("英语怎么学", "英文怎么学"),
        ("微信APP怎么用", "微信怎么用"),
        ("有什么方法", "有什么办法"),
    ],
)
def test_one_name_in_two_spellings_passes(one: str, other: str) -> None:
    """Capitals, aliases, hyphens and shouting make no other name."""
    assert judge(one, other, "entity") is None
