"""Which dialect a request speaks, told by the path the SDK posts to."""

from __future__ import annotations

from typing import Any

from agentprod.dialects.anthropic_messages import MESSAGES
from agentprod.dialects.base import Dialect
from agentprod.dialects.openai_chat import CHAT

__all__ = ["dialect_for"]

_BY_PATH: dict[str, Dialect] = {
    "/chat/completions": CHAT,
    "/messages": MESSAGES,
}


def dialect_for(options: Any) -> Dialect | None:
    """Return the dialect of a request, or `None` for traffic that is no model call.

    The path is the one the SDK's method names, before Azure, Bedrock or Vertex rewrite it.
    """
    if options.method.lower() != "post":
        return None
    path = options.url.partition("?")[0].rstrip("/")
    for suffix, dialect in _BY_PATH.items():
        if path.endswith(suffix):
            return dialect
    return None
