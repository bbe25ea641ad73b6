"""Replies of the test's own, sent as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentprod.errors import ConfigError
from agentprod.testing.behaviours.behaviour import Behaviour
from agentprod.testing.exchange import Exchange
from agentprod.testing.options import check_headers, check_status
from agentprod.testing.plan import Piece, Plan
from agentprod.testing.wire.http_plans import json_plan, stream_plan
from agentprod.testing.wire.sse import event

__all__ = ["json_body", "raw", "sse_events"]


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A JSON body of the test's own."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str = "json_body"

    def plan(self, exchange: Exchange) -> Plan:
        """Return what to send."""
        return json_plan(exchange, self.body, self.headers, status=self.status)


@dataclass(frozen=True, slots=True)
class Events:
    """A stream of events of the test's own."""

    events: tuple[bytes, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str = "sse_events"

    def plan(self, exchange: Exchange) -> Plan:
        """Return what to send."""
        return stream_plan(exchange, [Piece(event, mark="content") for event in self.events], self.headers)


@dataclass(frozen=True, slots=True)
class RawBytes:
    """Bytes of the test's own in the place of an HTTP response; the connection is closed after them."""

    data: bytes
    name: str = "raw"

    def plan(self, _exchange: Exchange) -> Plan:
        """Return what to send."""
        return Plan(pieces=(Piece(self.data, mark="content"),), framed=False, ending="close")


def json_body(body: Any, status: int = 200, *, headers: Mapping[str, object] | None = None) -> Behaviour:
    """Answer with a JSON body of your own.

    Args:
        body: anything `json.dumps` takes.

        status: 200 to 599.

        headers: more response headers.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if the body cannot be JSON, or the status or a header is not of that form.
    """
    check_status("json_body", status, least=200)
    try:
        json.dumps(body)
    except (TypeError, ValueError) as problem:
        raise ConfigError(f"json_body(body) must be what JSON can say: {problem}") from problem
    return JsonBody(body, status, check_headers("json_body", headers or {}))


def sse_events(
    events: Sequence[str | bytes | Mapping[str, Any] | tuple[str, Mapping[str, Any]]],
    *,
    headers: Mapping[str, object] | None = None,
) -> Behaviour:
    """Answer with a stream of your own events; nothing is added to them.

    Args:
        events: text and bytes are sent verbatim, blank line included; a mapping becomes `data: {...}`, and a
            pair of a name and a mapping becomes `event: name` and `data: {...}`.

        headers: more response headers.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an event or a header is not of that form.
    """
    encoded = tuple(_event(item) for item in events)
    return Events(encoded, check_headers("sse_events", headers or {}))


def raw(data: bytes) -> Behaviour:
    """Send these bytes in the place of an HTTP response, status line included, and close the connection.

    Args:
        data: what to send.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if `data` is not bytes.
    """
    if not isinstance(data, bytes):
        raise ConfigError(f"raw(data) must be bytes, not {data.__class__.__name__}")
    return RawBytes(data)


def _event(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, Mapping):
        return event(item).data
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
        return event(item[1], name=item[0]).data
    raise ConfigError(f"sse_events() takes text, bytes, mappings and (name, mapping) pairs, not {type(item).__name__}")
