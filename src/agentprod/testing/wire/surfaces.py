"""Which surface a request is for, and who plans its reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from agentprod.testing.answers import Answer
from agentprod.testing.exchange import Exchange, Surface
from agentprod.testing.plan import Plan
from agentprod.testing.wire.anthropic_messages import plan_count_tokens, plan_messages
from agentprod.testing.wire.catalogue import plan_models, plan_other
from agentprod.testing.wire.openai_chat import plan_chat
from agentprod.testing.wire.openai_embeddings import plan_embeddings
from agentprod.testing.wire.openai_responses import plan_responses

__all__ = ["plan_answer", "surface_of", "vendor_of"]

# By how the path ends, for what comes before differs: Azure puts the deployment there, Vertex the model.
_POST_ENDINGS: dict[str, Surface] = {
    "/chat/completions": "chat",
    "/responses": "responses",
    "/embeddings": "embeddings",
    "/messages": "messages",
    ":rawPredict": "messages",
    ":streamRawPredict": "messages",
    "/messages/count_tokens": "count_tokens",
}
_PLANNERS: dict[Surface, Callable[[Exchange, Answer], Plan]] = {
    "chat": plan_chat,
    "responses": plan_responses,
    "embeddings": plan_embeddings,
    "messages": plan_messages,
    "count_tokens": plan_count_tokens,
    "models": plan_models,
    "other": plan_other,
}


def surface_of(method: str, path: str) -> Surface:
    """Return the surface a request is for; `"other"` for all that has no planner of its own."""
    if method == "POST":
        for ending, surface in _POST_ENDINGS.items():
            if path.endswith(ending):
                return surface
        return "other"
    return "models" if method == "GET" and "models" in path.split("/")[-2:] else "other"


def vendor_of(surface: Surface, headers: Mapping[str, str]) -> Literal["openai", "anthropic"]:
    """Return whose shapes the reply has."""
    anthropic = surface in ("messages", "count_tokens") or "anthropic-version" in headers
    return "anthropic" if anthropic else "openai"


def plan_answer(exchange: Exchange, answer: Answer) -> Plan:
    """Return the faithful reply of the surface the request is for."""
    return _PLANNERS[exchange.surface](exchange, answer)
