"""Names for the pieces of text in requests and replies, and the interface that edits them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["Editor", "MakeEditor", "Part"]

Kind = Literal["text", "reasoning", "refusal", "tool_arguments", "tool_result", "argument"]


@dataclass(frozen=True, slots=True)
class Part:
    """Where a piece of text stands.

    `role` is `"system"`, `"user"`, `"assistant"` or `"tool"`; `choice` counts alternative answers;
    `index` counts messages (requests) or blocks (replies); `tool` names the tool that arguments or
    a result belong to; `json` says that the text around is JSON and this is one string leaf of it.
    """

    kind: Kind
    role: str = "assistant"
    choice: int = 0
    index: int = 0
    tool: str | None = None
    json: bool = False


class Editor(Protocol):
    """Rewrites one part as it streams by.

    Whatever is fed, in whatever pieces, the outputs joined must be the edit of the whole: keep
    back what may still change.

    Of JSON, string leaves are edited, each by an editor of its own. An editor with a true attribute
    `raw_json` gets the JSON text itself instead, and must return JSON: that is how keys and numbers
    are edited.
    """

    def feed(self, text: str, /) -> str:
        """Take the next piece and return what is final by now."""
        ...

    def flush(self) -> str:
        """Return the rest; the part ends here."""
        ...


MakeEditor = Callable[[Part], "Editor | None"]
"""Gives each part an editor of its own, or `None` to leave it alone."""
