"""Message events to and from the neutral form of a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentprod.dialects.neutral import Json
from agentprod.dialects.neutral_anthropic import FINISH, STOP, call_identity, message_usage
from agentprod.dialects.neutral_stream import Said
from agentprod.dialects.usage import anthropic_usage, merge_anthropic_usage
from agentprod.usage import Usage

__all__ = ["MessagesTeller", "MessagesWriter"]

_THINKING = ("thinking", "redacted_thinking")


class MessagesTeller:
    """Tells what message events say."""

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        """Which tool call each block is."""
        self._silent: set[int] = set()
        """Blocks of tool calls whose arguments have not begun."""
        self._usage: Json = {}

    def feed(self, event: Any) -> list[Said]:
        """Return what an event says."""
        kind = event.get("type") if isinstance(event, Mapping) else None
        if kind == "message_start":
            message = event.get("message") or {}
            self._usage = merge_anthropic_usage(self._usage, message.get("usage"))
            usage = anthropic_usage(self._usage)
            return [Said("start", name=message.get("model"), id=message.get("id"), usage=usage)]
        if kind == "content_block_start":
            return self._start(event.get("index", 0), event.get("content_block") or {})
        if kind == "content_block_delta":
            return self._delta(event.get("index", 0), event.get("delta") or {})
        if kind == "content_block_stop" and event.get("index", 0) in self._silent:
            return [Said("arguments", "{}", self._calls[event.get("index", 0)])]
        if kind == "message_delta":
            self._usage = merge_anthropic_usage(self._usage, event.get("usage"))
            reason = (event.get("delta") or {}).get("stop_reason")
            return [] if reason is None else [Said("finish", FINISH.get(reason, "other"))]
        if kind == "message_stop":
            return [Said("end", usage=anthropic_usage(self._usage))]
        return []

    def _start(self, index: int, block: Mapping[str, Any]) -> list[Said]:
        kind = block.get("type")
        if kind == "text":
            return [Said("text", block["text"])] if block.get("text") else []
        if kind == "tool_use":
            self._calls[index] = call = len(self._calls)
            said = [Said("tool_call", index=call, name=block.get("name"), id=block.get("id"))]
            if block.get("input"):
                said.append(Said("arguments", json.dumps(block["input"], ensure_ascii=False), call))
            else:
                self._silent.add(index)
            return said
        return [Said("lost", "reply.reasoning" if kind in _THINKING else f"reply.{kind}")]

    def _delta(self, index: int, delta: Mapping[str, Any]) -> list[Said]:
        kind = delta.get("type")
        if kind == "text_delta" and delta.get("text"):
            return [Said("text", delta["text"])]
        if kind == "input_json_delta" and delta.get("partial_json") and index in self._calls:
            self._silent.discard(index)
            return [Said("arguments", delta["partial_json"], self._calls[index])]
        if kind == "citations_delta":
            return [Said("lost", "reply.citations")]
        return []

    def mark(self, raw: bytes | None) -> list[Said]:
        """Every event of this format has JSON."""
        return []

    def end(self) -> list[Said]:
        """Only `message_stop` says that all has come."""
        return []


class MessagesWriter:
    """Writes message events, one content block after the other.

    Where the pieces of several tool calls come interleaved, the later call waits until the earlier one is whole.
    """

    ping: tuple[Any, bytes | None] = ({"type": "ping"}, None)

    def __init__(self) -> None:
        self._count = 0
        self._open: _Block | None = None
        self._waiting: list[_Block] = []
        self._reason = "end_turn"

    def feed(self, said: Said) -> list[Any]:
        """Return the events that say it."""
        if said.kind == "start":
            return [_message_start(said)]
        if said.kind == "text":
            last = self._waiting[-1] if self._waiting else self._open
            if last is None or last.call is not None:
                return self._begin(_Block({"type": "text", "text": ""}, None, [said.text]))
            if self._waiting:
                last.pieces.append(said.text)
                return []
            return [self._delta({"type": "text_delta", "text": said.text})]
        if said.kind == "tool_call":
            tool: Json = {"type": "tool_use", "id": call_identity(said.id), "name": said.name, "input": {}}
            return self._begin(_Block(tool, said.index, []))
        if said.kind == "arguments":
            return self._arguments(said)
        if said.kind == "finish":
            self._reason = STOP.get(said.text, "end_turn")
            return self._close_all()
        if said.kind == "end":
            delta = {"stop_reason": self._reason, "stop_sequence": None}
            usage = message_usage(said.usage or Usage())
            return [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]
        return []

    def _begin(self, block: _Block) -> list[Any]:
        now = self._open
        if now is not None and (self._waiting or not now.whole()):
            self._waiting.append(block)
            return []
        return [*self._close(), *self._show(block)]

    def _show(self, block: _Block) -> list[Any]:
        self._open = block
        start = {"type": "content_block_start", "index": self._count, "content_block": block.start}
        return [start, *(self._delta(block.delta(piece)) for piece in block.pieces)]

    def _arguments(self, said: Said) -> list[Any]:
        if self._open is not None and self._open.call == said.index:
            self._open.pieces.append(said.text)
            return [self._delta(self._open.delta(said.text)), *self._advance()]
        for block in self._waiting:
            if block.call == said.index:
                block.pieces.append(said.text)
        return []

    def _advance(self) -> list[Any]:
        """Show what waits, up to the first call that is not whole."""
        events: list[Any] = []
        while self._waiting and self._open is not None and self._open.whole():
            events += [*self._close(), *self._show(self._waiting.pop(0))]
        return events

    def _close_all(self) -> list[Any]:
        events = self._close()
        while self._waiting:
            events += [*self._show(self._waiting.pop(0)), *self._close()]
        return events

    def _close(self) -> list[Any]:
        if self._open is None:
            return []
        self._open = None
        self._count += 1
        return [{"type": "content_block_stop", "index": self._count - 1}]

    def _delta(self, delta: Json) -> Json:
        return {"type": "content_block_delta", "index": self._count, "delta": delta}


class _Block:
    """One content block: how it starts, which tool call it is, and its pieces so far."""

    __slots__ = ("call", "pieces", "start")

    def __init__(self, start: Json, call: int | None, pieces: list[str]) -> None:
        self.start = start
        self.call = call
        self.pieces = pieces

    def whole(self) -> bool:
        """Whether another block may follow: text may end anywhere, arguments are JSON."""
        if self.call is None:
            return True
        try:
            json.loads("".join(self.pieces))
        except ValueError:
            return False
        return True

    def delta(self, piece: str) -> Json:
        if self.call is None:
            return {"type": "text_delta", "text": piece}
        return {"type": "input_json_delta", "partial_json": piece}


def _message_start(said: Said) -> Json:
    message: Json = {
        "id": said.id or "msg_translated",
        "type": "message",
        "role": "assistant",
        "model": said.name or "",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": message_usage(said.usage or Usage()),
    }
    return {"type": "message_start", "message": message}
