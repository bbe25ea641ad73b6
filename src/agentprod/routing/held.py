"""A reply held back until somebody has decided whether it is to be delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentprod.events import Event, Recorded
from agentprod.reply import Reply, make_reply
from agentprod.stream import EventStream

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["hold"]


class _Held(Recorded):
    """Delivers events as they came."""

    def __init__(self, batches: list[list[Event]]) -> None:
        super().__init__(())
        self._batches = iter(batches)

    async def read(self) -> list[Event] | None:
        """Return the next batch."""
        return next(self._batches, None)


async def hold(reply: Reply, call: Call) -> tuple[Reply, Any]:
    """Read a reply to its end.

    Args:
        reply: as it came from the layers inside.

        call: the call as it came from outside.

    Returns:
        The reply to deliver, and its whole body in the caller's wire form. A stream has ended for the layers inside,
        and the reply to deliver replays it.

    Raises:
        Exception: whatever broke the stream, or made a whole body unreadable; the reply is discarded then.
    """
    stream = reply.stream
    if stream is None:
        try:
            return reply, reply.body
        except Exception:
            await reply.discard()
            raise
    batches: list[list[Event]] = []
    while (batch := await stream.pull()) is not None:
        batches.append(batch)
    body = call.dialect.join([event.data for batch in batches for event in batch if event.data is not None])
    # Observers have seen these events when they came.
    replay = make_reply(reply.call, stream=EventStream(_Held(batches), call.replace(observers=(), followers=())))
    replay.attempt = reply.attempt
    replay.safe = reply.safe
    return replay, body
