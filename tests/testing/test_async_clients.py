"""The async SDK clients read the provider as the sync ones do."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from agentprod.testing import Provider, behaviours

TEXT = '{"city": "上海"}'
MESSAGES: Any = [{"role": "user", "content": "Hello"}]
CHAT: dict[str, Any] = {"model": "m", "messages": MESSAGES}
RESPONSES: dict[str, Any] = {"model": "m", "input": "Hello"}
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": MESSAGES}


class Answer(BaseModel):
    """What structured output is parsed into."""

    city: str


async def chat(client: openai.AsyncOpenAI) -> Any:
    """Ask for a whole completion."""
    return (await client.chat.completions.create(**CHAT)).choices[0].message.content


async def chat_stream(client: openai.AsyncOpenAI) -> Any:
    """Ask for a stream."""
    stream = await client.chat.completions.create(**CHAT, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def chat_helper(client: openai.AsyncOpenAI) -> Any:
    """Ask through the stream helper."""
    async with client.chat.completions.stream(**CHAT) as stream:
        return (await stream.get_final_completion()).choices[0].message.content


async def chat_parse(client: openai.AsyncOpenAI) -> Any:
    """Ask for structured output."""
    completion = await client.chat.completions.parse(**CHAT, response_format=Answer)
    return completion.choices[0].message.content if completion.choices[0].message.parsed else None


async def chat_raw(client: openai.AsyncOpenAI) -> Any:
    """Ask for the raw response."""
    return (await client.chat.completions.with_raw_response.create(**CHAT)).parse().choices[0].message.content


async def chat_streaming_response(client: openai.AsyncOpenAI) -> Any:
    """Ask for the response unread."""
    async with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        return (await response.parse()).choices[0].message.content


async def response(client: openai.AsyncOpenAI) -> Any:
    """Ask for a whole response."""
    return (await client.responses.create(**RESPONSES)).output_text


async def response_stream(client: openai.AsyncOpenAI) -> Any:
    """Ask for a stream of response events."""
    stream = await client.responses.create(**RESPONSES, stream=True)
    return "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])


async def response_helper(client: openai.AsyncOpenAI) -> Any:
    """Ask through the stream helper."""
    async with client.responses.stream(**RESPONSES) as stream:
        return (await stream.get_final_response()).output_text


async def message(client: anthropic.AsyncAnthropic) -> Any:
    """Ask for a whole message."""
    return (await client.messages.create(**ASKED)).content[0].text


async def message_stream(client: anthropic.AsyncAnthropic) -> Any:
    """Ask for a stream of message events."""
    stream = await client.messages.create(**ASKED, stream=True)
    return "".join([event.delta.text async for event in stream if event.type == "content_block_delta"])


async def message_helper(client: anthropic.AsyncAnthropic) -> Any:
    """Ask through the stream helper."""
    async with client.messages.stream(**ASKED) as stream:
        return "".join([text async for text in stream.text_stream])


async def beta_helper(client: anthropic.AsyncAnthropic) -> Any:
    """Ask through the beta stream helper."""
    async with client.beta.messages.stream(**ASKED) as stream:
        return await stream.get_final_text()


async def message_raw(client: anthropic.AsyncAnthropic) -> Any:
    """Ask for the raw response."""
    parsed: Any = (await client.messages.with_raw_response.create(**ASKED)).parse()
    if inspect.isawaitable(parsed):  # which depends on the SDK's version
        parsed = await parsed
    return parsed.content[0].text


OPENAI = [
    chat,
    chat_stream,
    chat_helper,
    chat_parse,
    chat_raw,
    chat_streaming_response,
    response,
    response_stream,
    response_helper,
]
ANTHROPIC = [message, message_stream, message_helper, beta_helper, message_raw]


@pytest.mark.parametrize("ask", OPENAI)
def test_openai_surfaces(ask: Callable[[openai.AsyncOpenAI], Awaitable[Any]]) -> None:
    """Every async surface of OpenAI's client reads the same text."""

    async def main(provider: Provider) -> Any:
        options: dict[str, Any] = {"_strict_response_validation": True, "max_retries": 0}
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.openai_url, **options) as client:
            return await ask(client)

    with Provider(behaviours.ok(TEXT)) as provider:
        assert asyncio.run(main(provider)) == TEXT


@pytest.mark.parametrize("ask", ANTHROPIC)
def test_anthropic_surfaces(ask: Callable[[anthropic.AsyncAnthropic], Awaitable[Any]]) -> None:
    """Every async surface of Anthropic's client reads the same text."""

    async def main(provider: Provider) -> Any:
        options: dict[str, Any] = {"_strict_response_validation": True, "max_retries": 0}
        async with anthropic.AsyncAnthropic(api_key="k", base_url=provider.anthropic_url, **options) as client:
            return await ask(client)

    with Provider(behaviours.ok(TEXT)) as provider:
        assert asyncio.run(main(provider)) == TEXT
