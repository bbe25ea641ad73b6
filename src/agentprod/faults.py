"""One classifier for every layer: what kind of fault is this, and when may one try again.

Exceptions of SDKs and HTTP libraries are read by attribute and class name; none is imported.
Sources of the codes: OpenAI "Error codes" guide and Anthropic "Errors" reference.
"""

from __future__ import annotations

import enum
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from agentprod.errors import AgentprodError, CallTimeout, ConfigError, DeadlineExceeded, Rejected, StreamInterrupted
from agentprod.hints import rate_limit_resets, retry_hint

__all__ = ["Classify", "Failure", "Fault", "classify", "rate_limit_resets", "retry_hint"]

_log = logging.getLogger("agentprod")


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
"""Which fault an exception of yours is; `None` where the fault table shall decide."""


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

OF_ENDPOINT = frozenset(
    {
        Fault.CONNECTION,
        Fault.TIMEOUT,
        Fault.SERVER,
        Fault.OVERLOADED,
        Fault.TRUNCATED,
        Fault.IDLE,
    }
)
"""Faults of the endpoint. The rest are the caller's, an account's, or nobody knows whose."""

OF_PROVIDER = OF_ENDPOINT | {Fault.RATE_LIMIT, Fault.QUOTA, Fault.AUTH}
"""Faults of the endpoint or of the account there, not of the request: another provider may do better."""

THROTTLED = frozenset({Fault.RATE_LIMIT, Fault.OVERLOADED})
"""Faults that say: less, and later."""

_QUOTA = re.compile(
    r"insufficient_quota|credit_balance_(exhausted|too_low)"
    r"|\w*spend_limit_exceeded|\w*usage_limit_exceeded|billing_\w+"
)
_QUOTA_TEXT = re.compile(r"credit balance is too low")
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
        "SSLError",
        "ConnectionError",
        "gaierror",
    }
)
# Python calls them value errors, but it is the provider, or something before it, that sent no JSON or no UTF-8.
_GARBLED = frozenset({"JSONDecodeError", "UnicodeDecodeError"})


def classify(
    error: BaseException, custom: Classify | None = None, *, wall: Callable[[], float] | None = None
) -> Failure:
    """Read an exception once, for retry, breaker, cooldown and fallback alike.

    Order: what is no `Exception`, this library's own refusals, your `custom`, type and code strings
    of the body (a status-200 stream can carry an error), the status, class names of transport
    errors along the causes, then unknown.

    Args:
        error: what an attempt raised.

        custom: `(error) -> Fault | None`; `None` leaves the decision to the rules here. What it raises
            is logged and counts as `None`, so that it never hides the provider's error.

        wall: returns POSIX time, to read dates in Retry-After; the system's by default.

    Returns:
        The kind of fault with the provider's wishes beside it. Never raises.
    """
    if not isinstance(error, Exception):
        return Failure(Fault.CANCELLED)
    if isinstance(error, Rejected):
        return Failure(Fault.REJECTED, error.retry_after)
    if isinstance(error, DeadlineExceeded):
        return Failure(Fault.REJECTED)
    chain = list(_causes(error))
    headers = _headers(chain)
    hint = retry_hint(headers, wall)
    wish = _should_retry(headers)
    status = _status(chain)
    own = None if custom is None else _own(custom, error)
    if own is not None:
        return Failure(own, hint, status, None, wish)
    if isinstance(error, StreamInterrupted):
        return Failure(_named(error.fault) or Fault.CONNECTION)
    if isinstance(error, CallTimeout):
        return Failure(Fault.IDLE if error.phase == "idle" else Fault.TIMEOUT)
    if isinstance(error, AgentprodError):
        return Failure(Fault.BAD_REQUEST if isinstance(error, ConfigError) else Fault.UNKNOWN)
    code, bad = None, False
    for found in _codes(chain):
        code = code or found
        bad = bad or _BAD.fullmatch(found.lower()) is not None
        fault = _by_code(found)
        if fault is Fault.SERVER and status is not None:
            fault = _STATUS.get(status, fault)  # "server_error" says less than 503 or 504
        if fault is not None:
            return Failure(fault, hint, status, found, wish, fault is Fault.RATE_LIMIT or status == 529)
    if status is not None and status >= 300:
        fault = _STATUS.get(status) or (Fault.SERVER if status >= 500 else _bad_request(chain))
        return Failure(fault, hint, status, code, wish, status in (429, 529))
    if bad:  # an error event carries no status
        return Failure(_bad_request(chain), hint, status, code, wish)
    return _by_class(chain, hint, status, code, wish)


def _own(custom: Callable[[BaseException], Any], error: Exception) -> Fault | None:
    try:
        found = custom(error)
    except Exception:
        _log.exception("classify= failed on a %s; the built-in rules decide", type(error).__name__)
        return None
    if found is None or isinstance(found, Fault):
        return found
    _log.error("classify= must return an ap.Fault or None, not %s; the built-in rules decide", type(found).__name__)
    return None


def _bad_request(chain: Sequence[BaseException]) -> Fault:
    """Tell what only the words of a bad request say."""
    text = " ".join(map(_message, chain))
    if _QUOTA_TEXT.search(text):
        return Fault.QUOTA
    return Fault.CONTEXT_OVERFLOW if _OVERFLOW_TEXT.search(text) else Fault.BAD_REQUEST


def _by_class(
    chain: Sequence[BaseException], hint: float | None, status: int | None, code: str | None, wish: bool | None
) -> Failure:
    before = any(_names(link) & _BEFORE for link in chain)
    for link in chain:
        names = _names(link)
        if names & _TIMEOUT_NAMES or isinstance(link, TimeoutError):
            return Failure(Fault.TIMEOUT, hint, status, code, wish, before)
        if names & _CONNECTION_NAMES or isinstance(link, EOFError):
            return Failure(Fault.CONNECTION, hint, status, code, wish, before)
    names = _names(chain[0])
    if names & _GARBLED:
        return Failure(Fault.SERVER, hint, status, code, wish)
    if names & {"APIError", "ErrorEvent"}:
        # openai raises a bare APIError, with neither status nor known code, for an error event in a stream.
        return Failure(Fault.SERVER, hint, status, code, wish)
    if isinstance(chain[0], TypeError | ValueError):
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
    """Yield an error and what it was raised from; what was merely being handled then is no cause."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__


def _get(source: Any, name: str) -> Any:
    """Return an attribute; `None` when there is none, or when it fails, as some are properties that do."""
    try:
        return getattr(source, name, None)
    except Exception:
        return None


def _status(chain: Sequence[BaseException]) -> int | None:
    for link in chain:
        # urllib's and Google's errors say `code`, aiohttp's `status`.
        for source in (link, _get(link, "response")):
            for name in ("status_code", "status", "code"):
                value = _get(source, name)
                if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
                    return int(value)
    return None


def _headers(chain: Sequence[BaseException]) -> Mapping[str, str]:
    for link in chain:
        for source in (_get(link, "response"), link):
            headers = _get(source, "headers")
            if type(headers) is dict:
                return {str(name).lower(): value for name, value in headers.items()}
            if headers is not None and hasattr(headers, "get"):
                return headers  # type: ignore[no-any-return]
    return {}


def _codes(chain: Sequence[BaseException]) -> Iterator[str]:
    """Yield the provider's own words for the fault: code first, then type, from body and attributes."""
    for link in chain:
        body = _get(link, "body")
        inner = body.get("error") if isinstance(body, Mapping) else None
        for source in (inner, body):
            if isinstance(source, Mapping):
                details = source.get("details")  # Anthropic's; older SDKs leave them in the body
                code = details.get("error_code") if isinstance(details, Mapping) else None
                for value in (source.get("code"), code, source.get("type")):
                    if isinstance(value, str):
                        yield value
        for key in ("code", "type", "error_code"):
            value = _get(link, key)
            if isinstance(value, str):
                yield value


def _by_code(code: str) -> Fault | None:
    lowered = code.lower()
    for pattern, fault in _PATTERNS:
        if pattern.fullmatch(lowered):
            return fault
    return None


def _message(error: BaseException) -> str:
    body = _get(error, "body")
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    text = inner.get("message") if isinstance(inner, Mapping) else None
    return (text if isinstance(text, str) else str(error))[:2000].lower()


def _should_retry(headers: Mapping[str, str]) -> bool | None:
    value = headers.get("x-should-retry")
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None
