"""`GET /v1/models` of both vendors, and every path that has no planner of its own."""

from __future__ import annotations

from typing import Any

from agentprod.testing.answers import Answer
from agentprod.testing.exchange import CREATED, Exchange
from agentprod.testing.plan import Plan
from agentprod.testing.wire.http_plans import json_plan

__all__ = ["plan_models", "plan_other"]

_MODELS = {
    "openai": ("gpt-5", "gpt-5-mini", "text-embedding-3-small"),
    "anthropic": ("claude-sonnet-4-5", "claude-haiku-4-5"),
}


def plan_models(exchange: Exchange, answer: Answer) -> Plan:
    """Return the list of models, or the one whose name ends the path."""
    wanted = exchange.request.path.rstrip("/").rpartition("/")[2]
    if wanted != "models":
        return json_plan(exchange, _model(exchange, wanted), answer.headers)
    models = [_model(exchange, name) for name in _MODELS[exchange.vendor]]
    if exchange.vendor == "openai":
        return json_plan(exchange, {"object": "list", "data": models}, answer.headers)
    page = {"data": models, "has_more": False, "first_id": models[0]["id"], "last_id": models[-1]["id"]}
    return json_plan(exchange, page, answer.headers)


def plan_other(exchange: Exchange, answer: Answer) -> Plan:
    """Return a small object, such as a file or a batch might be; an empty page where a list was asked for."""
    parts = exchange.request.path.strip("/").split("/")
    last, kind = parts[-1], "object"
    if exchange.request.method == "GET" and last.endswith("s"):
        page = {"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None}
        return json_plan(exchange, page, answer.headers)
    if exchange.request.method == "DELETE":
        return json_plan(exchange, {"id": last, "object": kind, "type": kind, "deleted": True}, answer.headers)
    made = exchange.request.method == "POST"
    body = {
        "id": exchange.id("obj_") if made else last,
        "object": kind,
        "type": kind,
        "created_at": CREATED,
        "status": "completed",
    }
    return json_plan(exchange, body, answer.headers)


def _model(exchange: Exchange, name: str) -> dict[str, Any]:
    if exchange.vendor == "openai":
        return {"id": name, "object": "model", "created": CREATED, "owned_by": "scripted"}
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "2023-11-14T22:13:20Z",
        "lifecycle": "active",
    }
