"""The HTTP side of a reply: which headers each vendor sends with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentprod.testing.exchange import Exchange
from agentprod.testing.plan import Piece, Plan
from agentprod.testing.wire.sse import dump

__all__ = ["json_plan", "stream_plan"]


def json_plan(exchange: Exchange, body: Any, headers: Mapping[str, str], *, status: int = 200) -> Plan:
    """Return the plan of a whole JSON reply."""
    sent = {"content-type": "application/json", **_vendor_headers(exchange), **headers}
    return Plan(status=status, headers=sent, pieces=(Piece(dump(body), mark="content"),))


def stream_plan(exchange: Exchange, events: Sequence[Piece], headers: Mapping[str, str]) -> Plan:
    """Return the plan of a stream of events."""
    sent = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        **_vendor_headers(exchange),
        **headers,
    }
    return Plan(headers=sent, pieces=tuple(events), stream=True)


def _vendor_headers(exchange: Exchange) -> dict[str, str]:
    request_id = exchange.id("req_")
    if exchange.vendor == "anthropic":
        return {"request-id": request_id, "anthropic-organization-id": "org-scripted"}
    return {
        "x-request-id": request_id,
        "openai-organization": "org-scripted",
        "openai-processing-ms": "1",
        "openai-version": "2020-10-01",
    }
