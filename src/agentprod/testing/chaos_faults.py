"""What `Chaos` does to an attempt: faults by name, and the errors they raise."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from agentprod.errors import ConfigError

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["CHAOS_FAULTS", "ChaosError", "ChaosFault", "as_faults"]


class ChaosError(Exception):
    """Raised by `Chaos` in a decorated function, for faults that a provider tells by an HTTP status.

    Args:
        status_code: the status.

        body: what a provider would have sent with it.

        headers: likewise, by lower-case name.
    """

    def __init__(self, status_code: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        super().__init__(f"Chaos answers with status {status_code}")
        self.status_code = status_code
        self.body = body
        self.headers = dict(headers)


@dataclass(frozen=True, slots=True)
class ChaosFault:
    """One thing that goes wrong."""

    name: str
    kind: Literal["status", "connection", "refused", "timeout", "latency", "cut", "truncate", "stall", "raise"]
    status: int = 0
    type: str = ""
    code: str | None = None
    make: Callable[[], Any] | None = field(default=None, compare=False)
    """Makes the exception of a fault of the user's own."""


def _status(name: str, status: int, type: str, code: str | None = None) -> ChaosFault:
    return ChaosFault(name, "status", status, type, code)


_ALL = (
    ChaosFault("connection", "connection"),
    ChaosFault("refused", "refused"),
    ChaosFault("timeout", "timeout"),
    _status("server", 500, "server_error"),
    _status("overloaded", 529, "overloaded_error"),
    _status("rate_limit", 429, "rate_limit_error", "rate_limit_exceeded"),
    _status("quota", 429, "insufficient_quota", "insufficient_quota"),
    _status("auth", 401, "authentication_error", "invalid_api_key"),
    _status("bad_request", 400, "invalid_request_error"),
    _status("context_overflow", 400, "invalid_request_error", "context_length_exceeded"),
    _status("content_policy", 400, "invalid_request_error", "content_policy_violation"),
    ChaosFault("latency", "latency"),
    ChaosFault("cut", "cut"),
    ChaosFault("truncate", "truncate"),
    ChaosFault("stall", "stall"),
)
CHAOS_FAULTS: Mapping[str, ChaosFault] = {fault.name: fault for fault in _ALL}
"""Every fault that has a name."""


def as_faults(faults: object) -> list[tuple[ChaosFault, float]]:
    """Return faults with their weights, from names, exceptions, functions that make one, or a mapping of these."""
    if isinstance(faults, str) or not isinstance(faults, Mapping | Sequence):
        faults = (faults,)
    weighted = faults.items() if isinstance(faults, Mapping) else [(fault, 1.0) for fault in faults]
    found = [(_as_fault(fault), _as_weight(fault, weight)) for fault, weight in weighted]
    if not found or not any(weight for _, weight in found):
        raise ConfigError(f"Chaos needs a fault with a weight above 0: {', '.join(CHAOS_FAULTS)}, or an exception")
    return found


def _as_fault(value: Any) -> ChaosFault:
    if isinstance(value, str) and value in CHAOS_FAULTS:
        return CHAOS_FAULTS[value]
    if isinstance(value, BaseException):
        return ChaosFault(type(value).__name__, "raise", make=lambda: value)
    if callable(value):
        return ChaosFault(getattr(value, "__name__", type(value).__name__), "raise", make=value)
    shown = repr(value) if isinstance(value, str) else f"a {builtins.type(value).__name__}"
    raise ConfigError(f"Chaos knows the faults {', '.join(CHAOS_FAULTS)}, exceptions and functions, not {shown}")


def _as_weight(fault: Any, weight: Any) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
        raise ConfigError(f"Chaos takes a weight of 0 or more for {fault!r}, not {weight!r}")
    return float(weight)


def make_error(fault: ChaosFault, call: Call, retry_after: float) -> BaseException:
    """Return what the caller's SDK raises for this fault; for a function, what a plain HTTP client would.

    Args:
        fault: what went wrong.

        call: the call it strikes.

        retry_after: seconds that a rate limit asks for.
    """
    if fault.make is not None:
        return _made(fault)
    client, errors = getattr(call.origin, "client", None), getattr(call.target.edge, "errors", None)
    if client is None or errors is None:
        return _of_function(fault, retry_after)
    return _of_sdk(fault, client, errors, call.operation, retry_after)


def _made(fault: ChaosFault) -> BaseException:
    assert fault.make is not None
    error: Any = fault.make()
    if isinstance(error, BaseException):
        return error
    raise ConfigError(f"a fault of Chaos must be an exception or make one; {fault.name} made a {type(error).__name__}")


def _of_function(fault: ChaosFault, retry_after: float) -> BaseException:
    if fault.kind == "status":
        return ChaosError(fault.status, _body(fault, "openai"), _headers(fault, retry_after))
    if fault.kind == "timeout":
        return TimeoutError("Chaos lets no answer come")
    return (ConnectionRefusedError if fault.kind == "refused" else ConnectionResetError)("Chaos broke the connection")


def _of_sdk(fault: ChaosFault, client: Any, errors: Any, operation: str, retry_after: float) -> BaseException:
    from agentprod.edge.http_stream import http_module

    http: Any = http_module(client)
    request = http.Request("POST", str(client.base_url))
    if fault.kind == "status":
        vendor = "anthropic" if operation == "messages" else "openai"
        headers = _headers(fault, retry_after)
        response = http.Response(fault.status, json=_body(fault, vendor), headers=headers, request=request)
        error: BaseException = client._make_status_error_from_response(response)
        return error
    if fault.kind == "timeout":
        late: BaseException | None = errors.timeout(request)
        return late or TimeoutError("Chaos lets no answer come")
    kind = http.ConnectError if fault.kind == "refused" else http.ReadError
    cause = kind("Chaos broke the connection", request=request)
    made: BaseException = errors.transport(cause, request)
    made.__cause__ = cause if made is not cause else None
    return made


def _headers(fault: ChaosFault, retry_after: float) -> dict[str, str]:
    return {"retry-after": f"{retry_after:g}"} if fault.name == "rate_limit" else {}


def _body(fault: ChaosFault, vendor: str) -> dict[str, Any]:
    error: dict[str, Any] = {"type": fault.type, "message": "Chaos was here"}
    if vendor == "anthropic":
        return {"type": "error", "error": {**error, "details": {"error_code": fault.code} if fault.code else None}}
    return {"error": {**error, "param": None, "code": fault.code}}
