"""A loopback HTTP server that sends what it is told to, however broken: one thread per connection."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
import warnings
from collections.abc import Callable

from agentprod.errors import AgentprodWarning
from agentprod.testing.http1 import HttpRequest, encode_head, read_request
from agentprod.testing.plan import Piece, Plan

__all__ = ["Server"]

_RESET_GRACE = 0.005  # so that what was sent is read before the reset overtakes it
_CLOSE_GRACE = 1.0


class Server:
    """Accepts connections on a random port until it is closed.

    Args:
        host: the address to listen on.

        answer: returns the plan for a request, which came on the connection of that number.
    """

    def __init__(self, host: str, answer: Callable[[HttpRequest, int], Plan]) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._live: dict[_Connection, threading.Thread] = {}
        self._closing = False
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.opened = 0
        """How many connections were accepted."""
        self._acceptor = threading.Thread(target=self._accept, name=f"agentprod-provider-{self.port}", daemon=True)
        self._acceptor.start()

    @property
    def open(self) -> int:
        """How many connections are still open."""
        with self._lock:
            return len(self._live)

    def close(self) -> None:
        """Close every connection, whatever it is doing, and wait for the threads to end."""
        deadline = time.monotonic() + _CLOSE_GRACE
        with self._lock:
            self._closing = True
        # Closing a listening socket does not wake its accept() everywhere; a connection does.
        with contextlib.suppress(OSError):
            socket.create_connection(self._listener.getsockname()[:2], timeout=_CLOSE_GRACE).close()
        self._acceptor.join(_CLOSE_GRACE)
        self._listener.close()
        with self._lock:
            live = dict(self._live)
        for connection in live:
            connection.interrupt()
        for thread in live.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in live.values()):
            message = (
                "a scripted provider was closed while its script still ran; its thread lives on until that returns"
            )
            warnings.warn(message, AgentprodWarning, stacklevel=3)

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            with self._lock:
                if self._closing:
                    sock.close()
                    return
                self.opened += 1
                connection = _Connection(sock, self.opened, self._answer)
                name = f"{self._acceptor.name}-{self.opened}"
                thread = threading.Thread(target=self._serve, args=(connection,), name=name, daemon=True)
                self._live[connection] = thread
            thread.start()

    def _serve(self, connection: _Connection) -> None:
        try:
            connection.serve()
        finally:
            with self._lock:
                del self._live[connection]


class _Gone(Exception):
    """The client, or `Server.close`, closed the connection."""


class _Connection:
    def __init__(self, sock: socket.socket, number: int, answer: Callable[[HttpRequest, int], Plan]) -> None:
        self._sock = sock
        self._number = number
        self._answer = answer
        self._reader = sock.makefile("rb")
        self._interrupted = threading.Event()
        # Keeps interrupt() from touching a descriptor that close() has just given back.
        self._lock = threading.Lock()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def serve(self) -> None:
        try:
            while self._exchange():
                pass
        except (_Gone, OSError):
            pass  # clients leave; that is not the provider's failure
        finally:
            self._close()

    def interrupt(self) -> None:
        """Wake the connection's thread from whatever it waits for."""
        self._interrupted.set()
        with self._lock, contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _exchange(self) -> bool:
        try:
            request = read_request(self._reader, self._sock.sendall)
        except ValueError:
            request = None  # not HTTP
        if request is None:
            return False
        plan = self._answer(request, self._number)
        self._wait(plan.delay)
        self._deliver(plan, keep_alive=request.keep_alive and plan.ending != "close")
        if plan.ending == "stall":
            self._wait(None)
        elif plan.ending == "rst":
            self._wait(_RESET_GRACE)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return plan.ending == "complete" and request.keep_alive

    def _deliver(self, plan: Plan, *, keep_alive: bool) -> None:
        if plan.head and plan.framed:
            self._send(encode_head(plan, keep_alive=keep_alive), plan)
        for piece in plan.pieces:
            self._wait(piece.delay)
            self._send(_chunk(piece) if plan.stream else piece.data, plan)
        if plan.stream and plan.ending in ("complete", "close"):
            self._send(b"0\r\n\r\n", plan)

    def _send(self, data: bytes, plan: Plan) -> None:
        if plan.write_size is None:
            self._sock.sendall(data)
            return
        for start in range(0, len(data), plan.write_size):
            self._sock.sendall(data[start : start + plan.write_size])
            self._wait(plan.write_interval)

    def _wait(self, seconds: float | None) -> None:
        """Wait, but no longer than the client and the server stay."""
        if seconds == 0:
            return
        self._sock.settimeout(seconds)
        try:
            if not self._sock.recv(1, socket.MSG_PEEK):
                raise _Gone
        except TimeoutError:
            return
        finally:
            self._sock.settimeout(None)
        # The client has sent its next request already, which hides whether it is still there.
        self._interrupted.wait(seconds)

    def _close(self) -> None:
        with self._lock:
            self._reader.close()
            self._sock.close()


def _chunk(piece: Piece) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece.data), piece.data)
