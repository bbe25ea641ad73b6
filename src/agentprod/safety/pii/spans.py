"""What a detector reports: a span of text and how sure it is. Values themselves are never carried along."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Span"]


class Span(NamedTuple):
    """One finding.

    A span holds offsets only, so it can be logged, counted and compared without exposing what was found.

    Attributes:
        start: offset of the first character.

        end: offset after the last character.

        entity: name of what was found, such as `"EMAIL"`.

        score: 0 to 1. 1.0 a checksum holds, 0.95 checksum and issuer or a vendor's prefix, 0.85 a strong shape,
            0.5 to 0.7 a weak shape that needed its context; what is below 0.5 is off unless asked for.
    """

    start: int
    end: int
    entity: str
    score: float
