"""Hold an SDK's decoding back until the reply leaves the onion.

The marker travels in the request options, as the `post_parser` that every SDK of this shape carries
unread from the start of a request to its end.
"""

from __future__ import annotations

from typing import Any

from agentprod.edge.sockets import SocketWatch

__all__ = ["Suspended", "Undecoded"]


class Suspended:
    """Marks the options of a request whose response must not be decoded yet.

    Args:
        post_parser: what the options carried.

        until: monotonic time beyond which the SDK's own retries must not sleep; `None` for no bound.

        now: returns monotonic time.

        watch: remembers the socket of a synchronous request; `None` when nobody will need it.
    """

    __slots__ = ("now", "post_parser", "until", "watch")

    def __init__(self, post_parser: Any, until: float | None, now: Any, watch: SocketWatch | None) -> None:
        self.post_parser = post_parser
        self.until = until
        self.now = now
        self.watch = watch

    def __deepcopy__(self, memo: Any) -> Suspended:
        # Bedrock's clients send a deep copy of the options; this is a mark on the request, not a part of it.
        return self

    def __call__(self, parsed: Any) -> Any:
        """Decode as the SDK would have."""
        # Only reached when an SDK decodes past the hook:
        return self.post_parser(parsed) if callable(self.post_parser) else parsed


class Undecoded:
    """An HTTP response and how the SDK was about to decode it."""

    __slots__ = ("cast_to", "chained", "client", "options", "response", "retries_taken", "stream", "stream_cls")

    def __init__(
        self,
        client: Any,
        *,
        cast_to: Any,
        options: Any,
        response: Any,
        stream: bool,
        stream_cls: Any,
        retries_taken: int = 0,
    ) -> None:
        self.client = client
        self.cast_to = cast_to
        self.options = options
        self.response = response
        self.stream = stream
        self.stream_cls = stream_cls
        self.retries_taken = retries_taken
        self.chained: Any = None
        """The request object of the client's own middleware chain, when it has one."""
