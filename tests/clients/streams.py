"""Streams of both SDKs and both kinds, driven by one test body."""

from __future__ import annotations

from typing import Any

from agentprod.testing import Provider
from tests.clients.surfaces import MESSAGES, claude, make_client, result

SDKS = ("openai", "anthropic")


async def open_stream(client: Any, sdk: str, **extra: Any) -> Any:
    """Open a stream of events."""
    if sdk == "openai":
        return await result(client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, stream=True, **extra))
    return await result(client.messages.create(stream=True, **claude(), **extra))


def text_of(item: Any) -> str:
    """Return the text an event carries."""
    if hasattr(item, "choices"):
        return (item.choices[0].delta.content or "") if item.choices else ""
    return getattr(getattr(item, "delta", None), "text", None) or ""


class Reading:
    """Reads a stream of either kind and keeps what came."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.items: list[Any] = []

    @property
    def texts(self) -> list[str]:
        """The pieces of text that came."""
        return [text for item in self.items if (text := text_of(item))]

    async def next(self) -> Any:
        """Read one event."""
        item = await anext(self.stream) if hasattr(self.stream, "__anext__") else next(self.stream)
        self.items.append(item)
        return item

    async def until_text(self) -> None:
        """Read up to the first event with text."""
        while not text_of(await self.next()):
            pass

    async def all(self) -> list[str]:
        """Read to the end."""
        if hasattr(self.stream, "__anext__"):
            async for item in self.stream:
                self.items.append(item)
        else:
            for item in self.stream:
                self.items.append(item)
        return self.texts

    async def close(self) -> None:
        """Leave the stream."""
        await result(self.stream.close())


async def wrapped(stack: Any, sdk: str, kind: str, provider: Provider, **options: Any) -> Any:
    """Return a wrapped client."""
    return stack.wrap(make_client(sdk, kind, provider, **options))
