"""The neutral form: what a request asks and a reply says, in no provider's words.

Messages are OpenTelemetry's GenAI message parts (`{"role", "parts": [{"type": "text", "content"}, …]}`), the
form that spans record; parameters that more than one provider knows have one name. It is the bridge by which a
request goes to another provider and its reply comes back in the caller's own wire form. What has no counterpart is
named in `lost`, never dropped silently.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agentprod.usage import Usage

__all__ = ["NeutralReply", "NeutralRequest", "system_text"]

Json = dict[str, Any]


@dataclass(slots=True)
class NeutralRequest:
    """One request.

    `tool_choice` is `"auto"`, `"none"`, `"any"` or a tool's name; `schema` is the JSON schema the answer
    must follow, with its name; `temperature` is on the scale 0 to 2 that OpenAI documents.
    """

    model: str | None = None
    system: list[Json] = field(default_factory=list)
    messages: list[Json] = field(default_factory=list)
    tools: list[Json] = field(default_factory=list)
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = field(default_factory=list)
    schema: Json | None = None
    schema_name: str | None = None
    user: str | None = None
    stream: bool = False
    lost: list[str] = field(default_factory=list)
    """Names of what the form it came from says and this one cannot."""


@dataclass(slots=True)
class NeutralReply:
    """One whole reply: parts, why it ended (`"stop" "length" "tool_calls" "content_filter" "other"`), counts."""

    parts: list[Json] = field(default_factory=list)
    finish: str | None = None
    usage: Usage | None = None
    model: str | None = None
    id: str | None = None
    lost: list[str] = field(default_factory=list)


def system_text(parts: list[Json]) -> str:
    """Return system instructions as one text."""
    return "\n\n".join(part["content"] for part in parts if part.get("type") == "text" and part.get("content"))
