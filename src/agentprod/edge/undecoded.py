"""Hold an SDK's decoding back until the reply leaves the onion.

The mark travels in the request options, as the `post_parser` that every SDK of this shape carries
unread from the start of a request to its end; there it takes the response.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentprod.edge.sockets import SocketWatch

__all__ = ["Undecoded"]


class Undecoded:
    """Marks the options of one request, and holds its HTTP response and how the SDK was about to decode it."""

    __slots__ = ("alone", "arguments", "chained", "client", "now", "post_parser", "response", "until", "watch")

    post_parser: Any
    """What the options carried."""
    until: float | None
    """Monotonic time beyond which the SDK's own retries must not sleep; `None` for no bound."""
    now: Callable[[], float]
    """Returns monotonic time."""
    watch: SocketWatch | None
    """Remembers the socket of a synchronous request; `None` when nobody will need it."""
    alone: bool
    """Whether nobody but the SDK has the options, which has not copied them yet."""
    client: Any
    arguments: dict[str, Any]
    response: Any
    chained: Any

    def hold(self, client: Any, arguments: dict[str, Any], chained: Any = None) -> Undecoded:
        """Take what the SDK would decode now.

        Args:
            client: whose response it is.

            arguments: those of the SDK's `_process_response`.

            chained: the request object of the client's own middleware chain, when it has one.
        """
        self.client = client
        self.arguments = arguments
        self.response = arguments["response"]
        self.chained = chained
        # The mark has arrived; left in the options, it would hold itself.
        arguments["options"].__dict__["post_parser"] = self.post_parser
        return self

    def __deepcopy__(self, memo: Any) -> Undecoded:
        # Bedrock's clients send a deep copy of the options; this is a mark on the request, not a part of it.
        return self

    def __call__(self, parsed: Any) -> Any:
        """Decode as the SDK would have."""
        # Only reached when an SDK decodes past the hook:
        return self.post_parser(parsed) if callable(self.post_parser) else parsed
