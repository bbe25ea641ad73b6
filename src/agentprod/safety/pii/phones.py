"""Telephone numbers of any country.

Three ways in, from strong to weak: a country code (`+44 …`, `0086-…`); a shape that hardly anything else has (a Chinese
mobile number, `(978) 645-9740`, `030 123 4567`); any other 7 to 13 digits beside a word like "call me at" or 电话.
The words are searched first and the digits beside them then, so a table of numbers costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentprod.safety.pii.calling_codes import split_calling_code
from agentprod.safety.pii.checksums import valid_date
from agentprod.safety.pii.numbers import compact, starts_clean
from agentprod.safety.pii.phone_words import GLUED, LABEL, OTHER_NUMBER, UNIT, WORD
from agentprod.safety.pii.spans import Span

__all__ = ["phones", "phones_by_context"]

_EXTENSION = re.compile(
    r"[ ]{0,2}(?:x|ext\.?|extn\.?|extension|#|分机号?|转|轉|poste|durchwahl|ramal)[ ]?[:：.]?[ ]?[0-9]{1,6}(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_INTERNATIONAL = re.compile(r"[ ]?[(（]?[0-9]{1,15}(?:[ .\-/()（）]{1,3}[0-9]{1,14}){0,7}")
_LEADING_ZEROS = re.compile(r"0(?:0|11)[ \-.]{0,2}(?=[(（]?[1-9])")
_RUNS_ON = re.compile(r"(?!x[0-9]|ext)[0-9A-Za-z_]")
_GROUP = re.compile(r"[0-9]+")
# An extension may touch the number: `833.719.3994x1887`.
_ENDS = r"(?!(?!x[0-9]|ext)[0-9A-Za-z]|[\-./,:][0-9]|[ ]?%)"

_CN_MOBILE = re.compile(r"(?:86[ \-]?)?1[3-9][0-9](?:([ \-]?)[0-9]{4}\1[0-9]{4}|[0-9][ \-][0-9]{3}[ \-][0-9]{4})(?![0-9A-Za-z])")
_SHAPES = re.compile(
    r"(?:"
    # North America, and the many plans written 3-3-4.
    r"(?:1[ .\-]{1,2})?[0-9]{3}([ .\-])[0-9]{3}\1[0-9]{4}"
    # Area code in brackets.
    r"|[(（][0-9]{1,5}[)）][ .\-]{0,2}[0-9]{2,5}(?:[ .\-][0-9]{2,5}){1,3}"
    r"|[(（]0[0-9]{1,4}[)）][ .\-]{0,2}[0-9]{6,8}"
    r"|1[ .\-]?[(（][2-9][0-9]{2}[)）][ .\-]{0,2}[0-9]{3}[ .\-][0-9]{4}"
    # Trunk zero.
    r"|0[0-9]{1,4}(?:[ .]|[ ]?[\-/][ ]?)[0-9]{2,8}(?:[ .\-/][0-9]{2,8}){0,4}"
    # Russia, and service numbers.
    r"|8[ \-]?[(（]?[0-9]{3}[)）]?[ \-]?[0-9]{3}[ \-][0-9]{2}[ \-][0-9]{2}"
    r"|[48]00[ \-][0-9]{3,4}[ \-][0-9]{3,4}"
    r")" + _ENDS
)
_CANDIDATE = re.compile(r"[+(（]?[0-9](?:[ .\-/()（）]{0,2}[0-9]){5,12}" + _ENDS)


def phones(text: str, lo: int, hi: int) -> Iterator[Span]:
    """Yield the telephone numbers in the run `text[lo:hi]` that need no words beside them."""
    at = lo
    while at < hi:
        # A plus sign or bracket opens the number before its first digit.
        begin = at
        while begin and text[begin - 1] in "(（+" and at - begin < 2:
            begin -= 1
        span = _international(text, begin, at) or _mobile(text, at) or _shaped(text, begin, at)
        if span:
            yield _with_extension(text, span)
        group = _GROUP.search(text, span.end if span else at, hi)
        following = group if span else group and _GROUP.search(text, group.end(), hi)
        if not following:
            return
        at = following.start()


def _international(text: str, begin: int, at: int) -> Span | None:
    plus = text[begin:at].find("+")
    zeros = None if plus >= 0 else _LEADING_ZEROS.match(text, at)
    if plus < 0 and at >= 2 and text[at - 2 : at] == "+ ":
        begin, plus = at - 2, 0
    if plus < 0 and not zeros:
        return None
    match = _INTERNATIONAL.match(text, zeros.end() if zeros else at)
    if not match or not starts_clean(text, begin, GLUED):
        return None
    end = _national_end(match[0], text, match.start())
    if end is None:
        return None
    if zeros and end - zeros.end() == len(compact(text[zeros.end() : end])) and not WORD.search(text, max(0, at - 40), at):
        # `00…` without separators is more often a padded number; the Chinese mobile form is not.
        if not re.fullmatch(r"861[3-9][0-9]{9}", text[zeros.end() : end]):
            return None
    return Span(begin, end, "PHONE", 0.9)


def _national_end(value: str, text: str, offset: int) -> int | None:
    """Return where the number ends: the longest whole groups that the country's numbering plan allows."""
    groups = list(_GROUP.finditer(value))
    total = "".join(group[0] for group in groups)
    plan = split_calling_code(total)
    if not plan:
        return None
    code, least, most = plan
    while groups:
        national = "".join(group[0] for group in groups)[len(code) :]
        if national.startswith("0"):
            # The trunk zero is written but not dialled; Italy's zero is dialled.
            national = national if code == "39" else national[1:]
        end = offset + groups[-1].end()
        if least <= len(national) <= most and not _RUNS_ON.match(text, end):
            return end
        if len(national) < least:
            return None
        groups.pop()
    return None


def _mobile(text: str, at: int) -> Span | None:
    match = _CN_MOBILE.match(text, at)
    if not match or not starts_clean(text, at, GLUED):
        return None
    before = text[max(0, at - 40) : at]
    bare = match.end() - at == 11
    if bare and (OTHER_NUMBER.search(before) or UNIT.match(text, match.end())) and not _phone_is_nearest(before):
        return None
    return Span(at, match.end(), "PHONE", 0.85)


def _shaped(text: str, begin: int, at: int) -> Span | None:
    match = _SHAPES.match(text, begin) or (_SHAPES.match(text, at) if begin < at else None)
    if not match or not starts_clean(text, match.start(), GLUED):
        return None
    digits = compact(match[0])
    if not 7 <= len(digits) <= 13 or _is_date(match[0]) or _is_amount(text, match.start(), match.end()):
        return None
    if digits[0] == "0" and match[0][0] == "0" and not 9 <= len(digits) <= 12:
        return None
    if match[0][0] in "(（" and len(digits) < 8:
        return None
    before = text[max(0, match.start() - 40) : match.start()]
    if OTHER_NUMBER.search(before) and not _phone_is_nearest(before):
        return None
    return Span(match.start(), match.end(), "PHONE", 0.8)


def phones_by_context(text: str, start: int = 0) -> Iterator[Span]:
    """Yield 7 to 13 digits, in any grouping, up to 40 characters behind or right before a word for a telephone."""
    done = start
    for word in WORD.finditer(text, max(0, start - 48)):
        limit = min(len(text), word.end() + 40)
        at = max(done, word.end())
        while candidate := _CANDIDATE.search(text, at, min(len(text), limit + 24)):
            if candidate.start() > limit:
                break
            at = candidate.end()
            span = _near_word(text, candidate, word)
            if span:
                yield _with_extension(text, span)
                done = at = span.end
    for label in LABEL.finditer(text, start):
        floor = max(start, label.start() - 24)
        for candidate in _CANDIDATE.finditer(text, floor, label.start()):
            gap = text[candidate.end() : label.start()]
            if len(gap) <= 2 and not gap.strip(" -(（,") and _plausible(text, candidate):
                yield Span(candidate.start(), candidate.end(), "PHONE", 0.6)


def _near_word(text: str, candidate: re.Match[str], word: re.Match[str]) -> Span | None:
    between = text[word.end() : candidate.start()]
    if "\n\n" in between or not _plausible(text, candidate):
        return None
    digits = compact(candidate[0])
    if word["weak"] or len(digits) == 6:
        bare = len(digits) == len(candidate[0])
        if bare and len(digits) < 8 or not _ADJACENT.fullmatch(between):
            return None
    before = text[max(0, candidate.start() - 40) : candidate.start()]
    if OTHER_NUMBER.search(before) and not _phone_is_nearest(before):
        return None
    return Span(candidate.start(), candidate.end(), "PHONE", 0.6)


_ADJACENT = re.compile(r"(?:[\s:：,.\-('\"]|me|us|him|her|them|at|on|back|is|to|under|via|using|number|au|sur|el|al|unter|为|是|号码|我)*", re.I)


def _plausible(text: str, candidate: re.Match[str]) -> bool:
    digits = compact(candidate[0])
    return (
        6 <= len(digits) <= 13
        and starts_clean(text, candidate.start(), GLUED)
        and not _is_date(candidate[0])
        and not _is_amount(text, candidate.start(), candidate.end())
        and len(set(digits)) > 1
    )


def _phone_is_nearest(before: str) -> bool:
    """Tell whether a word for a telephone stands nearer to the number than the word for another one."""
    other = OTHER_NUMBER.search(before)
    last = None
    for word in WORD.finditer(before):
        if word["strong"]:
            last = word
    return bool(last and (not other or last.start() >= other.start()))


_DATE = re.compile(
    r"(?:19|20)[0-9]{2}([\-/. ])(0?[1-9]|1[0-2])\1(0?[1-9]|[12][0-9]|3[01])(?![0-9])"
    r"|(?:0?[1-9]|[12][0-9]|3[01])([\-/.])(?:0?[1-9]|[12][0-9]|3[01])\4(?:(?:19|20)[0-9]{2}|[0-9]{2}(?!\4[0-9]{2}\4))(?![0-9])"
    r"|(?:19|20)[0-9]{2}[ ]?[\-/][ ]?(?:19|20)[0-9]{2}(?![0-9])"
)
_COMPACT_DATE = re.compile(r"((?:19|20)[0-9]{2})([0-9]{2})([0-9]{2})(?:[ .\-]?[0-9]{4,6})?")


def _is_date(value: str) -> bool:
    value = value.lstrip("(（+")
    if _DATE.match(value):
        return True
    compact_date = _COMPACT_DATE.fullmatch(value)
    return bool(compact_date and valid_date(*map(int, compact_date.groups())))


_CURRENCY = "$€£¥￥₹"


def _is_amount(text: str, start: int, end: int) -> bool:
    if start and text[start - 1] in _CURRENCY or UNIT.match(text, end):
        return True
    value = text[start:end]
    # `047.123456` is a coordinate or a share, whatever its first digit.
    return value.count(".") == 1 and not any(char in value for char in " -/()（）")


def _with_extension(text: str, span: Span) -> Span:
    extension = _EXTENSION.match(text, span.end)
    return span._replace(end=extension.end()) if extension else span
