"""One request as the provider received it, and what it has to know to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agentprod.testing.request_text import all_texts, last_user_text

__all__ = ["CREATED", "Exchange", "RecordedRequest", "Surface"]

CREATED = 1_700_000_000
"""The time every scripted object was created at, in POSIX seconds: replies are the same in every run."""

Surface = Literal["chat", "responses", "embeddings", "messages", "count_tokens", "models", "other"]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request a `Provider` received."""

    method: str
    path: str
    """The path without its query string, such as `/v1/chat/completions`."""
    query: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    json: Any
    """The body parsed; `None` when it is empty or not JSON."""
    connection: int
    """Which connection it came on, counted from 1: two requests of one connection were kept alive."""
    time: float
    """When its last byte arrived, by `time.monotonic()`."""
    behaviour: str = ""
    """Name of the behaviour that answered it, such as `"rate_limit"`."""

    @property
    def text(self) -> str:
        """The last text of the user."""
        return last_user_text(self.json)

    @property
    def texts(self) -> list[str]:
        """All text of the request: instructions, messages, tool calls and tool results."""
        return all_texts(self.json)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request together with what its reply depends on."""

    request: RecordedRequest
    surface: Surface
    vendor: Literal["openai", "anthropic"]
    """Whose shapes the errors and headers have."""
    number: int
    """Counted from 1 over the provider's life; the reply's ids are made of it."""

    @property
    def body(self) -> Mapping[str, Any]:
        """The request's JSON object; empty when there is none."""
        return self.request.json if isinstance(self.request.json, Mapping) else {}

    @property
    def streaming(self) -> bool:
        """Whether the caller asked for a stream on a surface that has one."""
        return self.surface in ("chat", "responses", "messages") and self.body.get("stream") is True

    @property
    def model(self) -> str:
        """The model asked for."""
        return str(self.body.get("model") or "scripted-model")

    def id(self, prefix: str, index: int = 0) -> str:
        """Return an id that no other reply of this provider has, and that is the same in every run."""
        return f"{prefix}{self.number:08d}{index:04d}"
