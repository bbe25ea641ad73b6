"""Every way to ask the two SDKs, each returning what a caller can see of the answer, as comparable data."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel

MESSAGES: Any = [{"role": "user", "content": "Hello"}]
TOOLS: Any = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}]
CHAT: dict[str, Any] = {"model": "m", "messages": MESSAGES}
MESSAGE: dict[str, Any] = {"model": "m", "max_tokens": 99, "messages": MESSAGES}
RESPONSE: dict[str, Any] = {"model": "m", "input": MESSAGES}


class Answer(BaseModel):
    """What a parsed answer holds."""

    text: str


def lines(found: list[str]) -> list[Any]:
    """Return the JSON of a stream's lines, and other lines as they are.

    A chunk whose token counts are null says the same as one without them.
    """
    read = [json.loads(line[6:]) if line.startswith("data: {") else line for line in found if line]
    return [_without_null_usage(line) if isinstance(line, dict) else line for line in read]


def _without_null_usage(chunk: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in chunk.items() if name != "usage" or value is not None}


def chat_create(client: Any) -> Any:
    """Ask for a whole completion."""
    return client.chat.completions.create(**CHAT)


def chat_stream(client: Any) -> Any:
    """Ask for chunks."""
    return list(client.chat.completions.create(**CHAT, stream=True))


def chat_stream_usage(client: Any) -> Any:
    """Ask for chunks, with token counts."""
    return list(client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))


def chat_helper(client: Any) -> Any:
    """Use the streaming helper: its events and the completion it puts together."""
    with client.chat.completions.stream(**CHAT) as stream:
        events = list(stream)
        return events, stream.get_final_completion()


def chat_parse(client: Any) -> Any:
    """Have the answer parsed."""
    return client.chat.completions.parse(**CHAT, response_format=Answer)


def chat_raw(client: Any) -> Any:
    """Look at the raw response."""
    response = client.chat.completions.with_raw_response.create(**CHAT)
    return response.parse(), response.http_response.json(), response.status_code


def chat_raw_stream(client: Any) -> Any:
    """Look at the raw response of a stream."""
    response = client.chat.completions.with_raw_response.create(**CHAT, stream=True)
    return list(response.parse())


def chat_streaming_raw(client: Any) -> Any:
    """Read the raw response while it arrives."""
    with client.chat.completions.with_streaming_response.create(**CHAT, stream=True) as response:
        return lines(list(response.iter_lines()))


def message_create(client: Any) -> Any:
    """Ask for a whole message."""
    return client.messages.create(**MESSAGE)


def message_stream(client: Any) -> Any:
    """Ask for events."""
    return list(client.messages.create(**MESSAGE, stream=True))


def message_helper(client: Any) -> Any:
    """Use the streaming helper: its events and the message it puts together."""
    with client.messages.stream(**MESSAGE) as stream:
        events = list(stream)
        return events, stream.get_final_message()


def message_text_helper(client: Any) -> Any:
    """Use the streaming helper for text alone."""
    with client.messages.stream(**MESSAGE) as stream:
        return list(stream.text_stream)


def message_raw(client: Any) -> Any:
    """Look at the raw response."""
    response = client.messages.with_raw_response.create(**MESSAGE)
    return response.parse(), response.http_response.json(), response.status_code


def message_streaming_raw(client: Any) -> Any:
    """Read the raw response while it arrives."""
    with client.messages.with_streaming_response.create(**MESSAGE, stream=True) as response:
        return lines(list(response.iter_lines()))


def beta_create(client: Any) -> Any:
    """Ask by the beta resource."""
    return client.beta.messages.create(**MESSAGE)


def beta_helper(client: Any) -> Any:
    """Use the beta resource's streaming helper."""
    with client.beta.messages.stream(**MESSAGE) as stream:
        events = list(stream)
        return events, stream.get_final_message()


def response_create(client: Any) -> Any:
    """Ask for a whole response."""
    return client.responses.create(**RESPONSE)


def response_stream(client: Any) -> Any:
    """Ask for events."""
    return list(client.responses.create(**RESPONSE, stream=True))


def response_helper(client: Any) -> Any:
    """Use the streaming helper: its events and the response it puts together."""
    with client.responses.stream(**RESPONSE) as stream:
        events = list(stream)
        return events, stream.get_final_response()


def response_raw(client: Any) -> Any:
    """Look at the raw response."""
    response = client.responses.with_raw_response.create(**RESPONSE)
    return response.parse(), response.http_response.json(), response.status_code


def response_streaming_raw(client: Any) -> Any:
    """Read the raw response while it arrives."""
    with client.responses.with_streaming_response.create(**RESPONSE, stream=True) as response:
        return lines(list(response.iter_lines()))


Surface = Callable[[Any], Any]
CHAT_SURFACES: list[Surface] = [
    chat_create,
    chat_stream,
    chat_stream_usage,
    chat_helper,
    chat_raw,
    chat_raw_stream,
    chat_streaming_raw,
]
MESSAGE_SURFACES: list[Surface] = [
    message_create,
    message_stream,
    message_helper,
    message_text_helper,
    message_raw,
    message_streaming_raw,
    beta_create,
    beta_helper,
]

RESPONSE_SURFACES: list[Surface] = [
    response_create,
    response_stream,
    response_helper,
    response_raw,
    response_streaming_raw,
]


async def async_chat_create(client: Any) -> Any:
    """Ask for a whole completion."""
    return await client.chat.completions.create(**CHAT)


async def async_chat_stream(client: Any) -> Any:
    """Ask for chunks."""
    return [chunk async for chunk in await client.chat.completions.create(**CHAT, stream=True)]


async def async_chat_helper(client: Any) -> Any:
    """Use the streaming helper."""
    async with client.chat.completions.stream(**CHAT) as stream:
        events = [event async for event in stream]
        return events, await stream.get_final_completion()


async def async_chat_raw(client: Any) -> Any:
    """Look at the raw response."""
    response = await client.chat.completions.with_raw_response.create(**CHAT)
    return response.parse(), response.http_response.json()


async def async_chat_streaming_raw(client: Any) -> Any:
    """Read the raw response while it arrives."""
    async with client.chat.completions.with_streaming_response.create(**CHAT, stream=True) as response:
        return lines([line async for line in response.iter_lines()])


async def async_message_create(client: Any) -> Any:
    """Ask for a whole message."""
    return await client.messages.create(**MESSAGE)


async def async_message_stream(client: Any) -> Any:
    """Ask for events."""
    return [event async for event in await client.messages.create(**MESSAGE, stream=True)]


async def async_message_helper(client: Any) -> Any:
    """Use the streaming helper."""
    async with client.messages.stream(**MESSAGE) as stream:
        events = [event async for event in stream]
        return events, await stream.get_final_message()


async def async_response_create(client: Any) -> Any:
    """Ask for a whole response."""
    return await client.responses.create(**RESPONSE)


async def async_response_stream(client: Any) -> Any:
    """Ask for events."""
    return [event async for event in await client.responses.create(**RESPONSE, stream=True)]


async def async_response_helper(client: Any) -> Any:
    """Use the streaming helper."""
    async with client.responses.stream(**RESPONSE) as stream:
        events = [event async for event in stream]
        return events, await stream.get_final_response()


AsyncSurface = Callable[[Any], Awaitable[Any]]
ASYNC_CHAT_SURFACES: list[AsyncSurface] = [
    async_chat_create,
    async_chat_stream,
    async_chat_helper,
    async_chat_raw,
    async_chat_streaming_raw,
]
ASYNC_MESSAGE_SURFACES: list[AsyncSurface] = [async_message_create, async_message_stream, async_message_helper]
ASYNC_RESPONSE_SURFACES: list[AsyncSurface] = [async_response_create, async_response_stream, async_response_helper]
