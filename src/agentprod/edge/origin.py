"""What one call asked its SDK client for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentprod.call import Call
    from agentprod.stream import Source

__all__ = ["Origin"]


class Origin:
    """What one SDK method asked its client for."""

    __slots__ = (
        "cast_to",
        "client",
        "hides_usage",
        "idempotency_key",
        "options",
        "post_parser",
        "request",
        "retell",
        "stream",
        "stream_cls",
    )

    def __init__(self, client: Any, cast_to: Any, options: Any, stream: bool, stream_cls: Any) -> None:
        self.client = client
        self.cast_to = cast_to
        self.options = options
        asked = options.__dict__  # a model of pydantic answers in Python when it is asked for its attributes
        self.post_parser = asked["post_parser"]
        self.stream = stream
        self.stream_cls = stream_cls
        self.request: Any = None
        self.hides_usage = False
        self.retell: Callable[[Source], tuple[Source, Call]] | None = None
        """Puts a stream into the words of a caller who speaks another wire format."""
        self.idempotency_key = asked["idempotency_key"]
