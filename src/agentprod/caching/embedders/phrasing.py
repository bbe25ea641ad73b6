"""Ways to say the same that carry no content: contractions, politeness, forms of a question."""

from __future__ import annotations

import re

__all__ = ["CHINESE_QUESTIONS", "ENGLISH_WEIGHTS", "LIGHT_CHARACTERS", "plain_chinese", "plain_english"]

ENGLISH_WEIGHTS = {
    word: weight
    for weight, words in (
        (
            0.1,
            """the a an to of is are was were be am been being do does did done have has had having s re ve d ll m t
            that this it its there please pls kindly hi hello hey ok okay thanks thank just also too very really and or
            but so if then as at can could will would shall should may might""",
        ),
        (
            0.2,
            """i me my mine myself we us our you your yours yourself he him his she her they them their""",
        ),
        (0.3, "know tell want need like let get got give show help find any some these those here must ought doing"),
        (0.4, "what which who whom whose when where why how"),
        (0.4, "by for from in into off on onto out over up with within without about than"),
    )
    for word in words.split()
}
"""Weights of words that say little about the topic; others weigh 1. Tuned on BANKING77, CLINC150 and RESTAURANTS-8K."""

LIGHT_CHARACTERS = frozenset("的了吗呢吧啊呀哦嘛么着过地得之就也都还很又再们这那个啦哈所与和及或")

_CONTRACTIONS = (("\u2019", "'"), ("n't", " not"), ("what's", "what is"), ("'s ", "s "))
_ALIKE = """
怎么 怎样 如何 咋 怎样才能 怎么才能 如何才能 该怎么 该如何 要怎么
多久 多长时间 多少时间
什么时候 何时 啥时候 几时
为什么 为何 为啥 怎么会 什么原因 啥原因
哪里 哪儿 何处 什么地方 在哪里 在哪儿 在哪
多少钱 什么价格 价格多少 价钱多少 啥价
怎么办 怎么处理 如何处理 怎么解决 如何解决 该怎么办 咋办
什么 啥 甚么
谁 什么人
能 可以 能够 能否 可否
是 是否
有 有无
要 需要 想要
"""
"""Each line: what is read, then what is read as it."""

_SAME = {alias: first for first, *others in map(str.split, _ALIKE.split("\n")[1:-1]) for alias in others}
_SAME_PATTERN = re.compile("|".join(sorted(_SAME, key=len, reverse=True)))
_POLITE = re.compile("请问一下|请问|麻烦|帮忙|帮我|你好|您好|谢谢|我想知道|我想问|告诉我|大家|一下|请")
_EITHER = re.compile(r"(.)[不没]\1")

CHINESE_QUESTIONS = re.compile("(什么时候|多少钱|怎么办|为什么|怎么|多久|哪里|什么|多少|谁)")
"""Question words, which are features of their own, and across which no pair of characters is read."""


def plain_english(text: str) -> str:
    """Write contractions out.

    Args:
        text: a text in small letters.
    """
    for short, full in _CONTRACTIONS:
        text = text.replace(short, full)
    return text


def plain_chinese(text: str) -> str:
    """Give questions of one meaning one form (如何 as 怎么, 能不能 as 能), and drop politeness."""
    text = _POLITE.sub(" ", _EITHER.sub(r"\1", text))
    return _SAME_PATTERN.sub(lambda match: _SAME[match[0]], text)
