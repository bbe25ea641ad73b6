"""What the scripted provider is going to put on the socket, piece by piece, as data.

A surface (`wire/`) plans the faithful reply, and behaviours then deform the plan: so every fault
goes with every reply, and one fault with another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

__all__ = ["Ending", "Mark", "Piece", "Plan"]

Ending = Literal["complete", "close", "fin", "rst", "stall"]
"""How a reply ends: properly; properly and without keep-alive; by a dying socket; or not at all."""


Mark = Literal["frame", "content", "open_tool_call", "terminal"]
"""What sending a piece means: nothing for the reply's text; text, reasoning, a refusal or a part of a tool call;
the same, and a tool call's arguments are begun and incomplete after it; or that the reply is complete."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a body that are sent together; in a stream, one event."""

    data: bytes
    mark: Mark = "frame"
    delay: float = 0.0
    """Seconds to wait before it is sent."""

    @property
    def content(self) -> bool:
        """Whether it carries any of the reply itself."""
        return self.mark in ("content", "open_tool_call")


@dataclass(frozen=True, slots=True)
class Plan:
    """One HTTP response, whole or damaged."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[Piece, ...] = ()
    stream: bool = False
    """Sent with chunked transfer encoding, one chunk per piece, and not with a Content-Length."""
    length: int | None = None
    """The Content-Length promised when it is not that of the pieces."""
    head: bool = True
    """Whether status line and headers are sent at all."""
    framed: bool = True
    """False sends the pieces as they are, without any HTTP around them."""
    delay: float = 0.0
    """Seconds to wait before the status line."""
    ending: Ending = "complete"
    write_size: int | None = None
    """Bytes per write; `None` writes each piece at once."""
    write_interval: float = 0.0
    """Seconds between writes when `write_size` is set."""

    def keep(self, count: int) -> Plan:
        """Return the plan with only the first `count` pieces."""
        return replace(self, pieces=self.pieces[:count])

    def insert(self, index: int, *pieces: Piece) -> Plan:
        """Return the plan with more pieces before the one at `index`."""
        return replace(self, pieces=(*self.pieces[:index], *pieces, *self.pieces[index:]))

    def position(self, after: int | None, *, before_terminal: bool) -> int:
        """Return how many pieces go out before a fault strikes.

        Args:
            after: that number; `None` for the middle of the content, with at least one piece of it sent.

            before_terminal: never let the fault strike after what says that the reply is complete.
        """
        end = len(self.pieces)
        if before_terminal:
            end = next((index for index, piece in enumerate(self.pieces) if piece.mark == "terminal"), end)
        if after is not None:
            return min(after, end)
        content = [index for index, piece in enumerate(self.pieces) if piece.content]
        return content[(len(content) - 1) // 2] + 1 if content else end // 2
