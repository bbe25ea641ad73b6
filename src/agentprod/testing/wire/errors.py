"""Errors in each vendor's shape, as an HTTP reply and inside a stream.

Types and codes: https://docs.claude.com/en/api/errors and https://platform.openai.com/docs/guides/error-codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentprod.testing.exchange import Exchange
from agentprod.testing.plan import Piece, Plan
from agentprod.testing.wire.http_plans import json_plan
from agentprod.testing.wire.openai_responses import failed_event
from agentprod.testing.wire.sse import event

__all__ = ["error_events", "plan_error", "plan_stream_error"]

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


@dataclass(frozen=True, slots=True)
class _StreamFault:
    """A fault that strikes while a reply is made, in one vendor's words."""

    type: str
    status: int
    message: str
    code: str | None = None


_BROKEN = "The server had an error while processing your request."
_BUSY = "Our servers are currently overloaded. Please try again later."
# By the word a script uses for it, which may be the other vendor's.
_STREAM_FAULTS = {
    "anthropic": {
        "overloaded_error": _StreamFault("overloaded_error", 529, "Overloaded"),
        "server_error": _StreamFault("api_error", 500, _BROKEN),
        "rate_limit_error": _StreamFault("rate_limit_error", 429, _MESSAGES[429]),
    },
    "openai": {
        "overloaded_error": _StreamFault("service_unavailable_error", 503, _BUSY, "server_is_overloaded"),
        "server_error": _StreamFault("server_error", 500, _BROKEN),
        "rate_limit_error": _StreamFault("requests", 429, _MESSAGES[429], "rate_limit_exceeded"),
    },
}
_USUAL_FAULT = {"anthropic": "overloaded_error", "openai": "server_error"}


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
    text = message or _MESSAGES.get(status) or (_BROKEN if status >= 500 else "Invalid request.")
    if exchange.vendor == "anthropic":
        kind = type or _ANTHROPIC_TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
        return json_plan(exchange, _anthropic_body(exchange, kind, text, code), headers, status=status)
    kind = type or _OPENAI_TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")
    body = {"error": _openai_error(kind, text, code or _OPENAI_CODES.get(status))}
    return json_plan(exchange, body, headers, status=status)


def plan_stream_error(exchange: Exchange, *, type: str | None, message: str | None) -> Plan:
    """Return the HTTP reply for a fault of a stream where no stream was asked for."""
    fault = _fault(exchange, type)
    text = message or fault.message
    return plan_error(exchange, fault.status, type=fault.type, code=fault.code, message=text, headers={})


def error_events(exchange: Exchange, *, type: str | None, message: str | None, position: int) -> list[Piece]:
    """Return what a vendor sends when a stream fails that began with status 200.

    OpenAI's Responses end with `response.failed` when the reply failed, and with an `error` event when
    the service did: overload was seen there as an event with a nested `error` object, like the chat API's.
    """
    fault = _fault(exchange, type)
    text = message or fault.message
    if exchange.vendor == "anthropic":
        return [event(_anthropic_body(exchange, fault.type, text, fault.code), name="error")]
    if exchange.surface != "responses":
        return [event({"error": _openai_error(fault.type, text, fault.code)})]
    if fault.type == "server_error":
        return [failed_event(exchange, code="server_error", message=text, position=position)]
    body = {"type": "error", "error": _openai_error(fault.type, text, fault.code), "sequence_number": position}
    return [event(body, name="error")]


def _fault(exchange: Exchange, type: str | None) -> _StreamFault:
    word = type or _USUAL_FAULT[exchange.vendor]
    return _STREAM_FAULTS[exchange.vendor].get(word, _StreamFault(word, 500, _BROKEN))


def _openai_error(type: str, message: str, code: str | None) -> dict[str, Any]:
    return {"message": message, "type": type, "param": None, "code": code}


def _anthropic_body(exchange: Exchange, type: str, message: str, code: str | None) -> dict[str, Any]:
    details = {"error_code": code} if code is not None else None
    error = {"details": details, "type": type, "message": message}
    return {"type": "error", "error": error, "request_id": exchange.id("req_")}
