"""A stream that goes wrong on purpose, after its first content."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentprod.events import Event
    from agentprod.stream import EventStream

__all__ = ["StruckSource"]


class StruckSource:
    """Reads what another source has, until the fault strikes.

    Args:
        stream: the open stream it stands in.

        after: events that still come before it strikes, 0 or more.

        error: what its end raises; `None` for a silent end.

        pause: seconds it falls silent for instead of ending; `None` to end it.
    """

    def __init__(self, stream: EventStream, after: int, error: BaseException | None, pause: float | None) -> None:
        self._source = stream.source
        self._runtime = stream.runtime
        self._left: int | None = after
        self._error = error
        self._pause = pause
        self._held: list[Event] = []

    async def read(self) -> list[Event] | None:
        """Return the next batch, cut where the fault strikes."""
        if self._left == 0:
            if self._pause is None:
                if self._error is not None:
                    raise self._error
                return None
            self._left = None
            await self._runtime.sleep(self._pause)
        batch = self._held or await self._source.read()
        self._held = []
        if batch is None or self._left is None:
            return batch
        batch, self._held = batch[: self._left], batch[self._left :]
        self._left -= len(batch)
        return batch

    async def close(self) -> None:
        """Release the connection."""
        await self._source.close()

    def drop(self) -> None:
        """Release the connection without waiting."""
        self._source.drop()

    async def error(self, event: Event) -> Exception:
        """Return the exception of the provider's SDK for an error event."""
        return await self._source.error(event)

    def broken(self, error: BaseException) -> BaseException:
        """Return the SDK's exception for one of the transport; an error of chaos is one of the SDK already."""
        return error if error is self._error else self._source.broken(error)

    def late(self) -> BaseException | None:
        """Return the SDK's timeout error."""
        return self._source.late()
