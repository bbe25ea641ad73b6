"""What goes into a matcher and what comes out of it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

from agentprod.caching.guards import GuardFeatures

__all__ = ["Decision", "Probe", "StoredEntry"]

V = TypeVar("V")


class Probe(NamedTuple):
    """A text made ready for matching.

    Args:
        text: the text, tidied.

        features: what the guards read in it.

        refusal: why it cannot be matched (`"short"`, `"code"`, `"window"` …), or `None`.
    """

    text: str
    features: GuardFeatures
    refusal: str | None


class Decision(NamedTuple, Generic[V]):
    """What was found for a text, and why.

    Args:
        hit: `value` may be the answer.

        reason: `"same"` (the very text), `"similar"`; or, without a hit, `"none"` (nothing near), `"below"` the
            threshold, `"guard:<name>"` for the nearest entry, `"reported"` as wrong before, `"refused:<why>"`.

        threshold: the least cosine.

        similarity: cosine of the entry that decided; `None` when there was none.

        value: the stored value of a hit.

        partition: where it was looked for.

        text: what was looked for.

        matched: the text of the entry that decided.
    """

    hit: bool
    reason: str
    threshold: float
    similarity: float | None
    value: V | None
    partition: Hashable
    text: str
    matched: str | None

    def __str__(self) -> str:
        return self.reason if self.similarity is None else f"{self.reason} {self.similarity:.3f}"


class StoredEntry(NamedTuple, Generic[V]):
    """An entry as it is exported.

    Args:
        partition: whose it is.

        text: the text it answers.

        value: the stored value.

        expires_in: seconds left; `None` for ever.
    """

    partition: Hashable
    text: str
    value: V
    expires_in: float | None
