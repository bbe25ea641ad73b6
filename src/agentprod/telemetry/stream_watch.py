"""A stream while it is traced: whose span is current, how long it keeps one waiting, how it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from itertools import islice, repeat
from operator import attrgetter, is_not
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.context import attach

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from agentprod.events import Event, Source

__all__ = ["KeptEvents", "StreamWatch", "Watched", "detach"]

_LAST_EVENTS = 8
"""So many last events are kept: the finish reasons of several choices, then the usage."""

_MOST_EVENTS = 20_000
"""Of a longer stream the rest is not recorded, where its text is recorded at all."""

_data = attrgetter("data")


def detach(token: Token[Any]) -> None:
    """Undo an `attach`; quietly nothing where the coroutine ended in another context, which never saw it."""
    # OpenTelemetry's own detach writes an error to the log in that case, though nothing is wrong.
    try:
        token.var.reset(token)
    except ValueError:
        pass


def _variable(context: Context) -> ContextVar[Context]:
    """Return the variable in which OpenTelemetry keeps the current context: `attach` for every chunk costs more."""
    token = attach(context)
    detach(token)
    return token.var


class Watched(NamedTuple):
    """What is told of a stream that has ended."""

    chunks: int
    """Events that came, the closing marker aside."""
    longest: float
    """The longest wait for the provider between two chunks, in seconds; below 0 before the first."""
    first_content: float
    """Monotonic time at which the stream was open."""
    seen: list[Any]
    """The first event and the last ones; of a short stream the first is among both."""


class StreamWatch:
    """A stream's source while it is traced; of what comes it remembers what ends are read from.

    The attempt's span is current only while the provider is read: what the consumer does between two
    chunks is not part of the call. What is done for every chunk is as little as can be.

    Args:
        source: where the events come from.

        ahead: events that were read already and wait for the consumer.

        context: what is current while the provider is read; `None` leaves that as it is.

        now: the clock.

        quiet: whether reading runs none of the application's code, so that nobody sees what is current meanwhile.

        gap: told of each wait for the provider, in seconds.
    """

    __slots__ = (
        "_context",
        "_current",
        "_first",
        "_gap",
        "_keep",
        "_last",
        "_now",
        "_read",
        "_source",
        "count",
        "first_content",
        "longest",
    )

    def __init__(
        self,
        source: Source,
        ahead: Sequence[Event],
        context: Context | None,
        now: Callable[[], float],
        *,
        quiet: bool = False,
        gap: Callable[[float], None] | None = None,
    ) -> None:
        self._source = source
        self._read = source.read
        self._context = context
        self._current = None if context is None or quiet else _variable(context)
        self._now = now
        self._gap = gap
        self._first = list(ahead)
        self._last: deque[list[Event]] = deque(maxlen=_LAST_EVENTS)
        self._keep = self._last.append
        self.count = _chunks(ahead)
        """Events that came, the closing marker aside."""
        self.longest = -1.0
        """The longest wait for the provider between two chunks, in seconds; below 0 before the first."""
        self.first_content = now()
        """Monotonic time at which the stream was open: its first content has arrived then."""

    def unread(self, left: Sequence[Event]) -> None:
        """Take back what was read ahead and never reached the consumer, and the marker that closes a stream."""
        self.count -= _chunks(left) + sum(len(batch) - _chunks(batch) for batch in self._last)

    def watched(self) -> Watched:
        """Return what came of the stream, without a hold on it."""
        batches = (self._first, *self._last)
        first = (event.data for batch in batches for event in batch if event.data is not None)
        last = (event.data for batch in reversed(batches) for event in reversed(batch) if event.data is not None)
        seen = [*islice(first, 1), *reversed(list(islice(last, _LAST_EVENTS)))]
        return Watched(self.count, self.longest, self.first_content, seen)

    async def read(self) -> list[Event] | None:
        """Read with the attempt's span current where anybody would see it."""
        now, current = self._now, self._current
        started = now()
        try:
            batch = await (self._read() if current is None else self._read_within(current))
        finally:
            waited = now() - started
            if waited > self.longest:
                self.longest = waited
            if self._gap is not None:
                self._gap(waited)
        if batch is not None:
            self._keep(batch)
            self.count += len(batch)
        return batch

    async def _read_within(self, current: ContextVar[Context]) -> list[Event] | None:
        assert self._context is not None
        token = current.set(self._context)
        try:
            return await self._read()
        finally:
            # A generator that keeps a span open over its `yield` finds it current again.
            self._context = current.get()
            detach(token)

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


def _chunks(events: Sequence[Event]) -> int:
    # Without a step of the interpreter for each: all of a short reply may come in one read.
    return sum(map(is_not, map(_data, events), repeat(None)))


class KeptEvents:
    """A stage that keeps what passes, for the message text of a stream that is recorded."""

    __slots__ = ("events",)

    def __init__(self) -> None:
        self.events: list[Any] = []

    def feed(self, events: list[Event]) -> list[Event]:
        """Keep the events' JSON and pass all on."""
        left = _MOST_EVENTS - len(self.events)
        if left > 0:
            self.events.extend([event.data for event in events if event.data is not None][:left])
        return events

    def finish(self) -> list[Event]:
        """Keep nothing back."""
        return []
