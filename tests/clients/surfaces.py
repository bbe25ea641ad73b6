"""Every way an SDK client can be asked for a reply, each written once for sync and async."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from pydantic import BaseModel

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello to Li Wei, 李伟."}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "send_mail",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"to": {"type": "string"}, "text": {"type": "string"}},
                "required": ["to", "text"],
                "additionalProperties": False,
            },
        },
    }
]
CLAUDE_TOOLS = [{"name": "send_mail", "input_schema": TOOLS[0]["function"]["parameters"]}]  # type: ignore[index]


class Greeting(BaseModel):
    """What `parse` shall return."""

    name: str
    words: str


async def result(value: Any) -> Any:
    """Return a value, awaited if it must be."""
    return await value if inspect.isawaitable(value) else value


async def items(stream: Any) -> list[Any]:
    """Return all items of a stream of either kind."""
    if hasattr(stream, "__anext__") or hasattr(stream, "__aiter__"):
        return [item async for item in stream]
    return list(stream)


@asynccontextmanager
async def opened(manager: Any) -> AsyncIterator[Any]:
    """Enter a context manager of either kind."""
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


def dumped(value: Any) -> Any:
    """Return a reply, event or list of them as plain data with its type, but for what differs from reply to reply."""
    if isinstance(value, list):
        return [dumped(item) for item in value]
    if isinstance(value, BaseModel):
        return type(value).__name__.partition("[")[0], forget(value.model_dump(warnings=False))
    return type(value).__name__, value


def forget(data: Any) -> Any:
    """Drop ids and times."""
    if isinstance(data, dict):
        return {
            key: forget(value) for key, value in data.items() if key not in ("id", "item_id", "created", "_request_id")
        }
    return [forget(item) for item in data] if isinstance(data, list | tuple) else data


@dataclass(frozen=True)
class Surface:
    """One way to ask: `ask(client, **extra)` returns what the caller sees, as plain data."""

    name: str
    sdk: str
    ask: Callable[..., Awaitable[Any]]
    streams: bool = False
    json: bool = False
    """The reply's text must be JSON."""
    silent: bool = False
    """The reply has no text."""


SURFACES: list[Surface] = []


def surface(sdk: str, *, streams: bool = False, json: bool = False, silent: bool = False) -> Callable[[Any], Any]:
    """Register a surface under its function's name."""

    def register(ask: Any) -> Any:
        SURFACES.append(Surface(f"{sdk}.{ask.__name__.removeprefix(sdk + '_')}", sdk, ask, streams, json, silent))
        return ask

    return register


# OpenAI chat


@surface("openai")
async def openai_create(client: Any, **extra: Any) -> Any:
    """A plain reply."""
    return dumped(await result(client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, **extra)))


@surface("openai", streams=True)
async def openai_stream(client: Any, **extra: Any) -> Any:
    """Chunks."""
    stream = await result(client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, stream=True, **extra))
    return type(stream).__name__, dumped(await items(stream))


@surface("openai", streams=True)
async def openai_stream_with(client: Any, **extra: Any) -> Any:
    """Chunks within `with`."""
    stream = await result(client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, stream=True, **extra))
    async with opened(stream) as inner:
        return type(inner).__name__, dumped(await items(inner))


@surface("openai", streams=True)
async def openai_helper(client: Any, **extra: Any) -> Any:
    """The `.stream()` helper: its events and its final completion."""
    async with opened(
        client.chat.completions.stream(model="gpt-5-mini", messages=MESSAGES, tools=TOOLS, **extra)
    ) as stream:
        kinds = [event.type for event in await items(stream)]
        return type(stream).__name__, kinds, dumped(await result(stream.get_final_completion()))


@surface("openai", json=True)
async def openai_parse(client: Any, **extra: Any) -> Any:
    """A parsed reply."""
    made = await result(
        client.chat.completions.parse(model="gpt-5-mini", messages=MESSAGES, response_format=Greeting, **extra)
    )
    parsed = made.choices[0].message.parsed
    return type(parsed).__name__, parsed.model_dump(), dumped(made)


@surface("openai", streams=True, json=True)
async def openai_parse_stream(client: Any, **extra: Any) -> Any:
    """A parsed reply by way of the helper."""
    async with opened(
        client.chat.completions.stream(model="gpt-5-mini", messages=MESSAGES, response_format=Greeting, **extra)
    ) as stream:
        final = await result(stream.get_final_completion())
        return final.choices[0].message.parsed.model_dump(), dumped(final)


@surface("openai")
async def openai_raw(client: Any, **extra: Any) -> Any:
    """A raw response and its parse."""
    raw = await result(client.chat.completions.with_raw_response.create(model="gpt-5-mini", messages=MESSAGES, **extra))
    return type(raw).__name__, raw.status_code, forget(raw.http_response.json()), dumped(raw.parse())


@surface("openai")
async def openai_streaming_raw(client: Any, **extra: Any) -> Any:
    """A streaming response, read and parsed."""
    async with opened(
        client.chat.completions.with_streaming_response.create(model="gpt-5-mini", messages=MESSAGES, **extra)
    ) as raw:
        parsed = await result(raw.parse())
        return type(raw).__name__, raw.status_code, dumped(parsed)


@surface("openai")
async def openai_streaming_raw_text(client: Any, **extra: Any) -> Any:
    """A streaming response, read as JSON."""
    async with opened(
        client.chat.completions.with_streaming_response.create(model="gpt-5-mini", messages=MESSAGES, **extra)
    ) as raw:
        return forget(await result(raw.json()))


@surface("openai", streams=True)
async def openai_raw_stream(client: Any, **extra: Any) -> Any:
    """A raw response of a stream."""
    raw = await result(
        client.chat.completions.with_raw_response.create(model="gpt-5-mini", messages=MESSAGES, stream=True, **extra)
    )
    stream = raw.parse()
    return type(raw).__name__, type(stream).__name__, dumped(await items(stream))


@surface("openai", streams=True)
async def openai_streaming_raw_stream(client: Any, **extra: Any) -> Any:
    """A streaming response of a stream."""
    async with opened(
        client.chat.completions.with_streaming_response.create(
            model="gpt-5-mini", messages=MESSAGES, stream=True, **extra
        )
    ) as raw:
        stream = await result(raw.parse())
        return type(stream).__name__, dumped(await items(stream))


@surface("openai")
async def openai_with_options(client: Any, **extra: Any) -> Any:
    """A copy with options."""
    other = client.with_options(timeout=20, max_retries=0)
    return dumped(await result(other.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, **extra)))


@surface("openai")
async def openai_copy(client: Any, **extra: Any) -> Any:
    """A copy of a copy."""
    other = client.copy().copy(default_headers={"x-test": "1"})
    return dumped(await result(other.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, **extra)))


# Anthropic messages


@surface("anthropic")
async def anthropic_create(client: Any, **extra: Any) -> Any:
    """A plain reply."""
    return dumped(await result(client.messages.create(**claude(), **extra)))


@surface("anthropic", streams=True)
async def anthropic_stream(client: Any, **extra: Any) -> Any:
    """Events."""
    stream = await result(client.messages.create(stream=True, **claude(), **extra))
    return type(stream).__name__, dumped(await items(stream))


@surface("anthropic", streams=True)
async def anthropic_helper(client: Any, **extra: Any) -> Any:
    """The `.stream()` helper: its events and its final message."""
    async with opened(client.messages.stream(tools=CLAUDE_TOOLS, **claude(), **extra)) as stream:
        kinds = [event.type for event in await items(stream)]
        return type(stream).__name__, kinds, dumped(await result(stream.get_final_message()))


@surface("anthropic", streams=True)
async def anthropic_text_stream(client: Any, **extra: Any) -> Any:
    """The helper's texts."""
    async with opened(client.messages.stream(**claude(), **extra)) as stream:
        texts = await items(stream.text_stream)
        return "".join(texts), dumped(await result(stream.get_final_message()))


@surface("anthropic", json=True)
async def anthropic_parse(client: Any, **extra: Any) -> Any:
    """A parsed reply."""
    made = await result(client.messages.parse(output_format=Greeting, **claude(), **extra))
    return made.parsed_output.model_dump(), dumped(made)


@surface("anthropic")
async def anthropic_raw(client: Any, **extra: Any) -> Any:
    """A raw response and its parse."""
    raw = await result(client.messages.with_raw_response.create(**claude(), **extra))
    return type(raw).__name__, raw.status_code, dumped(await result(raw.parse()))


@surface("anthropic")
async def anthropic_streaming_raw(client: Any, **extra: Any) -> Any:
    """A streaming response, parsed."""
    async with opened(client.messages.with_streaming_response.create(**claude(), **extra)) as raw:
        return type(raw).__name__, dumped(await result(raw.parse()))


@surface("anthropic", streams=True)
async def anthropic_raw_stream(client: Any, **extra: Any) -> Any:
    """A raw response of a stream."""
    raw = await result(client.messages.with_raw_response.create(stream=True, **claude(), **extra))
    stream = await result(raw.parse())
    return type(raw).__name__, type(stream).__name__, dumped(await items(stream))


@surface("anthropic", streams=True)
async def anthropic_streaming_raw_stream(client: Any, **extra: Any) -> Any:
    """A streaming response of a stream."""
    async with opened(client.messages.with_streaming_response.create(stream=True, **claude(), **extra)) as raw:
        stream = await result(raw.parse())
        return type(stream).__name__, dumped(await items(stream))


@surface("anthropic")
async def anthropic_with_options(client: Any, **extra: Any) -> Any:
    """A copy with options."""
    other = client.with_options(timeout=20, max_retries=0)
    return dumped(await result(other.messages.create(**claude(), **extra)))


@surface("anthropic")
async def anthropic_beta(client: Any, **extra: Any) -> Any:
    """The beta resource."""
    return dumped(await result(client.beta.messages.create(**claude(), **extra)))


@surface("anthropic", streams=True)
async def anthropic_beta_helper(client: Any, **extra: Any) -> Any:
    """The beta resource's helper."""
    async with opened(client.beta.messages.stream(**claude(), **extra)) as stream:
        return dumped(await result(stream.get_final_message()))


def claude() -> dict[str, Any]:
    """Return the arguments that mean to Anthropic what MESSAGES means to OpenAI."""
    return {
        "model": "claude-sonnet-5",
        "max_tokens": 200,
        "system": MESSAGES[0]["content"],
        "messages": [MESSAGES[1]],
    }


def make_client(sdk: str, kind: str, provider: Any, **options: Any) -> Any:
    """Return a bare client of the SDK that talks to the scripted provider."""
    if sdk == "openai":
        made = openai.OpenAI if kind == "sync" else openai.AsyncOpenAI
        return made(base_url=provider.openai_url, api_key="test-key", **{"max_retries": 0, **options})
    built = anthropic.Anthropic if kind == "sync" else anthropic.AsyncAnthropic
    return built(base_url=provider.anthropic_url, api_key="test-key", **{"max_retries": 0, **options})


async def shut(client: Any) -> None:
    """Close a bare client of either kind."""
    await result(client.close())


# OpenAI responses


def asked() -> dict[str, Any]:
    """Return the arguments that mean to the Responses API what MESSAGES means to chat."""
    return {"model": "gpt-5-mini", "instructions": MESSAGES[0]["content"], "input": MESSAGES[1]["content"]}


@surface("openai")
async def openai_responses_create(client: Any, **extra: Any) -> Any:
    """A whole response."""
    return dumped(await result(client.responses.create(**asked(), **extra)))


@surface("openai", streams=True)
async def openai_responses_stream(client: Any, **extra: Any) -> Any:
    """Its events."""
    stream = await result(client.responses.create(stream=True, **asked(), **extra))
    return type(stream).__name__, dumped(await items(stream))


@surface("openai", streams=True)
async def openai_responses_helper(client: Any, **extra: Any) -> Any:
    """The `.stream()` helper: its events and its final response."""
    async with opened(client.responses.stream(**asked(), **extra)) as stream:
        kinds = [event.type for event in await items(stream)]
        return kinds, dumped(await result(stream.get_final_response()))


@surface("openai", json=True)
async def openai_responses_parse(client: Any, **extra: Any) -> Any:
    """A parsed response."""
    made = await result(client.responses.parse(text_format=Greeting, **asked(), **extra))
    return made.output_parsed.model_dump(), dumped(made)


@surface("openai")
async def openai_responses_raw(client: Any, **extra: Any) -> Any:
    """A raw response and its parse."""
    raw = await result(client.responses.with_raw_response.create(**asked(), **extra))
    return type(raw).__name__, dumped(raw.parse())


# Embeddings


@surface("openai", silent=True)
async def openai_embeddings(client: Any, **extra: Any) -> Any:
    """Vectors, by default in base64 on the wire and decoded by the SDK."""
    made = await result(client.embeddings.create(model="text-embedding-3-small", input=["a", "李伟"], **extra))
    return dumped(made)


@surface("openai", silent=True)
async def openai_embeddings_floats(client: Any, **extra: Any) -> Any:
    """Vectors as floats on the wire."""
    made = await result(
        client.embeddings.create(model="text-embedding-3-small", input="a", encoding_format="float", **extra)
    )
    return dumped(made)


@surface("openai", silent=True)
async def openai_embeddings_raw(client: Any, **extra: Any) -> Any:
    """A raw response of vectors."""
    raw = await result(client.embeddings.with_raw_response.create(model="m", input="a", **extra))
    return type(raw).__name__, dumped(raw.parse())
