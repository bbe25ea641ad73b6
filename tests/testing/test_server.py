"""The provider as a server: connections, keep-alive, odd requests, and how it ends."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from contextlib import closing
from typing import Any

import pytest

from agentprod.errors import AgentprodWarning, ConfigError
from agentprod.testing import Provider, RecordedRequest, behaviours
from tests.testing.callers import until

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
GET = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"


def threads_of_providers() -> list[str]:
    """Return the names of the threads of providers that still run."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("agentprod-provider")]


def connect(provider: Provider) -> socket.socket:
    """Open a bare connection."""
    return socket.create_connection((provider.host, provider.port), timeout=2)


def post(connection: http.client.HTTPConnection, **body: Any) -> bytes:
    """Send one request on a connection and return the body of the response."""
    connection.request("POST", "/v1/chat/completions", json.dumps({**BODY, **body}))
    return connection.getresponse().read()


def test_a_connection_is_kept_alive(provider: Provider) -> None:
    """Several requests, streams among them, go over one connection, which ends with its client."""
    with closing(http.client.HTTPConnection(provider.host, provider.port, timeout=2)) as connection:
        for streaming in (False, True, False):
            assert post(connection, stream=streaming)
        assert (provider.connections, provider.open_connections) == (1, 1)
        assert {request.connection for request in provider.requests} == {1}
    until(lambda: not provider.open_connections)
    assert (provider.connections, provider.open_connections) == (1, 0)


def test_connections_are_counted(provider: Provider) -> None:
    """Those opened, and of them those that are open."""
    first, second = (http.client.HTTPConnection(provider.host, provider.port, timeout=2) for _ in range(2))
    with closing(first), closing(second):
        post(first)
        post(second)
        assert [request.connection for request in provider.requests] == [1, 2]
        assert (provider.connections, provider.open_connections) == (2, 2)


def test_a_client_that_leaves_a_stalled_reply_is_noticed() -> None:
    """The connection is given up as soon as the client closes it."""
    with Provider(["stall", "black_hole", behaviours.slow(60)]) as provider:
        for number in range(1, 4):
            with connect(provider) as sock:
                sock.sendall(GET)
                until(lambda number=number: len(provider.requests) == number)  # type: ignore[misc]
                assert provider.open_connections == 1
            until(lambda: not provider.open_connections)


def test_requests_are_recorded(provider: Provider) -> None:
    """Method, path, query, headers, body and time of each, in order."""
    before = time.monotonic()
    with closing(http.client.HTTPConnection(provider.host, provider.port, timeout=2)) as connection:
        connection.request("GET", "/v1/models?limit=3", headers={"X-Mine": "yes"})
        connection.getresponse().read()
        connection.request("POST", "/v1/files", b"not json")
        connection.getresponse().read()
    first, second = provider.requests
    assert (first.method, first.path, first.query) == ("GET", "/v1/models", "limit=3")
    assert (first.headers["x-mine"], first.json, first.text, first.texts) == ("yes", None, "", [])
    assert (second.body, second.json, second.behaviour) == (b"not json", None, "ok")
    assert before <= first.time <= second.time <= time.monotonic()


@pytest.mark.parametrize(
    ("body", "last", "everything"),
    [
        ({"prompt": "Once upon"}, "Once upon", ["Once upon"]),
        ({"prompt": ["a", "b"]}, "b", ["a", "b"]),
        ({"input": ["a", ["b"]]}, "b", ["a", "b"]),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "", ["a"]),
        ({"messages": [{"role": "user", "content": None}]}, "", []),
        ({"messages": "odd"}, "odd", ["odd"]),
        ({"model": "m"}, "", []),
        ([1, 2], "", []),
    ],
)
def test_text_is_found_in_odd_requests(provider: Provider, body: Any, last: str, everything: list[str]) -> None:
    """Completions, embeddings and what is no request at all: no shape of JSON breaks the provider."""
    with closing(http.client.HTTPConnection(provider.host, provider.port, timeout=2)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        assert connection.getresponse().status == 200
    (request,) = provider.requests
    assert (request.text, request.texts) == (last, everything)


def test_a_chunked_request_is_read(provider: Provider) -> None:
    """A body without a length, with an extension and a trailer, is read to its end."""
    head = b"POST /v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    with connect(provider) as sock:
        sock.sendall(head + b"3;a=b\r\n[1,\r\n2\r\n2]\r\n0\r\ntrailer: x\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 200"
    assert provider.requests[0].json == [1, 2]


def test_a_client_may_ask_before_it_sends(provider: Provider) -> None:
    """A body that waits for permission gets it."""
    with connect(provider) as sock:
        sock.sendall(b"POST /v1/files HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"{}")
        assert sock.recv(12) == b"HTTP/1.1 200"


def test_a_client_may_close_after_one_request(provider: Provider) -> None:
    """`connection: close` is heeded."""
    with connect(provider) as sock:
        sock.sendall(b"GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n")
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    assert b"\r\nconnection: close\r\n" in received


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
    ],
)
def test_what_is_not_http_ends_the_connection(provider: Provider, sent: bytes) -> None:
    """The provider closes it, records nothing that was not a request, and serves the next client."""
    with connect(provider) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(12) in (b"", b"HTTP/1.1 200")
    with closing(http.client.HTTPConnection(provider.host, provider.port, timeout=2)) as connection:
        assert post(connection)


def test_a_pipelined_request_waits_its_turn() -> None:
    """A request sent before the answer to the last one is answered after it, delays included."""
    with Provider([behaviours.slow(0.02), "ok"]) as provider, connect(provider) as sock:
        start = time.monotonic()
        sock.sendall(GET + GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200") == 2
    assert time.monotonic() - start >= 0.02


def test_a_request_sent_during_a_delay_waits_its_turn() -> None:
    """It does not cut the delay short, and is answered after it."""
    with Provider([behaviours.slow(0.05), "ok"]) as provider, connect(provider) as sock:
        start = time.monotonic()
        sock.sendall(GET)
        until(lambda: len(provider.requests) == 1)
        sock.sendall(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200") == 2
    assert time.monotonic() - start >= 0.05


@pytest.mark.parametrize(
    "script",
    ["stall", "black_hole", behaviours.slow(60), behaviours.dribble(1, 60), behaviours.pings(60), "ok"],
)
def test_leaving_ends_every_thread(script: Any) -> None:
    """Whatever the connections are doing, all threads have ended when the context is left."""
    with Provider(script) as provider:
        connections = [http.client.HTTPConnection(provider.host, provider.port, timeout=2) for _ in range(3)]
        for connection in connections:
            connection.request("POST", "/v1/chat/completions", json.dumps({**BODY, "stream": True}))
        until(lambda: len(provider.requests) == 3)
        start = time.monotonic()
    assert time.monotonic() - start < 10  # where what it left would take a minute
    assert threads_of_providers() == []
    for connection in connections:
        connection.close()


def test_a_large_reply_to_a_client_that_does_not_read_can_be_ended() -> None:
    """A write that is stuck is interrupted too."""
    with Provider(behaviours.json_body({"big": "x" * 30_000_000})) as provider:
        sock = connect(provider)
        sock.sendall(GET)
        until(lambda: bool(provider.requests))
    assert threads_of_providers() == []
    sock.close()


def test_a_script_that_never_returns_is_told_of() -> None:
    """A thread that cannot be ended is not passed over in silence."""
    gate = threading.Event()

    def choose(_request: RecordedRequest) -> str:
        gate.wait(10)
        return "ok"

    provider = Provider(choose).__enter__()
    with connect(provider) as sock:
        sock.sendall(GET)
        until(lambda: bool(provider.requests))
        with pytest.warns(AgentprodWarning, match="its script still ran"):
            provider.__exit__(None, None, None)
    gate.set()
    until(lambda: not threads_of_providers())


def test_a_provider_runs_once_at_a_time() -> None:
    """Outside its context it has no address; inside, it cannot be entered again; after it, it can."""
    provider = Provider()
    with pytest.raises(ConfigError, match="with Provider"):
        _ = provider.openai_url
    provider.reset()
    for _ in range(2):
        with provider:
            assert provider.openai_url == f"http://127.0.0.1:{provider.port}/v1"
            assert provider.anthropic_url == provider.url == f"http://127.0.0.1:{provider.port}"
            with pytest.raises(ConfigError, match="already running"):
                provider.__enter__()


def test_what_was_received_can_be_read_after_the_end() -> None:
    """Requests outlive the server."""
    with Provider() as provider, closing(http.client.HTTPConnection(provider.host, provider.port)) as connection:
        post(connection)
    assert [request.behaviour for request in provider.requests] == ["ok"]


def test_a_provider_may_listen_on_ipv6() -> None:
    """The address is written as URLs want it."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with Provider(host="::1") as provider:
        assert provider.url == f"http://[::1]:{provider.port}"
        with closing(http.client.HTTPConnection("::1", provider.port, timeout=2)) as connection:
            assert post(connection)
