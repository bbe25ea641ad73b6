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
_DATE = (
    r"(?:[0-9]{4}[\-/. ][0-9]{1,2}[\-/. ][0-9]{1,2}(?![0-9])"
    r"|[0-9]{1,2}[\-/. ][0-9]{1,2}[\-/. ](?:[0-9]{4}|[0-9]{2})(?![0-9])"
    r"|[0-9]{4}[ ]?年[ ]?[0-9]{1,2}[ ]?月(?:[ ]?[0-9]{1,2}[ ]?[日号])?"
    r"|(?:19|20)[0-9]{6}(?![0-9])"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th)?[ \-](?:of )?(?:{_MONTH})\.?,?[ \-][0-9]{{4}}"
    rf"|(?<![A-Za-z])(?:{_MONTH})\.?[ ][0-9]{{1,2}}(?:st|nd|rd|th)?[,，]?[ ][0-9]{{4}})"
)
_MARKUP = r"(?:[\W_]{0,6}<[A-Za-z][^<>]{0,30}>|(?:[^\w\n]|_){0,6}\n)?[\W_]{0,6}"
"""Signs, a tag or the end of a line between the words and the date."""
_BIRTH = re.compile(
    rf"(?: on| in|[ _\-]?(?:date|day)|年月日?|日期|时间|于)?{_MARKUP}"
    rf"(?:[是为]|changed to|is|was|on|the|value)?{_MARKUP}(?:on |the )?(?P<date>{_DATE})",
    re.IGNORECASE,
)
_BIRTH_AFTER = re.compile(rf"(?<![0-9A-Za-z])(?P<date>{_DATE})\Z", re.IGNORECASE)
_LABEL = re.compile("[日年时地证]")  # 出生日期 and its like name what follows, not the date before
_ISO = re.compile(r"([0-9]{4})[^0-9]?([0-9]{2})[^0-9]?([0-9]{2})")


def birth_dates(text: str, start: int = 0) -> Iterator[Span]:
    """Yield dates right behind "born", "DOB", "date of birth", 出生日期 …, or before 出生; the words stay readable."""
    for end, at, stem in _STEMS.find(lower(text), max(0, start - 64)):
        after = stem == "出生" and not _LABEL.match(text, end)
        for match in (_BIRTH.match(text, end), _BIRTH_AFTER.search(text, max(0, at - 24), at) if after else None):
            if match:
                iso = _ISO.fullmatch(match["date"])
                if match.start("date") >= start and not (iso and not valid_date(*map(int, iso.groups()))):
                    yield Span(*match.span("date"), "DATE_OF_BIRTH", 0.7)
