"""The fault table: what each exception is, and when one may try again."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import ssl
import warnings
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentprod as ap
from agentprod.events import ErrorEvent
from agentprod.faults import Failure, classify, rate_limit_resets, retry_hint
from tests.sdk_errors import (
    HTTP,
    anthropic_error,
    anthropic_event_error,
    connection_error,
    http_of,
    openai_error,
    openai_event_error,
    response,
)

NOW = 1_700_000_000.0
REQUEST = httpx2.Request("POST", "http://provider.test")


def wall() -> float:
    """Return the wall clock of these tests."""
    return NOW


def fault(error: BaseException) -> ap.Fault:
    """Return the kind of an exception."""
    return classify(error, wall=wall).fault


def caused(error: Exception, cause: BaseException) -> Exception:
    """Return an exception with a cause."""
    error.__cause__ = cause
    return error


# The table

STATUSES = {
    304: ap.Fault.BAD_REQUEST,
    307: ap.Fault.BAD_REQUEST,  # one that the HTTP library was told not to follow
    400: ap.Fault.BAD_REQUEST,
    401: ap.Fault.AUTH,
    402: ap.Fault.QUOTA,
    403: ap.Fault.AUTH,
    404: ap.Fault.BAD_REQUEST,
    405: ap.Fault.BAD_REQUEST,
    408: ap.Fault.TIMEOUT,
    409: ap.Fault.CONFLICT,
    413: ap.Fault.BAD_REQUEST,
    415: ap.Fault.BAD_REQUEST,
    422: ap.Fault.BAD_REQUEST,
    429: ap.Fault.RATE_LIMIT,
    500: ap.Fault.SERVER,
    501: ap.Fault.BAD_REQUEST,
    502: ap.Fault.SERVER,
    503: ap.Fault.OVERLOADED,
    504: ap.Fault.TIMEOUT,
    505: ap.Fault.BAD_REQUEST,
    520: ap.Fault.SERVER,
    525: ap.Fault.BAD_REQUEST,
    526: ap.Fault.BAD_REQUEST,
    529: ap.Fault.OVERLOADED,
}


@pytest.mark.parametrize("make", [openai_error, anthropic_error])
@pytest.mark.parametrize(("status", "expected"), STATUSES.items())
def test_a_status_without_a_telling_body(make: Any, status: int, expected: ap.Fault) -> None:
    """Both SDKs' errors are read by their status when the body says nothing."""
    failure = classify(make(status), wall=wall)
    assert failure.fault is expected
    assert failure.status == status


OPENAI_BODIES = {
    (429, "rate_limit_exceeded", "tokens"): ap.Fault.RATE_LIMIT,
    (429, "insufficient_quota", "insufficient_quota"): ap.Fault.QUOTA,
    (403, "project_spend_limit_exceeded", None): ap.Fault.QUOTA,
    (429, "monthly_usage_limit_exceeded", None): ap.Fault.QUOTA,
    (429, "billing_hard_limit_reached", "invalid_request_error"): ap.Fault.QUOTA,
    (429, "credit_balance_exhausted", None): ap.Fault.QUOTA,
    (400, "context_length_exceeded", "invalid_request_error"): ap.Fault.CONTEXT_OVERFLOW,
    (400, "content_filter", None): ap.Fault.CONTENT_POLICY,
    (400, "content_policy_violation", "invalid_request_error"): ap.Fault.CONTENT_POLICY,
    (401, "invalid_api_key", "invalid_request_error"): ap.Fault.AUTH,
    (400, "invalid_value", "invalid_request_error"): ap.Fault.BAD_REQUEST,
    (500, None, "server_error"): ap.Fault.SERVER,
    (503, None, "server_error"): ap.Fault.OVERLOADED,
    (504, None, "server_error"): ap.Fault.TIMEOUT,
    (501, None, "server_error"): ap.Fault.BAD_REQUEST,
    (500, "slow_down", None): ap.Fault.OVERLOADED,
}


@pytest.mark.parametrize(("told", "expected"), OPENAI_BODIES.items())
def test_codes_of_openai(told: tuple[int, str | None, str | None], expected: ap.Fault) -> None:
    """Code and type in the body come before the status, except that a server error keeps a telling status."""
    status, code, kind = told
    assert fault(openai_error(status, code=code, kind=kind)) is expected


ANTHROPIC_BODIES = {
    (400, "invalid_request_error"): ap.Fault.BAD_REQUEST,
    (401, "authentication_error"): ap.Fault.AUTH,
    (403, "permission_error"): ap.Fault.AUTH,
    (402, "billing_error"): ap.Fault.QUOTA,
    (404, "not_found_error"): ap.Fault.BAD_REQUEST,
    (413, "request_too_large"): ap.Fault.CONTEXT_OVERFLOW,
    (429, "rate_limit_error"): ap.Fault.RATE_LIMIT,
    (500, "api_error"): ap.Fault.SERVER,
    (504, "timeout_error"): ap.Fault.TIMEOUT,
    (529, "overloaded_error"): ap.Fault.OVERLOADED,
}


@pytest.mark.parametrize(("told", "expected"), ANTHROPIC_BODIES.items())
def test_types_of_anthropic(told: tuple[int, str], expected: ap.Fault) -> None:
    """Anthropic's documented error types are read."""
    status, kind = told
    assert fault(anthropic_error(status, kind)) is expected


ANTHROPIC_CODES = {
    (400, "invalid_request_error", "context_length_exceeded"): ap.Fault.CONTEXT_OVERFLOW,
    (429, "rate_limit_error", "credit_balance_exhausted"): ap.Fault.QUOTA,
    (400, "invalid_request_error", "never_heard_of"): ap.Fault.BAD_REQUEST,
    (500, "api_error", None): ap.Fault.SERVER,
}


@pytest.mark.parametrize(("told", "expected"), ANTHROPIC_CODES.items())
def test_codes_of_anthropic(told: tuple[int, str, str | None], expected: ap.Fault) -> None:
    """The code in an error's details is finer than its type, whether or not the SDK reads it."""
    status, kind, code = told
    body = {"type": "error", "error": {"type": kind, "message": "m", "details": {"error_code": code}}}
    answer = response(status, body, http=http_of(anthropic))
    assert fault(anthropic.APIStatusError("m", response=answer, body=body)) is expected
    assert fault(anthropic_error(status, kind, code=code)) is expected


MESSAGES = {
    "prompt is too long: 210000 tokens > 200000 maximum": ap.Fault.CONTEXT_OVERFLOW,
    "This model's maximum context length is 8192 tokens.": ap.Fault.CONTEXT_OVERFLOW,
    "input length and `max_tokens` exceed context limit: 1 + 2 > 2": ap.Fault.CONTEXT_OVERFLOW,
    "Your credit balance is too low to access the Anthropic API.": ap.Fault.QUOTA,
    "messages: at least one message is required": ap.Fault.BAD_REQUEST,
}


@pytest.mark.parametrize(("message", "expected"), MESSAGES.items())
def test_what_only_the_message_of_a_400_tells(message: str, expected: ap.Fault) -> None:
    """Anthropic types an overlong prompt and an empty purse as invalid requests: the text tells them apart."""
    assert fault(anthropic_error(400, "invalid_request_error", message=message)) is expected
    assert fault(openai_error(400, kind="invalid_request_error", message=message)) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (anthropic_event_error("overloaded_error"), ap.Fault.OVERLOADED),
        (anthropic_event_error("api_error"), ap.Fault.SERVER),
        (anthropic_event_error("rate_limit_error"), ap.Fault.RATE_LIMIT),
        (anthropic_event_error("invalid_request_error"), ap.Fault.BAD_REQUEST),
        (anthropic_event_error("never_heard_of"), ap.Fault.SERVER),
        (openai_event_error(None, "server_error"), ap.Fault.SERVER),
        (openai_event_error("rate_limit_exceeded", None), ap.Fault.RATE_LIMIT),
        (openai_event_error(None, "invalid_request_error"), ap.Fault.BAD_REQUEST),
        (openai_event_error("invalid_value", "invalid_request_error"), ap.Fault.BAD_REQUEST),
        (ErrorEvent({"error": {"type": "overloaded_error"}}), ap.Fault.OVERLOADED),
        (ErrorEvent("garbage"), ap.Fault.SERVER),
        (openai_event_error(None, None), ap.Fault.SERVER),
    ],
)
def test_an_error_event_in_a_stream_of_status_200_or_none(error: Exception, expected: ap.Fault) -> None:
    """An error event carries status 200 (Anthropic) or none (OpenAI); its type says what it is."""
    assert getattr(error, "status_code", None) in (None, 200)
    assert fault(error) is expected


TRANSPORT = {
    "read cut": (httpx2.RemoteProtocolError("peer closed", request=REQUEST), ap.Fault.CONNECTION, False),
    "read error": (httpx2.ReadError("reset", request=REQUEST), ap.Fault.CONNECTION, False),
    "write error": (httpx2.WriteError("broken pipe", request=REQUEST), ap.Fault.CONNECTION, False),
    "connect error": (httpx2.ConnectError("refused", request=REQUEST), ap.Fault.CONNECTION, True),
    "proxy error": (httpx2.ProxyError("proxy", request=REQUEST), ap.Fault.CONNECTION, False),
    "read timeout": (httpx2.ReadTimeout("slow", request=REQUEST), ap.Fault.TIMEOUT, False),
    "connect timeout": (httpx2.ConnectTimeout("slow", request=REQUEST), ap.Fault.TIMEOUT, True),
    "pool timeout": (httpx2.PoolTimeout("busy", request=REQUEST), ap.Fault.TIMEOUT, True),
    "sdk connection": (connection_error(HTTP.ReadError("reset")), ap.Fault.CONNECTION, False),
    "sdk refused": (connection_error(HTTP.ConnectError("refused")), ap.Fault.CONNECTION, True),
    "sdk timeout": (connection_error(HTTP.ReadTimeout("slow")), ap.Fault.TIMEOUT, False),
    "sdk connect timeout": (connection_error(HTTP.ConnectTimeout("slow")), ap.Fault.TIMEOUT, True),
    "anthropic connection": (anthropic.APIConnectionError(request=REQUEST), ap.Fault.CONNECTION, False),
    "anthropic timeout": (anthropic.APITimeoutError(request=REQUEST), ap.Fault.TIMEOUT, False),
    "reset": (ConnectionResetError(), ap.Fault.CONNECTION, False),
    "refused": (ConnectionRefusedError(), ap.Fault.CONNECTION, True),
    "no such host": (socket.gaierror("name"), ap.Fault.CONNECTION, True),
    "tls": (ssl.SSLError("handshake"), ap.Fault.CONNECTION, False),
    "end of file": (EOFError(), ap.Fault.CONNECTION, False),
    "incomplete": (asyncio.IncompleteReadError(b"", 5), ap.Fault.CONNECTION, False),
    "timeout": (TimeoutError(), ap.Fault.TIMEOUT, False),
}


@pytest.mark.parametrize(("error", "expected", "before"), TRANSPORT.values(), ids=TRANSPORT)
def test_transport_errors(error: Exception, expected: ap.Fault, before: bool) -> None:
    """Errors of the connection are read by class name, and it is known which precede the request's arrival."""
    failure = classify(error, wall=wall)
    assert (failure.fault, failure.before_processing) == (expected, before)


@pytest.mark.parametrize("name", ["EndOfStream", "ServerDisconnectedError", "ClientPayloadError", "ConnectionError"])
def test_transport_errors_of_libraries_that_are_not_imported(name: str) -> None:
    """anyio's, aiohttp's and requests' errors are known by their class names alone."""
    assert fault(type(name, (Exception,), {})()) is ap.Fault.CONNECTION


@pytest.mark.parametrize("status", [429, 529])
def test_throttling_precedes_processing(status: int) -> None:
    """A throttled request was not started, so one with effects may be repeated."""
    assert classify(openai_error(status), wall=wall).before_processing
    assert classify(anthropic_error(status, "rate_limit_error"), wall=wall).before_processing


@pytest.mark.parametrize("status", [408, 409, 500, 503])
def test_other_failures_may_have_been_processed(status: int) -> None:
    """A server that fails may have done the work."""
    assert not classify(openai_error(status), wall=wall).before_processing


@pytest.mark.parametrize("error", [TypeError("x"), ValueError("x"), UnicodeEncodeError("utf-8", "x", 0, 1, "no")])
def test_a_bug_of_the_caller(error: Exception) -> None:
    """What the caller's own arguments raise is a bad request."""
    assert fault(error) is ap.Fault.BAD_REQUEST


def test_a_reply_that_is_not_json() -> None:
    """Garbage where JSON or UTF-8 should be is the server's fault, though Python calls both value errors."""
    assert fault(json.JSONDecodeError("x", "<html>", 0)) is ap.Fault.SERVER
    assert fault(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x")) is ap.Fault.SERVER


def test_an_unknown_exception() -> None:
    """What nobody knows is unknown, and so is an error of this library that is no refusal."""
    assert fault(RuntimeError("x")) is ap.Fault.UNKNOWN
    assert fault(ap.SuspendedError("x")) is ap.Fault.UNKNOWN
    assert fault(ap.ConfigError("x")) is ap.Fault.BAD_REQUEST


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(1), GeneratorExit(), BaseException()]
)
def test_what_is_no_exception_is_a_cancellation(error: BaseException) -> None:
    """Cancellation is never a fault, whatever the user's own classifier would say."""
    assert classify(error, lambda error: ap.Fault.SERVER) == Failure(ap.Fault.CANCELLED)


REFUSALS: list[Exception] = [
    ap.CircuitOpen("x", retry_after=3),
    ap.RateLimited("x", retry_after=3),
    ap.BulkheadFull("x"),
    ap.BudgetExceeded("x"),
    ap.Blocked("x"),
    ap.AllUnavailable("x"),
    ap.CacheMiss("x"),
    ap.ShuttingDown("x"),
    ap.DeadlineExceeded("x"),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_refusals_of_this_library(error: Exception) -> None:
    """A refusal stays one whatever the user's classifier and its causes say; its own hint is kept."""
    error.__cause__ = openai_error(500)
    failure = classify(error, lambda error: ap.Fault.SERVER)
    assert failure.fault is ap.Fault.REJECTED
    assert failure.retry_after == getattr(error, "retry_after", None)


def test_time_limits_of_this_library() -> None:
    """An attempt that ran out of time is a timeout, a silent stream is idle."""
    assert fault(ap.CallTimeout("x")) is ap.Fault.TIMEOUT
    assert fault(ap.CallTimeout("x", phase="first_token")) is ap.Fault.TIMEOUT
    assert fault(ap.CallTimeout("x", phase="idle")) is ap.Fault.IDLE


@pytest.mark.parametrize(
    ("name", "expected"),
    [("truncated", ap.Fault.TRUNCATED), ("overloaded", ap.Fault.OVERLOADED), ("odd", "connection")],
)
def test_an_interrupted_stream_keeps_its_fault(name: str, expected: Any) -> None:
    """A stream's break is what it was classified as when it broke."""
    assert fault(ap.StreamInterrupted("x", fault=name)) is ap.Fault(expected)


# Causes


def test_the_cause_tells_what_a_wrapper_hides() -> None:
    """An error raised from a provider's error is of that error's kind, with its status and hint."""
    inner = openai_error(429, headers={"retry-after": "7"})
    failure = classify(caused(RuntimeError("gave up"), caused(RuntimeError("and"), inner)), wall=wall)
    assert failure == Failure(ap.Fault.RATE_LIMIT, 7.0, 429, None, None, True)


def test_a_cause_is_a_connection_error() -> None:
    """Transport errors are found down the chain of causes."""
    assert fault(caused(RuntimeError("x"), ConnectionResetError())) is ap.Fault.CONNECTION


def test_what_was_being_handled_is_no_cause() -> None:
    """A bug in an `except` block is a bug: the error handled there, merely its context, does not make it retryable."""
    with pytest.raises(TypeError) as raised:
        try:
            raise openai_error(503)
        except openai.APIError:
            raise TypeError("bug in the handler")  # noqa: B904 - the missing `from` is the point
    assert fault(raised.value) is ap.Fault.BAD_REQUEST


def test_causes_in_a_circle() -> None:
    """A circle of causes ends."""
    one, two = RuntimeError("1"), RuntimeError("2")
    one.__cause__, two.__cause__ = two, one
    assert fault(one) is ap.Fault.UNKNOWN


# The user's own classifier


class Odd(Exception):
    """An exception of the user's."""


def test_the_own_classifier_decides() -> None:
    """A kind from `classify=` wins over the rules; the hint of the headers stays."""
    error = openai_error(400, headers={"retry-after": "2", "x-should-retry": "true"})
    failure = classify(error, lambda error: ap.Fault.OVERLOADED, wall=wall)
    assert failure == Failure(ap.Fault.OVERLOADED, 2.0, 400, None, True)


def test_the_own_classifier_leaves_it_to_the_rules() -> None:
    """`None` from `classify=` means: as usual."""
    assert classify(Odd(), lambda error: None).fault is ap.Fault.UNKNOWN


def test_the_own_classifier_fails(caplog: pytest.LogCaptureFixture) -> None:
    """A classifier that raises does not hide the provider's error: it is logged, and the rules decide."""

    def broken(error: BaseException) -> ap.Fault:
        raise KeyError("bug")

    assert classify(openai_error(503), broken).fault is ap.Fault.OVERLOADED
    assert "classify" in caplog.text


def test_the_own_classifier_returns_something_else(caplog: pytest.LogCaptureFixture) -> None:
    """A classifier that returns neither a kind nor None is told so in the log."""
    wrong: Any = lambda error: "server"  # noqa: E731 - a name for the type checker to leave alone
    assert classify(Odd(), wrong).fault is ap.Fault.UNKNOWN
    assert "ap.Fault" in caplog.text


# Duck types of other libraries


@pytest.mark.parametrize("attribute", ["status_code", "status", "code"])
def test_the_status_of_other_libraries(attribute: str) -> None:
    """Most say `status_code`, aiohttp says `status`, urllib and google's clients say `code`."""
    error = Odd()
    setattr(error, attribute, 429)
    assert classify(error) == Failure(ap.Fault.RATE_LIMIT, None, 429, None, None, True)


@pytest.mark.parametrize("value", [True, 7, 70_000, "429", None])
def test_a_number_that_is_no_status(value: Any) -> None:
    """Only numbers that can be HTTP statuses are read as such."""
    error = Odd()
    vars(error).update(status_code=value, status=value)
    assert classify(error).fault is ap.Fault.UNKNOWN


def test_the_response_of_an_exception() -> None:
    """Errors of requests and httpx carry the response, not the status."""
    error = httpx2.HTTPStatusError("x", request=REQUEST, response=response(529, headers={"retry-after": "4"}))
    assert classify(error, wall=wall) == Failure(ap.Fault.OVERLOADED, 4.0, 529, None, None, True)


def test_headers_on_the_exception_itself() -> None:
    """The errors of aiohttp and urllib keep the headers themselves, in whatever case the server wrote them."""
    error = Odd()
    vars(error).update(status=429, headers={"Retry-After": "3"})
    assert classify(error, wall=wall).retry_after == 3.0


def test_attributes_that_raise() -> None:
    """An exception whose attributes fail is unknown, and the classifier does not fail with it."""

    class Hostile(Exception):
        @property
        def response(self) -> Any:
            raise RuntimeError("not set")

    assert fault(Hostile()) is ap.Fault.UNKNOWN


# Hints


def hint(**headers: str) -> float | None:
    """Return the hint of these headers, underscores written for dashes."""
    return retry_hint({name.replace("_", "-"): value for name, value in headers.items()}, wall)


def test_scenario_05_milliseconds_win_over_seconds() -> None:
    """`retry-after-ms: 150` wins over `retry-after: 9`."""
    assert hint(retry_after_ms="150", retry_after="9") == pytest.approx(0.15)


def test_scenario_05_a_date_ahead() -> None:
    """An HTTP date 3 seconds ahead, against the wall clock, is a hint of 3 seconds."""
    assert hint(retry_after=format_datetime(datetime.fromtimestamp(NOW + 3, UTC), usegmt=True)) == pytest.approx(3)


def test_scenario_05_a_date_without_a_zone_is_utc() -> None:
    """A date that names no zone is read as UTC wherever this runs."""
    date = format_datetime(datetime.fromtimestamp(NOW + 3, UTC).replace(tzinfo=None))
    assert hint(retry_after=date) == pytest.approx(3)


@pytest.mark.parametrize(
    "value", ["0", "-1", "nan", "inf", "-inf", "1e400", "soon", "", "Mon, 32 Foo 2026", "Thu, 01 Jan 1970 00:00:00 GMT"]
)
@pytest.mark.parametrize("name", ["retry_after", "retry_after_ms"])
def test_scenario_05_no_hint(name: str, value: str) -> None:
    """Zero, negative, NaN, infinite, past and unreadable values are no hint."""
    assert hint(**{name: value}) is None


def test_scenario_05_an_unusable_value_falls_through() -> None:
    """An unusable `retry-after-ms` leaves the word to `retry-after`."""
    assert hint(retry_after_ms="nan", retry_after="9") == 9


def test_scenario_08_the_longest_reset_of_what_is_used_up() -> None:
    """With tokens used up for 58 s and 99 requests left, the wait is 58 s, not 1."""
    told = hint(
        x_ratelimit_remaining_tokens="0",
        x_ratelimit_reset_tokens="58s",
        x_ratelimit_remaining_requests="99",
        x_ratelimit_reset_requests="1s",
    )
    assert told == 58


def test_scenario_08_both_used_up() -> None:
    """Of two dimensions used up the later reset counts."""
    told = hint(
        anthropic_ratelimit_requests_remaining="0",
        anthropic_ratelimit_requests_reset="2023-11-14T22:13:25Z",
        anthropic_ratelimit_input_tokens_remaining="0",
        anthropic_ratelimit_input_tokens_reset="2023-11-14T22:13:30Z",
    )
    assert told == pytest.approx(10)


@pytest.mark.parametrize("reset", ["0s", "-1", "inf", "nan", "2001-01-01T00:00:00Z", "whenever", ""])
def test_scenario_08_a_reset_that_says_nothing(reset: str) -> None:
    """A reset of nothing, in the past, for ever, or unreadable is no hint."""
    assert hint(x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens=reset) is None


DURATIONS = {
    "12ms": 0.012,
    "1s": 1.0,
    "1.5s": 1.5,
    "6m0s": 360.0,
    "1h2m3s": 3723.0,
    "1d": 86400.0,
    "2m": 120.0,
    "1m12ms": 60.012,
    "17": 17.0,
    " 17s ": 17.0,
    "2023-11-14T22:13:25Z": 5.0,
    "2023-11-14T22:13:25+00:00": 5.0,
    "2023-11-14T23:13:25+01:00": 5.0,
    "2023-11-14T22:13:25": 5.0,
    "-1": 0.0,
}


@pytest.mark.parametrize(("value", "seconds"), DURATIONS.items())
def test_scenario_08_durations(value: str, seconds: float) -> None:
    """Go durations, plain seconds and RFC 3339 times are read as seconds from now."""
    ((dimension, remaining, reset),) = rate_limit_resets(
        {"x-ratelimit-reset-tokens": value, "x-ratelimit-remaining-tokens": "5"}, wall
    )
    assert (dimension, remaining) == ("tokens", 5)
    assert reset == pytest.approx(seconds)


@pytest.mark.parametrize("remaining", ["-1", "", "many", None])
def test_scenario_08_azure_says_minus_one(remaining: str | None) -> None:
    """A remaining of -1 means "does not apply": the dimension counts as not used up."""
    headers = {"x-ratelimit-reset-requests": "10s"}
    if remaining is not None:
        headers["x-ratelimit-remaining-requests"] = remaining
    assert rate_limit_resets(headers, wall) == [("requests", None, 10.0)]
    assert retry_hint(headers, wall) is None


@pytest.mark.parametrize("value", ["1e12", "9" * 30, "86401", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_hint_of_more_than_a_day_is_a_day(value: str) -> None:
    """Neither a wrong clock nor a broken proxy shuts an account out for good."""
    assert hint(retry_after=value) == 86_400
    assert hint(x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens="400d") == 86_400


def test_numbers_of_thousands_of_digits_say_nothing() -> None:
    """Python refuses to read them, and the provider's own error must not be replaced by that."""
    digits = "9" * 5000
    assert hint(x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens=f"{digits}s") is None
    assert rate_limit_resets({"x-ratelimit-reset-tokens": "9s", "x-ratelimit-remaining-tokens": digits}, wall) == [
        ("tokens", None, 9.0)
    ]


def test_the_names_of_both_providers() -> None:
    """OpenAI writes the dimension last, Anthropic first; other headers are left alone."""
    headers = {
        "X-RateLimit-Reset-Requests": "1s",
        "anthropic-ratelimit-output-tokens-reset": "2s",
        "x-request-id": "r",
        "date": "now",
    }
    assert {name for name, _, _ in rate_limit_resets(headers, wall)} == {"requests", "output-tokens"}


def test_headers_of_the_system_clock() -> None:
    """Without a clock of the caller's, dates are read against the system's."""
    assert retry_hint({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}) is not None


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "retry-after",
                "retry-after-ms",
                "x-should-retry",
                "x-ratelimit-reset-tokens",
                "x-ratelimit-remaining-tokens",
                "anthropic-ratelimit-tokens-reset",
            ]
        ),
        st.text(max_size=20)
        | st.floats().map(str)
        | st.integers().map(str)
        | st.datetimes().map(lambda when: when.isoformat() + "Z")
        | st.datetimes(min_value=datetime(1000, 1, 1)).map(format_datetime)  # noqa: DTZ001 - any date a server may send
        | st.sampled_from(["0", "-1", "6m0s", "1e400", "NaN", "true", "false"]),
    )
)
def test_a_hint_is_a_usable_wait(headers: dict[str, str]) -> None:
    """Whatever the headers say, a hint is finite and more than zero, and nothing is raised."""
    found = retry_hint(headers, wall)
    assert found is None or (math.isfinite(found) and found > 0)


@pytest.mark.parametrize(("value", "wish"), [("true", True), ("false", False), ("maybe", None), (None, None)])
def test_the_provider_says_whether_to_retry(value: str | None, wish: bool | None) -> None:
    """`x-should-retry` is handed on; anything but true and false is no wish."""
    headers = {} if value is None else {"x-should-retry": value}
    assert classify(openai_error(500, headers=headers), wall=wall).should_retry is wish


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda j: st.lists(j) | st.dictionaries(st.sampled_from(["error", "code", "type", "message"]), j),
        max_leaves=9,
    )
)
def test_any_body_can_be_read(body: Any) -> None:
    """Whatever JSON a gateway answers with, the classifier reads it without failing."""
    error = openai.APIStatusError("m", response=response(418), body=body)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(fault(error), ap.Fault)
