"""A semantic cache's answer in this process: one object for its place among the texts and for what is known of it."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from agentprod.caching import stored
from agentprod.caching.entries import Entry
from agentprod.caching.question import Asked, text_key
from agentprod.caching.vectors import Question

if TYPE_CHECKING:
    from agentprod.caching.entries import Terms
    from agentprod.usage import Usage

__all__ = ["Answer", "Origin", "name_of"]

MAX_NAMED = 1_000
"""Characters up to which a text without a vector is known by itself; longer ones by their key."""

_DIGESTED = "\0"
_REST = 1_300
"""Bytes of an answer besides both texts: vector, guard readings, and their places in the containers."""


class Origin(NamedTuple):
    """Where an answer came from: what many answers have in common, and keep once."""

    form: Literal["body", "events"]
    operation: str
    provider: str
    base_url: str
    model: str | None
    asked: str | None
    partition: tuple[str | None, ...]
    tenant: str | None
    tags: tuple[tuple[str, str], ...]
    kind: str | None


class Answer(stored.Entry["str | Answer"]):
    """An entry without what can be worked out from its text, its partition and its time.

    Args:
        entry: whose reply it is.
    """

    __slots__ = ("origin", "reply", "terms", "usage")

    origin: Origin
    reply: str
    terms: Terms
    usage: Usage | None

    def __init__(self, entry: Entry) -> None:
        self.origin = _shared(
            Origin(
                entry.form,
                entry.operation,
                entry.provider,
                entry.base_url,
                entry.model,
                entry.asked,
                entry.partition,
                entry.tenant,
                tuple(entry.tags.items()),
                entry.kind,
            )
        )
        self.reply = entry.text
        self.terms = entry.terms
        self.usage = entry.usage

    @property
    def value(self) -> Answer:
        """The answer itself."""
        return self

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory."""
        return sys.getsizeof(self.reply) + sys.getsizeof(self.text) + _REST

    @property
    def key(self) -> str:
        """The key of the request it answers, 64 hex digits."""
        return self.text[1:] if self.text.startswith(_DIGESTED) else text_key(self._home, self.text)

    def entry(self, now: float, wall: float) -> tuple[Entry, float]:
        """Return the whole entry, and its age in seconds.

        Args:
            now: monotonic seconds, of the matcher's clock.

            wall: POSIX time at the same moment.
        """
        origin, terms, home = self.origin, self.terms, self._home
        assert self.expires is not None
        age = now - self.expires + terms.whole
        found = Entry(
            self.key,
            origin.form,
            self.reply,
            wall - age,
            terms,
            origin.operation,
            origin.provider,
            origin.base_url,
            origin.model,
            origin.asked,
            origin.partition,
            origin.tenant,
            dict(origin.tags),
            self.usage,
            origin.kind,
            Question(home, self.text),
            now - age,
        )
        return found, age

    @property
    def _home(self) -> str:
        home: Any = self.home.key
        return str(home)


def name_of(asked: Asked, key: str) -> str:
    """Return what a text without a vector is kept under.

    Args:
        asked: the text.

        key: of its request.
    """
    return asked.text if len(asked.text) <= MAX_NAMED else _DIGESTED + key


@lru_cache(maxsize=4096)
def _shared(origin: Origin) -> Origin:
    """Return the first of equal origins."""
    return origin
