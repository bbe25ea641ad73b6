"""Identity numbers with few words around them: US social security, IBAN, Hong Kong and Taiwan identity cards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from string import ascii_letters, digits

from agentprod.safety.pii.checksums import hk_id_ok, iban_ok, tw_id_ok
from agentprod.safety.pii.numbers import Glued, Run, compact, starts_clean
from agentprod.safety.pii.spans import Span

__all__ = ["hk_ids", "ibans", "open_iban", "tw_ids", "us_ssns"]

_SSN = re.compile(r"([0-9]{3})([ \-.]?)([0-9]{2})\2([0-9]{4})(?![0-9A-Za-z]|[\-.][0-9])")
_SSN_WORD = re.compile(
    r"(?:(?<![a-z])ssns?(?![a-z])|social|soc sec|社会安全号|社安号|(?<![a-z])(?:itin|tin|tax ?id))",
    re.IGNORECASE,
)
_GLUED_SSN = Glued("ssn")


def us_ssns(text: str, runs: Iterable[Run]) -> Iterator[Span]:
    """Yield US social security numbers in the runs.

    Area 000, 666 and 9xx, group 00 and serial 0000 were never issued (SSA, "Randomization FAQ"). Hyphens are enough;
    spaces, dots or nine bare digits need a word like "SSN" within 40 characters before.
    """
    for run in runs:
        if run.digits < 9 or (run.digits != 9 and run.solid):
            continue
        for at in run.starts:
            match = _SSN.match(text, at)
            if not match or not _issued(match[1], match[3], match[4]) or not starts_clean(text, at, _GLUED_SSN):
                continue
            if match[2] == "-" or _SSN_WORD.search(text, max(0, at - 40), at):
                yield Span(at, match.end(), "US_SSN", 0.85 if match[2] == "-" else 0.6)


def _issued(area: str, group: str, serial: str) -> bool:
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


# Length of the whole IBAN by country: SWIFT IBAN registry, release 99; the second line are countries that use the form
# without being registered.
_IBAN_LENGTHS = {
    entry[:2]: int(entry[2:])
    for entry in (
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
        "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
        "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
        "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
        "YE30 "
        "AO25 BF28 BJ28 CF27 CG27 CI28 CM27 CV25 DZ26 GA27 GQ27 GW25 IR26 KM27 MA28 MG27 ML28 MZ25 NE28 SN28 TD27 TG28"
    ).split()
}
_SHAPE = bytes.maketrans((ascii_letters + digits).encode(), b"a" * 52 + b"0" * 10)
_IBAN_BODY = {n: re.compile(rf"(?:[ \-]?[0-9A-Za-z]){{{n - 4}}}(?![0-9A-Za-z])") for n in {*_IBAN_LENGTHS.values()}}
_GLUED_IBAN = Glued("iban acct account konto")


def ibans(text: str, start: int = 0) -> Iterator[Span]:
    """Yield IBANs of any country, compact or in groups, whose length and MOD 97-10 checksum hold.

    British ones may be one digit short, as a library for test data in wide use makes them.
    """
    for begin in _iban_starts(text, start):
        country = text[begin : begin + 2].upper()
        length = _IBAN_LENGTHS.get(country)
        if length is None:
            continue
        body = _IBAN_BODY[length].match(text, begin + 4)
        if body is None and country == "GB":
            body = _IBAN_BODY[21].match(text, begin + 4)
        if body and iban_ok(compact(text[begin : body.end()]).upper()) and starts_clean(text, begin, _GLUED_IBAN):
            yield Span(begin, body.end(), "IBAN", 1.0)


def _iban_starts(text: str, start: int) -> Iterator[int]:
    """Yield where two letters and two digits stand."""
    # Looked for among the shapes of characters, one byte each: a pattern is slow where letters or digits abound.
    shapes = text.encode("ascii", "replace").translate(_SHAPE)
    at = shapes.find(b"aa00", start)
    while at >= 0:
        yield at
        at = shapes.find(b"aa00", at + 4)


_OPEN_IBAN = re.compile(r"([A-Za-z]{2})[0-9]{2}(?:[ \-]?[0-9A-Za-z]){0,30}[ \-]?\Z")


def open_iban(text: str, start: int) -> int:
    """Return where an IBAN begins that the end of the text has not completed, or the length of the text."""
    size = len(text)
    floor = max(start, size - 72)
    for offset in _iban_starts(text[floor:], 0):
        begin = floor + offset
        known = text[begin : begin + 2].upper() in _IBAN_LENGTHS
        if known and _OPEN_IBAN.match(text, begin) and starts_clean(text, begin, _GLUED_IBAN):
            return begin
    return size


_HK_ID = re.compile(r"[0-9]{6}[ ]?[(（]?[0-9Aa][)）]?")
_HK_WORD = re.compile(
    r"香港身份证|香港身分證|香港.{0,6}证|hk\s?id|hong kong (?:identity|id)|身份證|身分證", re.IGNORECASE
)


def hk_ids(text: str, codes: Iterable[tuple[Run, int]]) -> Iterator[Span]:
    """Yield Hong Kong identity card numbers: `A123456(3)`; without its brackets only behind words like "HKID"."""
    for run, begin in codes:
        match = _HK_ID.match(text, run.start)
        if not match or not starts_clean(text, begin):
            continue
        bracketed = match[0][-1] in ")）" and ("(" in match[0] or "（" in match[0])
        ends = bracketed or not text[match.end() : match.end() + 1].isalnum()
        if not ends or not hk_id_ok(compact(text[begin : match.end()])):
            continue
        if bracketed or _HK_WORD.search(text, max(0, begin - 40), begin):
            yield Span(begin, match.end(), "HK_ID", 0.85 if bracketed else 0.6)


_TW_ID = re.compile(r"[A-Za-z][1289][0-9]{8}(?![0-9A-Za-z])")
_TW_WORD = re.compile(
    r"身分證|身份證|身份证|统一编号|統一編號|taiwan|national[ _]?id|(?<![a-z])(?:tw[ _]?id|arc no)", re.IGNORECASE
)


def tw_ids(text: str, codes: Iterable[tuple[Run, int]]) -> Iterator[Span]:
    """Yield national identity numbers of Taiwan whose check digit holds, behind words like 身分證."""
    for _, begin in codes:
        match = _TW_ID.match(text, begin)
        if match and starts_clean(text, begin) and tw_id_ok(match[0]):
            if _TW_WORD.search(text, max(0, begin - 40), begin):
                yield Span(begin, match.end(), "TW_ID", 0.7)
