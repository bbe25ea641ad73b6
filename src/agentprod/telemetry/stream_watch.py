"""A stream while it is traced: whose span is current, how long it keeps one waiting, how it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Token
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, get_current

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from agentprod.events import Event, Source

__all__ = ["StreamWatch", "detach"]

_LAST_EVENTS = 8
"""So many last events are kept: the finish reasons of several choices, then the usage."""

_MOST_EVENTS = 20_000
"""Of a longer stream the rest is not recorded, where its text is recorded at all."""


def detach(token: Token[Any]) -> None:
    """Undo an `attach`; quietly nothing where the coroutine ended in another context, which never saw it."""
    # OpenTelemetry's own detach writes an error to the log in that case, though nothing is wrong.
    try:
        token.var.reset(token)
    except ValueError:
        pass


class StreamWatch:
    """A stream's source while it is traced, and a stage that remembers what ends are read from.

    The attempt's span is current only while the provider is read: what the consumer does between two
    chunks is not part of the call.
    """

    __slots__ = ("_all", "_context", "_first", "_gap", "_last", "_now", "_source", "count", "first_content", "longest")

    def __init__(
        self,
        source: Source,
        context: Context | None,
        now: Callable[[], float],
        *,
        keep: bool,
        gap: Callable[[float], None] | None = None,
    ) -> None:
        self._source = source
        self._context = context
        self._now = now
        self._gap = gap
        self._all: list[Any] | None = [] if keep else None
        self._first: Any = None
        self._last: deque[Any] = deque(maxlen=_LAST_EVENTS)
        self.count = 0
        self.longest: float | None = None
        """The longest wait for the provider between two chunks, in seconds."""
        self.first_content = now()
        """Monotonic time at which the stream was open: its first content has arrived then."""

    def seen(self) -> list[Any]:
        """Return the first event and the last ones; of a short stream the first is among both."""
        return [self._first, *self._last]

    def events(self) -> list[Any]:
        """Return all events, when they were to be kept."""
        return self._all or []

    # As a source

    async def read(self) -> list[Event] | None:
        """Read with the attempt's span current."""
        started = self._now()
        token = attach(self._context) if self._context is not None else None
        try:
            return await self._source.read()
        finally:
            if token is not None:
                # A generator that keeps a span open over its `yield` finds it current again.
                self._context = get_current()
                detach(token)
            waited = self._now() - started
            if self.longest is None or waited > self.longest:
                self.longest = waited
            if self._gap is not None:
                self._gap(waited)

    async def close(self) -> None:
        """Close with the attempt's span current."""
        token = attach(self._context) if self._context is not None else None
        try:
            await self._source.close()
        finally:
            if token is not None:
                detach(token)

    def drop(self) -> None:
        """Release the connection."""
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
        """Remember the first and the last events."""
        found = [event.data for event in events if event.data is not None]
        if self._first is None and found:
            self._first = found[0]
        self._last.extend(found)
        if self._all is not None and self.count < _MOST_EVENTS:
            self._all.extend(found[: _MOST_EVENTS - self.count])
        self.count += len(found)
        return events

    def finish(self) -> list[Event]:
        """Keep nothing back."""
        return []
