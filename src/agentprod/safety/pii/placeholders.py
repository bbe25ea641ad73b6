r"""The placeholder `[[EMAIL_1]]`: how it is written, and what a model may have made of it.

The reader is tolerant in shape and exact in identity. Case, inner spaces, escapes (`\_`, `&#91;`), other brackets
(`【】`, `［］`, single ones) and emphasis marks are accepted; the name and the number must be the ones that were given.
There is no edit distance: a wrong digit is another person.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["LITERAL", "Found", "find_placeholders", "open_placeholder", "write_placeholder"]

LITERAL = "TEXT"
"""Entity of text that looked like a placeholder before anything was scrubbed; it gets a placeholder of its own."""

_OPEN = r"(?:\\?\[|&#(?:91|x5[bB]);|&l(?:brack|sqb);|［|【|〔|⟦)"
_CLOSE = r"(?:\\?\]|&#(?:93|x5[dD]);|&r(?:brack|sqb);|］|】|〕|⟧)"
# A name has at most five parts of 16 characters; a bounded name is what lets a stream know when to stop waiting.
_NAME = r"[A-Za-z][A-Za-z0-9]{0,15}?(?:(?:\\?_|[ \-])[A-Za-z0-9]{1,16}?){0,4}?"
_MARKS = r"[ *`]{0,3}"
_AS_WRITTEN = r"\[\[([A-Z][A-Z0-9]{0,15}(?:_[A-Z0-9]{1,16}){0,4}?)_([1-9][0-9]{0,6})\]\]"
"""How it nearly always comes back; read first, since that takes half the time."""
_PLACEHOLDER = re.compile(
    rf"{_AS_WRITTEN}"
    rf"|{_OPEN}[ ]?(?:{_OPEN})?{_MARKS}({_NAME})(?:\\?_|[ \-#]){{0,2}}([1-9][0-9]{{0,6}})"
    rf"{_MARKS}{_CLOSE}(?:[ ]?{_CLOSE})?"
)
_OPENERS = "[［【〔⟦&"
_PART_OF_BRACKET = r"\\|&[#a-zA-Z0-9]{0,6}"
_OPEN_TAIL = re.compile(
    rf"(?:{_PART_OF_BRACKET}|{_OPEN}[ ]?(?:{_PART_OF_BRACKET}|(?:{_OPEN})?{_MARKS}"
    rf"(?:[A-Za-z][A-Za-z0-9_\\ \-#]{{0,112}}{_MARKS}(?:{_PART_OF_BRACKET}|{_CLOSE}[ ]?(?:{_PART_OF_BRACKET})?)?)?))\Z"
)
_NOT_LETTER = re.compile(r"[^A-Za-z0-9]+")
_REACH = 160


class Found(NamedTuple):
    """A placeholder in a text.

    Args:
        start: offset of its first character.

        end: offset after its last character.

        entity: its name, upper case.

        number: its number.
    """

    start: int
    end: int
    entity: str
    number: int


def write_placeholder(entity: str, number: int) -> str:
    """Return the placeholder: ASCII, safe in JSON and HTML, no Markdown link, no natural word."""
    return f"[[{entity}_{number}]]"


def find_placeholders(text: str, start: int = 0) -> Iterator[Found]:
    """Yield everything that reads as a placeholder, whatever its name."""
    if not any(map(text.__contains__, _OPENERS)):
        return
    for match in _PLACEHOLDER.finditer(text, start):
        name, number, changed_name, changed_number = match.groups()
        entity = name or _NOT_LETTER.sub("_", changed_name).upper()
        yield Found(match.start(), match.end(), entity, int(number or changed_number))


def open_placeholder(text: str, start: int = 0) -> int:
    """Return where a placeholder begins that the end of the text has not completed, or the length of the text."""
    size = len(text)
    floor = max(start, size - _REACH)
    tail = text[floor:]
    if not any(map(tail.__contains__, _OPENERS)) and "\\" not in tail:
        return size
    open_tail = _OPEN_TAIL.search(tail)
    return floor + open_tail.start() if open_tail else size
