"""Reads English numerals: `twenty-five`, `nineteen ninety-nine`, `a hundred and five`, `3rd`, `7:30 pm`, `IV`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentprod.caching.guards.quantity import Quantity, plain_number
from agentprod.caching.guards.sentence import Sentence
from agentprod.caching.guards.tokens import NUMBER, Token

__all__ = ["read_english"]

_SMALL = {
    word: value
    for value, words in enumerate(
        (
            "zero zeroth nil nought", "one first once", "two second twice", "three third thrice", "four fourth",
            "five fifth", "six sixth", "seven seventh", "eight eighth", "nine ninth", "ten tenth", "eleven eleventh",
            "twelve twelfth", "thirteen thirteenth", "fourteen fourteenth", "fifteen fifteenth", "sixteen sixteenth",
            "seventeen seventeenth", "eighteen eighteenth", "nineteen nineteenth",
        )
    )
    for word in words.split()
}  # fmt: skip
_TENS = {
    word: 10 * value
    for value, words in enumerate(
        (
            "twenty twentieth", "thirty thirtieth", "forty fortieth fourty", "fifty fiftieth", "sixty sixtieth",
            "seventy seventieth", "eighty eightieth", "ninety ninetieth",
        ), 2
    )
    for word in words.split()
}  # fmt: skip
_SCALES = {
    "hundred": 100, "hundredth": 100, "dozen": 12, "thousand": 1000, "thousandth": 1000, "k": 1000,
    "million": 10**6, "mn": 10**6, "mio": 10**6, "billion": 10**9, "bn": 10**9, "trillion": 10**12,
}  # fmt: skip
_ROMAN = {
    word: value + 2
    for value, word in enumerate(
        "ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx xxi xxii xxiii xxiv xxv".split()
    )
    if len(word) > 1
}
_UNITS = {
    alias: unit
    for unit, aliases in {
        "%": "% percent pct", "USD": "$ dollar dollars usd bucks", "EUR": "€ euro euros eur",
        "GBP": "£ pound pounds gbp quid", "JPY": "yen jpy", "CNY": "¥ yuan rmb cny", "INR": "₹ rupee rupees inr",
        "s": "second seconds sec secs", "min": "minute minutes min mins", "h": "hour hours hr hrs",
        "d": "day days", "n": "night nights", "w": "week weeks wk wks", "mo": "month months", "y": "year years yr yrs",
        "mm": "mm millimeter millimeters millimetre millimetres",
        "cm": "cm centimeter centimeters centimetre centimetres",
        "m": "m meter meters metre metres", "km": "km kilometer kilometers kilometre kilometres",
        "in": "inch inches", "ft": "ft foot feet", "yd": "yard yards", "mi": "mile miles mi",
        "ug": "mcg ug microgram micrograms", "mg": "mg milligram milligrams",
        "g": "g gram grams", "kg": "kg kilogram kilograms kilo kilos", "lb": "lb lbs", "oz": "oz ounce ounces",
        "l": "liter liters litre litres", "ml": "ml milliliter milliliters millilitre millilitres",
        "iu": "iu", "cal": "cal calorie calories", "kcal": "kcal", "ms": "ms millisecond milliseconds",
        "gal": "gallon gallons",
        "kb": "kb", "mb": "mb megabyte megabytes", "gb": "gb gigabyte gigabytes gig gigs",
        "tb": "tb terabyte terabytes",
        "C": "celsius", "F": "fahrenheit", "mph": "mph", "kmh": "kmh kph",
        "hz": "hz hertz", "khz": "khz", "mhz": "mhz", "ghz": "ghz", "kw": "kw kilowatt kilowatts", "kwh": "kwh",
        "acre": "acre acres", "ha": "hectare hectares", "w_": "watt watts", "v_": "volt volts",
    }.items()
    for alias in aliases.split()
}  # fmt: skip
_CURRENCY_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "CNY", "₹": "INR"}
_ARTICLES = frozenset(("a", "an"))
_BEGINNINGS = frozenset(
    ("noon", "midday", "midnight", "half", "quarter", *_ARTICLES, *_SMALL, *_TENS, *_SCALES, *_ROMAN)
)
"""Words with which a number may begin."""

_ORDINAL_ENDINGS = frozenset(("st", "nd", "rd", "th"))
_SECOND_IS_TIME = frozenset("a per each every one split every last".split())
_POINT = re.compile(r"(\d{1,2})\.([0-5]\d)")


def read_english(sentence: Sentence) -> list[Quantity]:
    """Return the quantities of a text that is not mainly Chinese, in order."""
    found: list[Quantity] = []
    if not sentence.traits & NUMBER and _BEGINNINGS.isdisjoint(sentence.vocabulary):
        return found
    tokens = sentence.tokens
    end = 0
    for index in [place for place, token in enumerate(tokens) if token.kind == "number" or token.lower in _BEGINNINGS]:
        if index < end:
            continue  # it was read with the number before it
        token = tokens[index]
        if token.kind == "number":
            quantity, end = _read_digits(sentence, index)
            found.append(quantity)
        elif token.lower in ("noon", "midday", "midnight"):
            found.append(Quantity("0:00" if token.lower == "midnight" else "12"))
        elif (fraction := _fraction(tokens, index)) is not None:
            found.append(Quantity(fraction))
        elif token.lower in _ROMAN and not (index and tokens[index - 1].kind == "number"):
            found.append(Quantity(str(_ROMAN[token.lower])))
        else:
            end = _spelled_end(tokens, index)
            if end > index:
                found += _read_spelled(tokens, index, end)
    return found


def _read_digits(sentence: Sentence, index: int) -> tuple[Quantity, int]:
    tokens = sentence.tokens
    number = tokens[index].surface
    before = tokens[index - 1].surface if index else ""
    unit = _CURRENCY_SIGNS.get(before, "")
    negative = before in ("-", "−") and (index == 1 or sentence.apart(index - 1))
    end = index + 1
    minutes = ""
    if _lower(tokens, end) == ":" and end + 1 < len(tokens) and tokens[end + 1].kind == "number":
        minutes, end = tokens[end + 1].surface, end + 2
    half = {"am": 0, "pm": 12}.get(_lower(tokens, end))
    if half is not None and not minutes and (point := _POINT.fullmatch(number)):
        number, minutes = point.groups()
    if (half is not None or minutes) and number.isdigit():
        return Quantity(_clock(number, minutes, half)), end + (half is not None)
    if _lower(tokens, end) in _ORDINAL_ENDINGS:
        return Quantity(plain_number(number)), end + 1
    value = plain_number(number, money=bool(unit))
    while value.count(".") < 2 and (scale := _SCALES.get(_lower(tokens, end))) is not None:
        value, end = plain_number(f"{float(value.replace(',', '')) * scale:.6f}", money=True), end + 1
    return Quantity(("-" if negative else "") + value, unit or _unit(tokens, end)), end


def _fraction(tokens: Sequence[Token], index: int) -> str | None:
    """Return what a half or a quarter stands for: of a thing 0.5 and 0.25, of an hour with `past` or `to`."""
    word, after = tokens[index].lower, _lower(tokens, index + 1)
    if word == "half":
        return "0:30" if after == "past" else "0.5"
    if word != "quarter" or (index and tokens[index - 1].lower not in ("a", "one", "at", "by", "until", "till")):
        return None
    return {"past": "0:15", "after": "0:15", "to": "-0:15", "before": "-0:15"}.get(after, "0.25")


def _clock(hour: str, minutes: str, half: int | None) -> str:
    """Return a time of day; 7 pm is 19, `7:00` may be either half of the day and is 7, and 7 am is 7:00."""
    hours = int(hour) if half is None else int(hour) % 12 + half
    return f"{hours}:{minutes or '00'}" if minutes.strip("0") or half == 0 else str(hours)


def _spelled_end(tokens: Sequence[Token], index: int) -> int:
    """Return where the run of number words that starts here ends; `index` when none starts."""
    end = index
    if tokens[end].lower in _ARTICLES and _lower(tokens, end + 1) in _SCALES and _lower(tokens, end + 1) != "k":
        end += 1
    while end < len(tokens):
        word = tokens[end].lower
        if word == "second" and end == index and index and tokens[index - 1].lower in _SECOND_IS_TIME:
            break
        if word in _SMALL or word in _TENS or (word in _SCALES and word != "k"):
            end += 1
        elif end > index and word in ("and", "-") and _is_spelled(_lower(tokens, end + 1)):
            if word == "and" and tokens[end - 1].lower not in _SCALES:
                break
            end += 1
        else:
            break
    return end


def _is_spelled(word: str) -> bool:
    return word in _SMALL or word in _TENS


def _read_spelled(tokens: Sequence[Token], index: int, end: int) -> list[Quantity]:
    words = [token.lower for token in tokens[index:end] if token.lower not in ("and", "-")]
    values: list[int] = []
    total = current = 0
    fresh = True
    for word in words:
        if word in _ARTICLES:
            current, fresh = 1, False
        elif (scale := _SCALES.get(word)) is not None:
            current = max(current, 1) * scale
            if scale > 100:
                total, current = total + current, 0
            fresh = False
        else:
            small = _SMALL.get(word)
            step = _TENS[word] if small is None else small
            room = (
                current % 100 == 0 if step >= 10 else current % 10 == 0 and (current % 100 == 0 or current % 100 >= 20)
            )
            if not fresh and 10 <= current < 100 and step >= 10:
                current = current * 100 + step  # a year or a house number: nineteen ninety-nine
            elif fresh or (room and (current or total)):
                current += step
            else:
                values.append(total + current)
                total, current = 0, step
            fresh = False
    values.append(total + current)
    unit = _unit(tokens, end)
    alone = len(words) == 1 and (
        words[0] in ("one", "once") or (words[0] == "first" and not _counts(tokens, index, end))
    )
    return [Quantity(str(value), unit if value is values[-1] else "", optional=alone) for value in values]


def _counts(tokens: Sequence[Token], index: int, end: int) -> bool:
    """Tell whether `first` names one of several, and is not an adverb."""
    article = index > 0 and tokens[index - 1].lower in ("the", "my", "your", "our", "his", "her", "their", "s")
    return (
        article
        and end < len(tokens)
        and tokens[end].kind == "word"
        and tokens[end].lower not in ("time", "place", "thing")
    )


def _unit(tokens: Sequence[Token], index: int) -> str:
    word = _lower(tokens, index)
    if word == "per" and _lower(tokens, index + 1) == "cent":
        return "%"
    return _UNITS.get(_lower(tokens, index + 1) if word == "-" else word, "")


def _lower(tokens: Sequence[Token], index: int) -> str:
    return tokens[index].lower if index < len(tokens) else ""
