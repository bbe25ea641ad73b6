"""Telephone numbers of any country.

Three ways in, from strong to weak: a country code (`+44 …`, `0086-…`); a shape that hardly anything else has (a Chinese
mobile number, `(978) 645-9740`, `030 123 4567`); any other 6 to 13 digits beside a word like "call me at" or 电话.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from agentprod.safety.pii.calling_codes import split_calling_code
from agentprod.safety.pii.checksums import valid_date
from agentprod.safety.pii.keywords import lower
from agentprod.safety.pii.labels import ACCOUNT, OTHER, PHONE, label_before
from agentprod.safety.pii.numbers import Run, compact, starts_clean
from agentprod.safety.pii.phone_words import ADJACENT, EXTENSION, GLUED, LABEL, STRONG, UNIT, WORDS
from agentprod.safety.pii.spans import Span

__all__ = ["phones"]

_INTERNATIONAL = re.compile(r"[ ]?[(（]?[0-9]{1,15}(?:[ .\-/()（）]{1,3}[0-9]{1,14}){0,7}")
_LEADING_ZEROS = re.compile(r"0(?:0|11)[ \-.]{0,2}(?=[(（]?[1-9])")
_SIX_DIGITS = re.compile(r"[0-9](?:[ .\-/()（）]{0,3}[0-9]){5}")
_GROUP = re.compile(r"[0-9]+")
_OTHER = (OTHER, ACCOUNT)
_ZERO_DIALLED = ("39", "225", "229", "242")
"""Italy, Côte d'Ivoire, Benin, Congo: ITU-T E.164, national numbering plans."""
_SHAPELESS = re.compile(
    r"(?:[2-79][0-9]?|1[0-9])(?![0-9])|[1-9](?:[0-9]{5,9}|[0-9]{13,})(?![0-9]|[ .\-/()（）]{1,3}[0-9])"
)
"""Digits with which nothing begins that is known by its shape: one or two, or all of a number that does not fit."""
_TWO_BRACKETS = re.compile("[0-9]+[)）][(（]")
_OPENERS = frozenset("(（+")
_BRACKETS = frozenset(("((", "（(", "(（", "（（"))
_RUNS_ON = re.compile(r"(?!x[0-9]|ext)[0-9A-Za-z_]")
# An extension may touch the number: `833.719.3994x1887`; so may another number: `010-62781234/62785678`.
_ENDS = r"(?!(?!x[0-9]|ext)[0-9A-Za-z]|[\-.:][0-9]|[/,][0-9](?![0-9]{6})|[ ]?%)"

_CN_MOBILE = re.compile(
    r"(?:86[ \-]?)?1[3-9][0-9](?:([ .\-]?)[0-9]{4}\1[0-9]{4}|[0-9]([ \-])(?:[0-9]{3}\2[0-9]{4}|[0-9]{4}\2[0-9]{3})"
    r"|[ \-](?!(?:19|20)[0-9]{2}[01])[0-9]{8})(?![0-9A-Za-z^]|\*{1,2}[0-9A-Za-z(]|\.[0-9])"
)
_SHAPES = re.compile(
    r"(?:"
    # North America, and the many plans written 3-3-4.
    r"(?:1[ .\-]{1,2})?[0-9]{3}([ .\-])[0-9]{3}\1[0-9]{4}"
    r"|[2-9][0-9]{2}/[2-9][0-9]{2}\-[0-9]{4}"
    # China with its country code, but without the plus sign.
    r"|(?:[(（]86[)）][ \-]?|[(（]?86\-)0?(?:10|2[0-9]|[3-9][0-9]{2})(?:[)）][ \-]?|[ \-])[2-8][0-9]{2,3}[ \-]?[0-9]{4}"
    # Area code in brackets.
    r"|[(（](?!(?:19|20)[0-9]{2}[)）])[0-9]{2,5}[)）][ .\-]{0,2}[0-9]{2,5}(?:[ .\-][0-9]{2,5}){1,3}"
    r"|[(（]0[0-9]{1,4}[)）][ .\-]{0,2}[0-9]{6,8}"
    r"|1[ .\-]?[(（][2-9][0-9]{2}[)）][ .\-]{0,2}[0-9]{3}[ .\-][0-9]{4}"
    # Trunk zero; five and four digits are a US postal code.
    r"|0(?:10|2[0-9]|[3-9][0-9]{2})[ \-][2-8][0-9]{6,7}\-[0-9]{1,6}"
    r"|0(?![0-9]{4}\-[0-9]{4}(?![0-9]))[1-9][0-9]{0,3}(?:[ .]|[ ]?[\-/][ ]?)[0-9]{2,8}(?:[ .\-][0-9]{2,8}){0,4}"
    # The same without a separator: 10 or 11 digits, as most of Europe, Japan, India and China dial.
    r"|0[1-9](?!([0-9])\2+(?![0-9]))[0-9]{8,9}"
    # Chinese landlines with an area code of four digits have twelve.
    r"|0[3-9][0-9]{2}[2-8](?!([0-9])\3+(?![0-9]))[0-9]{7}"
    # Russia, and service numbers.
    r"|8[ \-]?[(（]?[0-9]{3}[)）]?[ \-]?[0-9]{3}[ \-][0-9]{2}[ \-][0-9]{2}"
    r"|[48]00[ \-][0-9]{3,4}[ \-][0-9]{3,4}"
    r")" + _ENDS
)
_CANDIDATE = re.compile(r"[(（+]?[0-9](?:[ .\-/()（）]{0,2}[0-9]){5,12}" + _ENDS)


def phones(text: str, runs: Sequence[Run]) -> Iterator[Span]:
    """Yield telephone numbers in the runs: those that need no word beside them, then those that do."""
    words: _Words | None = None
    # Where numbers are rare, only what stands before them is searched for words.
    rare = len(runs) < len(text) // 128
    for run in runs:
        done = run.start
        if rare:
            words = None
        stop = run.end
        labelled: bool | None = None
        for at in run.starts:
            if at < done or not (text[at - 1 : at] in _OPENERS or starts_clean(text, at, GLUED)):
                continue
            if stop - at > 13 and text[at] != "0" and text[at : at + 14].isdigit() and text[at - 1 : at] != "+":
                # Longer than any number without its country code.
                continue
            span = _strong(text, at)
            if not span:
                if words is None:
                    words = _Words(text, max(0, run.start - 64) if rare else 0, stop if rare else len(text))
                if labelled is None:
                    labelled = text[stop : stop + 1].isascii() and LABEL.match(text, stop) is not None
                span = words.judge(at, labelled=labelled)
            if span:
                extension = EXTENSION.match(text, span.end)
                done = extension.end() if extension else span.end
                yield Span(span.start, done, "PHONE", span.score)


def _strong(text: str, at: int) -> Span | None:
    begin = at
    if text[at - 1 : at] not in _OPENERS:
        if _SHAPELESS.match(text, at) and text[at - 2 : at] != "+ ":
            return None
    else:
        # A plus sign or a bracket opens the number before its first digit.
        if not _SIX_DIGITS.match(text, at):
            return None
        two = text[at - 2 : at - 1] in _OPENERS and text[at - 2 : at] not in _BRACKETS
        begin = at - 2 if two else at - 1
    span = None
    first = text[at]
    plus = "+" in text[max(0, at - 2) : at]
    if begin < at or first == "0" or plus:
        if begin == at and not _SIX_DIGITS.match(text, at):
            return None
        if plus or text.startswith(("00", "011"), at):
            span = _international(text, begin, at)
        elif _TWO_BRACKETS.match(text, at):
            return None
    if not span and first in "18":
        span = _mobile(text, at)
    return span or _shaped(text, begin, at)


def _international(text: str, begin: int, at: int) -> Span | None:
    plus = text[begin:at].find("+")
    zeros = None if plus >= 0 else _LEADING_ZEROS.match(text, at)
    if plus < 0 and text[at - 2 : at] == "+ " and label_before(text, at - 2) == PHONE:
        begin, plus = at - 2, 0
    if plus < 0 and not zeros:
        return None
    match = _INTERNATIONAL.match(text, zeros.end() if zeros else at)
    if not match or not starts_clean(text, begin, GLUED):
        return None
    end = _national_end(match[0], text, match.start(), slack=0 if zeros else 1)
    if end is None:
        return None
    if zeros and not _dialled_abroad(text[at:end]) and not _is_called(text, at):
        return None
    return Span(begin, end, "PHONE", 0.9)


def _is_called(text: str, at: int) -> bool:
    """Tell whether words close before an offset speak of a telephone call."""
    label = label_before(text, at)
    return label == PHONE or (not label and bool(WORDS.find(lower(text[max(0, at - 24) : at]))))


def _dialled_abroad(value: str) -> bool:
    """Tell whether `00…` or `011…` is written as people write it; most numbers that begin so are padded or counters."""
    if re.fullmatch(r"00861[3-9][0-9]{9}", compact(value)):
        return True
    groups = _GROUP.findall(value)
    first = groups[1] if groups[0] in ("00", "011") else groups[0][2:] if groups[0].startswith("00") else ""
    plan = split_calling_code(first) if len(groups) > 1 else None
    return bool(plan and plan[0] == first)


def _national_end(value: str, text: str, offset: int, *, slack: int) -> int | None:
    """Return where the number ends: the longest whole groups that the country's numbering plan allows.

    What is written in groups may have `slack` digits too few: plans change, and people mistype.
    """
    groups = list(_GROUP.finditer(value))
    plan = split_calling_code("".join([group[0] for group in groups]))
    if not plan:
        return None
    code, least, most = plan
    if len(groups) > 1:
        least -= slack
    while groups:
        national = "".join([group[0] for group in groups])[len(code) :]
        if national.startswith("0"):
            # The trunk zero is written but not dialled, except where it is part of the number.
            national = national if code in _ZERO_DIALLED else national[1:]
        end = offset + groups[-1].end()
        if least <= len(national) <= most and not _RUNS_ON.match(text, end):
            return end
        if len(national) < least:
            return None
        groups.pop()
    return None


def _mobile(text: str, at: int) -> Span | None:
    match = _CN_MOBILE.match(text, at)
    if not match:
        return None
    if at > 1 and text[at - 1] == "-" and text[at - 2] in " =(,":
        # A negative number.
        return None
    if match.end() - at == 11 and (UNIT.match(text, match.end()) or label_before(text, at) == OTHER):
        return None
    return Span(at, match.end(), "PHONE", 0.85)


def _shaped(text: str, begin: int, at: int) -> Span | None:
    match = _SHAPES.match(text, begin) or (_SHAPES.match(text, at) if begin < at else None)
    if not match or (match.start() < at and not starts_clean(text, begin, GLUED)):
        return None
    value = match[0]
    digits = compact(value)
    if (
        len(digits) < (9 if value[0] == "0" else 8 if value[0] in "(（" else 7)
        or _is_date(value)
        or _is_filler(value, digits)
        or _SIX_PAIRS.fullmatch(value)
    ):
        return None
    if _FOURS.match(value) and _LONGER.search(text, max(0, match.start() - 5), match.start()):
        return None
    if match.start() > 1 and text[match.start() - 1] == ":" and text[match.start() - 2].isdigit():
        # Seconds of a time, with their fraction.
        return None
    if _is_amount(text, match.start(), match.end()):
        return None
    bare = value.isdigit()
    if bare and _IN_PATH.search(text, max(0, match.start() - 24), match.start()):
        return None
    if label_before(text, match.start(), bare=bare) in _OTHER:
        return None
    return Span(match.start(), match.end(), "PHONE", 0.8)


class _Words:
    """The words for a telephone in a part of a text, and whether they name the number at an offset."""

    def __init__(self, text: str, start: int, stop: int) -> None:
        self._text = text
        self._words = [(end + start, at + start, word) for end, at, word in WORDS.find(lower(text[start:stop]))]
        self._ends = [word[0] for word in self._words]

    def judge(self, at: int, *, labelled: bool) -> Span | None:
        """Return the 6 to 13 digits at `at` when a word before or a label right behind names them."""
        if not self._ends and not labelled:
            return None
        text = self._text
        near = bisect_right(self._ends, at)
        named = near > 0 and at - self._ends[near - 1] <= 40
        if not named and not labelled:
            return None
        begin = at - 1 if at and text[at - 1] in _OPENERS else at
        candidate = _CANDIDATE.match(text, begin)
        if not candidate or not _plausible(text, candidate):
            return None
        if LABEL.match(text, candidate.end()) or (named and self._names(candidate, near - 1)):
            return Span(begin, candidate.end(), "PHONE", 0.6)
        return None

    def _names(self, candidate: re.Match[str], nearest: int) -> bool:
        """Tell whether a strong word stands within 40 characters, or a weak one right before, and no other label."""
        start = candidate.start()
        digits = compact(candidate[0])
        short = len(digits) < 8 and len(digits) == candidate.end() - start
        while nearest >= 0 and start - self._words[nearest][0] <= 40:
            end, _, word = self._words[nearest]
            between = self._text[end:start]
            if "\n\n" in between:
                return False
            if (word in STRONG and len(digits) > 6) or (not short and ADJACENT.fullmatch(between)):
                return label_before(self._text, start) not in _OTHER
            nearest -= 1
        return False


def _plausible(text: str, candidate: re.Match[str]) -> bool:
    return (
        starts_clean(text, candidate.start(), GLUED)
        and not _is_date(candidate[0])
        and not _is_amount(text, candidate.start(), candidate.end())
        and len(set(compact(candidate[0]))) > 1
    )


_DATE = re.compile(
    r"(?:19|20)[0-9]{2}([\-/. ])(0?[1-9]|1[0-2])\1(0?[1-9]|[12][0-9]|3[01])(?![0-9])"
    r"|(?:0?[1-9]|[12][0-9]|3[01])([\-/.])(?:0?[1-9]|[12][0-9]|3[01])\4(?:(?:19|20)[0-9]{2}|[0-9]{2}(?!\4[0-9]{2}\4))(?![0-9])"
    r"|(?:19|20)[0-9]{2}[ ]?[\-/][ ]?(?:19|20)[0-9]{2}(?![0-9])"
)
_COMPACT_DATE = re.compile(r"((?:19|20)[0-9]{2})([0-9]{2})([0-9]{2})(?:[ .\-]?[0-9]{4,6})?")
_DOTTED_QUAD = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")


_SIX_PAIRS = re.compile(r"[0-9]{2}(?:[ .\-][0-9]{2}){5}")
# A number in the path of a web address is a key, unless the path says otherwise.
_IN_PATH = re.compile(r"[0-9A-Za-z](?<!tel)(?<!phone)(?<!mobile)/\Z", re.IGNORECASE)
# Groups of four before it: the end of a longer number.
_LONGER = re.compile(r"[0-9]{4} \Z")
_FOURS = re.compile(r"[0-9]{4} [0-9]{4}")


def _is_filler(value: str, digits: str) -> bool:
    """Tell whether digits count up, hardly differ, or are four octets."""
    return digits in "01234567890123456789" or len(set(digits)) < 3 or _DOTTED_QUAD.fullmatch(value) is not None


_CURRENCY = "$€£¥￥₹"


def _is_date(value: str) -> bool:
    value = value.lstrip("(（+")
    if _DATE.match(value):
        return True
    compact_date = _COMPACT_DATE.fullmatch(value)
    return bool(compact_date and valid_date(*map(int, compact_date.groups())))


def _is_amount(text: str, start: int, end: int) -> bool:
    if (start and text[start - 1] in _CURRENCY) or UNIT.match(text, end):
        return True
    value = text[start:end]
    # `047.123456` is a coordinate or a share, whatever its first digit.
    return value.count(".") == 1 and not any(char in value for char in " -/()（）")
