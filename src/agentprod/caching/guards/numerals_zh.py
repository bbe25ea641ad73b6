"""Reads Chinese numerals: 三百二十, 两万五, 二零二四年, 3.5万, 下午三点半, 百分之五."""

from __future__ import annotations

import re
from functools import reduce

from agentprod.caching.guards.quantity import Quantity, plain_number

__all__ = ["parse_numeral", "read_chinese"]

_DIGITS = {
    char: value
    for value, chars in enumerate(
        ("零〇", "一壹", "二两俩贰", "三仨叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖")
    )
    for char in chars
}
_SCALES = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_LARGE = {"万": 10**4, "亿": 10**8}
_NUMERAL = "".join((*_DIGITS, *_SCALES, *_LARGE))
_UNITS = {
    alias: unit
    for unit, aliases in {
        "d": "天 日", "n": "晚 夜", "w": "周 星期 个星期 礼拜 个礼拜", "mo": "个月", "y": "年",
        "h": "小时 个小时 钟头 个钟头",
        "min": "分钟", "s": "秒 秒钟",
        "CNY": "元 块 块钱 圆 人民币", "USD": "美元 美金 刀", "EUR": "欧元", "JPY": "日元", "GBP": "英镑",
        "%": "%", "km": "公里 千米 km", "m": "米", "cm": "厘米 公分 cm", "mm": "毫米 mm",
        "ug": "微克 mcg", "mg": "毫克 mg", "kg": "公斤 千克 kg", "jin": "斤", "g": "克", "t": "吨",
        "lb": "磅", "oz": "盎司", "in": "英寸 寸", "ft": "英尺", "mi": "英里", "m2": "平方米 平米 平方",
        "mu": "亩",
        "ms": "毫秒", "HKD": "港元 港币", "KRW": "韩元", "AUD": "澳元", "CAD": "加元",
        "l": "升", "ml": "毫升", "C": "度", "age": "岁 周岁", "gb": "g gb", "mb": "m mb", "tb": "t tb",
    }.items()
    for alias in aliases.split()
}  # fmt: skip
_LONGEST_UNIT = max(map(len, _UNITS))
_QUANTITY = re.compile(
    rf"(?P<share>百分之)?(?:(?P<digits>\d+(?:[.,]\d+)*)(?P<scale>[百千万亿]{{0,2}})|(?P<numeral>[{_NUMERAL}]+))"
    rf"(?P<clock>(?:点|时|:|：)(?!儿)(?:(?P<half>半)|(?P<quarter>[一三])刻|(?P<minutes>\d{{1,2}}|[{_NUMERAL}]+)(?!个|号))?)?"
)
_AFTERNOON = re.compile(r"(?:下午|晚上|傍晚|晚|夜里|午后)$")
_HALF = re.compile(r"半(?=个?(?:小时|年|月|天|价|斤|个))|(?<=[年月时])半|一半")
_ONE = frozenset("一1")


def read_chinese(text: str) -> list[Quantity]:
    """Return the quantities of a Chinese text, in order.

    Args:
        text: the text with words such as 一样 and 千万, whose numeral means nothing, blanked out.
    """
    found = [Quantity("0.5") for _ in _HALF.finditer(text)]
    for match in _QUANTITY.finditer(text):
        if match["digits"]:
            value = plain_number(match["digits"])
            if match["scale"] and value.count(".") < 2:
                factor = reduce(lambda product, char: product * {**_SCALES, **_LARGE}[char], match["scale"], 1)
                value = plain_number(f"{float(value.replace(',', '')) * factor:.6f}", money=True)
        else:
            number = parse_numeral(match["numeral"])
            if number is None:
                continue
            value = str(number)
        if match["clock"] and value.isdigit() and int(value) <= 24:
            found.append(Quantity(_clock(match, int(value))))
            continue
        rest = text[match.end() :]
        unit = (
            "%"
            if match["share"]
            else next((_UNITS[rest[:n]] for n in range(_LONGEST_UNIT, 0, -1) if rest[:n] in _UNITS), "")
        )
        ordinal = text[match.start() - 1 : match.start()] == "第"
        found.append(Quantity(value, unit, optional=match[0] == "一" and not ordinal))
    return found


def parse_numeral(numeral: str) -> int | None:
    """Return the value of a Chinese numeral, or `None` for scales without a number, such as 千 alone.

    Args:
        numeral: characters from 零 to 亿, and nothing else.
    """
    if all(char in _DIGITS for char in numeral):
        return int("".join(str(_DIGITS[char]) for char in numeral))
    if not any(char in _DIGITS or char in "十拾" for char in numeral):
        return None
    total = section = digit = 0
    last = 1
    for position, char in enumerate(numeral):
        if char in _DIGITS:
            digit = _DIGITS[char]
            if (
                char not in "零〇"
                and position == len(numeral) - 1
                and last >= 100
                and numeral[position - 1] not in "零〇"
            ):
                digit *= last // 10  # 一百二 is 120, 两万五 is 25,000
        elif char in _SCALES:
            last = _SCALES[char]
            section += (digit or 1) * last
            digit = 0
        else:
            last = _LARGE[char]
            total = (total + section + digit or 1) * last if last > 10**4 else total + (section + digit or 1) * last
            section = digit = 0
    return total + section + digit


def _clock(match: re.Match[str], hour: int) -> str:
    if _AFTERNOON.search(match.string[max(0, match.start() - 3) : match.start()]) and hour < 12:
        hour += 12
    minutes = "30" if match["half"] else {"一": "15", "三": "45"}.get(match["quarter"] or "", "")
    if match["minutes"]:
        spelled = match["minutes"]
        minutes = spelled if spelled.isdigit() else str(parse_numeral(spelled) or 0)
    return f"{hour}:{minutes.zfill(2)}" if minutes.strip("0") else str(hour)
