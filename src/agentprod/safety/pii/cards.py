"""Payment cards and Chinese bank cards: Luhn check digit, issuer ranges and the groupings cards are printed in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentprod.safety.pii.checksums import luhn_ok
from agentprod.safety.pii.numbers import compact, starts_clean
from agentprod.safety.pii.spans import Span

__all__ = ["cards", "issuer_known"]

_SHAPE = re.compile(
    r"[0-9]{4}(?:"
    r"([ \-]{1,2}|\.)[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}(?:\1[0-9]{1,3})?"
    r"|([ \-])[0-9]{6}\2[0-9]{4,5}"
    r"|[0-9]{2}([ \-])[0-9]{10,13}"
    r"|[0-9]{8,15}"
    r")(?![0-9A-Za-z])"
)
_DIGIT_GROUP = re.compile(r"[0-9]+")

# First digits, then the lengths issued. Sources: ISO/IEC 7812 and the public lists of issuer identification numbers.
_RANGES: tuple[tuple[int, int, frozenset[int]], ...] = tuple(
    (int(low), int(high or low), frozenset(range(int(least), int(most or least) + 1)))
    for low, high, least, most in re.findall(
        r"(\d+)(?:-(\d+))?:(\d+)(?:-(\d+))?",
        "4:16 4:13 4:18-19 51-55:16 2221-2720:16 34:15 37:15 300-305:14-19 3095:14-19 36:14-19 38-39:14-19 "
        "3528-3589:16-19 6011:16-19 644-649:16-19 65:16-19 60:16 62:16-19 81:16-19 82:16 50:12-19 56-58:12-19 "
        "63:16-19 67:12-19 2200-2204:16-19 506:16-19 508:16 353:16 356:16 9792:16 9704:16-19 8600:16 9860:16 "
        "9558:16-19 9843:16-19 6223:16-19",
    )
)
_BY_FIRST = {
    str(first): tuple(entry for entry in _RANGES if str(entry[0])[0] <= str(first) <= str(entry[1])[0])
    for first in range(10)
}
# UnionPay and the older ranges of Chinese banks that are not sold as international cards.
_CHINESE = ("62", "81", "9558", "9559", "9843", "6013", "6016", "603367", "621", "690755", "940")

_GLUED = re.compile(r"(?:card|visa|amex|cc|no|number|mastercard|acct|account|pan)\.?\Z", re.IGNORECASE)
_CARD_WORD = re.compile(
    r"(?:card|visa|master ?card|amex|american express|maestro|(?<![a-z])cc(?![a-z])|credit|debit|tarjeta|carte|karte|carta|"
    r"cart[aã]o|kaart|карт|カード|카드|卡)",
    re.IGNORECASE,
)
_BANK_WORD = re.compile(r"银行卡|储蓄卡|借记卡|工资卡|信用卡|卡号|账号|帐号|账户|开户|收款|打款|转账|银行|bank ?card|unionpay|银联", re.I)
_OTHER_NUMBER = re.compile(
    r"(?:order|invoice|track(?:ing)?|shipment|parcel|transaction|txn|trace|span|request|session|message|msg|timestamp|"
    r"(?:^|[^a-z])(?:id|ref|sku|imei|isbn|serial|sn|epoch|ts|time)|订单|单号|流水|编号|序列|快递|物流|运单|交易|发票|批次|时间戳)"
    r"[a-z _]{0,10}[\s#:：=.\"'no号为是]{0,8}\Z",
    re.IGNORECASE,
)


def issuer_known(digits: str) -> bool:
    """Tell whether an issuer range holds these digits at this length."""
    length = len(digits)
    for low, high, lengths in _BY_FIRST[digits[0]]:
        if length in lengths and low <= int(digits[: len(str(low))]) <= high:
            return True
    return False


def cards(text: str, lo: int, hi: int) -> Iterator[Span]:
    """Yield card numbers in the run `text[lo:hi]`.

    A Luhn number of a known issuer is a card; without a known issuer, or for a Chinese range without a Luhn digit, the
    words before it must say so. Long bare numbers right behind "order", "trace id", "订单号" … are left alone.
    """
    at = lo
    while at < hi:
        match = _SHAPE.match(text, at)
        end = _end(text, match, at) if match and starts_clean(text, at, _GLUED) else None
        if end:
            span = _judge(text, at, end)
            if span:
                yield span
                at = end
                continue
        group = _DIGIT_GROUP.search(text, at, hi)
        if not group:
            return
        nearest = _DIGIT_GROUP.search(text, group.end(), hi)
        if not nearest:
            return
        at = nearest.start()


def _end(text: str, match: re.Match[str], at: int) -> int | None:
    """Return the end of a plausible card, without the expiry date or code that follows a printed one."""
    digits = compact(match[0])
    separator = match[1]
    if separator and len(digits) > 16:
        groups = match[0].split(separator)
        if len(groups) == 5 and not (len(digits) == 19 and luhn_ok(digits)):
            return at + len(separator.join(groups[:4]))
    return match.end()


def _judge(text: str, start: int, end: int) -> Span | None:
    digits = compact(text[start:end])
    if not 12 <= len(digits) <= 19 or digits.count(digits[0]) == len(digits):
        return None
    luhn = luhn_ok(digits)
    chinese = digits.startswith(_CHINESE) and len(digits) >= 16
    if luhn and issuer_known(digits) and len(digits) >= 13:
        before = text[max(0, start - 40) : start]
        bare = end - start == len(digits)
        if bare and _OTHER_NUMBER.search(before) and not _CARD_WORD.search(before):
            return None
        return Span(start, end, "CN_BANK_CARD" if chinese else "CREDIT_CARD", 0.95)
    if not luhn and not (chinese and len(digits) in (16, 19)):
        return None
    before = text[max(0, start - 40) : start]
    if _BANK_WORD.search(before):
        return Span(start, end, "CN_BANK_CARD", 0.6)
    if luhn and _CARD_WORD.search(before) and not _OTHER_NUMBER.search(before):
        return Span(start, end, "CREDIT_CARD", 0.6)
    return None
