"""Calls of the three surfaces that stream, which keep what arrived before anything broke."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import anthropic
import openai

from agentprod.testing import Provider

OpenAIAt = Callable[[Provider], openai.OpenAI]
AnthropicAt = Callable[[Provider], anthropic.Anthropic]
# A field that the provider ought to have sent and did not, or of another type, is an error to these clients.
STRICT: dict[str, Any] = {"_strict_response_validation": True}
MESSAGES: Any = [{"role": "user", "content": "Hello"}]


class Caller:
    """Calls one surface and keeps what arrived before anything broke."""

    preamble = 0
    """Events of the wire before the first content; those that the SDK hides are counted too."""

    def __init__(self, openai_at: OpenAIAt, anthropic_at: AnthropicAt) -> None:
        self._openai_at, self._anthropic_at = openai_at, anthropic_at
        self.timeout = 10.0
        self.text = ""
        self.arguments = ""
        self.events: list[Any] = []

    def openai_client(self, provider: Provider) -> openai.OpenAI:
        """Return OpenAI's client, as patient as the caller."""
        return self._openai_at(provider).with_options(timeout=self.timeout, _extra_kwargs=STRICT)

    def anthropic_client(self, provider: Provider) -> anthropic.Anthropic:
        """Return Anthropic's client, as patient as the caller."""
        return self._anthropic_at(provider).with_options(timeout=self.timeout, _extra_kwargs=STRICT)

    def whole(self, provider: Provider) -> None:
        """Ask for a whole reply."""
        raise NotImplementedError

    def stream(self, provider: Provider) -> None:
        """Ask for a stream and read it."""
        raise NotImplementedError

    @property
    def finished(self) -> bool:
        """Whether the last event says that the reply is complete."""
        raise NotImplementedError


class Chat(Caller):
    """OpenAI's chat completions."""

    preamble = 1

    def whole(self, provider: Provider) -> None:
        """Ask for a whole completion."""
        completion = self.openai_client(provider).chat.completions.create(model="m", messages=MESSAGES)
        self.text = completion.choices[0].message.content or ""

    def stream(self, provider: Provider) -> None:
        """Ask for a stream of chunks."""
        for chunk in self.openai_client(provider).chat.completions.create(model="m", messages=MESSAGES, stream=True):
            self.events.append(chunk)
            delta = chunk.choices[0].delta
            self.text += delta.content or ""
            for call in delta.tool_calls or []:
                self.arguments += (call.function.arguments if call.function else None) or ""

    @property
    def finished(self) -> bool:
        """Whether there is a finish reason."""
        return any(chunk.choices[0].finish_reason for chunk in self.events)


class Responses(Caller):
    """OpenAI's responses."""

    preamble = 4

    def whole(self, provider: Provider) -> None:
        """Ask for a whole response."""
        self.text = self.openai_client(provider).responses.create(model="m", input="Hello").output_text

    def stream(self, provider: Provider) -> None:
        """Ask for a stream of events."""
        for event in self.openai_client(provider).responses.create(model="m", input="Hello", stream=True):
            self.events.append(event)
            self.text += event.delta if event.type == "response.output_text.delta" else ""
            self.arguments += event.delta if event.type == "response.function_call_arguments.delta" else ""

    @property
    def finished(self) -> bool:
        """Whether the response is completed."""
        return any(event.type == "response.completed" for event in self.events)


class Messages(Caller):
    """Anthropic's messages."""

    preamble = 3

    def whole(self, provider: Provider) -> None:
        """Ask for a whole message."""
        message = self.anthropic_client(provider).messages.create(model="m", max_tokens=9, messages=MESSAGES)
        self.text = "".join(block.text for block in message.content if block.type == "text")

    def stream(self, provider: Provider) -> None:
        """Ask for a stream of events."""
        client = self.anthropic_client(provider)
        for event in client.messages.create(model="m", max_tokens=9, messages=MESSAGES, stream=True):
            self.events.append(event)
            if event.type == "content_block_delta":
                self.text += getattr(event.delta, "text", "")
                self.arguments += getattr(event.delta, "partial_json", "")

    @property
    def finished(self) -> bool:
        """Whether there is a stop reason."""
        return any(event.type in ("message_delta", "message_stop") for event in self.events)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited for 30 seconds"
        time.sleep(0.001)


def failure_of(ask: Callable[[Provider], None], provider: Provider) -> Exception | None:
    """Return the error a call ends with; `None` when it ends well."""
    try:
        ask(provider)
    except Exception as error:
        return error
    return None


def broken(error: Exception | None) -> bool:
    """Return whether a client reports a broken connection, in the SDK's words or its HTTP library's."""
    return bool(_names(error) & {"APIConnectionError", "NetworkError", "ProtocolError"}) and not timed_out(error)


def timed_out(error: Exception | None) -> bool:
    """Return whether a client gave up waiting, in the SDK's words or its HTTP library's."""
    return bool(_names(error) & {"APITimeoutError", "TimeoutException"})


def _names(error: Exception | None) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}
