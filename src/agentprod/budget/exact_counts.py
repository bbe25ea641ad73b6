"""Ask the provider itself how many tokens a request has: exact, and a request of its own."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from agentprod.errors import ConfigError

__all__ = ["count_by_provider", "forget"]

_MOST_KEPT = 4096

_lock = threading.Lock()
_kept: OrderedDict[str, int] = OrderedDict()


def count_by_provider(client: Any, messages: object, model: str, tools: object = None) -> int:
    """Count by the provider's own endpoint: Anthropic's `messages.count_tokens`, OpenAI's `responses.input_tokens`.

    What was counted before is not asked again.

    Args:
        client: a synchronous `anthropic` or `openai` client, wrapped or not.

        messages: a text, or a list of messages as they go over the wire: Anthropic's, or items of OpenAI responses.

        model: the name as it stands in the request.

        tools: the request's tools.

    Returns:
        Tokens, exactly.

    Raises:
        ConfigError: the client is none of these.
        Exception: what the client raises.
    """
    given = [{"role": "user", "content": messages}] if isinstance(messages, str) else _list(messages)
    key = _digest(client, given, model, tools)
    with _lock:
        if key in _kept:
            return _kept[key]
    count = _ask(client, given, model, tools)
    with _lock:
        _kept[key] = count
        if len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return count


def forget() -> None:
    """Forget what was counted."""
    with _lock:
        _kept.clear()


def _ask(client: Any, messages: list[Any], model: str, tools: object) -> int:
    answer: Any
    options: dict[str, Any] = {"model": model}
    if tools:
        options["tools"] = tools
    count_messages = getattr(getattr(client, "messages", None), "count_tokens", None)
    count_input = getattr(getattr(getattr(client, "responses", None), "input_tokens", None), "count", None)
    if callable(count_messages):
        system = [message["content"] for message in messages if _is_system(message)]
        if system:
            options["system"] = "\n\n".join(map(str, system))
        answer = count_messages(messages=[each for each in messages if not _is_system(each)], **options)
    elif callable(count_input):
        answer = count_input(input=messages, **options)
    else:
        raise ConfigError(
            f"a {type(client).__name__} has no endpoint that counts tokens: anthropic's messages.count_tokens or "
            "openai's responses.input_tokens.count"
        )
    if hasattr(answer, "__await__"):
        close = getattr(answer, "close", None)
        if callable(close):
            close()
        raise ConfigError("counting by the provider takes a synchronous client; await its endpoint yourself otherwise")
    return int(answer.input_tokens)


def _digest(client: Any, messages: list[Any], model: str, tools: object) -> str:
    told = json.dumps([str(getattr(client, "base_url", "")), model, messages, tools], default=str, sort_keys=True)
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _is_system(message: Any) -> bool:
    return isinstance(message, Mapping) and message.get("role") in ("system", "developer")


def _list(messages: object) -> list[Any]:
    return list(messages) if isinstance(messages, Iterable) and not isinstance(messages, Mapping) else [messages]
