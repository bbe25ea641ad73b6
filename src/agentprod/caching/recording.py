"""Streams on their way into the cache, and out of it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agentprod.caching.values import Unfaithful, freeze
from agentprod.events import Event, Recorded

__all__ = ["MAX_BYTES", "Recorder", "Replay"]

MAX_BYTES = 2_000_000
"""Longest recording, in characters of JSON."""


class Recorder:
    """A stage that writes down what passes.

    Args:
        native: whether the items are a function's own values, which must come back as they were.

        max_bytes: a longer stream is not recorded.
    """

    def __init__(self, *, native: bool, max_bytes: int = MAX_BYTES) -> None:
        self._native = native
        self._left = max_bytes
        self._pieces: list[str] = []
        self.kind: type | None = None
        self.refused: str | None = None
        """Why there is no recording."""
        self.unfaithful: str | None = None
        """The kind of item that JSON cannot bring back."""

    def feed(self, events: list[Event]) -> list[Event]:
        """Write events down and pass them on."""
        try:
            for event in events:
                if self.refused is None:
                    self._write(event)
        except Exception:  # a layer inside may put anything into an event, and the stream must not break by it
            self._stop("unreadable")
        return events

    def finish(self) -> list[Event]:
        """Keep nothing back."""
        return []

    @property
    def text(self) -> str:
        """The recording as a JSON list."""
        return f"[{','.join(self._pieces)}]"

    def _write(self, event: Event) -> None:
        if not self._native:
            if event.data is None:
                return
            piece, kind = json.dumps(event.data, ensure_ascii=False), None
        else:
            value = event.data if event.native is None or event.edited else event.native
            try:
                piece, kind = freeze(value)
            except Unfaithful as error:
                self._stop("unfaithful")
                self.unfaithful = f"a {error}"
                return
            if self._pieces and kind is not self.kind:
                self._stop("unfaithful")
                self.unfaithful = "items of several classes"
                return
        self.kind = kind
        self._left -= len(piece)
        if self._left < 0:
            self._stop("too_large")
            return
        self._pieces.append(piece)

    def _stop(self, reason: str) -> None:
        self.refused = self.refused or reason
        self._pieces.clear()


class Replay(Recorded):
    """Replays stored events, one batch each, with the objects a function yielded."""

    def __init__(self, events: Sequence[Any], natives: Sequence[Any] | None = None) -> None:
        super().__init__(events)
        self._natives = None if natives is None else iter(natives)

    async def read(self) -> list[Event] | None:
        """Return the next event."""
        batch = await super().read()
        if batch is not None and self._natives is not None:
            batch[0].native = next(self._natives)
        return batch
