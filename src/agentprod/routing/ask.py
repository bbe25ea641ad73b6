"""What a request asks: the last real question of the user, and what surrounds it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Ask", "is_continuation", "read_ask"]

_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL | re.IGNORECASE)
_CONTINUATION = re.compile(
    r"(?:(?:y|yes|yeah|yep|sure|ok|okay|please|go|go on|go ahead|do it|continue|carry on|keep going|proceed|next|more"
    r"|thanks|thank you|good|great|fine|right|correct|retry|again|try again|yes please|looks good|lgtm"
    r"|好|好的|好吧|是|是的|对|对的|嗯|可以|行|继续|请继续|接着|接着说|接着写|往下|下一步|下一个|没问题|谢谢|再来|再试一次|重试|开始吧"
    r"|同意|确认|明白|收到)[\s,.!。，！、~]*)+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a route is decided from."""

    text: str
    """The last user message that asks something; a mere "yes" or 继续 stands for the one before it."""
    turns: int
    """Messages of the user."""
    tool_results: int
    """Results of tools since the beginning."""
    characters: int
    """Length of the whole conversation, the system prompt left out."""
    continues: bool
    """True when the last message only says to go on, so that the route of the turn before should stay."""
    in_tool_exchange: bool
    """True when the last message is the result of a tool: the model is in the middle of its work."""
    has_images: bool
    """True when any message carries an image."""
    has_tools: bool
    """True when the request offers tools."""


def read_ask(request: Mapping[str, Any]) -> Ask:
    """Read what a request asks.

    System prompts and `<system-reminder>` blocks are no part of it: they are long and the same for every prompt.

    Args:
        request: wire JSON of a chat completion, a response, a message or an embedding, or `{"messages": …}`.

    Returns:
        The ask; with empty text when there is nothing from a user.
    """
    asks: list[str] = []
    tool_results = characters = 0
    images = last_is_tool = False
    for kind, text, has_image in _pieces(request):
        images = images or has_image
        characters += len(text)
        if kind == "tool":
            tool_results += 1
            last_is_tool = True
        elif kind == "user":
            last_is_tool = False
            asks.append(_REMINDER.sub("", text).strip())
        else:
            last_is_tool = False
    said = [text for text in asks if text]
    questions = [text for text in said if not is_continuation(text)]
    return Ask(
        text=(questions or said or [""])[-1],
        turns=len(asks),
        tool_results=tool_results,
        characters=characters,
        continues=bool(said) and len(said) > 1 and is_continuation(said[-1]),
        in_tool_exchange=last_is_tool,
        has_images=images,
        has_tools=bool(request.get("tools")),
    )


def is_continuation(text: str) -> bool:
    """Tell whether a message only agrees or says to go on, in English or Chinese.

    Args:
        text: the message.
    """
    return len(text) <= 40 and _CONTINUATION.fullmatch(text.strip()) is not None


def _pieces(request: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """The conversation as (who, text, has an image): `"user"`, `"tool"` or `"other"`, system messages left out."""
    messages = request.get("messages")
    if messages is None:
        messages = request.get("input")
    if isinstance(messages, str):
        yield "user", messages, False
        return
    for message in messages if isinstance(messages, list | tuple) else ():
        if isinstance(message, str):
            yield "user", message, False
        if not isinstance(message, Mapping):
            continue
        role, kind = message.get("role"), message.get("type")
        if kind == "function_call_output" or role in ("tool", "function"):
            yield "tool", _text(message.get("content") or message.get("output")), False
        elif role == "user":
            yield from _user(message.get("content"))
        elif role not in ("system", "developer"):
            yield "other", _text(message.get("content")), False


def _user(content: object) -> Iterator[tuple[str, str, bool]]:
    parts = content if isinstance(content, list | tuple) else [content]
    texts: list[str] = []
    image = results = False
    for part in parts:
        if isinstance(part, Mapping) and part.get("type") == "tool_result":
            results = True
            yield "tool", _text(part.get("content")), False
        elif isinstance(part, Mapping) and part.get("type") in ("image", "image_url", "input_image"):
            image = True
        else:
            texts.append(_text(part))
    text = "\n".join(text for text in texts if text)
    # A message that brings nothing but results is not the user's.
    if text or image or not results:
        yield "user", text, image


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        text = content.get("text")
        return text if isinstance(text, str) else ""
    if isinstance(content, list | tuple):
        return "\n".join(text for part in content if (text := _text(part)))
    return ""
