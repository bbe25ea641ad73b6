"""When two ways to write a value mean the same value."""

from __future__ import annotations

import re

from agentprod.safety.pii.folding import fold

__all__ = ["canonical"]

_NOT_ALNUM = re.compile(r"[\W_]+")
_NOT_DIGIT = re.compile(r"[^0-9]+")
_CHINESE_MOBILE = re.compile(r"(?:00)?86(?=1[3-9][0-9]{9}\Z)")
_COMPACT = frozenset("CREDIT_CARD CN_BANK_CARD IBAN US_SSN CN_ID CN_USCC CN_PASSPORT CN_PLATE HK_ID TW_ID MAC".split())


def canonical(entity: str, value: str) -> str:
    """Return the form under which a value is numbered: one number for all its ways to be written.

    Telephone numbers keep their digits, without China's country code; identifiers drop separators and case; e-mail and
    IP addresses drop case. Everything else is compared as it is displayed: full-width forms folded, invisible
    characters dropped.

    Args:
        entity: what the value is.

        value: as it stands in the text.
    """
    folded = value if value.isascii() and "%" not in value else fold(value).text
    if entity == "PHONE":
        digits = folded if folded.isdecimal() else _NOT_DIGIT.sub("", folded)
        return _CHINESE_MOBILE.sub("", digits) if digits.startswith(("0", "8")) else digits
    if entity in _COMPACT:
        return (folded if folded.isalnum() else _NOT_ALNUM.sub("", folded)).upper()
    if entity in ("EMAIL", "IP", "CRYPTO"):
        return folded.lower() if entity != "CRYPTO" or folded.startswith(("0x", "bc1", "BC1")) else folded
    return folded
