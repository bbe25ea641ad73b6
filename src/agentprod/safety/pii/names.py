"""Names and addresses as far as patterns reach: opt-in, low confidence.

Names and addresses have no checksum and no shape. What is found here stands behind or before a word that says so, in
Chinese or English; for more, plug in a model (`pii.spacy`, `pii.gliner`, `pii.presidio`, or any callable).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentprod.safety.pii.spans import Span

__all__ = ["addresses", "people"]

_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方"
    "白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_CN_NAME = re.compile(
    rf"(?:姓名|名字|联系人|收件人|客户|患者|申请人|持卡人|法人|负责人|我叫|我是|本人)[：: "
    rf"是为叫]{{0,3}}(?P<behind>[{_SURNAMES}][\u4e00-\u9fff]{{1,2}})"
    rf"(?![\u4e00-\u9fff]{{0,1}}(?:公司|部门))|(?P<before>[{_SURNAMES}][\u4e00-\u9fff]{{0,2}}?)(?:先生|女士|小姐|老师|医生|经理|总监)"
)
_EN_NAME = re.compile(
    r"(?:\b(?:[Mm]y name is|[Nn]ame:|Mr\.|Mrs\.|Ms\.|Dr\.)) ?(?P<name>[A-Z][a-z'’\-]{1,20}(?: "
    r"[A-Z][a-z'’\-]{1,20}){0,2})"
)
_HOUSE_NUMBER = re.compile(
    r"[0-9]{1,5}[ ]?(?:号楼?|栋|幢|室|单元|弄)(?:[0-9A-Za-z]{1,5}[ ]?(?:号楼?|栋|幢|室|单元|楼"
    r"|层)){0,4}(?:[0-9]{1,5}(?![0-9]))?"
)
_ADDRESS_LEFT = re.compile(r"[\u4e00-\u9fff0-9]{4,40}")
_PLACE = re.compile(r"[省市区县州旗]")
_STREET = re.compile(r"[路街道巷弄村镇]|大厦|小区|花园|广场")
_LEAD = re.compile(r".*(?:地址|住址|住在|位于|寄到|送到|收货|家住|家在|[是为在])")


def people(text: str, start: int = 0) -> Iterator[Span]:
    """Yield names behind 姓名, 联系人, 我叫, "my name is", "Mr." …, or before 先生, 女士."""
    # The word before a name may lie before `start`.
    floor = max(0, start - 24)
    for match in _CN_NAME.finditer(text, floor):
        group = "behind" if match["behind"] else "before"
        if match.start(group) >= start:
            yield Span(match.start(group), match.end(group), "PERSON", 0.5)
    for match in _EN_NAME.finditer(text, floor):
        if match.start("name") >= start:
            yield Span(match.start("name"), match.end("name"), "PERSON", 0.5)


def addresses(text: str, start: int = 0) -> Iterator[Span]:
    """Yield Chinese postal addresses that go down to a house number."""
    done = start
    for match in _HOUSE_NUMBER.finditer(text, start):
        floor = max(done, match.start() - 40)
        left = _ADDRESS_LEFT.match(text[floor : match.start()][::-1])
        if not left:
            continue
        begin = match.start() - left.end()
        lead = _LEAD.match(text[begin : match.start()])
        begin += lead.end() if lead else 0
        place = text[begin : match.start()]
        if _PLACE.search(place) and _STREET.search(place):
            done = match.end()
            yield Span(begin, done, "ADDRESS", 0.5)
