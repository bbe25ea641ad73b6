"""What goes over the wire, byte for byte, seen without any SDK."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest

from agentprod.testing import Provider, behaviours

HELLO = [{"role": "user", "content": "Hi"}]


class Received(NamedTuple):
    """One response, read."""

    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes


def post(provider: Provider, path: str, body: dict[str, Any], **headers: str) -> Received:
    """Send one request on a connection of its own and return the response."""
    with closing(http.client.HTTPConnection(provider.host, provider.port, timeout=2)) as connection:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json", **headers})
        response = connection.getresponse()
        return Received(response.status, response.reason, response.headers, response.read())


@pytest.fixture
def short() -> Iterator[Provider]:
    """Return a running provider whose answer has two words."""
    with Provider(behaviours.ok("One 二")) as provider:
        yield provider


def test_a_chat_stream(short: Provider) -> None:
    """Each event is one `data:` line of compact JSON in UTF-8; the last says that it is done."""
    head = (
        'data: {"id":"chatcmpl-000000010000","object":"chat.completion.chunk","created":1700000000,"model":"m",'
        '"service_tier":"default","system_fingerprint":"fp_scripted","choices":[{"index":0,"delta":'
    )
    middle = ',"logprobs":null,"finish_reason":null}]}\n\n'
    assert post(short, "/v1/chat/completions", {"model": "m", "messages": HELLO, "stream": True}).body.decode() == (
        head + '{"role":"assistant","content":"","refusal":null}' + middle
        + head + '{"content":"One"}' + middle
        + head + '{"content":" 二"}' + middle
        + head + '{},"logprobs":null,"finish_reason":"stop"}]}\n\n'
        + "data: [DONE]\n\n"
    )  # fmt: skip


def test_a_message_stream(short: Provider) -> None:
    """Each event has its name and one line of compact JSON; a ping follows the first block's start."""
    start = (
        '{"type":"message_start","message":{"id":"msg_000000010000","type":"message","role":"assistant","model":"m",'
        '"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,'
        '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,'
        '"ephemeral_1h_input_tokens":0},"output_tokens":1,"service_tier":"standard"}}}'
    )
    block = '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
    delta = '{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{}"}}}}'
    end = (
        '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":1,'
        '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":2}}'
    )
    assert post(short, "/v1/messages", {"model": "m", "messages": HELLO, "stream": True}).body.decode() == (
        f"event: message_start\ndata: {start}\n\n"
        f"event: content_block_start\ndata: {block}\n\n"
        'event: ping\ndata: {"type":"ping"}\n\n'
        f"event: content_block_delta\ndata: {delta.format('One')}\n\n"
        f"event: content_block_delta\ndata: {delta.format(' 二')}\n\n"
        'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        f"event: message_delta\ndata: {end}\n\n"
        'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )


def test_a_response_stream(short: Provider) -> None:
    """Each event has the name of its type, and nothing says [DONE]."""
    events = post(short, "/v1/responses", {"model": "m", "input": "Hi", "stream": True}).body.decode().split("\n\n")
    assert events.pop() == ""
    for event in events:
        name, data = event.split("\n")
        assert name == f"event: {json.loads(data.removeprefix('data: '))['type']}"
    assert events[4] == (
        'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":4,'
        '"item_id":"msg_000000010000","output_index":0,"content_index":0,"delta":"One","logprobs":[]}'
    )


def test_streams_are_chunked_and_bodies_have_a_length(short: Provider) -> None:
    """Transfer coding, length and type are those of the providers; the connection stays open."""
    asked = {"model": "m", "messages": HELLO}
    stream, whole = (post(short, "/v1/chat/completions", {**asked, "stream": value}) for value in (True, False))
    assert (stream.headers["transfer-encoding"], stream.headers["content-length"]) == ("chunked", None)
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert whole.headers["content-length"] == str(len(whole.body))
    assert whole.headers["transfer-encoding"] is None
    assert whole.headers["connection"] == "keep-alive"
    assert whole.headers["x-request-id"] != stream.headers["x-request-id"]


def test_each_event_is_a_chunk_of_its_own(short: Provider) -> None:
    """What a client reads at once is an event, as far as the network lets it."""
    body = json.dumps({"model": "m", "messages": HELLO, "stream": True}).encode()
    head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    with socket.create_connection((short.host, short.port), timeout=2) as sock:
        sock.sendall(head + body)
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    chunks = received.split(b"\r\n\r\n", 1)[1]
    sizes = []
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        sizes.append(int(size, 16))
        event, chunks = rest[: sizes[-1]], rest[sizes[-1] + 2 :]
        assert not event or event.startswith(b"event: ")
    assert (len(sizes), sizes[-1]) == (9, 0)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_replies_are_the_same_in_every_run(path: str) -> None:
    """Two providers answer the same requests with the same bytes."""
    bodies = []
    for _ in range(2):
        with Provider(behaviours.ok("A b", reasoning="c", tool_calls=[{"name": "f", "arguments": {}}])) as provider:
            asked = {"model": "m", "messages": HELLO, "input": "Hi"}
            bodies.append(
                [post(provider, path, {**asked, "stream": value}).body.decode() for value in (True, False, True)]
            )
    assert bodies[0] == bodies[1]
    assert bodies[0][0] != bodies[0][2]  # each reply has ids of its own


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", None),
        (401, "invalid_request_error", "invalid_api_key"),
        (404, "invalid_request_error", "model_not_found"),
        (429, "requests", "rate_limit_exceeded"),
        (503, "server_error", None),
    ],
)
def test_openai_errors(status: int, kind: str, code: str | None) -> None:
    """Message, type, param and code, as OpenAI sends them for the status."""
    with Provider(behaviours.error(status, message="No.")) as provider:
        response = post(provider, "/v1/responses", {})
    assert response.status == status
    expected = {"error": {"message": "No.", "type": kind, "param": None, "code": code}}
    assert json.loads(response.body) == expected


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_anthropic_errors(status: int, kind: str) -> None:
    """Type, message and request id, as Anthropic sends them for the status; by the header on other paths too."""
    with Provider(behaviours.error(status, message="No.")) as provider:
        message = post(provider, "/v1/messages", {})
        other = post(provider, "/v1/files", {}, **{"anthropic-version": "2023-06-01"})
    for response in (message, other):
        body = json.loads(response.body)
        assert response.status == status
        assert body["error"] == {"details": None, "type": kind, "message": "No."}
        assert (body["type"], body["request_id"]) == ("error", response.headers["request-id"])


def test_what_an_error_says_is_scripted() -> None:
    """Type, code and headers win over the usual ones; a status nobody has a name for is sent too."""
    script = behaviours.error(599, type="odd", code="very_odd", headers={"Retry-After": 3})
    with Provider(script) as provider:
        ours = post(provider, "/v1/chat/completions", {})
        theirs = post(provider, "/v1/messages", {})
    assert (ours.status, ours.reason, ours.headers["retry-after"]) == (599, "Unknown", "3")
    error = json.loads(ours.body)["error"]
    assert (error["type"], error["code"]) == ("odd", "very_odd")
    error = json.loads(theirs.body)["error"]
    assert error["details"] == {"error_code": "very_odd"}


def test_a_rate_limit_says_when_to_come_back() -> None:
    """Seconds, milliseconds and other headers are sent as scripted; without them, none."""
    date = "Fri, 20 Nov 2026 10:00:00 GMT"
    script = [
        behaviours.rate_limit(retry_after=2, retry_after_ms=1500, headers={"x-ratelimit-reset-tokens": "6m0s"}),
        behaviours.rate_limit(date),
        behaviours.rate_limit(code="insufficient_quota", message="Quota."),
    ]
    with Provider(script) as provider:
        timed, dated, quota = (post(provider, "/v1/chat/completions", {}) for _ in script)
    assert (timed.headers["retry-after"], timed.headers["retry-after-ms"]) == ("2", "1500")
    assert timed.headers["x-ratelimit-reset-tokens"] == "6m0s"
    assert dated.headers["retry-after"] == date
    assert quota.headers["retry-after"] is None
    error = json.loads(quota.body)["error"]
    assert (error["type"], error["code"], error["message"]) == ("insufficient_quota", "insufficient_quota", "Quota.")


def test_bodies_events_and_bytes_of_ones_own() -> None:
    """What a script gives verbatim arrives verbatim."""
    events = ["data: text\n\n", b"data: bytes\n\n", {"a": "二"}, ("named", {"b": 1})]
    script = [
        behaviours.json_body({"mine": True}, 207, headers={"x-a": "b"}),
        behaviours.sse_events(events),  # type: ignore[arg-type]
        behaviours.raw(b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n"),
    ]
    with Provider(script) as provider:
        body, stream, raw = (post(provider, "/v1/chat/completions", {}) for _ in script)
    assert (body.status, body.headers["x-a"]) == (207, "b")
    assert json.loads(body.body) == {"mine": True}
    assert stream.body.decode() == ('data: text\n\ndata: bytes\n\ndata: {"a":"二"}\n\nevent: named\ndata: {"b":1}\n\n')
    assert (raw.status, raw.headers["location"]) == (302, "/x")
