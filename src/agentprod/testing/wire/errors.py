"""Errors in each vendor's shape, as an HTTP reply and inside a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentprod.testing.exchange import Exchange
from agentprod.testing.plan import Piece, Plan
from agentprod.testing.wire.http_plans import json_plan
from agentprod.testing.wire.sse import event

__all__ = ["error_events", "plan_error", "stream_error_status"]

# Types by status: https://docs.claude.com/en/api/errors and https://platform.openai.com/docs/guides/error-codes
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OPENAI_TYPES = {429: "requests"}
_OPENAI_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_MESSAGES = {
    400: "The request is malformed.",
    401: "Incorrect API key provided.",
    404: "The model does not exist or you do not have access to it.",
    429: "Rate limit reached. Please try again later.",
    529: "Overloaded",
}
# One vendor's word for a fault, asked of the other.
_STREAM_TYPES: dict[str, dict[str | None, str]] = {
    "anthropic": {"server_error": "api_error", None: "overloaded_error"},
    "openai": {"overloaded_error": "server_error", "api_error": "server_error", None: "server_error"},
}
_STREAM_STATUS = {"overloaded_error": 529, "rate_limit_error": 429, "rate_limit_exceeded": 429}


def plan_error(
    exchange: Exchange,
    status: int,
    *,
    type: str | None,
    code: str | None,
    message: str | None,
    headers: Mapping[str, str],
) -> Plan:
    """Return an error reply, with what the vendor says for this status where nothing is scripted."""
    text = message or _MESSAGES.get(status) or ("The server had an error." if status >= 500 else "Invalid request.")
    if exchange.vendor == "anthropic":
        kind = type or _ANTHROPIC_TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
        return json_plan(exchange, _anthropic_body(exchange, kind, text, code), headers, status=status)
    kind = type or _OPENAI_TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")
    body = {"error": {"message": text, "type": kind, "param": None, "code": code or _OPENAI_CODES.get(status)}}
    return json_plan(exchange, body, headers, status=status)


def error_events(exchange: Exchange, *, type: str | None, message: str | None, position: int) -> list[Piece]:
    """Return what a vendor sends when a stream fails that began with status 200."""
    kind = _STREAM_TYPES[exchange.vendor].get(type, type)
    text = message or ("Overloaded" if exchange.vendor == "anthropic" else "The server had an error.")
    if exchange.vendor == "anthropic":
        return [event(_anthropic_body(exchange, str(kind), text, None), "error")]
    if exchange.surface == "responses":
        flat = {"type": "error", "code": kind, "message": text, "param": None, "sequence_number": position}
        return [event(flat, "error")]
    return [event({"error": {"message": text, "type": kind, "param": None, "code": None}})]


def stream_error_status(type: str | None, vendor: str) -> int:
    """Return the status the same error has when it is an HTTP reply of its own."""
    return _STREAM_STATUS.get(type or _STREAM_TYPES[vendor][None], 500)


def _anthropic_body(exchange: Exchange, type: str, message: str, code: str | None) -> dict[str, Any]:
    details = {"error_code": code} if code is not None else None
    error = {"details": details, "type": type, "message": message}
    return {"type": "error", "error": error, "request_id": exchange.id("req_")}
