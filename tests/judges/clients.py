"""Clients of every API that the judge speaks, asked in one way."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai

QUESTION = "Say hello to Li Wei, 李伟."
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_CLASSES = {
    ("openai", "sync"): openai.OpenAI,
    ("openai", "async"): openai.AsyncOpenAI,
    ("anthropic", "sync"): anthropic.Anthropic,
    ("anthropic", "async"): anthropic.AsyncAnthropic,
}


def module(api: str) -> Any:
    """Return the SDK that speaks this API."""
    return anthropic if api == "messages" else openai


def client(api: str, kind: str, mock: Any, **options: Any) -> Any:
    """Return a bare client."""
    sdk = module(api).__name__
    headers = {"connection": "close"}  # so that an async client keeps none beyond its loop
    return _CLASSES[sdk, kind](base_url=mock.base_url(sdk), api_key="k", default_headers=headers, **options)


def ask(made: Any, api: str, **extra: Any) -> str:
    """Ask for a whole reply; return its text, or the tool it calls with what arguments."""
    reply = _create(made, api, **extra)
    if asyncio.iscoroutine(reply):
        reply = asyncio.run(_awaited(reply))
    if api == "chat":
        message = reply.choices[0].message
        return message.content or "".join(_called(call.function) for call in message.tool_calls)
    if api == "responses":
        return reply.output_text or "".join(_called(item) for item in reply.output if item.type == "function_call")
    return "".join(block.text if block.type == "text" else f"{block.name} {block.input}" for block in reply.content)


def read(made: Any, api: str, **extra: Any) -> str:
    """Ask for a stream; return its text, and the arguments of the tools it calls."""
    stream = _create(made, api, stream=True, **extra)
    if not asyncio.iscoroutine(stream):
        return "".join(_piece(event, api) for event in stream)

    async def collect() -> str:
        return "".join([_piece(event, api) async for event in await stream])

    return asyncio.run(collect())


def tools(api: str) -> list[dict[str, Any]]:
    """Return a tool as requests of this API carry it."""
    about = {"name": "weather", "description": "Tell the weather."}
    if api == "messages":
        return [{**about, "input_schema": WEATHER}]
    if api == "responses":
        return [{"type": "function", **about, "parameters": WEATHER}]
    return [{"type": "function", "function": {**about, "parameters": WEATHER}}]


def _create(made: Any, api: str, **extra: Any) -> Any:
    if api == "responses":
        return made.responses.create(**{"model": "m", "input": QUESTION, **extra})
    asked = {"model": "m", "messages": [{"role": "user", "content": QUESTION}], **extra}
    if api == "chat":
        return made.chat.completions.create(**asked)
    return made.messages.create(**{"max_tokens": 99, **asked})


async def _awaited(value: Any) -> Any:
    return await value


def _called(function: Any) -> str:
    return f"{function.name} {function.arguments}"


def _piece(event: Any, api: str) -> str:
    if api == "responses":
        return event.delta if event.type.endswith(".delta") else ""
    if api == "chat":
        if not event.choices:
            return ""
        delta = event.choices[0].delta
        return (delta.content or "") + "".join(call.function.arguments or "" for call in delta.tool_calls or ())
    delta = getattr(event, "delta", None)
    return getattr(delta, "text", None) or getattr(delta, "partial_json", None) or ""
