"""One stored answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from agentprod.caching.vectors import Question
from agentprod.usage import Usage

__all__ = ["Entry", "Terms"]

_UNREAD: Any = object()

_LOCAL = frozenset(("since", "_plain"))
_REWRITTEN = _LOCAL | {"terms", "usage"}

_REST = 1000
"""Bytes of an entry besides its text: key, names, numbers and their places in the container."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long an entry lives, in seconds from when it was stored."""

    fresh: float
    """Served as it is."""
    revalidate: float = 0.0
    """After that: served while it is fetched anew."""
    if_error: float = 0.0
    """After that: served when fetching it anew fails."""

    @property
    def whole(self) -> float:
        """How long it is kept at all."""
        return self.fresh + max(self.revalidate, self.if_error)


@dataclass(slots=True)
class Entry:
    """A reply as JSON text, and what is known of it.

    `form` says what `text` is: one `"body"`, or the list of a stream's `"events"`. `kind` names the class of
    a function's value, and `kinds` the classes of its items, where plain JSON is not what it returned.
    `stored` is POSIX time.
    """

    key: str
    form: Literal["body", "events"]
    text: str
    stored: float
    terms: Terms
    operation: str
    provider: str
    base_url: str
    model: str | None
    """Which model answered."""
    asked: str | None
    """Which model was asked for."""
    partition: tuple[str | None, ...]
    tenant: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    usage: Usage | None = None
    kind: str | None = None
    question: Question | None = None
    """The text it answers, where similar ones may share it."""
    since: float = field(default=0.0, repr=False, compare=False)
    """When it was stored by the clock of the process that has it on its shelf."""
    _plain: Any = field(default=_UNREAD, repr=False, compare=False)

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory."""
        return sys.getsizeof(self.text) + _REST

    def data(self) -> Any:
        """Return the body or the events, fresh objects each time."""
        if self._plain is not _UNREAD:
            return self._plain
        data = json.loads(self.text)
        if type(data) not in (dict, list):
            self._plain = data  # nobody can change it
        return data

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON-able data."""
        found = {name: getattr(self, name) for name in self.__slots__ if name not in _REWRITTEN}
        found["tags"] = dict(self.tags)
        found["partition"] = list(self.partition)
        found["terms"] = [self.terms.fresh, self.terms.revalidate, self.terms.if_error]
        found["usage"] = None if self.usage is None else _usage_json(self.usage)
        if self.question is None:
            del found["question"]
        return found

    @classmethod
    def from_json(cls, data: Any) -> Entry:
        """Return the entry that `to_json` made.

        Raises:
            KeyError, TypeError, ValueError: it is no such data.
        """
        known = {name: data[name] for name in cls.__slots__ if name in data and name not in _LOCAL}
        if not isinstance(known["text"], str) or known["form"] not in ("body", "events"):
            raise ValueError("no entry of a cache")
        json.loads(known["text"])
        known["partition"] = tuple(data["partition"])
        known["terms"] = Terms(*(float(seconds) for seconds in data["terms"]))
        known["usage"] = None if data["usage"] is None else Usage(**data["usage"])
        if "question" in known:
            known["question"] = Question(*(str(part) for part in data["question"]))
        return cls(**known)


def _usage_json(usage: Usage) -> dict[str, Any]:
    found = {each.name: getattr(usage, each.name) for each in fields(Usage)}
    found["server_tool_calls"] = dict(usage.server_tool_calls)
    return {name: value for name, value in found.items() if value}
