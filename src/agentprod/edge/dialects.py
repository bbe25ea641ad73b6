"""Which dialect a request speaks, told by the path the SDK posts to."""

from __future__ import annotations

import re
from typing import Any

from agentprod.dialects.anthropic_messages import MESSAGES
from agentprod.dialects.base import Dialect
from agentprod.dialects.openai_chat import CHAT
from agentprod.dialects.openai_embeddings import EMBEDDINGS
from agentprod.dialects.openai_responses import RESPONSES
from agentprod.edge.registered import registered

__all__ = ["OTHER_READ", "OTHER_WRITE", "dialect_for"]

_BY_PATH: dict[str, Dialect] = {
    "/chat/completions": CHAT,
    "/messages": MESSAGES,
    "/responses": RESPONSES,
    "/embeddings": EMBEDDINGS,
}
_STORES = re.compile(r"/threads/[^/]+/messages$")
"""Ends like a model call, but only adds a message to what is kept."""


def dialect_for(options: Any) -> Dialect | None:
    """Return the dialect of a request, or `None` for traffic that is no model call.

    The path is the one the SDK's method names, before Azure, Bedrock or Vertex rewrite it.
    """
    if options.method.lower() != "post":
        return None
    path = options.url.partition("?")[0].rstrip("/")
    for suffix, dialect in _BY_PATH.items():
        if path.endswith(suffix):
            return None if _STORES.search(path) else dialect
    for brought in registered().values():
        if brought.paths and path.endswith(brought.paths):
            return brought
    return None


class _Other(Dialect):
    """Traffic that carries no model call: files, batches, models."""

    name = "other"
    operation = "other"


class _OtherWrite(_Other):
    """Such traffic that changes something."""

    repeatable = False


OTHER_READ = _Other()
OTHER_WRITE = _OtherWrite()
