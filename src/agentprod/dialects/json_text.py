"""Edit the string leaves of JSON text while it streams by, in pieces of any size.

The document around the leaves passes byte for byte, and so does every leaf that its editor leaves
alone; keys are never edited.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from agentprod.parts import Editor

__all__ = ["JsonLeaves"]

_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class JsonLeaves:
    """An editor of JSON text that gives each string value to an editor of its own.

    Args:
        make: returns a fresh editor for the next string leaf, or `None` to leave it alone.
    """

    __slots__ = ("_editor", "_escape", "_expect_key", "_high", "_in_string", "_is_key", "_lag", "_make", "_stack")

    def __init__(self, make: Callable[[], Editor | None]) -> None:
        self._make = make
        self._stack: list[str] = []
        self._expect_key = False
        self._in_string = False
        self._is_key = False
        self._editor: Editor | None = None
        self._escape = ""
        self._high = ""
        self._lag = False

    def feed(self, text: str) -> str:
        """Take the next piece of the document."""
        out: list[str] = []
        position = 0
        while position < len(text):
            if self._in_string:
                position = self._string(text, position, out)
            else:
                position = self._structure(text, position, out)
        return "".join(out)

    def flush(self) -> str:
        """Return what the open leaf keeps back, when the document breaks off inside one."""
        if not self._in_string:
            return ""
        rest = self._escape + self._high
        self._escape = self._high = ""
        return self._close() + rest

    def _structure(self, text: str, position: int, out: list[str]) -> int:
        char = text[position]
        out.append(char)
        if char == '"':
            self._in_string = True
            self._is_key = self._expect_key
            self._lag = False
            self._editor = None if self._is_key else self._make()
        elif char in "{[":
            self._stack.append(char)
            self._expect_key = char == "{"
        elif char in "}]":
            if self._stack:
                self._stack.pop()
            self._expect_key = False
        elif char == ",":
            self._expect_key = bool(self._stack) and self._stack[-1] == "{"
        elif char == ":":
            self._expect_key = False
        return position + 1

    def _string(self, text: str, position: int, out: list[str]) -> int:
        """Consume a run within a string: up to its end, or all there is."""
        raw: list[str] = []
        plain: list[str] = []
        closed = False
        while position < len(text):
            char = text[position]
            position += 1
            if self._escape:
                self._escape += char
                self._unescape(raw, plain)
            elif char == "\\":
                self._escape = "\\"
            elif char == '"':
                closed = True
                break
            else:
                self._settle_high(raw, plain)
                raw.append(char)
                plain.append(char)
        if closed:
            self._settle_high(raw, plain)
        out.append(self._edited("".join(raw), "".join(plain)))
        if closed:
            out.append(self._close())
            out.append('"')
            self._in_string = False
            self._editor = None
        return position

    def _unescape(self, raw: list[str], plain: list[str]) -> None:
        """Decode the pending escape once it is complete; a surrogate pair is one character."""
        escape = self._escape
        if escape[1] == "u" and len(escape) < 6:
            return
        self._escape = ""
        if escape[1] != "u":
            self._settle_high(raw, plain)
            raw.append(escape)
            plain.append(_ESCAPES.get(escape[1], escape[1]))
            return
        try:
            code = int(escape[2:], 16)
        except ValueError:
            code = 0xFFFD
        if self._high and 0xDC00 <= code <= 0xDFFF:
            high = int(self._high[2:], 16)
            raw.append(self._high + escape)
            plain.append(chr(0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)))
            self._high = ""
            return
        self._settle_high(raw, plain)
        if 0xD800 <= code <= 0xDBFF:
            self._high = escape
            return
        raw.append(escape)
        plain.append(chr(code))

    def _settle_high(self, raw: list[str], plain: list[str]) -> None:
        """A high surrogate that no low one followed stands alone."""
        if self._high:
            raw.append(self._high)
            plain.append(chr(int(self._high[2:], 16)))
            self._high = ""

    def _edited(self, raw: str, plain: str) -> str:
        if self._editor is None or not plain:
            return raw
        edited = self._editor.feed(plain)
        if edited == plain and not self._lag:
            return raw
        # From the first difference on, what comes out no longer lines up with what went in.
        self._lag = True
        return _escape(edited)

    def _close(self) -> str:
        return _escape(self._editor.flush()) if self._editor is not None else ""


def _escape(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
