"""Chat chunks to and from the neutral form of a stream."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from agentprod.dialects.neutral import Json
from agentprod.dialects.neutral_openai import FINISH, chat_usage
from agentprod.dialects.neutral_stream import Said
from agentprod.dialects.usage import openai_chat_usage
from agentprod.usage import Usage

__all__ = ["ChatTeller", "ChatWriter"]


class ChatTeller:
    """Tells what chat chunks say; of several choices the first."""

    def __init__(self) -> None:
        self._started = self._ended = False
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._calls: set[int] = set()

    def feed(self, event: Any) -> list[Said]:
        """Return what a chunk says."""
        if not isinstance(event, Mapping):
            return []
        said: list[Said] = []
        if not self._started:
            self._started = True
            said.append(Said("start", name=event.get("model"), id=event.get("id")))
        if event.get("usage") or "x_groq" in event:
            self._usage = openai_chat_usage(event) or self._usage
        for choice in event.get("choices") or ():
            if choice.get("index", 0) != 0:
                said.append(Said("lost", "n"))
                continue
            self._delta(choice.get("delta") or {}, said)
            if choice.get("finish_reason") is not None:
                self._finish = FINISH.get(choice["finish_reason"], "other")
        return said

    def _delta(self, delta: Mapping[str, Any], said: list[Said]) -> None:
        if delta.get("reasoning_content") or delta.get("reasoning"):
            said.append(Said("lost", "reply.reasoning"))
        said += [Said("text", delta[slot]) for slot in ("content", "refusal") if delta.get(slot)]
        for position, call in enumerate(delta.get("tool_calls") or ()):
            index = call.get("index", position)
            function = call.get("function") or {}
            if index not in self._calls:
                self._calls.add(index)
                said.append(Said("tool_call", index=index, name=function.get("name"), id=call.get("id")))
            if function.get("arguments"):
                said.append(Said("arguments", function["arguments"], index))

    def mark(self, raw: bytes | None) -> list[Said]:
        """The counts follow the reason, so only `[DONE]` says that all has come."""
        return self.end() if raw is not None and b"[DONE]" in raw else []

    def end(self) -> list[Said]:
        """Return reason and counts, once, if a reason came."""
        if self._finish is None or self._ended:
            return []
        self._ended = True
        return [Said("finish", self._finish), Said("end", usage=self._usage)]


class ChatWriter:
    """Writes chat chunks."""

    ping: tuple[Any, bytes | None] = (None, b": ping\n\n")

    def __init__(self) -> None:
        self._shared: Json = {"id": "chatcmpl-translated", "object": "chat.completion.chunk", "created": 0, "model": ""}

    def feed(self, said: Said) -> list[Any]:
        """Return the chunks that say it."""
        if said.kind == "start":
            self._shared["created"] = int(time.time())
            self._shared.update({key: value for key, value in (("id", said.id), ("model", said.name)) if value})
            return [self._chunk({"role": "assistant", "content": "", "refusal": None})]
        if said.kind == "text":
            return [self._chunk({"content": said.text})]
        if said.kind == "tool_call":
            function = {"name": said.name, "arguments": ""}
            call = {"index": said.index, "id": said.id, "type": "function", "function": function}
            return [self._chunk({"tool_calls": [call]})]
        if said.kind == "arguments":
            return [self._chunk({"tool_calls": [{"index": said.index, "function": {"arguments": said.text}}]})]
        if said.kind == "finish":
            return [self._chunk({}, {"other": "stop"}.get(said.text, said.text))]
        if said.kind == "end" and said.usage is not None:
            return [{**self._shared, "choices": [], "usage": chat_usage(said.usage)}]
        return []

    def _chunk(self, delta: Json, finish: str | None = None) -> Json:
        return {
            **self._shared,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        }
