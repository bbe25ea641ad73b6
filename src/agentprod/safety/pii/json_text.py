"""Edit the leaves of a JSON document in its text: what is not edited stays byte for byte, streams included."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

__all__ = ["EditLeaf", "JsonEditor", "Leaf", "edit_json", "is_json", "quote"]

_STRING_BODY = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)
_BARE = re.compile(r'[^"{}\[\],:]+')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+\-]?[0-9]+)?")
_WORDS = frozenset(("true", "false", "null", ""))


class Leaf(NamedTuple):
    """One leaf of a document.

    Args:
        kind: `"string"`, `"key"`, `"number"`, or `"bare"` for text that is no JSON.

        value: the decoded string, or the digits as they stand.

        raw: the token as it stands.

        before: what stands in front, as words: the last short value beside it, and its key.
    """

    kind: Literal["string", "key", "number", "bare"]
    value: str
    raw: str
    before: str


EditLeaf = Callable[[Leaf], str | None]
"""Returns the new token, quoted where it is a string, or `None` to leave the old one."""


class JsonEditor:
    """Edits a JSON document that arrives in pieces, leaf by leaf.

    A string or number is held until it is complete; everything else passes at once.

    Args:
        edit: called for each leaf, in order.
    """

    def __init__(self, edit: EditLeaf) -> None:
        self._edit = edit
        self._text = ""
        self._scanned = 0
        self._open: list[str] = []
        self._wants_key = False
        self._keys: list[str] = []
        self._beside = ""

    def feed(self, text: str, /) -> str:
        """Take the next piece and return what is final by now."""
        self._text += text
        return self._advance(last=False)

    def flush(self) -> str:
        """Return the rest; the document ends here."""
        return self._advance(last=True)

    def _advance(self, *, last: bool) -> str:
        out: list[str] = []
        at, text = 0, self._text
        while at < len(text):
            char = text[at]
            if char == '"':
                body = _STRING_BODY.match(text, max(at + 1, self._scanned))
                end = body.end() if body else at + 1
                # The body ends at a quote, at the end of what has arrived, or at a backslash that is the end of it.
                if text[end : end + 1] != '"':
                    self._scanned = end
                    if not last:
                        break
                    # A string cut off: what there is of it is edited as bare text.
                    out.append(self._bare(text[at:]))
                    at = len(text)
                    break
                out.append(self._string(text[at : end + 1]))
                at, self._scanned = end + 1, 0
            elif char in "{}[],:":
                self._structure(char)
                out.append(char)
                at += 1
            else:
                bare = _BARE.match(text, at)
                end = bare.end() if bare else at + 1
                if end >= len(text) and not last:
                    if text[at:end].isspace():
                        out.append(text[at:end])
                        at = end
                    break
                out.append(self._bare(text[at:end]))
                at = end
        self._text = text[at:]
        self._scanned = max(0, self._scanned - at)
        return "".join(out)

    def _structure(self, char: str) -> None:
        if char in "{[":
            self._open.append(char)
            self._keys.append(self._keys[-1] if self._keys else "")
            self._wants_key = char == "{"
            self._beside = ""
        elif char in "}]":
            if self._open:
                self._open.pop()
                self._keys.pop()
            self._wants_key = False
            self._beside = ""
        elif char == ",":
            self._wants_key = bool(self._open) and self._open[-1] == "{"
        else:
            self._wants_key = False

    def _before(self) -> str:
        key = self._keys[-1] if self._keys else ""
        return f"{self._beside} {key}: " if key or self._beside else ""

    def _string(self, raw: str) -> str:
        try:
            value = raw[1:-1] if "\\" not in raw else json.loads(raw, strict=False)
        except ValueError:
            return self._bare(raw)
        if self._wants_key:
            if self._keys:
                self._keys[-1] = value[:64]
            return self._edit(Leaf("key", value, raw, "")) or raw
        edited = self._edit(Leaf("string", value, raw, self._before()))
        if len(value) <= 24:
            self._beside = value
        return raw if edited is None else edited

    def _bare(self, raw: str) -> str:
        token = raw.strip()
        if token in _WORDS:
            return raw
        kind: Literal["number", "bare"] = "number" if _NUMBER.fullmatch(token) else "bare"
        edited = self._edit(Leaf(kind, token, token, self._before()))
        return raw if edited is None else raw.replace(token, edited, 1)


def edit_json(text: str, edit: EditLeaf) -> str:
    """Return the document with its leaves edited."""
    editor = JsonEditor(edit)
    return editor.feed(text) + editor.flush()


def is_json(text: str) -> bool:
    """Tell whether a text is a JSON object or array."""
    start = text.lstrip(" \t\r\n")[:1]
    if start not in ("{", "[") or not start:
        return False
    try:
        json.loads(text, strict=False)
    except RecursionError:
        # Too deep for the parser, not for the editor.
        return True
    except ValueError:
        return False
    return True


def quote(value: str, *, ascii_only: bool) -> str:
    """Return a value as a JSON string that any encoder can write.

    Args:
        value: any text, lone surrogates included.

        ascii_only: escape what is not ASCII, as the document around it does.
    """
    if not ascii_only:
        try:
            value.encode()
        except UnicodeEncodeError:
            ascii_only = True
    return json.dumps(value, ensure_ascii=ascii_only)
