"""What spans say of requests and replies, read from the wire."""

from __future__ import annotations

from typing import Any

import pytest

import agentprod as ap
from agentprod.telemetry.tracer import Tracer
from agentprod.telemetry.wire_facts import response_facts, server
from tests.telemetry.tracing import HELLO, MODEL, Traces


@pytest.fixture
def traces() -> Traces:
    return Traces()


def asked(traces: Traces, **request: Any) -> dict[str, Any]:
    """Return the request attributes of a chat-shaped call."""

    @ap.Stack(Tracer(tracer_provider=traces.provider))
    def complete(model: str, messages: list[Any], **options: Any) -> str:
        return "x"

    complete(MODEL, HELLO, **request)
    prefixes = ("gen_ai.request.", "gen_ai.output.", "gen_ai.conversation.")
    return {
        key: value
        for key, value in traces.operation.items()
        if key.startswith(prefixes) and key != "gen_ai.request.model"
    }


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"max_tokens": 5, "top_k": 3, "top_p": 1}, {"max_tokens": 5, "top_k": 3, "top_p": 1.0}),
        ({"max_output_tokens": 5.0}, {"max_tokens": 5}),
        ({"frequency_penalty": 0.5, "presence_penalty": -1}, {"frequency_penalty": 0.5, "presence_penalty": -1.0}),
        ({"n": 2, "stop_sequences": ["a", "b"]}, {"choice.count": 2, "stop_sequences": ("a", "b")}),
        ({"n": 1, "stop": [], "seed": True, "temperature": "hot", "stop_sequences": [1]}, {}),
        ({"reasoning": {"effort": "high"}}, {"reasoning.level": "high"}),
        ({"reasoning": "high", "text": None}, {}),
        ({"previous_response_id": "resp_1"}, {"previous_response.id": "resp_1"}),
        # An exporter has 64 bits for an integer, and would lose the whole batch over one that is longer.
        ({"seed": 2**63, "max_tokens": float("inf"), "top_p": float("nan"), "n": 2**70}, {}),
        ({"seed": 2**63 - 1}, {"seed": 2**63 - 1}),
    ],
)
def test_parameters_of_every_format(traces: Traces, request_: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each format's own names become those of the conventions; what is no such value is left out."""
    assert asked(traces, **request_) == {f"gen_ai.request.{key}": value for key, value in expected.items()}


@pytest.mark.parametrize(
    "request_",
    [
        {"response_format": {"type": "json_schema"}},
        {"text": {"format": {"type": "json_schema"}}},
        {"output_format": {"type": "json_schema"}},
        {"output_config": {"format": {"type": "json_schema"}}},
    ],
)
def test_json_output_is_told(traces: Traces, request_: dict[str, Any]) -> None:
    """Whichever way JSON was asked for."""
    assert asked(traces, **request_) == {"gen_ai.output.type": "json"}


def test_a_conversation_of_the_provider(traces: Traces) -> None:
    """The id that the request names is used."""
    assert asked(traces, conversation={"id": "conv_1"}) == {"gen_ai.conversation.id": "conv_1"}


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"status": "completed", "output": [{"type": "message"}]}, "stop"),
        ({"status": "completed", "output": [{"type": "function_call"}]}, "tool_call"),
        ({"status": "completed"}, "stop"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete", "incomplete_details": None}, "incomplete"),
        ({"status": "failed"}, "error"),
    ],
)
def test_how_a_response_finished(response: dict[str, Any], reason: str) -> None:
    """The Responses API says it by status, alone or in its last event."""
    body = {"object": "response", "id": "resp_1", "model": "m", **response}
    expected = {
        "gen_ai.response.id": "resp_1",
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": (reason,),
    }
    assert response_facts((body,)) == expected
    assert response_facts(({"type": "response.completed", "response": body},)) == expected


def test_a_response_under_way_has_not_finished() -> None:
    """A status that is no end gives no reason."""
    assert response_facts(({"object": "response", "status": "in_progress"},)) == {}


def test_finish_reasons_of_several_choices_stand_in_their_order() -> None:
    """Chunks that end choices may come in any order."""
    chunks = [
        {"id": "c", "model": "m", "choices": [{"index": 1, "finish_reason": "length"}]},
        {"choices": [{"index": 0, "finish_reason": "stop"}]},
        {"choices": []},
        None,
    ]
    assert response_facts(chunks)["gen_ai.response.finish_reasons"] == ("stop", "length")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.openai.com/v1", ("api.openai.com", 443)),
        ("http://127.0.0.1:8080/v1", ("127.0.0.1", 8080)),
        ("http://[::1]/", ("::1", 80)),
        ("module.function", (None, None)),
        ("http://host:notaport", (None, None)),
    ],
)
def test_server_of_an_address(url: str, expected: tuple[str | None, int | None]) -> None:
    """Host and port, with the scheme's own port when none is named."""
    assert server(url) == expected
