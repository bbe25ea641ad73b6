"""What one call asked its SDK client for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentprod.call import Call
    from agentprod.edge.bodies import Upload
    from agentprod.stream import Source

__all__ = ["Origin", "origin_of"]


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
        "upload",
    )

    client: Any
    cast_to: Any
    options: Any
    asked: dict[str, Any]
    """The options by name: a model of pydantic answers in Python when it is asked for its attributes."""
    request: Mapping[str, Any]
    stream: bool
    stream_cls: Any
    hides_usage: bool
    retell: Callable[[Source], tuple[Source, Call]] | None
    """Puts a stream into the words of a caller who speaks another wire format."""
    upload: Upload
    """What a request holds beside JSON; set for other traffic alone."""

    def rewind(self) -> None:
        """Make ready to send once more what has been read."""
        if hasattr(self, "upload"):
            self.upload.rewind()


def origin_of(client: Any, cast_to: Any, options: Any, stream: bool, stream_cls: Any) -> Origin:
    """Return what a method asked for; `request` is to be set."""
    origin = Origin()  # without an `__init__`, like a call
    origin.client = client
    origin.cast_to = cast_to
    origin.options = options
    origin.asked = options.__dict__
    origin.stream = stream
    origin.stream_cls = stream_cls
    origin.hides_usage = False
    origin.retell = None
    return origin
