"""The neutral form of a stream: what each event says, in no provider's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agentprod.usage import Usage

__all__ = ["Said", "StreamTeller", "StreamWriter"]


@dataclass(slots=True)
class Said:
    """One thing a stream said.

    `"start"` comes first, `"finish"` and then `"end"` last: only then the reply is whole. A tool call is opened by
    `"tool_call"`, its arguments follow piece by piece. `"lost"` names, in `text`, what the neutral form cannot say.
    """

    kind: Literal["start", "text", "tool_call", "arguments", "lost", "finish", "end"]
    text: str = ""
    """Of text and arguments the piece; of a finish the reason, as in `NeutralReply`."""
    index: int = 0
    """Which tool call of the reply."""
    name: str | None = None
    """Of a start the model, of a tool call the tool."""
    id: str | None = None
    usage: Usage | None = None
    """Of a start and of the end."""


class StreamTeller(Protocol):
    """Tells what the events of one wire format say."""

    def feed(self, event: Any) -> list[Said]:
        """Return what one event's JSON says."""
        ...

    def mark(self, raw: bytes | None) -> list[Said]:
        """Return what an event without JSON says, such as `[DONE]`."""
        ...

    def end(self) -> list[Said]:
        """Return what the end of the source says; nothing when it came too early."""
        ...


class StreamWriter(Protocol):
    """Writes one wire format."""

    ping: tuple[Any, bytes | None]
    """An event that says only that the stream lives: its JSON, or else its bytes."""

    def feed(self, said: Said) -> list[Any]:
        """Return the JSON of the events that say it."""
        ...
