"""FaultProxy: what each fault does to a connection that passes through it."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from agentprod.errors import ConfigError
from agentprod.testing import FaultProxy, Provider, behaviours, proxy_faults
from tests.testing.callers import until

MESSAGE = b"0123456789" * 10


@pytest.fixture
def target() -> Iterator[tuple[str, int]]:
    """Return the address of a server that greets every connection with a hundred bytes and then echoes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.sendall(MESSAGE)
            while data := sock.recv(65536):
                sock.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threading.Thread(target=serve, args=(sock,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@contextlib.contextmanager
def through(target: tuple[str, int], fault: Any) -> Iterator[socket.socket]:
    """Open a connection to a target through a proxy."""
    with FaultProxy(*target, fault) as proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=2) as sock:
        yield sock


def read(sock: socket.socket, count: int) -> bytes:
    """Read until there are that many bytes, or the other side has closed."""
    data = b""
    while len(data) < count and (more := sock.recv(count - len(data))):
        data += more
    return data


@pytest.mark.parametrize(
    "fault", [None, proxy_faults.delay(0.01), "bytewise", proxy_faults.dribble(0), proxy_faults.rst_after(9999)]
)
def test_everything_passes(target: tuple[str, int], fault: Any) -> None:
    """Without a fault, late, one by one, or below the limit: every byte arrives, both ways."""
    with through(target, fault) as sock:
        assert read(sock, 100) == MESSAGE
        sock.sendall(b"echo")
        assert read(sock, 4) == b"echo"


def test_a_delay_is_added_once(target: tuple[str, int]) -> None:
    """Each direction's bytes keep their distance; they only come later."""
    with through(target, proxy_faults.delay(0.05)) as sock:
        start = time.monotonic()
        assert read(sock, 100) == MESSAGE
        assert time.monotonic() - start >= 0.045


def test_dribbled_bytes_come_one_by_one(target: tuple[str, int]) -> None:
    """A hundred bytes take a hundred intervals."""
    with through(target, proxy_faults.dribble(0.001)) as sock:
        start = time.monotonic()
        assert read(sock, 100) == MESSAGE
        assert time.monotonic() - start >= 0.099


@pytest.mark.parametrize("count", [0, 1, 37, 100])
def test_a_connection_is_reset_after_some_bytes(target: tuple[str, int], count: int) -> None:
    """Exactly that many bytes arrive, then a reset."""
    with through(target, proxy_faults.rst_after(count)) as sock:
        assert read(sock, count) == MESSAGE[:count]
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


@pytest.mark.parametrize("count", [0, 1, 37])
def test_a_connection_is_closed_after_some_bytes(target: tuple[str, int], count: int) -> None:
    """Exactly that many bytes arrive, then the end."""
    with through(target, proxy_faults.fin_after(count)) as sock:
        assert read(sock, 200) == MESSAGE[:count]


@pytest.mark.parametrize("count", [0, 1, 37])
def test_a_connection_stalls_after_some_bytes(target: tuple[str, int], count: int) -> None:
    """Exactly that many bytes arrive, then nothing, and the connection stays open."""
    with through(target, proxy_faults.stall_after(count)) as sock:
        assert read(sock, count) == MESSAGE[:count]
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.sendall(b"still open")


def test_a_connection_is_reset_when_it_is_made(target: tuple[str, int]) -> None:
    """Before any byte."""
    with through(target, "rst_on_connect") as sock, pytest.raises(ConnectionResetError):
        sock.recv(1)


def test_a_black_hole_swallows_everything(target: tuple[str, int]) -> None:
    """What is sent is taken, nothing comes back, and the target is not called."""
    with Provider() as provider, through((provider.host, provider.port), "black_hole") as sock:
        sock.sendall(b"x" * 1_000_000)
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        assert provider.connections == 0


def test_the_end_of_either_side_is_passed_on(target: tuple[str, int]) -> None:
    """A client that closes its half gets the rest of the reply, and then the target's end."""
    with through(target, None) as sock:
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        assert read(sock, 999) == MESSAGE + b"last words"


def test_a_reset_of_the_target_is_passed_on() -> None:
    """A proxy without a fault shows what the target does, and not something milder."""
    with (
        Provider("refuse") as provider,
        through((provider.host, provider.port), None) as sock,
        pytest.raises(ConnectionResetError),
    ):
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        sock.recv(1)


def test_a_target_that_is_not_there_breaks_the_connection() -> None:
    """Its clients get a broken connection, as if it had died."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = listener.getsockname()
    with through(gone, None) as sock:
        assert sock.recv(1) == b""


def test_the_fault_can_be_changed(target: tuple[str, int]) -> None:
    """Connections made from then on have the new one; connections are counted."""
    with FaultProxy(*target) as proxy:
        for fault, expected in ((None, 100), (proxy_faults.fin_after(5), 5)):
            proxy.fault(fault)
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=2) as sock:
                assert len(read(sock, 100)) == expected
        assert proxy.connections == 2


def test_http_clients_see_the_fault() -> None:
    """An SDK's call through the proxy works, and breaks when the bytes end early."""
    with Provider(behaviours.ok("x" * 500)) as provider, FaultProxy(provider.host, provider.port) as proxy:
        with openai.OpenAI(api_key="k", base_url=f"{proxy.url}/v1", max_retries=0) as client:
            messages: Any = [{"role": "user", "content": "Hi"}]
            client.chat.completions.create(model="m", messages=messages)
        proxy.fault(proxy_faults.rst_after(300))
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=2)
        connection.request("POST", "/v1/chat/completions", "{}")
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            connection.getresponse().read()
        connection.close()


@pytest.mark.parametrize("fault", [None, "black_hole", proxy_faults.stall_after(1), proxy_faults.dribble(60)])
def test_leaving_ends_the_thread(target: tuple[str, int], fault: Any) -> None:
    """Open connections do not hold it up."""
    with FaultProxy(*target, fault) as proxy:
        sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=2)
        sock.sendall(b"x")
        until(lambda: proxy.connections == 1)
        start = time.monotonic()
    assert time.monotonic() - start < 10  # where what it left would take a minute
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("agentprod-proxy")]
    sock.close()


def test_a_proxy_runs_once_at_a_time(target: tuple[str, int]) -> None:
    """Outside its context it has no port; inside, it cannot be entered again; after it, it can."""
    proxy = FaultProxy(*target)
    with pytest.raises(ConfigError, match="with FaultProxy"):
        _ = proxy.port
    for _ in range(2):
        with proxy:
            assert proxy.url == f"http://127.0.0.1:{proxy.port}"
            with pytest.raises(ConfigError, match="already running"):
                proxy.__enter__()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FaultProxy("x", 1, "rst_after"), "black_hole, bytewise"),
        (lambda: FaultProxy("x", 1, 3), "not 3"),  # type: ignore[arg-type]
        (lambda: proxy_faults.rst_after(-1), "rst_after"),
        (lambda: proxy_faults.fin_after(-1), "fin_after"),
        (lambda: proxy_faults.stall_after(-1), "stall_after"),
        (lambda: proxy_faults.delay(-1), "delay"),
        (lambda: proxy_faults.dribble(-1), "dribble"),
    ],
)
def test_a_bad_fault_is_refused_when_it_is_given(make: Callable[[], Any], message: str) -> None:
    """The error names what is allowed."""
    with pytest.raises(ConfigError, match=message):
        make()
