"""What a reply says, before any provider's wire format: text, reasoning, tool calls, counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from agentprod.testing.exchange import Exchange
from agentprod.testing.request_text import all_texts, count_tokens, last_user_text, split_words
from agentprod.usage import Usage

__all__ = ["Answer", "Reply", "ToolCall"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool call of a reply, with its arguments as the JSON text that goes over the wire."""

    name: str
    arguments: str

    def pieces(self) -> list[str]:
        """Return the arguments cut into at least two pieces, as a model delivers them."""
        size = min(8, (len(self.arguments) + 1) // 2)
        return [self.arguments[start : start + size] for start in range(0, len(self.arguments), size)]


@dataclass(frozen=True, slots=True)
class Answer:
    """A scripted reply; what `behaviours.ok` and `behaviours.echo` make."""

    text: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None
    usage: Usage | Literal["counted", "none"] = "counted"
    finish: str | None = None
    refusal: str | None = None
    chunks: int | tuple[str, ...] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    echo: Literal["last", "everything"] | None = None

    def reply_to(self, exchange: Exchange) -> Reply:
        """Return what this answer says to one request."""
        text = self.text
        if self.echo == "last":
            text = last_user_text(exchange.body)
        elif self.echo == "everything":
            text = json.dumps(all_texts(exchange.body), ensure_ascii=False)
        return Reply(
            text=text,
            text_pieces=_cut(text or "", self.chunks),
            tool_calls=self.tool_calls,
            reasoning=self.reasoning,
            refusal=self.refusal,
            finish=self.finish,
            usage=self._usage(exchange, text),
            usage_sent=self.usage != "none",
        )

    def _usage(self, exchange: Exchange, text: str | None) -> Usage:
        if isinstance(self.usage, Usage):
            return self.usage
        reasoning = count_tokens(self.reasoning or "")
        calls = sum(count_tokens(call.name) + count_tokens(call.arguments) for call in self.tool_calls)
        said = count_tokens(text or "") + count_tokens(self.refusal or "")
        asked = sum(count_tokens(part) for part in all_texts(exchange.body))
        return Usage(input_tokens=asked, output_tokens=reasoning + calls + said, reasoning_tokens=reasoning)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to one request, with nothing left to decide but the wire format."""

    text: str | None
    text_pieces: list[str]
    tool_calls: tuple[ToolCall, ...]
    reasoning: str | None
    refusal: str | None
    finish: str | None
    usage: Usage
    usage_sent: bool

    def reasoning_pieces(self) -> list[str]:
        """Return the reasoning cut into words."""
        return split_words(self.reasoning or "")

    def refusal_pieces(self) -> list[str]:
        """Return the refusal cut into words."""
        return split_words(self.refusal or "")

    def finish_reason(self) -> str:
        """Return why the reply ended, in the words of OpenAI's chat API."""
        return self.finish or ("tool_calls" if self.tool_calls else "stop")


def _cut(text: str, chunks: Any) -> list[str]:
    if isinstance(chunks, tuple):
        return list(chunks)
    if chunks is None:
        return split_words(text)
    count = max(1, min(chunks, len(text)))
    bounds = [len(text) * index // count for index in range(count + 1)]
    return [text[start:end] for start, end in pairwise(bounds)]
