"""What a guard is, and how a set of them judges a pair of texts."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from agentprod.caching.guards.sentence import Sentence

__all__ = ["Guard", "GuardFeatures", "Side"]


class Side(NamedTuple):
    """One text of a pair, as a guard is shown it.

    Args:
        text: the text itself, in NFKC and simplified characters.

        reading: what the guard's `read` returned for it.
    """

    text: str
    reading: str


class Guard(Protocol):
    """Says of two similar texts that they must not share an answer.

    `read` runs once per text, when it is stored or asked; `conflict` runs for each candidate, and only when the two
    readings differ: equal readings are taken as no conflict. Neither may keep state.
    """

    @property
    def name(self) -> str:
        """One word; a blocked pair is reported as `guard:<name>`."""
        ...

    def read(self, sentence: Sentence, /) -> str:
        """Return what matters in one text, as a short string without the character U+001F."""
        ...

    def conflict(self, one: Side, other: Side, /) -> bool:
        """Return whether the two texts ask for different answers."""
        ...


class GuardFeatures(NamedTuple):
    """What a set of guards read in one text; 150 bytes or so beside the text itself.

    Args:
        text: the text.

        readings: one reading per guard, joined by U+001F.
    """

    text: str
    readings: str
