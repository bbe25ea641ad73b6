"""Which surface a request is for, and who plans its reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from agentprod.testing.answers import Answer
from agentprod.testing.exchange import Exchange, Surface
from agentprod.testing.plan import Plan
from agentprod.testing.wire.anthropic_messages import plan_count_tokens, plan_messages
from agentprod.testing.wire.http_plans import json_plan
from agentprod.testing.wire.openai_chat import plan_chat

__all__ = ["plan_answer", "surface_of", "vendor_of"]


def surface_of(method: str, path: str) -> Surface:
    """Return the surface of a request, by the end of its path: prefixes differ, as Azure's do."""
    if method == "POST":
        endings: dict[str, Surface] = {
            "/chat/completions": "chat",
            "/messages": "messages",
            "/messages/count_tokens": "count_tokens",
        }
        for ending, surface in endings.items():
            if path.endswith(ending):
                return surface
    return "other"


def vendor_of(surface: Surface, headers: Mapping[str, str]) -> Literal["openai", "anthropic"]:
    """Return whose shapes the reply has."""
    anthropic = surface in ("messages", "count_tokens") or "anthropic-version" in headers
    return "anthropic" if anthropic else "openai"


def plan_answer(exchange: Exchange, answer: Answer) -> Plan:
    """Return the faithful reply of the surface the request is for."""
    return _PLANNERS[exchange.surface](exchange, answer)


def _plan_other(exchange: Exchange, answer: Answer) -> Plan:
    return json_plan(exchange, {"id": exchange.id("obj_"), "object": "object"}, answer.headers)


_PLANNERS: dict[Surface, Callable[[Exchange, Answer], Plan]] = {
    "chat": plan_chat,
    "messages": plan_messages,
    "count_tokens": plan_count_tokens,
    "other": _plan_other,
}
