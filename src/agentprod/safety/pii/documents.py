"""Scrub and restore structured data: Python values, JSON texts, and JSON texts that arrive in pieces.

A string leaf that is a JSON document itself, as tool arguments and many tool results are, is edited as one, so it stays
valid whatever is put into it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Protocol

from agentprod.safety.pii.json_text import JsonEditor, Leaf, edit_json, is_json, quote
from agentprod.safety.pii.json_value import map_leaves
from agentprod.safety.pii.placeholders import find_placeholders
from agentprod.safety.pii.restore import Allows, OnUnknown, restore
from agentprod.safety.pii.scrubbed import Scrubbed
from agentprod.safety.pii.scrubber import Direction
from agentprod.safety.pii.spans import Span
from agentprod.safety.pii.vault import Form, Vault

__all__ = [
    "Scrubs",
    "is_data_url",
    "json_restore_stream",
    "json_scrub_stream",
    "restore_json",
    "restore_value",
    "scrub_json",
    "scrub_key",
    "scrub_leaf",
    "scrub_number",
    "scrub_value",
]

_MAX_NESTED = 4
"""JSON in a string in JSON …: deeper ones are plain text, which is safe, only not kept valid."""


class Scrubs(Protocol):
    """What scrubs texts: a `Scrubber`, or what counts for one."""

    def find(self, text: str, *, before: str = "") -> list[Span]:
        """Return what is found, disjoint and in order."""
        ...

    def scrub(
        self,
        text: str,
        vault: Vault | None = None,
        *,
        direction: Direction = "input",
        before: str = "",
        form: Form = "text",
    ) -> Scrubbed:
        """Replace what is found."""
        ...

    def replace(
        self, text: str, spans: Sequence[Span], vault: Vault, *, direction: Direction = "input", form: Form = "text"
    ) -> Scrubbed:
        """Replace the spans of a text."""
        ...


def scrub_value(value: Any, scrubber: Scrubs, vault: Vault, *, direction: Direction = "input") -> Any:
    """Return a JSON-able value with its strings, numbers and keys scrubbed.

    Numbers that are found (a card, a telephone number) become strings with a placeholder; `restore_value` makes them
    numbers again. Data URLs (`data:…;base64,…`) are left alone. Nothing is changed in place.

    Args:
        value: see `map_leaves`.

        scrubber: what to find and how to replace it.

        vault: where placeholders are kept.

        direction: whose strategies to use.

    Raises:
        Blocked: as `Scrubber.scrub` and `map_leaves`.
    """

    def edit(leaf: Any, before: str) -> Any:
        if isinstance(leaf, str):
            return scrub_leaf(leaf, scrubber, vault, direction=direction, before=before)
        return scrub_number(leaf, scrubber, vault, direction=direction, before=before)

    def edit_key(key: str) -> str:
        return scrub_key(key, scrubber, vault, direction=direction)

    return map_leaves(value, edit, edit_key)


def scrub_leaf(
    text: str, scrubber: Scrubs, vault: Vault, *, direction: Direction = "input", before: str = "", nested: int = 0
) -> str:
    """Return one text scrubbed, as JSON when it is a JSON document; the same object when nothing was found.

    Args:
        text: any text. A data URL (`data:…;base64,…`) is left alone.

        scrubber: what to find and how to replace it.

        vault: where placeholders are kept.

        direction: whose strategies to use.

        before: context in front of it, such as its key.

        nested: in how many JSON texts it stands.
    """
    if is_data_url(text):
        return text
    if nested < _MAX_NESTED and text[:1] in ("{", "[", " ", "\n") and is_json(text):
        edited = edit_json(text, _Scrub(scrubber, vault, direction, nested + 1))
    else:
        edited = scrubber.scrub(text, vault, direction=direction, before=before).text
    return text if edited == text else edited


def scrub_key(key: str, scrubber: Scrubs, vault: Vault, *, direction: Direction = "input") -> str:
    """Return a key scrubbed; the same object when nothing was found.

    Two ways to write one value may be two keys of one object: a key shares its number only with its very form.
    """
    edited = scrubber.scrub(key, vault, direction=direction, form="key").text
    return key if edited == key else edited


def scrub_number(
    number: float, scrubber: Scrubs, vault: Vault, *, direction: Direction = "input", before: str = ""
) -> float | str:
    """Return a number as it is, or the text that stands in its place."""
    scrubbed = _scrub_digits(repr(number), before, scrubber, vault, direction)
    return number if scrubbed is None else scrubbed


def is_data_url(text: str) -> bool:
    """Tell whether all of a text is one base64 data URL: nothing in it can be read."""
    return text[:5].lower() == "data:" and _DATA_URL.fullmatch(text) is not None


_DATA_URL = re.compile(r"data:[^,\s]{0,200};base64,[A-Za-z0-9+/_\-%\s]*=*\s*", re.IGNORECASE)


def scrub_json(text: str, scrubber: Scrubs, vault: Vault, *, direction: Direction = "input") -> str:
    """Return a JSON document with its leaves scrubbed; all other bytes, the form of numbers included, stay."""
    return edit_json(text, _Scrub(scrubber, vault, direction))


def json_scrub_stream(scrubber: Scrubs, vault: Vault, *, direction: Direction = "output") -> JsonEditor:
    """Return an object with `feed` and `flush` for a JSON document that arrives in pieces.

    A string is held until its closing quote.
    """
    return JsonEditor(_Scrub(scrubber, vault, direction))


def restore_value(
    value: Any, vault: Vault, *, allows: Allows | None = None, urls: bool = False, unknown: OnUnknown = "keep"
) -> Any:
    """Return a JSON-able value with the values put back; a placeholder of a number becomes that number.

    Args:
        value: see `map_leaves`.

        vault: what the placeholders stand for.

        allows: see `RestoreStream`.

        urls: see `RestoreStream`.

        unknown: see `RestoreStream`.
    """
    put = _Restore(vault, allows, urls, unknown)

    def edit(leaf: Any, before: str) -> Any:
        if not isinstance(leaf, str):
            return leaf
        number = put.number(leaf)
        if number is not None:
            return json.loads(number)
        edited = put.text(leaf, 0)
        return leaf if edited == leaf else edited

    def edit_key(key: str) -> str:
        edited = put.plain(key)
        return key if edited == key else edited

    return map_leaves(value, edit, edit_key)


def restore_json(
    text: str, vault: Vault, *, allows: Allows | None = None, urls: bool = False, unknown: OnUnknown = "keep"
) -> str:
    """Return a JSON document with the values put back, escaped where JSON wants it; all other bytes stay."""
    return edit_json(text, _Restore(vault, allows, urls, unknown))


def json_restore_stream(
    vault: Vault, *, allows: Allows | None = None, urls: bool = False, unknown: OnUnknown = "keep"
) -> JsonEditor:
    """Return an object with `feed` and `flush` for a JSON document that arrives in pieces, such as tool arguments.

    A string is held until its closing quote.
    """
    return JsonEditor(_Restore(vault, allows, urls, unknown))


class _Scrub:
    def __init__(self, scrubber: Scrubs, vault: Vault, direction: Direction, nested: int = 0) -> None:
        self._scrubber, self._vault, self._nested = scrubber, vault, nested
        self._direction: Direction = direction

    def __call__(self, leaf: Leaf) -> str | None:
        scrubber, vault, direction = self._scrubber, self._vault, self._direction
        if leaf.kind == "number":
            scrubbed = _scrub_digits(leaf.value, leaf.before, scrubber, vault, direction)
            return None if scrubbed is None else quote(scrubbed, ascii_only=True)
        if leaf.kind == "bare":
            return scrubber.scrub(leaf.value, vault, direction=direction, before=leaf.before).text
        if leaf.kind == "key":
            edited = scrub_key(leaf.value, scrubber, vault, direction=direction)
        else:
            edited = scrub_leaf(
                leaf.value, scrubber, vault, direction=direction, before=leaf.before, nested=self._nested
            )
        return None if edited == leaf.value else quote(edited, ascii_only=leaf.raw.isascii())


def _scrub_digits(raw: str, before: str, scrubber: Scrubs, vault: Vault, direction: Direction) -> str | None:
    if len(raw) < 6:
        return None
    spans = scrubber.find(raw, before=before)
    if not spans:
        return None
    # Half a number in clear is no number: the whole of it goes.
    whole = spans[0]._replace(start=0, end=len(raw))
    form: Form = "number"
    scrubbed = scrubber.replace(raw, [whole], vault, direction=direction, form=form).text
    return None if scrubbed == raw else scrubbed


class _Restore:
    def __init__(self, vault: Vault, allows: Allows | None, urls: bool, unknown: OnUnknown, nested: int = 0) -> None:
        self._vault, self._allows, self._urls, self._nested = vault, allows, urls, nested
        self._unknown: OnUnknown = unknown

    def __call__(self, leaf: Leaf) -> str | None:
        if leaf.kind in ("number", "bare"):
            return self.plain(leaf.value) if leaf.kind == "bare" else None
        if leaf.kind == "string" and (number := self.number(leaf.value)) is not None:
            return number
        edited = self.plain(leaf.value) if leaf.kind == "key" else self.text(leaf.value, self._nested)
        return None if edited == leaf.value else quote(edited, ascii_only=leaf.raw.isascii())

    def number(self, text: str) -> str | None:
        """Return the JSON number that a string consisting of one placeholder stands for, if it was a number."""
        if len(text) > 160:
            return None
        found = next(find_placeholders(text), None)
        if found is None or text[: found.start].strip() or text[found.end :].strip():
            return None
        held = self._vault.value(found.entity, found.number)
        if held is None or held[1] != "number" or (self._allows and not self._allows(found.entity)):
            return None
        return held[0]

    def plain(self, text: str) -> str:
        return restore(text, self._vault, allows=self._allows, urls=self._urls, unknown=self._unknown)

    def text(self, text: str, nested: int) -> str:
        if nested < _MAX_NESTED and text[:1] in ("{", "[", " ", "\n") and is_json(text):
            edit = _Restore(self._vault, self._allows, self._urls, self._unknown, nested + 1)
            return edit_json(text, edit)
        return self.plain(text)
