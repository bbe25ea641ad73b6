"""Keywords and length: the usual rule of thumb, in Chinese and English.

It is here because many begin with it, not because it is good: `benchmarks/router.py` prints an APGR of 0.59 on MMLU,
0.62 on GSM8K and 0.67 on fourteen mixed tasks, and the same rule ranks common-sense questions worse than a coin. Fit a
router on recorded calls instead.
"""

from __future__ import annotations

import re

from agentprod.routing.ask import Ask

__all__ = ["LABELS", "classify", "difficulty"]

LABELS = ("simple", "medium", "code", "complex", "reasoning")
"""What `classify` tells apart, the easiest first."""

_REASONING = re.compile(
    r"分析|比较|推导|证明|论证|评估|权衡|推理|步骤|详细解释|为什么"
    r"|\b(?:analy[sz]e|compare|derive|prove|evaluate|step by step|trade-?offs?|reason(?:ing)?|justify|why)\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"```|\bdef \w+\(|\bclass \w+|\bfunction\b|\bimport \w+|#include|SELECT .+ FROM|Traceback"
    r"|代码|函数|编程|报错|脚本|正则",
    re.IGNORECASE,
)
_LONG = 500
_HANZI = re.compile("[一-鿿]")
_HANZI_WEIGHT = 2.5
_MANY_TURNS = 10


def classify(ask: Ask) -> str:
    """Label an ask by its keywords and its length.

    Args:
        ask: what `read_ask` returns.

    Returns:
        One of `LABELS`: more than ten user messages are complex, a word that calls for reasoning makes it reasoning,
        code makes it code, more than 500 characters (a hanzi counts as two and a half) medium, all else simple.
    """
    if ask.turns > _MANY_TURNS:
        return "complex"
    if _REASONING.search(ask.text):
        return "reasoning"
    if _CODE.search(ask.text):
        return "code"
    return "medium" if _length(ask.text) > _LONG else "simple"


def difficulty(ask: Ask) -> float:
    """Return a number for the same rule, to rank asks by.

    Args:
        ask: what `read_ask` returns.

    Returns:
        From 0 to 5: the place of the label in `LABELS`, and within it the length.
    """
    return LABELS.index(classify(ask)) + min(_length(ask.text), 4000.0) / 4001


def _length(text: str) -> float:
    return len(text) + (_HANZI_WEIGHT - 1) * len(_HANZI.findall(text))
