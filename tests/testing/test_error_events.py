"""Errors inside a stream that began with status 200, and the same where no stream was asked for."""

from __future__ import annotations

import anthropic
import openai
import pytest

from agentprod.testing import Provider, behaviours
from tests.testing.callers import AnthropicAt, Chat, Messages, OpenAIAt, Responses

EIGHT = behaviours.ok("one two three four five six seven eight")


@pytest.mark.parametrize(
    ("kind", "theirs", "status"),
    [
        (None, "overloaded_error", 529),
        ("overloaded_error", "overloaded_error", 529),
        ("server_error", "api_error", 500),
        ("rate_limit_error", "rate_limit_error", 429),
        ("odd_error", "odd_error", 500),
    ],
)
def test_an_error_event_of_anthropic(anthropic_at: AnthropicAt, kind: str | None, theirs: str, status: int) -> None:
    """In a stream it has Anthropic's word for it under status 200; without a stream it is an HTTP error."""
    caller = Messages(None, anthropic_at)  # type: ignore[arg-type]
    with Provider(behaviours.sse_error(5, kind, "Sorry.", reply=EIGHT)) as provider:
        with pytest.raises(anthropic.APIStatusError) as streamed:
            caller.stream(provider)
        with pytest.raises(anthropic.APIStatusError) as whole:
            caller.whole(provider)
    assert (streamed.value.status_code, streamed.value.type) == (200, theirs)
    assert (whole.value.status_code, whole.value.type) == (status, theirs)
    assert caller.text == "one two"
    assert "Sorry." in str(streamed.value)


@pytest.mark.parametrize(
    ("kind", "theirs", "code", "status"),
    [
        (None, "server_error", None, 500),
        ("server_error", "server_error", None, 500),
        ("overloaded_error", "service_unavailable_error", "server_is_overloaded", 503),
        ("rate_limit_error", "requests", "rate_limit_exceeded", 429),
        ("odd_error", "odd_error", None, 500),
    ],
)
def test_an_error_event_of_openais_chat(
    openai_at: OpenAIAt, kind: str | None, theirs: str, code: str | None, status: int
) -> None:
    """In a stream it has OpenAI's word for it and no status; without a stream it is an HTTP error."""
    caller = Chat(openai_at, None)  # type: ignore[arg-type]
    with Provider(behaviours.sse_error(3, kind, "Sorry.", reply=EIGHT)) as provider:
        with pytest.raises(openai.APIError) as streamed:
            caller.stream(provider)
        with pytest.raises(openai.APIStatusError) as whole:
            caller.whole(provider)
    assert not isinstance(streamed.value, openai.APIStatusError)
    assert (streamed.value.type, streamed.value.code, streamed.value.message) == (theirs, code, "Sorry.")
    assert (whole.value.type, whole.value.code, whole.value.status_code) == (theirs, code, status)
    assert caller.text == "one two"


def test_an_error_event_of_openais_responses(openai_at: OpenAIAt) -> None:
    """A reply that failed ends with its last event; a service that failed with an error event."""
    failed, overloaded = Responses(openai_at, None), Responses(openai_at, None)  # type: ignore[arg-type]
    with Provider([behaviours.sse_error(6), behaviours.sse_error(6, "overloaded_error")]) as provider:
        failed.stream(provider)
        with pytest.raises(openai.APIError) as failure:
            overloaded.stream(provider)
    last = failed.events[-1]
    assert (last.type, last.sequence_number, last.response.status) == ("response.failed", 6, "failed")
    assert last.response.error.code == "server_error"
    assert failure.value.code == "server_is_overloaded"
    assert failed.text == overloaded.text == "Hello from"
