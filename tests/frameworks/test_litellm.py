"""LiteLLM: `client=` takes a wrapped client, and its functions can be decorated."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import agentprod as ap
from agentprod.testing import behaviours as b
from tests.frameworks.place import MESSAGES, Place

litellm = pytest.importorskip(
    "litellm", reason="LiteLLM is tested in a session of its own: nox -s 'frameworks(litellm)'"
)
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """Let LiteLLM keep the threads it logs with."""


@pytest.fixture
def typed(place: Place) -> Any:
    """Return what the page's block makes."""
    place.provider.script([b.ok("Hello 李伟.")])
    return place.with_openai().type("LiteLLM")


def test_completion_passes_once(typed: Any) -> None:
    """The line of the page, and the same asynchronously."""
    assert typed.answer.choices[0].message.content == "Hello 李伟."
    typed.saw(1, "chat")

    async def ask() -> Any:
        return await litellm.acompletion(model="openai/gpt-5-mini", messages=MESSAGES, client=typed.async_client)

    assert asyncio.run(ask()).choices[0].message.content == "Hello 李伟."
    typed.saw(1, "chat")


def test_a_stream_passes_once(typed: Any) -> None:
    """Sync and async."""
    typed.saw(1)
    options: dict[str, Any] = {"model": "openai/gpt-5-mini", "messages": MESSAGES, "stream": True}
    chunks = litellm.completion(client=typed.client, **options)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello 李伟."
    typed.saw(1, "chat")

    async def collect() -> str:
        stream = await litellm.acompletion(client=typed.async_client, **options)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert asyncio.run(collect()) == "Hello 李伟."
    typed.saw(1, "chat")


def test_its_function_can_be_decorated(typed: Any) -> None:
    """`stack.decorate(litellm.completion)` reads it as a chat call, whatever provider it asks."""
    typed.saw(1)
    completion = typed.stack.decorate(litellm.completion)
    made = completion(
        model="openai/gpt-5-mini", messages=MESSAGES, api_base=typed.provider.openai_url, api_key="k", max_retries=0
    )
    assert made.choices[0].message.content == "Hello 李伟."
    assert ap.meta(made).usage.input_tokens > 0
    typed.saw(1, "chat")
    made = completion(
        model="anthropic/claude-sonnet-5",
        messages=MESSAGES,
        api_base=typed.provider.anthropic_url,
        api_key="k",
        max_retries=0,
    )
    assert made.choices[0].message.content == "Hello 李伟."
    typed.saw(1, "chat")
