"""What one call asked its SDK client for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentprod.call import Call
    from agentprod.stream import Source

__all__ = ["Origin"]


class Origin:
    """What one SDK method asked its client for, and `request`, what it says in JSON."""

    __slots__ = (
        "asked",
        "cast_to",
        "client",
        "hides_usage",
        "options",
        "request",
        "retell",
        "stream",
        "stream_cls",
    )

    def __init__(self, client: Any, cast_to: Any, options: Any, stream: bool, stream_cls: Any) -> None:
        self.client = client
        self.cast_to = cast_to
        self.options = options
        self.asked: dict[str, Any] = options.__dict__
        """The options by name: a model of pydantic answers in Python when it is asked for its attributes."""
        self.request: Mapping[str, Any]
        self.stream = stream
        self.stream_cls = stream_cls
        self.hides_usage = False
        self.retell: Callable[[Source], tuple[Source, Call]] | None = None
        """Puts a stream into the words of a caller who speaks another wire format."""
