"""The part of HTTP/1.1 (RFC 9112) a scripted provider needs: reading requests, and writing the head of a response."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import BinaryIO

from agentprod.testing.plan import Plan

__all__ = ["HttpRequest", "encode_head", "read_request"]

_STATUSES = frozenset(HTTPStatus)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to use the connection again."""
        return self.headers.get("connection", "").lower() != "close"


def read_request(reader: BinaryIO, send: Callable[[bytes], object]) -> HttpRequest | None:
    """Read one request.

    Args:
        reader: where from.

        send: takes the interim response to a client that waits for permission to send its body.

    Returns:
        The request; `None` when the client has closed the connection.

    Raises:
        ValueError: if it is not HTTP.
    """
    line = reader.readline(65_536)
    if not line.endswith(b"\n"):
        return None
    method, target, _version = line.decode("latin-1").split()
    headers: dict[str, str] = {}
    while (line := reader.readline(65_536)) not in (b"\r\n", b"\n"):
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise ValueError("a header without a colon")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        send(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _read_chunks(reader)
    else:
        body = reader.read(int(headers.get("content-length", "0")))
    return HttpRequest(method, target, headers, body)


def encode_head(plan: Plan, *, keep_alive: bool) -> bytes:
    """Return status line and headers of a planned response."""
    headers = {"date": formatdate(usegmt=True), **plan.headers}
    if plan.stream:
        headers["transfer-encoding"] = "chunked"
    else:
        length = sum(len(piece.data) for piece in plan.pieces) if plan.length is None else plan.length
        headers["content-length"] = str(length)
    headers["connection"] = "keep-alive" if keep_alive else "close"
    reason = HTTPStatus(plan.status).phrase if plan.status in _STATUSES else "Unknown"
    lines = [f"HTTP/1.1 {plan.status} {reason}"]
    lines.extend(f"{name}: {value}" for name, value in headers.items())
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _read_chunks(reader: BinaryIO) -> bytes:
    body = b""
    while size := int(reader.readline(65_536).split(b";")[0], 16):
        body += reader.read(size)
        reader.readline(65_536)
    while reader.readline(65_536) not in (b"\r\n", b"\n", b""):
        pass
    return body
