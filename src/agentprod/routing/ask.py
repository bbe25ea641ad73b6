"""What a request asks: the last real question of the user, and what surrounds it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from agentprod.dialects.values import to_json

__all__ = ["Ask", "is_continuation", "read_ask"]

_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL | re.IGNORECASE)
_CONTINUATION = re.compile(
    r"(?:(?:y|yes|yeah|yep|sure|ok|okay|please|go|go on|go ahead|do it|continue|carry on|keep going|proceed|next|more"
    r"|thanks|thank you|good|great|fine|right|correct|retry|again|try again|yes please|looks good|lgtm"
    r"|好|好的|好吧|是|是的|对|对的|嗯|可以|行|继续|请继续|接着|接着说|接着写|往下|下一步|下一个|没问题|谢谢|再来|再试一次|重试|开始吧"
    r"|同意|确认|明白|收到)[\s,.!。，！、~]*)+",
    re.IGNORECASE,
)
_MEDIA = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "audio": "audio",
    "file": "file",
    "input_file": "file",
    "document": "file",
}
_PROMPTS = ("prompt", "question", "query", "text", "message", "user_input")
"""Names under which a function takes what is asked."""


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
    size: int
    """Length of all that is sent, with the system prompt and the tools."""
    continues: bool
    """True when the last message only says to go on, so that the route of the turn before should stay."""
    in_tool_exchange: bool
    """True when the last message is the result of a tool: the model is in the middle of its work."""
    media: frozenset[str]
    """Kinds of content besides text: of `"image"`, `"audio"` and `"file"`."""
    has_tools: bool
    """True when the request offers tools."""


class _Piece(NamedTuple):
    kind: str
    """`"user"`, `"tool"`, `"system"` or `"other"`."""
    text: str
    media: frozenset[str] = frozenset()


def read_ask(request: Mapping[str, Any]) -> Ask:
    """Read what a request asks.

    System prompts and `<system-reminder>` blocks are no part of it: they are long and the same for every prompt.

    Args:
        request: wire JSON of a chat completion, a response, a message or an embedding, `{"messages": …}`, or the
            arguments of a function by name.

    Returns:
        The ask; with empty text when there is nothing from a user.
    """
    asks: list[str] = []
    tool_results = characters = size = 0
    media: frozenset[str] = frozenset()
    last_is_tool = False
    for piece in _pieces(request):
        size += len(piece.text)
        if piece.kind == "system":
            continue
        characters += len(piece.text)
        if piece.kind != "user":
            last_is_tool = piece.kind == "tool"
            tool_results += last_is_tool
            continue
        media |= piece.media
        text = (_REMINDER.sub("", piece.text) if "<" in piece.text else piece.text).strip()
        if text or piece.media or not last_is_tool:  # a reminder beside results of tools is not the user speaking
            last_is_tool = False
            asks.append(text)
    said = [text for text in asks if text]
    last = next((text for text in reversed(said) if not is_continuation(text)), said[-1] if said else "")
    tools = request.get("tools")
    return Ask(
        text=last,
        turns=len(asks),
        tool_results=tool_results,
        characters=characters,
        size=size + (len(str(tools)) if tools else 0),
        continues=len(said) > 1 and is_continuation(said[-1]),
        in_tool_exchange=last_is_tool,
        media=media,
        has_tools=bool(tools),
    )


def is_continuation(text: str) -> bool:
    """Tell whether a message only agrees or says to go on, in English or Chinese.

    Args:
        text: the message.
    """
    return len(text) <= 40 and _CONTINUATION.fullmatch(text.strip()) is not None


def _pieces(request: Mapping[str, Any]) -> Iterator[_Piece]:
    """Yield the conversation in order, the system prompt first."""
    for name in ("system", "instructions"):
        if request.get(name):
            yield _Piece("system", _text(request[name]))
    messages = request.get("messages")
    if messages is None:
        messages = request.get("input")
    if messages is None:
        messages = _argument(request)
    if isinstance(messages, str):
        yield _Piece("user", messages)
        return
    for message in messages if isinstance(messages, list | tuple) else ():
        if isinstance(message, str):
            yield _Piece("user", message)
            continue
        message = message if isinstance(message, Mapping) else to_json(message)  # a reply handed back as it came
        if not isinstance(message, Mapping):
            continue
        role, kind = message.get("role"), message.get("type")
        if kind == "function_call_output" or role in ("tool", "function"):
            yield _Piece("tool", _text(message.get("content") or message.get("output")))
        elif role == "user":
            yield from _user(message.get("content"))
        else:
            yield _Piece("system" if role in ("system", "developer") else "other", _text(message.get("content")))


def _argument(request: Mapping[str, Any]) -> Any:
    """The argument of a function that says what is asked: by its name, or the only text there is."""
    for name in _PROMPTS:
        if isinstance(request.get(name), str):
            return request[name]
    texts = [value for name, value in request.items() if isinstance(value, str) and name != "model"]
    return texts[0] if len(texts) == 1 else None


def _user(content: object) -> Iterator[_Piece]:
    parts = content if isinstance(content, list | tuple) else [content]
    texts: list[str] = []
    media: set[str] = set()
    results = False
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "tool_result" and isinstance(part, Mapping):
            results = True
            yield _Piece("tool", _text(part.get("content")))
        elif isinstance(kind, str) and kind in _MEDIA:
            media.add(_MEDIA[kind])
        else:
            texts.append(_text(part))
    text = "\n".join(text for text in texts if text)
    # A message that brings nothing but results is not the user's.
    if text or media or not results:
        yield _Piece("user", text, frozenset(media))


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        text = content.get("text")
        return text if isinstance(text, str) else ""
    if isinstance(content, list | tuple):
        return "\n".join(text for part in content if (text := _text(part)))
    return ""
