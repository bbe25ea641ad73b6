"""Payment cards and Chinese bank cards: Luhn check digit, issuer ranges and the groupings cards are printed in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agentprod.safety.pii.checksums import luhn_ok
from agentprod.safety.pii.keywords import Keywords
from agentprod.safety.pii.labels import CARD, OTHER, label_before
from agentprod.safety.pii.numbers import Glued, Run, compact, starts_clean
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
    str(first): tuple(
        (len(str(low)), low, high, lengths)
        for low, high, lengths in _RANGES
        if str(low)[0] <= str(first) <= str(high)[0]
    )
    for first in range(10)
}
# UnionPay and the older ranges of Chinese banks that are not sold as international cards.
_CHINESE = ("62", "81", "9558", "9559", "9843", "6013", "6016", "603367", "621", "690755", "940")

_GLUED = Glued("card visa amex cc no number acct account pan")
_CARD_WORDS = Keywords(
    (
        "card|visa|amex|american express|maestro|credit|debit|tarjeta|carte|karte|carta|cartao|cartão|kaart|карт"
        "|カード|카드|卡"
    ).split("|"),
    whole=("cc", "pan"),
)
_BANK_WORDS = Keywords(
    "卡号|账号|帐号|账户|开户|收款|打款|转账|银行|银联|储蓄卡|借记卡|工资卡|信用卡|bank card|bankcard|unionpay".split(
        "|"
    )
)


def issuer_known(digits: str) -> bool:
    """Tell whether an issuer range holds these digits at this length."""
    length = len(digits)
    for width, low, high, lengths in _BY_FIRST[digits[0]]:
        if length in lengths and low <= int(digits[:width]) <= high:
            return True
    return False


def cards(text: str, runs: Iterable[Run]) -> Iterator[Span]:
    """Yield card numbers in the runs.

    A Luhn number of a known issuer is a card; without a known issuer, or for a Chinese range without a Luhn digit, the
    words before it must say so. Long bare numbers right behind "order", "trace id", "订单号" … are left alone.
    """
    for run in runs:
        if run.digits < 12:
            continue
        done = run.start
        for at in run.starts:
            if at < done or run.end - at < 12:
                continue
            match = _SHAPE.match(text, at)
            if match and starts_clean(text, at, _GLUED):
                span = _judge(text, at, _end(match, at))
                if span:
                    done = span.end
                    yield span


def _end(match: re.Match[str], at: int) -> int:
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
    if luhn and len(digits) >= 13 and issuer_known(digits):
        bare = end - start == len(digits)
        label = label_before(text, start) if bare else ""
        if label == OTHER or (bare and _is_old_length(digits) and label != CARD):
            if not _CARD_WORDS.before(text, start):
                return None
        return Span(start, end, "CN_BANK_CARD" if chinese else "CREDIT_CARD", 0.95)
    if not luhn and not (chinese and len(digits) in (16, 19)):
        return None
    if _BANK_WORDS.before(text, start):
        return Span(start, end, "CN_BANK_CARD", 0.6)
    if luhn and _CARD_WORDS.before(text, start) and label_before(text, start) != OTHER:
        return Span(start, end, "CREDIT_CARD", 0.6)
    return None


def _is_old_length(digits: str) -> bool:
    """Tell whether hardly any card still has this length; timestamps and counters do."""
    return len(digits) < 14 or (len(digits) < 16 and digits[0] in "56")
