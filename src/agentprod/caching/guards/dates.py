"""The date guard: weekdays, months, relative days and parts of the day must agree."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentprod.caching.guards.contract import Side
from agentprod.caching.guards.sentence import Sentence
from agentprod.caching.guards.tokens import Token

__all__ = ["DateGuard"]

_WEEKDAYS = {
    name: f"day{number}"
    for number, names in enumerate(
        (
            "monday mon", "tuesday tue tues", "wednesday wed", "thursday thu thur thurs", "friday fri", "saturday sat",
            "sunday sun",
        )
    )
    for name in names.split()
}  # fmt: skip
_MONTHS = {
    name: f"month{number}"
    for number, names in enumerate(
        (
            "january jan", "february feb", "march", "april apr", "may", "june jun", "july jul", "august aug",
            "september sept sep", "october oct", "november nov", "december dec",
        )
    )
    for name in names.split()
}  # fmt: skip
_UNSURE = frozenset("mon wed fri sat sun jan march may jun sep".split())
"""Also common words; they are dates only beside a number or behind one of these."""

_BEFORE_DATE = frozenset(
    "on in of by until till since from last next this every early late mid each through before after and to".split()
)
_NOT_AFTER_MAY = frozenset("be have not also take i we you it he she they the".split())
_RELATIVE = {
    "today": "today", "tonight": "today evening", "tomorrow": "tomorrow", "tmrw": "tomorrow", "yesterday": "yesterday",
    "morning": "morning", "afternoon": "afternoon", "evening": "evening", "night": "evening", "weekend": "weekend",
    "weekends": "weekend", "weekday": "weekday", "weekdays": "weekday",
}  # fmt: skip
_SPANS = frozenset("day week weekend month quarter year semester season".split())
_POINTERS = {
    "next": "next",
    "coming": "next",
    "following": "next",
    "last": "last",
    "past": "last",
    "previous": "last",
    "this": "this",
    "current": "this",
}
_CALENDAR = frozenset(("after", "before", *_WEEKDAYS, *(f"{day}s" for day in _WEEKDAYS), *_MONTHS, *_RELATIVE, *_SPANS))
"""Words with which a date may begin."""

_CHINESE = re.compile(
    r"(?:(?P<week>[上下这本])?个?(?:周|星期|礼拜)(?P<weekday>[一二三四五六日天末1-7])(?!年|个))"
    r"|(?P<relative>大前天|大后天|前天|昨天|昨日|今天|今日|明天|明日|后天|前年|去年|今年|明年|后年|当天|昨晚|今晚|明晚|今早|明早)"
    r"|(?P<span>上上|下下|上|下|这|本)(?:个|一个)?(?P<unit>周|星期|礼拜|月|季度|学期|年度)(?!面|海|级|班|车|半)"
    r"|(?P<part>早上|早晨|清晨|上午|中午|下午|傍晚|晚上|夜里|凌晨|半夜)(?!(?:1[01]|[1-9]|[一二两三四五六七八九]|十一?)[点:])"
    r"|(?P<month>\d{1,2}|[一二三四五六七八九十]{1,2})月(?:份|(?=\D|$|\d))"
)
_CHINESE_NAMES = {
    "昨日": "昨天", "今日": "今天", "明日": "明天", "当天": "今天", "早晨": "早上", "清晨": "早上",
    "傍晚": "晚上", "夜里": "晚上", "半夜": "凌晨",
    "昨晚": "昨天 晚上", "今晚": "今天 晚上", "明晚": "明天 晚上", "今早": "今天 早上", "明早": "明天 早上",
}  # fmt: skip
_CHINESE_DIGITS = {char: str(value) for value, char in enumerate("一二三四五六", 1)} | {
    "日": "7",
    "天": "7",
    "末": "weekend",
}
_CHINESE_MONTHS = {char: str(value) for value, char in enumerate("一 二 三 四 五 六 七 八 九 十 十一 十二".split(), 1)}


class DateGuard:
    """Blocks pairs that name different weekdays, months, relative days (`next week`, 后天) or parts of the day.

    Days of the month and times are numbers, which the number guard compares, 下午 in 下午三点 among them. A date that
    only one text has is a difference too.
    """

    name = "date"

    def read(self, sentence: Sentence) -> str:
        """Return the calendar words, in one spelling, sorted."""
        if sentence.chinese:
            found = _read_chinese(sentence.plain)
        elif _CALENDAR.isdisjoint(sentence.vocabulary) and "'s" not in sentence.lower:
            return ""
        else:
            found = _read_english(sentence.tokens)
        return " ".join(sorted(set(" ".join(found).split())))

    def conflict(self, one: Side, other: Side) -> bool:
        """Return whether the calendar words differ, which is so whenever this is asked."""
        return one.reading != other.reading


def _read_english(tokens: list[Token]) -> Iterator[str]:
    for index, token in enumerate(tokens):
        word = token.bare
        if word not in _CALENDAR:
            continue
        before = tokens[index - 1].lower if index else ""
        after = tokens[index + 1].lower if index + 1 < len(tokens) else ""
        if word in _RELATIVE:
            if word == "night" and before == "last":
                yield "yesterday evening"
            elif before == "this" and word in ("morning", "afternoon", "evening"):
                yield f"today {word}"
            else:
                yield _RELATIVE[word]
        elif word in _SPANS and before in _POINTERS:
            yield f"{_POINTERS[before]}-{word}"
        elif (word, after) in (("after", "tomorrow"), ("before", "yesterday")):
            yield word
        elif word in _WEEKDAYS or word in _MONTHS or word.removesuffix("s") in _WEEKDAYS:
            beside = before in _BEFORE_DATE or any(
                _is_number(tokens, near) for near in (index - 2, index - 1, index + 1)
            )
            if (word in _UNSURE and not (beside or (token.surface.istitle() and index))) or (
                word == "may" and after in _NOT_AFTER_MAY
            ):
                continue
            yield _MONTHS.get(word) or _WEEKDAYS.get(word) or _WEEKDAYS[word.removesuffix("s")]
            if before in ("last", "next") and word not in _MONTHS:
                yield f"{before}-weekday"


def _is_number(tokens: list[Token], index: int) -> bool:
    return 0 <= index < len(tokens) and (
        tokens[index].kind == "number" or tokens[index].lower in ("first", "second", "third")
    )


def _read_chinese(text: str) -> Iterator[str]:
    for match in _CHINESE.finditer(text):
        if match["weekday"]:
            yield "周" + _CHINESE_DIGITS.get(match["weekday"], match["weekday"])
            if match["week"] in ("上", "下"):
                yield match["week"] + "周"
        elif match["span"]:
            yield {"本": "这"}.get(match["span"], match["span"]) + {"星期": "周", "礼拜": "周"}.get(
                match["unit"], match["unit"]
            )
        elif match["month"]:
            yield "月" + _CHINESE_MONTHS.get(match["month"], match["month"].lstrip("0"))
        else:
            yield _CHINESE_NAMES.get(match[0], match[0])
