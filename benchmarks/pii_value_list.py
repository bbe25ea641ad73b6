"""The list of Chinese identifiers in sentences: each example in an English and a Chinese one.

The examples of identity numbers whose check digits are wrong are counted among what is no personal data, as are train
numbers, stocks, versions and the list's own counter-examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]

_ENTITIES = {
    entry: (entity, english.replace("_", " "), chinese)
    for entries, entity, english, chinese in map(
        str.split,
        """
        4,5 CN_USCC credit_code 统一社会信用代码
        27 CN_BANK_CARD bank_card 银行卡号
        30,31,32 CN_PLATE plate 车牌号
        33,34,35 PHONE phone 手机号
        40,80 EMAIL email 邮箱
        41 PHONE phone 座机
        42 CN_ID ID_number 身份证号
        45 CN_PASSPORT passport 护照号
        59,60 IP IP IP地址
        67 MAC MAC_address 物理地址
        72 TW_ID Taiwan_ID 台湾身份证
        """.strip().splitlines(),
    )
    for entry in entries.split(",")
}
"""By the number of an entry: the entity its examples are, and what they are called."""
_NO_CARD = "6234567890"  # the list takes account numbers of ten digits for cards
_PORT = re.compile(r"^\[(.*)\]:[0-9]+$|^([0-9.]+):[0-9]+$")


def sentences(entries: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """Return rows with one identifier each, and sentences with none."""
    rows: list[Row] = []
    others: list[str] = []
    for entry in entries:
        entity, english, chinese = _ENTITIES.get(entry["id"].removeprefix("ar-"), ("", "value", "内容"))
        for before, after in ((f"My {english} is ", ", thanks."), (f"我的{chinese}是", "，请核实。")):
            for value in entry["valid"]:
                if not entity or value == _NO_CARD:
                    others.append(before + value + after)
                    continue
                host = next(filter(None, port.groups())) if (port := _PORT.match(value)) else value
                at = len(before) + value.index(host)
                rows.append({"text": before + value + after, "spans": [[at, at + len(host), entity]]})
            others += [before + value + after for value in entry["invalid"]]
    return rows, others
