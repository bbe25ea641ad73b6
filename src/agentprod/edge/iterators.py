"""Iterators as sources of events, and streams handed back as iterators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from agentprod.dialects.function import from_json, to_json
from agentprod.events import ErrorEvent, Event
from agentprod.runtime.drive import drive

if TYPE_CHECKING:
    from agentprod.stream import EventStream

__all__ = ["AsyncItems", "AsyncIteratorSource", "Items", "IteratorSource", "direct", "native"]


NO_SEND = (
    "a stack reads a generator's items one ahead, so nothing can be sent into it; "
    "pass what it needs as arguments, or decorate the function that makes one item"
)


class IteratorSource:
    """Reads a plain iterator or generator."""

    returned: Any = None
    """What a generator returned at its end."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator
        self.next: Callable[[], Any] = iterator.__next__
        """Returns the next item as it is, or what it is to be awaited from."""

    async def read(self) -> list[Event] | None:
        """Return the next item."""
        try:
            item = self.next()
        except StopIteration as stop:
            self.returned = stop.value
            return None
        return [_event(item)]

    async def close(self) -> None:
        """Close the generator, or whatever has a `close`."""
        self.drop()

    def drop(self) -> None:
        """Close the generator, or whatever has a `close`."""
        close = getattr(self._iterator, "close", None)
        if callable(close):
            close()

    async def error(self, event: Event) -> Exception:
        """Return an error event that a function yielded as data as an exception."""
        return ErrorEvent(event.data)

    def broken(self, error: BaseException) -> BaseException:
        """Return the function's own exception."""
        return error

    def late(self) -> BaseException | None:
        """Return nothing: no SDK is behind a function."""
        return None


class AsyncIteratorSource(IteratorSource):
    """Reads an async iterator or generator."""

    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._async_iterator = iterator
        self.next = iterator.__anext__

    async def read(self) -> list[Event] | None:
        """Return the next item."""
        try:
            return [_event(await self.next())]
        except StopAsyncIteration:
            return None

    async def close(self) -> None:
        """Close the generator, or whatever has an `aclose`."""
        close: Any = getattr(self._async_iterator, "aclose", None)
        if close is not None:
            await close()

    def drop(self) -> None:
        """Do nothing: without a loop nothing can be awaited."""


class Items:
    """A stream of a function as an iterator; attributes are those of the iterator the function returned."""

    def __init__(self, stream: EventStream, native: Any = None) -> None:
        self._stream = stream
        self._native = native
        self._ready: list[Event] = []
        self._agentprod = stream.ledger

    def __iter__(self) -> Items:
        return self

    def __next__(self) -> Any:
        if not self._ready:
            batch = drive(self._stream.pull())
            if batch is None:
                raise StopIteration(getattr(self._stream.origin, "returned", None))
            self._ready = batch
        return native(self._ready.pop(0))

    def send(self, value: Any) -> Any:
        """Refuse: what a caller sends would go past the layers."""
        raise TypeError(NO_SEND)

    def throw(self, error: BaseException) -> Any:
        """Leave the stream and raise `error`."""
        self.close()
        raise error

    def close(self) -> None:
        """Leave the stream."""
        drive(self._stream.close())

    def __enter__(self) -> Items:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._stream.drop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__.get("_native"), name)


class AsyncItems:
    """The same for async iterators."""

    def __init__(self, stream: EventStream, native: Any = None) -> None:
        self._stream = stream
        self._native = native
        self._ready: list[Event] = []
        self._agentprod = stream.ledger

    def __aiter__(self) -> AsyncItems:
        return self

    async def __anext__(self) -> Any:
        if not self._ready:
            batch = await self._stream.pull()
            if batch is None:
                raise StopAsyncIteration
            self._ready = batch
        return native(self._ready.pop(0))

    async def aclose(self) -> None:
        """Leave the stream."""
        await self._stream.close()

    async def __aenter__(self) -> AsyncItems:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._stream.drop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__.get("_native"), name)


def direct(stream: EventStream, kind: type[IteratorSource]) -> IteratorSource | None:
    """Return the source of a stream, if it is of this kind and its items may go straight to the consumer."""
    source: Any = stream.source
    return source if type(source) is kind and stream.direct else None


def _event(item: Any) -> Event:
    return Event(item if type(item) in _JSON else to_json(item), None, item)


_JSON = frozenset({dict, str})


def native(event: Event) -> Any:
    """Return an event as the function yielded it; an edited one is rebuilt as the same kind."""
    if event.native is None:
        return event.data
    return from_json(event.data, type(event.native)) if event.edited else event.native
