"""One classifier for every layer: what kind of fault is this, and when may one try again.

SDK exceptions are read by attribute and class name; no SDK and no HTTP library is imported.
Sources of the codes: OpenAI "Error codes" guide and Anthropic "Errors" reference; of the headers:
RFC 9110 §10.2.3 (Retry-After), OpenAI "Rate limits" guide, Anthropic "Rate limits" reference.
"""

from __future__ import annotations

import email.utils
import enum
import math
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from agentprod.errors import AgentprodError, CallTimeout, DeadlineExceeded, Rejected, StreamInterrupted

__all__ = ["Classify", "Failure", "Fault", "classify", "rate_limit_resets", "retry_hint"]


class Fault(enum.Enum):
    """Kinds of failure, by what helps against them."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    SERVER = "server"
    OVERLOADED = "overloaded"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    CONFLICT = "conflict"
    TRUNCATED = "truncated"
    IDLE = "idle"
    BAD_REQUEST = "bad_request"
    CONTEXT_OVERFLOW = "context_overflow"
    CONTENT_POLICY = "content_policy"
    AUTH = "auth"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


Classify = Callable[[BaseException], "Fault | None"]


class Failure(NamedTuple):
    """What the classifier read from an exception. `retry_after` is seconds from now."""

    fault: Fault
    retry_after: float | None = None
    status: int | None = None
    code: str | None = None
    should_retry: bool | None = None
    """What `x-should-retry` said, when the provider sent it."""
    before_processing: bool = False
    """The provider is known not to have started on the request, so even a call with effects may be repeated."""


RETRIED = frozenset(
    {
        Fault.CONNECTION,
        Fault.TIMEOUT,
        Fault.SERVER,
        Fault.OVERLOADED,
        Fault.RATE_LIMIT,
        Fault.CONFLICT,
        Fault.TRUNCATED,
        Fault.IDLE,
    }
)
"""Faults that another try may cure."""

THROTTLED = frozenset({Fault.RATE_LIMIT, Fault.OVERLOADED})
"""Faults that say: less, and later."""

_QUOTA = re.compile(
    r"insufficient_quota|credit_balance_(exhausted|too_low)|credit balance is too low"
    r"|\w*spend_limit_exceeded|\w*usage_limit_exceeded|billing_\w+"
)
_OVERFLOW = re.compile(r"context_length_exceeded|request_too_large")
_OVERFLOW_TEXT = re.compile(
    r"prompt is too long|maximum context length|context window|input length and `max_tokens` exceed|context limit"
)
_POLICY = re.compile(r"content_filter|content_policy_violation|responsible_ai_policy_violation|refusal")
_OVERLOADED = re.compile(r"overloaded_error|overloaded|server_overloaded|slow_down|engine_overloaded")
_RATE = re.compile(r"rate_limit\w*|too_many_requests")
_SERVER = re.compile(r"api_error|server_error|internal_server_error|internal_error")
_AUTH = re.compile(r"authentication_error|permission_error|invalid_api_key|invalid_authentication")
_TIMEOUT = re.compile(r"timeout_error|request_timeout")
_BAD = re.compile(r"invalid_request_error|not_found_error|invalid_prompt")

_PATTERNS: tuple[tuple[re.Pattern[str], Fault], ...] = (
    (_QUOTA, Fault.QUOTA),
    (_OVERFLOW, Fault.CONTEXT_OVERFLOW),
    (_POLICY, Fault.CONTENT_POLICY),
    (_OVERLOADED, Fault.OVERLOADED),
    (_RATE, Fault.RATE_LIMIT),
    (_TIMEOUT, Fault.TIMEOUT),
    (_AUTH, Fault.AUTH),
    (_SERVER, Fault.SERVER),
)

_STATUS: dict[int, Fault] = {
    401: Fault.AUTH,
    402: Fault.QUOTA,
    403: Fault.AUTH,
    408: Fault.TIMEOUT,
    409: Fault.CONFLICT,
    429: Fault.RATE_LIMIT,
    501: Fault.BAD_REQUEST,
    503: Fault.OVERLOADED,
    504: Fault.TIMEOUT,
    505: Fault.BAD_REQUEST,
    525: Fault.BAD_REQUEST,
    526: Fault.BAD_REQUEST,
    529: Fault.OVERLOADED,
}

# A refused or failed connect never reached the provider; the names are those of httpx, httpx2, httpcore and the OS.
_BEFORE = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ConnectionRefusedError", "gaierror"})
_TIMEOUT_NAMES = frozenset(
    {"TimeoutException", "ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout", "APITimeoutError", "Timeout"}
)
_CONNECTION_NAMES = frozenset(
    {
        "TransportError",
        "NetworkError",
        "ProtocolError",
        "RemoteProtocolError",
        "ReadError",
        "WriteError",
        "ConnectError",
        "CloseError",
        "ProxyError",
        "EndOfStream",
        "ClosedResourceError",
        "BrokenResourceError",
        "APIConnectionError",
        "IncompleteRead",
        "ServerDisconnectedError",
        "ClientConnectionError",
        "ClientPayloadError",
    }
)


def classify(
    error: BaseException, custom: Classify | None = None, *, wall: Callable[[], float] | None = None
) -> Failure:
    """Read an exception once, for retry, breaker, cooldown and fallback alike.

    Order: what is no `Exception`, this library's own refusals, your `custom`, type and code strings
    of the body (a status-200 stream can carry an error), the status, class names of transport
    errors along the causes, then unknown.

    Args:
        error: what an attempt raised.

        custom: `(error) -> Fault | None`; `None` leaves the decision to the rules here.

        wall: returns POSIX time, to read dates in Retry-After; the system's by default.

    Returns:
        The kind of fault with the provider's wishes beside it. Never raises.
    """
    if not isinstance(error, Exception):
        return Failure(Fault.CANCELLED)
    headers = _headers(error)
    hint = retry_hint(headers, wall)
    wish = _should_retry(headers)
    status = _status(error)
    if custom is not None:
        own = custom(error)
        if own is not None:
            return Failure(own, hint, status, None, wish)
    if isinstance(error, Rejected):
        return Failure(Fault.REJECTED, error.retry_after)
    if isinstance(error, DeadlineExceeded):
        return Failure(Fault.REJECTED)
    if isinstance(error, StreamInterrupted):
        return Failure(_named(error.fault) or Fault.CONNECTION)
    if isinstance(error, CallTimeout):
        return Failure(Fault.IDLE if error.phase == "idle" else Fault.TIMEOUT)
    if isinstance(error, AgentprodError):
        return Failure(Fault.UNKNOWN)
    code = None
    for found in _codes(error):
        code = code or found
        fault = _by_code(found)
        if fault is not None:
            return Failure(fault, hint, status, found, wish, fault is Fault.RATE_LIMIT or status == 529)
    if status is not None and status >= 400:
        fault = _STATUS.get(status) or (Fault.SERVER if status >= 500 else Fault.BAD_REQUEST)
        if fault is Fault.BAD_REQUEST and _OVERFLOW_TEXT.search(_message(error)):
            fault = Fault.CONTEXT_OVERFLOW
        return Failure(fault, hint, status, code, wish, status in (429, 529))
    return _by_class(error, hint, status, code, wish)


def _by_class(error: Exception, hint: float | None, status: int | None, code: str | None, wish: bool | None) -> Failure:
    chain = list(_causes(error))
    before = any(_names(link) & _BEFORE for link in chain)
    for link in chain:
        names = _names(link)
        if names & _TIMEOUT_NAMES or isinstance(link, TimeoutError):
            return Failure(Fault.TIMEOUT, hint, status, code, wish, before)
        if names & _CONNECTION_NAMES or isinstance(link, ConnectionError | ssl.SSLError | EOFError):
            return Failure(Fault.CONNECTION, hint, status, code, wish, before)
    names = _names(error)
    if "JSONDecodeError" in names:
        # A reply or an event that is not JSON: the provider or something before it broke it.
        return Failure(Fault.SERVER, hint, status, code, wish)
    if "APIError" in names:
        # openai raises a bare APIError, with neither status nor known code, for an error event in a stream.
        return Failure(Fault.BAD_REQUEST if code and _BAD.search(code) else Fault.SERVER, hint, status, code, wish)
    if isinstance(error, TypeError | ValueError):
        return Failure(Fault.BAD_REQUEST, None, status, code, wish)
    return Failure(Fault.UNKNOWN, hint, status, code, wish)


def _named(name: str) -> Fault | None:
    try:
        return Fault(name)
    except ValueError:
        return None


def _names(error: BaseException) -> set[str]:
    return {cls.__name__ for cls in type(error).__mro__}


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _status(error: BaseException) -> int | None:
    for link in _causes(error):
        response = getattr(link, "response", None)
        for value in (getattr(link, "status_code", None), getattr(response, "status_code", None)):
            if isinstance(value, int) and not isinstance(value, bool):
                return value
    return None


def _headers(error: BaseException) -> Mapping[str, str]:
    for link in _causes(error):
        headers = getattr(getattr(link, "response", None), "headers", None)
        if headers is not None and hasattr(headers, "get"):
            return headers  # type: ignore[no-any-return]
    return {}


def _codes(error: BaseException) -> Iterator[str]:
    """Yield the provider's own words for the fault: code first, then type, from attributes and body."""
    for link in _causes(error):
        body = getattr(link, "body", None)
        inner = body.get("error") if isinstance(body, Mapping) else None
        for source in (inner, body):
            if isinstance(source, Mapping):
                for key in ("code", "type"):
                    value = source.get(key)
                    if isinstance(value, str):
                        yield value
        for key in ("code", "type", "error_code"):
            value = getattr(link, key, None)
            if isinstance(value, str):
                yield value


def _by_code(code: str) -> Fault | None:
    lowered = code.lower()
    for pattern, fault in _PATTERNS:
        if pattern.fullmatch(lowered):
            return fault
    return None


def _message(error: BaseException) -> str:
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    text = inner.get("message") if isinstance(inner, Mapping) else None
    return (text if isinstance(text, str) else str(error))[:2000].lower()


def _should_retry(headers: Mapping[str, str]) -> bool | None:
    value = headers.get("x-should-retry")
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def retry_hint(headers: Mapping[str, str], wall: Callable[[], float] | None = None) -> float | None:
    """Read how long a provider asks to wait, in seconds; `None` when it does not say anything usable.

    `retry-after-ms` wins over `retry-after` (seconds or an HTTP date), which wins over the longest
    reset among the rate-limit dimensions that are used up. Zero, negative, NaN, infinite or
    unreadable values are no hint.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if not isinstance(value, str):
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            seconds = _until(value, wall) if name == "retry-after" else math.nan
        if math.isfinite(seconds) and seconds > 0:
            return seconds
    resets = [reset for _, remaining, reset in rate_limit_resets(headers, wall) if remaining == 0]
    return max(resets, default=None)


def _until(date: str, wall: Callable[[], float] | None) -> float:
    try:
        when = email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return when - _wall(wall)


def _wall(wall: Callable[[], float] | None) -> float:
    return wall() if wall is not None else time.time()


_DURATION = re.compile("".join(rf"(?:(\d+(?:\.\d+)?){unit})?" for unit in ("d", "h", "m(?!s)", "s", "ms")))
_RESET = re.compile(r"^(?:x|anthropic)-ratelimit-(?:reset-(?P<dim>[\w-]+)|(?P<dim2>[\w-]+)-reset)$")


def rate_limit_resets(
    headers: Mapping[str, str], wall: Callable[[], float] | None = None
) -> list[tuple[str, int | None, float]]:
    """Return `(dimension, remaining, seconds until reset)` for each rate-limit dimension in `headers`.

    Reads OpenAI's (`x-ratelimit-reset-tokens: 6m0s`, `12ms`) and Anthropic's
    (`anthropic-ratelimit-input-tokens-reset: 2026-…Z`) forms. `remaining` is `None` when absent or
    negative: Azure sends -1 for "does not apply".
    """
    found: list[tuple[str, int | None, float]] = []
    for name in headers:
        match = _RESET.match(name.lower())
        if match is None:
            continue
        dim = match["dim"] or match["dim2"]
        reset = _reset(headers[name], wall)
        if reset is None:
            continue
        remaining = headers.get(f"x-ratelimit-remaining-{dim}") or headers.get(f"anthropic-ratelimit-{dim}-remaining")
        count = int(remaining) if isinstance(remaining, str) and re.fullmatch(r"\d+", remaining) else None
        found.append((dim, count, reset))
    return found


def _reset(value: str, wall: Callable[[], float] | None) -> float | None:
    match = _DURATION.fullmatch(value.strip())
    if match and match[0]:
        day, hour, minute, second, milli = (float(group or 0) for group in match.groups())
        return day * 86400 + hour * 3600 + minute * 60 + second + milli / 1000
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp() - _wall(wall))
    except ValueError:
        return None
