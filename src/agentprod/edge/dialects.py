"""Which dialect a request speaks, told by the path the SDK posts to."""

from __future__ import annotations

import re

from agentprod.dialects.anthropic_messages import MESSAGES
from agentprod.dialects.base import Dialect
from agentprod.dialects.openai_chat import CHAT
from agentprod.dialects.openai_embeddings import EMBEDDINGS
from agentprod.dialects.openai_responses import RESPONSES
from agentprod.edge.registered import registered

__all__ = ["OTHER_ONCE", "OTHER_READ", "OTHER_TEXT", "OTHER_WRITE", "dialect_for", "other_for"]

_BY_PATH: dict[str, Dialect] = {
    "/chat/completions": CHAT,
    "/messages": MESSAGES,
    "/responses": RESPONSES,
    "/embeddings": EMBEDDINGS,
}
_WHOLE_PATHS: dict[str, Dialect] = {**_BY_PATH, "/v1/messages": MESSAGES}
"""Paths as most SDKs name them, which need no search."""
_STORES = re.compile(r"/threads/[^/]+/messages$")
"""Ends like a model call, but only adds a message to what is kept."""


def dialect_for(method: str, path: str) -> Dialect | None:
    """Return the dialect of a request, or `None` for traffic that is no model call.

    The path is the one the SDK's method names, before Azure, Bedrock or Vertex rewrite it.
    """
    if method.lower() != "post":
        return None
    if path in _WHOLE_PATHS:
        return _WHOLE_PATHS[path]
    path = path.partition("?")[0].rstrip("/")
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


class _OtherOnce(_OtherWrite):
    """Such traffic whose body is gone once it was read: a stream, a pipe."""

    once = True


class _OtherText(_OtherWrite):
    """Such traffic whose JSON is text to be worked on and not kept: a layer may read and change it."""

    name = "other_text"


OTHER_READ = _Other()
OTHER_WRITE = _OtherWrite()
OTHER_ONCE = _OtherOnce()
OTHER_TEXT = _OtherText()

_TEXT_PATHS = (
    "/messages/count_tokens",
    "/responses/input_tokens",
    "/moderations",
    "/completions",
    "/images/generations",
    "/audio/speech",
)


def other_for(method: str, path: str) -> Dialect:
    """Return the dialect of a request that is no model call."""
    method = method.lower()
    if method == "post" and path.partition("?")[0].rstrip("/").endswith(_TEXT_PATHS):
        return OTHER_TEXT
    return OTHER_READ if method in ("get", "head") else OTHER_WRITE
