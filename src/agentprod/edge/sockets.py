"""Find the socket a synchronous request waits on, so that a deadline can end the wait.

A read with a timeout starts anew with every byte, so a dribbling answer outlasts any of them; and
closing the response from another thread leaves the blocked reader blocked. Shutting the socket down
does end it. The HTTP library's documented `trace` extension tells when a request goes out; which
connection it goes out on is read from the caller's frame, as a reused one is announced nowhere.
HTTP/2 connections are left alone: other requests share the socket. There, and on transports without
a socket, a synchronous deadline holds between reads only.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

__all__ = ["SocketWatch", "shut_down", "socket_of"]

_FRAMES = 8


class SocketWatch:
    """A `trace` callback that remembers the socket of one request."""

    __slots__ = ("_inner", "sock")

    def __init__(self) -> None:
        self._inner: Any = None
        self.sock: socket.socket | None = None

    def also(self, trace: Any) -> None:
        """Call the caller's own `trace` callback as well."""
        self._inner = trace

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Take note of one step of the request."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self.sock = socket_of(info.get("return_value"))
        elif event == "http11.send_request_headers.started":
            self.sock = _connection_socket() or self.sock
        if self._inner is not None:
            self._inner(event, info)

    def abort(self) -> None:
        """End the wait."""
        if self.sock is not None:
            shut_down(self.sock)


def socket_of(stream: Any) -> socket.socket | None:
    """Return the socket of a network stream, if it has one."""
    get = getattr(stream, "get_extra_info", None)
    found = get("socket") if callable(get) else None
    return found if isinstance(found, socket.socket) else None


def _connection_socket() -> socket.socket | None:
    frame = sys._getframe(2)
    for _ in range(_FRAMES):
        stream = getattr(frame.f_locals.get("self"), "_network_stream", None)
        if stream is not None:
            return socket_of(stream)
        if frame.f_back is None:
            break
        frame = frame.f_back
    return None


def shut_down(sock: socket.socket) -> None:
    """Shut both directions down; the blocked read returns at once."""
    try:
        # Of the plain socket class: an SSLSocket's own drops the TLS state under the reader's feet.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # closed already
