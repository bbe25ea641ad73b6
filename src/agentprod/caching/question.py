"""The text of a request that others may ask in other words, and what is left of the request without it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from agentprod.caching.query_text import tidy
from agentprod.dialects.arguments import Arguments
from agentprod.dialects.function import to_json

if TYPE_CHECKING:
    from agentprod.caching.embedding import Reading
    from agentprod.call import Call

__all__ = ["Asked", "Split", "split", "text_key"]

_GAP: Mapping[str, Any] = {"\0": "question"}
"""What stands where the text was; no client sends it."""


@dataclass(slots=True)
class Asked:
    """What a call asks, and where answers to the like of it are.

    Args:
        home: digest of everything that must be equal, 64 hex digits.

        text: the text, tidied.

        reading: the text ready for matching, once somebody has read it.
    """

    home: str
    text: str
    reading: Reading | None = None


class Split(NamedTuple):
    """A request in two: the text, tidied, and a call whose request has a gap there."""

    text: str
    rest: Call


def text_key(home: str, text: str) -> str:
    """Return the key of a request: a digest of its text and of everything else, 64 hex digits."""
    digest = _keyed(home).copy()
    digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _keyed(home: str) -> hashlib.blake2b:
    """Return a digest that has read its key, which takes as long as reading a question."""
    return hashlib.blake2b(digest_size=32, key=bytes.fromhex(home))


def split(call: Call, query: Callable[[Call], str] | None) -> Split | None:
    """Take the text to compare out of a request; `None` when its last word is not a user's text alone.

    Args:
        call: the call.

        query: picks the text; what it returns is cut out where it stands last in the user's text, and when it does not
            stand there, the whole request has to be equal.

    Raises:
        TypeError: `query` returned no `str`.
    """
    request = call.request.bound() if isinstance(call.request, Arguments) else call.request
    whole = call.dialect.last_user_text(request)
    if query is None:
        if whole is None:
            return None
        return Split(tidy(whole), call.replace(request=_with_gap(call.operation, request, whole, _GAP)))
    call = call.replace(request=request)
    text = query(call)
    if not isinstance(text, str):
        raise TypeError(f"query returned a {type(text).__name__}, not a str")
    return Split(tidy(text), call.replace(request=_without(call, whole, text)))


def _without(call: Call, whole: str | None, text: str) -> Mapping[str, Any]:
    if call.operation == "function":
        for name, value in call.request.items():
            if isinstance(value, str) and text and text in value:
                return {**call.request, name: _around(value, text)}
    elif whole is not None and text and text in whole:
        return _with_gap(call.operation, call.request, whole, _around(whole, text))
    return call.request


def _around(whole: str, text: str) -> Any:
    before, _, behind = whole.rpartition(text)
    return {"\0": [before, behind]} if before or behind else _GAP


def _with_gap(operation: str, request: Mapping[str, Any], whole: str, gap: Any) -> Mapping[str, Any]:
    """Return the request with something else in the place of the last user's text."""
    for name in () if operation == "function" else ("messages", "input"):
        given = request.get(name)
        if isinstance(given, list | tuple):
            last = given[-1]
            message = last if isinstance(last, Mapping) else to_json(last)
            return {**request, name: [*given[:-1], {**message, "content": gap}]}
        if isinstance(given, str):
            return {**request, name: gap}
    return {name: gap if value is whole else value for name, value in request.items()}
