"""Hold a stream's events back until their text has been checked."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentprod.dialects.base import Dialect
    from agentprod.events import Event, Source

__all__ = ["CheckedStream"]

_SENTENCE_END = re.compile(r"[.!?。！？\n]\s*\Z")


class CheckedStream:
    """A stream's source and a stage of it in one: the source may wait, the stage holds back.

    Args:
        source: where the events come from.

        dialect: of the events.

        check: returns why a text may not pass, or `None`.

        every: characters after which is checked even without the end of a sentence.

        context: characters of what has passed that are checked again with what follows.
    """

    def __init__(
        self,
        source: Source,
        dialect: Dialect,
        check: Callable[[str], Awaitable[Exception | None]],
        *,
        every: int,
        context: int,
    ) -> None:
        self._source, self._dialect, self._check = source, dialect, check
        self._every, self._context = every, context
        self._held: list[Event] = []
        self._cleared = 0
        self._texts: dict[int, str] = {}
        """Text that waits for its check, by answer: several may be told side by side."""
        self._passed: dict[int, str] = {}
        self._refusal: Exception | None = None

    # As a source

    async def read(self) -> list[Event] | None:
        """Check what is due, then read on."""
        if any(len(text) >= self._every or _SENTENCE_END.search(text) for text in self._texts.values()):
            await self._settle()
            if self._refusal is not None or self._cleared:
                return []  # lets the stage give out what has passed, or raise
        batch = await self._source.read()
        if batch is None:
            await self._settle()
            if self._refusal is not None:
                return []
        return batch

    async def _settle(self) -> None:
        for choice, text in list(self._texts.items()):
            before = self._passed.get(choice, "")
            self._refusal = self._refusal or await self._check(before + text)
            self._passed[choice] = (before + text)[-self._context :] if self._context else ""
        self._texts.clear()
        self._cleared = len(self._held)

    async def check_all(self, events: Sequence[Event]) -> Exception | None:
        """Check a stream that was read to its end before it was delivered; return why it may not pass."""
        self._collect(events)
        await self._settle()
        return self._refusal

    async def close(self) -> None:
        """Release the connection."""
        await self._source.close()

    def drop(self) -> None:
        """Release the connection without waiting."""
        self._source.drop()

    async def error(self, event: Event) -> Exception:
        """Return what the SDK raises for an error event."""
        return await self._source.error(event)

    def broken(self, error: BaseException) -> BaseException:
        """Return the SDK's error for a transport's."""
        return self._source.broken(error)

    def late(self) -> BaseException | None:
        """Return the SDK's timeout error."""
        return self._source.late()

    # As a stage

    def feed(self, events: list[Event]) -> list[Event]:
        """Hold new events and give out those whose text has passed."""
        if self._refusal is not None:
            raise self._refusal
        self._collect(events)
        self._held += events
        if not self._texts:
            self._cleared = len(self._held)  # nothing to check in them
        out, self._held = self._held[: self._cleared], self._held[self._cleared :]
        self._cleared = 0
        return out

    def _collect(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.data is not None:
                for part, text, _ in self._dialect.event_fragments(event.data):
                    if part.kind in ("text", "refusal"):
                        self._texts[part.choice] = self._texts.get(part.choice, "") + text

    def finish(self) -> list[Event]:
        """Give out the rest: it was checked when the source ended."""
        if self._refusal is not None:
            raise self._refusal
        out, self._held = self._held, []
        return out
