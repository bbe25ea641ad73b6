"""A scrubbed text, and the way back."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from agentprod.safety.pii.restore import restore
from agentprod.safety.pii.spans import Span
from agentprod.safety.pii.vault import Vault

__all__ = ["Piece", "Scrubbed"]


class Piece(NamedTuple):
    """One replacement.

    Attributes:
        span: what was found, in offsets of the original text.

        strategy: name of the strategy that was used.

        start: offset of the replacement in the scrubbed text.

        end: offset after it.

        value: the original, of a reversible placeholder only.
    """

    span: Span
    strategy: str
    start: int
    end: int
    value: str


class Scrubbed:
    """What `scrub` returns. Printing it shows the scrubbed text only."""

    __slots__ = ("_pieces", "text", "vault")

    def __init__(self, text: str, pieces: tuple[Piece, ...], vault: Vault) -> None:
        self.text = text
        """The text with everything found replaced."""
        self.vault = vault
        """What the placeholders stand for."""
        self._pieces = pieces

    @property
    def spans(self) -> tuple[Span, ...]:
        """What was found, in offsets of the original text."""
        return tuple(piece.span for piece in self._pieces)

    @property
    def counts(self) -> dict[str, int]:
        """How many values were found, by entity."""
        return dict(Counter(piece.span.entity for piece in self._pieces))

    @property
    def passed(self) -> bool:
        """Whether a value was left in the text by the strategy `"pass"`."""
        return any(piece.strategy == "pass" for piece in self._pieces)

    def restore(self, text: str | None = None) -> str:
        """Put values back in place of their placeholders.

        Args:
            text: such as a model's answer; default the scrubbed text itself, which then comes back letter by letter as
                it was, but for what was redacted, masked or hashed.
        """
        if text is not None:
            return restore(text, self.vault)
        out: list[str] = []
        done = 0
        for piece in self._pieces:
            if piece.strategy == "placeholder":
                out += (self.text[done : piece.start], piece.value)
                done = piece.end
        return "".join((*out, self.text[done:]))

    def __repr__(self) -> str:
        return f"Scrubbed({self.text!r})"
