"""What functions return, as JSON text and back: the same value of the same class, or not at all."""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Callable
from typing import Any

from agentprod.dialects.function import from_json, to_json

__all__ = ["Classes", "Unfaithful", "freeze", "is_plain"]


class Unfaithful(Exception):
    """Raised for a value that JSON cannot bring back equal; the message names its kind."""


def is_plain(value: Any) -> bool:
    """Whether a value is exactly what `json.loads` would return for it: no subclass, no tuple, no NaN."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is list:
        return all(is_plain(item) for item in value)
    if kind is dict:
        return all(type(key) is str and is_plain(item) for key, item in value.items())
    return False


def freeze(value: Any) -> tuple[str, type | None]:
    """Return JSON text and the class to rebuild from it, `None` for plain data.

    Raises:
        Unfaithful: what came back would differ.
    """
    kind = type(value)
    try:
        if is_plain(value):
            return json.dumps(value, ensure_ascii=False), None
        text = json.dumps(to_json(value), ensure_ascii=False, allow_nan=False)
        if not _same(from_json(json.loads(text), kind), value):
            raise Unfaithful(kind.__qualname__)
    except Unfaithful:
        raise
    except Exception as error:  # a class of the user's may fail in any way at being dumped or built
        raise Unfaithful(kind.__qualname__) from error
    return text, kind


def _same(one: Any, other: Any) -> bool:
    """Whether a value that came back is the one that went: of the same class and content, of plain kinds within."""
    if type(one) is not type(other) or not is_plain(_base(to_json(other))):
        return False
    # Private attributes are no data: models are compared by what they hold.
    if callable(getattr(one, "model_dump", None)):
        return bool(one.model_dump() == other.model_dump())
    return bool(one == other)


def _base(value: Any) -> Any:
    """Return a text, number, list or mapping of a class of its own as one of the built-in class."""
    kind: type[Any]
    for kind in (str, bool, int, float, list, dict):
        if isinstance(value, kind):
            return kind(value)
    return value


def class_name(kind: type) -> str:
    """Return the name under which an entry remembers a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


class Classes:
    """The classes that functions are known to return. Names alone are never imported: an entry is only data."""

    def __init__(self) -> None:
        self._known: dict[str, type] = {}

    def learn(self, kind: type) -> str:
        """Remember a class and return its name."""
        name = class_name(kind)
        self._known[name] = kind
        return name

    def find(self, name: str, fn: Callable[..., Any] | None) -> type | None:
        """Return the class of that name when a function returned it before, or is annotated to."""
        found = self._known.get(name)
        if found is None and fn is not None:
            for kind in _annotated(fn):
                self.learn(kind)
            found = self._known.get(name)
        return found


def _annotated(fn: Callable[..., Any]) -> list[type]:
    try:
        hint = typing.get_type_hints(fn).get("return")
    except Exception:  # annotations are the user's, and may name what cannot be imported here
        return []
    found: list[type] = []
    pending = [hint]
    while pending:
        hint = pending.pop()
        if isinstance(hint, type):
            found.append(hint)
        pending.extend(typing.get_args(hint))
    return found
