"""Counting by the provider's own endpoint, when asked for."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

import pytest

import agentprod as ap

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")


class Endpoint:
    """Remembers what it was asked."""

    def __init__(self, tokens: int = 42) -> None:
        self.asked: list[dict[str, Any]] = []
        self.tokens = tokens

    def __call__(self, **options: Any) -> Any:
        self.asked.append(options)
        return SimpleNamespace(input_tokens=self.tokens)


def fresh() -> str:
    """A text that was never counted."""
    return f"count me {uuid.uuid4()}"


def test_anthropic_is_asked_once() -> None:
    """System messages go where its endpoint wants them; the same request is not counted again."""
    endpoint, text = Endpoint(), fresh()
    client = SimpleNamespace(messages=SimpleNamespace(count_tokens=endpoint))
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}]
    for _ in range(2):
        assert ap.count_tokens(messages, "claude-sonnet-5", [{"name": "f"}], client=client) == 42
    assert endpoint.asked == [
        {"model": "claude-sonnet-5", "tools": [{"name": "f"}], "system": "Be kind.", "messages": [messages[1]]}
    ]


def test_openai_is_asked_for_a_text() -> None:
    """A text is one message of the user."""
    endpoint, text = Endpoint(7), fresh()
    client = SimpleNamespace(responses=SimpleNamespace(input_tokens=SimpleNamespace(count=endpoint)))
    assert ap.count_tokens(text, "gpt-5-mini", client=client) == 7
    assert endpoint.asked == [{"model": "gpt-5-mini", "input": [{"role": "user", "content": text}]}]


def test_the_sdks_have_these_endpoints() -> None:
    """A canary: what is called here exists in the clients."""
    with openai.OpenAI(api_key="any") as one, anthropic.Anthropic(api_key="any") as other:
        assert callable(one.responses.input_tokens.count)
        assert callable(other.messages.count_tokens)


def test_clients_that_cannot_count() -> None:
    """Others, and asynchronous ones, are refused with what to do."""
    with pytest.raises(ap.ConfigError, match="no endpoint that counts"):
        ap.count_tokens(fresh(), "gpt-5-mini", client=object())

    async def later(**options: Any) -> Any:
        return None

    client = SimpleNamespace(messages=SimpleNamespace(count_tokens=later))
    with pytest.raises(ap.ConfigError, match="synchronous client"):
        ap.count_tokens(fresh(), "claude-sonnet-5", client=client)
