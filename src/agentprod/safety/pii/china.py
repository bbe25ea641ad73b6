"""Identifiers of mainland China: resident identity number, unified social credit code, passports and permits, plates.

All boundaries are set between ASCII letters and digits only: a Chinese character may touch a number on either side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agentprod.safety.pii.checksums import cn_id_ok, cn_organisation_ok, cn_uscc_ok, valid_date
from agentprod.safety.pii.keywords import Keywords, backwards
from agentprod.safety.pii.numbers import LETTERS, Glued, Run, compact, starts_clean
from agentprod.safety.pii.spans import Span

__all__ = ["cn_ids", "cn_numbered_passports", "cn_old_ids", "cn_passports", "cn_plates", "cn_usccs"]

_ID = re.compile(
    r"[1-9][0-9]{2}[ \-]?[0-9]{3}[ \-]?(?:19|20)[0-9]{2}[ \-]?[01][0-9][0-3][0-9][ \-]?[0-9]{3}[0-9Xx](?![0-9A-Za-z])"
)
_GLUED_ID = Glued("id sfz no card number")


def cn_ids(text: str, runs: Iterable[Run]) -> Iterator[Span]:
    """Yield 18-character resident identity numbers in the runs (GB 11643-1999), in the usual groupings."""
    for run in runs:
        if run.digits < 17 or (run.digits > 18 and run.solid):
            continue
        done = run.start
        for at in run.starts:
            if at < done or run.end - at < 17:
                continue
            match = _ID.match(text, at)
            if match and cn_id_ok(compact(match[0])) and starts_clean(text, at, _GLUED_ID):
                done = match.end()
                yield Span(at, done, "CN_ID", 1.0)


_OLD_ID = re.compile(r"[1-8][0-9]{5}([0-9]{2})([0-9]{2})([0-9]{2})[0-9]{3}(?![0-9A-Za-z])")
_ID_WORD = re.compile(r"身份证|身份號|身份号|证件号|身分证|(?<![a-z])id[ _]?(?:card|no|number)", re.IGNORECASE)


def cn_old_ids(text: str, runs: Iterable[Run]) -> Iterator[Span]:
    """Yield 15-digit identity numbers of before 1999, which have no check digit, behind words like 身份证."""
    for run in runs:
        if run.digits < 15 or (run.digits != 15 and run.solid):
            continue
        for at in run.starts:
            match = _OLD_ID.match(text, at)
            if (
                match
                and valid_date(1900 + int(match[1]), int(match[2]), int(match[3]))
                and starts_clean(text, at, _GLUED_ID)
            ):
                if _ID_WORD.search(text, max(0, at - 40), at):
                    yield Span(at, match.end(), "CN_ID", 0.6)


_USCC = re.compile(
    r"[1-9ANYany][0-9A-HJ-NP-RT-UW-Ya-hj-np-rt-uw-y][0-9]{6}[0-9A-HJ-NP-RT-UW-Ya-hj-np-rt-uw-y]{10}(?![0-9A-Za-z])"
)
_GLUED_USCC = Glued("uscc code no")
_USCC_WORDS = Keywords(
    "信用代码|税号|纳税人|识别号|营业执照|注册号|统一代码|机构代码|uscc|creditcode|credit_code|credit code|tax".split(
        "|"
    )
)


def cn_usccs(text: str, runs: Iterable[Run]) -> Iterator[Span]:
    """Yield unified social credit codes (GB 32100-2015), found from the six digits of the region inside them.

    One in 31 numbers of 18 digits passes the check character by chance, so a code of digits alone must also hold the
    organisation code inside it (GB 11714) or stand behind words like 信用代码. So must a code with letters of the
    authorities that register few (law firms, unions, temples …).
    """
    for run in runs:
        for at in run.starts:
            match = _USCC.match(text, at)
            if not match and at == run.start and text[at - 1 : at] in LETTERS:
                # One or two letters before the digits, which only the first group of a run can have.
                match = _USCC.match(text, at - 1) or _USCC.match(text, at - 2)
            if match and _is_uscc(text, match.start(), match[0].upper()):
                yield Span(match.start(), match.end(), "CN_USCC", 1.0)


def _is_uscc(text: str, start: int, code: str) -> bool:
    if not cn_uscc_ok(code) or not starts_clean(text, start, _GLUED_USCC):
        return False
    usual, digits = code[0] in "159ANY", code.isdigit()
    sure = (usual or not digits) if cn_organisation_ok(code[8:17]) else (usual and not digits)
    return sure or _USCC_WORDS.before(text, start)


_PASSPORT_DIGITS = re.compile(r"[0-9]{7,10}(?![0-9A-Za-z]|[\-.][0-9])")
_BARE_PASSPORT = re.compile(r"(?<!\.)[0-9]{8,10}(?![0-9A-Za-z]|[\-.,][0-9])")
_MAINLAND = re.compile(r"[EG][0-9]{8}|E[A-Z][0-9]{7}|[DSP][0-9]{8}|[DSP][0-9]{7}|(?:SE|DE|PE)[0-9]{7}")
_PERMIT = re.compile(r"[HMCWLT][0-9]{8}|[HM][0-9]{10}|C[A-Z][0-9]{7}|[KHJ][0-9]{8}|K[A-Z][0-9]{7}|M[AB][0-9]{7}")
_PASSPORT_WORDS = Keywords(
    (
        "护照|護照|通行证|通行證|回乡证|台胞证|旅行证|证件|签证|出入境|港澳|passport|travel document|travel permit|visa"
    ).split("|")
)
_NUMBERED = re.compile(r"护照|護照|台胞证|通行证|passport", re.IGNORECASE)
_TAIWAN_PERMIT = "台胞证"
_OLD_BOOKS = ("14", "15")
_NUMBERED_GATES = ("护照", "護照", "台胞证", "通行证", "assport", "ASSPORT")
_GLUED_PASSPORT = Glued("passport no number")
_CN_CODES = "订单 单号 编号 型号 货号 批号 序列 车次 航班 房间 工号 学号".split()
_EN_CODES = "order invoice part model sku serial ref ticket room batch".split()
_OTHER_CODE = re.compile(
    rf"[=#\\@$&]|/[!-~]|.{{0,8}}?(?:{backwards(_CN_CODES)}|(?:{backwards(_EN_CODES)})(?![a-z]))", re.IGNORECASE
)
"""Of the text before a number, turned round: what makes it another code than a passport's."""


def cn_passports(text: str, codes: Iterable[tuple[Run, int]]) -> Iterator[Span]:
    """Yield numbers of Chinese passports and of travel permits for Hong Kong, Macao and Taiwan.

    There is no check digit. `E12345678`, `G12345678` and `EA1234567` in capitals are taken unless a word like 订单
    precedes them; every other form needs a word like 护照, 通行证 or "passport" within 40 characters before.
    """
    for run, begin in codes:
        digits = _PASSPORT_DIGITS.match(text, run.start)
        if not digits or not starts_clean(text, begin, _GLUED_PASSPORT):
            continue
        number = text[begin : digits.end()]
        capitals = number.upper()
        if not _MAINLAND.fullmatch(capitals) and not _PERMIT.fullmatch(capitals):
            continue
        if _PASSPORT_WORDS.before(text, begin):
            yield Span(begin, digits.end(), "CN_PASSPORT", 0.85)
        elif number[0] in "EG" and _MAINLAND.fullmatch(number):
            if not _OTHER_CODE.match(text[max(0, begin - 40) : begin][::-1]):
                yield Span(begin, digits.end(), "CN_PASSPORT", 0.6)


def cn_numbered_passports(text: str, runs: Iterable[Run]) -> Iterator[Span]:
    """Yield the numbers of old passports and of Taiwan permits, digits alone, right behind words like 护照."""
    if not any(map(text.__contains__, _NUMBERED_GATES)):
        return
    permits = _TAIWAN_PERMIT in text
    for run in runs:
        for at in run.starts:
            if not permits and not text.startswith(_OLD_BOOKS, at):
                continue
            digits = _BARE_PASSPORT.match(text, at)
            near = digits and _NUMBERED.search(text, max(0, at - 16), at)
            if not digits or not near:
                continue
            number = digits[0]
            old = number.startswith(_OLD_BOOKS) and len(number) == 9
            if old or (len(number) in (8, 10) and near[0] == _TAIWAN_PERMIT):
                yield Span(at, digits.end(), "CN_PASSPORT", 0.6)


_PROVINCE = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_PLATE = re.compile(
    rf"[{_PROVINCE}][A-HJ-NP-Za-hj-np-z](?:[ \-]?[·•・∙‧.][ ]?|[ \-])?"
    r"(?:[0-9]{5}[A-HJKa-hjk]|[A-HJKa-hjk][A-HJ-NP-Za-hj-np-z0-9][0-9]{4}|[A-HJ-NP-Za-hj-np-z0-9]{4}[挂学警港澳试超领使]"
    r"|[A-HJ-NP-Za-hj-np-z0-9]{5})(?![0-9A-Za-z])"
)
_POLICE_PLATE = re.compile(rf"WJ[ ·]?[{_PROVINCE}]?[ ·]?[0-9]{{4}}[0-9A-Z](?![0-9A-Za-z])")


def cn_plates(text: str, start: int = 0) -> Iterator[Span]:
    """Yield vehicle plates (GA 36-2018): five places, six for new-energy vehicles, and plates with 学 警 挂 港 澳."""
    for match in _PLATE.finditer(text, start):
        digits = sum(char.isdigit() for char in match[0])
        before = text[match.start() - 1] if match.start() else ""
        if digits >= 2 and not (before in _PROVINCE and before and before != match[0][0]):
            yield Span(match.start(), match.end(), "CN_PLATE", 0.85)
    if "WJ" in text:
        for match in _POLICE_PLATE.finditer(text, start):
            if starts_clean(text, match.start()):
                yield Span(match.start(), match.end(), "CN_PLATE", 0.85)
