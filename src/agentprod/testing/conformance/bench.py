"""A place to try a layer: a model that is a function, of each of the four kinds, with a layer around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from agentprod.edge.function_edge import Kind
from agentprod.errors import ConfigError
from agentprod.stack import Stack

__all__ = ["MODES", "STREAMS", "Bench", "body", "question", "text_of"]

MODES: tuple[Kind, ...] = ("sync", "async", "generator", "async_generator")
STREAMS: tuple[Kind, ...] = ("generator", "async_generator")


def question(text: str) -> list[dict[str, str]]:
    """Return the messages that ask something."""
    return [{"role": "user", "content": text}]


def body(text: str) -> dict[str, Any]:
    """Return a whole reply in the format of OpenAI's chat completions."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def _chunks(text: str) -> list[dict[str, Any]]:
    half = len(text) // 2
    return [
        _chunk({"role": "assistant", "content": ""}),
        _chunk({"content": text[:half]}),
        _chunk({"content": text[half:]}),
        _chunk({}, "stop"),
    ]


def text_of(got: Any) -> str:
    """Return the text of a whole reply or of a list of chunks; what a layer answers itself may be a text."""
    if isinstance(got, str):
        return got
    if isinstance(got, list) and all(isinstance(chunk, str) for chunk in got):
        return "".join(got)
    if isinstance(got, list):
        return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in got if chunk.get("choices"))
    return got["choices"][0]["message"]["content"] or ""


class Bench:
    """Puts a layer around a model and asks it.

    Args:
        layer: the layer under test; `None` for the model alone.

        mode: one of `MODES`.

        answer: called with the prompt; returns the answer or raises. `None` echoes the prompt.

        between: called after each chunk that a streaming model has handed out.
    """

    def __init__(
        self,
        layer: Any,
        mode: Kind,
        answer: Callable[[str], str] | None = None,
        between: Callable[[], None] | None = None,
    ) -> None:
        self.mode = mode
        self.asked: list[str] = []
        """The prompts that reached the model."""
        self.closed = 0
        """How many of the model's streams are closed."""
        self.opened = 0
        """How many of the model's streams were opened."""
        self._answer = answer or (lambda prompt: prompt)
        self._between = between or (lambda: None)
        self.stack = Stack(*([] if layer is None else [layer]), check="off")
        self.ask: Any = self.stack.decorate(getattr(self, f"_{mode}")(), provider="bench")

    @classmethod
    def possible(cls, layer: Any, mode: Kind) -> bool:
        """Whether a layer agrees to work in a mode; it refuses with a `ConfigError`."""
        try:
            cls(layer, mode)
        except ConfigError:
            return False
        return True

    def _said(self, messages: list[dict[str, Any]]) -> str:
        prompt = str(messages[-1]["content"])
        self.asked.append(prompt)
        return self._answer(prompt)

    def _sync(self) -> Any:
        def ask(model: str, messages: list[dict[str, Any]]) -> Any:
            return body(self._said(messages))

        return ask

    def _async(self) -> Any:
        async def ask(model: str, messages: list[dict[str, Any]]) -> Any:
            await asyncio.sleep(0)
            return body(self._said(messages))

        return ask

    def _generator(self) -> Any:
        def ask(model: str, messages: list[dict[str, Any]]) -> Iterator[Any]:
            self.opened += 1
            try:
                for chunk in _chunks(self._said(messages)):
                    yield chunk
                    self._between()
            finally:
                self.closed += 1

        return ask

    def _async_generator(self) -> Any:
        async def ask(model: str, messages: list[dict[str, Any]]) -> AsyncIterator[Any]:
            self.opened += 1
            try:
                for chunk in _chunks(self._said(messages)):
                    yield chunk
                    self._between()
                    await asyncio.sleep(0)
            finally:
                self.closed += 1

        return ask

    async def acall(self, prompt: str, *, most: int | None = None) -> Any:
        """Ask asynchronously; of a stream at most so many chunks, then leave it."""
        asked = self.ask(model="m", messages=question(prompt))
        if self.mode == "async":
            return await asked
        chunks: list[Any] = []
        async for chunk in asked:
            chunks.append(chunk)
            if most is not None and len(chunks) >= most:
                break
        await asked.aclose()
        return chunks

    def call(self, prompt: str, *, most: int | None = None) -> Any:
        """Ask in the way of the mode; of a stream at most so many chunks, then leave it."""
        if self.mode in ("async", "async_generator"):
            return asyncio.run(self.acall(prompt, most=most))
        asked = self.ask(model="m", messages=question(prompt))
        if self.mode == "sync":
            return asked
        chunks: list[Any] = []
        for chunk in asked:
            chunks.append(chunk)
            if most is not None and len(chunks) >= most:
                break
        asked.close()
        return chunks
