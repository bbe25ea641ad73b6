"""Dates of birth. A date alone is not personal; behind words that say so it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentprod.safety.pii.checksums import valid_date
from agentprod.safety.pii.keywords import Keywords, lower
from agentprod.safety.pii.spans import Span

__all__ = ["MONTHS", "birth_dates"]

MONTHS = (
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sep sept oct nov dec"
).split()
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_STEMS = Keywords(("birth", "d.o.b", "出生", "生日", "生于"), whole=("born", "dob"))
_BIRTH = re.compile(
    r"(?: on| in|[ _\-]?(?:date|day)|年月日?|日期|时间|于)?\.?"
    r"[\"')）]{0,2}[ ]{0,2}(?:[:：=是为]|is|was|on|the)?[ ]{0,2}[\"'(（]?(?:on |the )?"
    r"(?P<date>"
    r"[0-9]{4}[\-/. ][0-9]{1,2}[\-/. ][0-9]{1,2}(?![0-9])"
    r"|[0-9]{1,2}[\-/. ][0-9]{1,2}[\-/. ](?:[0-9]{4}|[0-9]{2})(?![0-9])"
    r"|[0-9]{4}[ ]?年[ ]?[0-9]{1,2}[ ]?月(?:[ ]?[0-9]{1,2}[ ]?[日号])?"
    r"|(?:19|20)[0-9]{6}(?![0-9])"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th)?[ \-](?:of )?(?:{_MONTH})\.?,?[ \-][0-9]{{4}}"
    rf"|(?:{_MONTH})\.?[ ][0-9]{{1,2}}(?:st|nd|rd|th)?,?[ ][0-9]{{4}}"
    r")",
    re.IGNORECASE,
)
_ISO = re.compile(r"([0-9]{4})[^0-9]?([0-9]{2})[^0-9]?([0-9]{2})")


def birth_dates(text: str, start: int = 0) -> Iterator[Span]:
    """Yield dates right behind "born", "DOB", "date of birth", 出生日期, 生日 …; the words stay readable."""
    for end, _, _ in _STEMS.find(lower(text), max(0, start - 64)):
        match = _BIRTH.match(text, end)
        if match:
            begin, end = match.span("date")
            iso = _ISO.fullmatch(match["date"])
            if begin >= start and not (iso and not valid_date(int(iso[1]), int(iso[2]), int(iso[3]))):
                yield Span(begin, end, "DATE_OF_BIRTH", 0.7)
