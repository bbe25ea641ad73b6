"""Events of a stream: where they come from and what layers do to them on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

__all__ = ["ErrorEvent", "Event", "Recorded", "Source", "Stage", "Watch"]


class ErrorEvent(RuntimeError):
    """Raised for an error event that no SDK turns into an exception of its own; `body` is the event."""

    def __init__(self, body: Any) -> None:
        inner = body.get("error") if isinstance(body, dict) else None
        told = [inner[key] for key in ("code", "type") if isinstance(inner, dict) and isinstance(inner.get(key), str)]
        super().__init__(" ".join(("the stream carried an error event", *told)))
        self.body: Any = body


class Event:
    """One event: its JSON, and its bytes as long as nobody changed it.

    `data` is `None` for what carries no JSON, such as `[DONE]` and comments. `native` is the object
    a function yielded; once `edited`, only its class still tells what to hand out.
    """

    __slots__ = ("data", "edited", "native", "raw")

    def __init__(self, data: Any, raw: bytes | None = None, native: Any = None, edited: bool = False) -> None:
        self.data: Any = data
        self.raw: bytes | None = raw
        self.native: Any = native
        self.edited: bool = edited


class Source(Protocol):
    """Where events come from."""

    async def read(self) -> list[Event] | None:
        """Return the next batch, never empty; `None` at the end."""
        ...

    async def close(self) -> None:
        """Release the connection; may be called more than once."""
        ...

    def drop(self) -> None:
        """Release the connection without waiting; called when the stream was garbage-collected."""
        ...

    async def error(self, event: Event) -> Exception:
        """Return the exception the provider's SDK raises for an error event."""
        ...

    def broken(self, error: BaseException) -> BaseException:
        """Return the exception the provider's SDK raises where the transport raised `error`."""
        ...

    def late(self) -> BaseException | None:
        """Return the SDK's timeout error, to be the cause of ours."""
        ...


class Stage(Protocol):
    """Something a layer added to a stream."""

    def feed(self, events: list[Event]) -> list[Event]:
        """Take a batch and return what goes on outward."""
        ...

    def finish(self) -> list[Event]:
        """Return what was kept back; the stream has ended."""
        ...


class Recorded:
    """Replays stored events, one batch each, as they were recorded."""

    def __init__(self, events: Sequence[Any]) -> None:
        self._events = iter(events)

    async def read(self) -> list[Event] | None:
        """Return the next event."""
        for data in self._events:
            return [Event(data)]
        return None

    async def close(self) -> None:
        """Hold nothing, release nothing."""

    def drop(self) -> None:
        """Hold nothing, release nothing."""

    async def error(self, event: Event) -> Exception:
        """Return the event as an exception."""
        return ErrorEvent(event.data)

    def broken(self, error: BaseException) -> BaseException:
        """Return `error` as it is."""
        return error

    def late(self) -> BaseException | None:
        """Return nothing: no SDK is behind a recording."""
        return None


class Watch:
    """A stage that only looks."""

    __slots__ = ("_fn",)

    def __init__(self, fn: Callable[[Any], None]) -> None:
        self._fn = fn

    def feed(self, events: list[Event]) -> list[Event]:
        """Show each event's JSON and pass all on."""
        fn = self._fn
        for event in events:
            if event.data is not None:
                fn(event.data)
        return events

    def finish(self) -> list[Event]:
        """Keep nothing back."""
        return []
