"""Behaviours that deliver something: a reply, an error, or bytes of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from agentprod.testing.answers import Answer
from agentprod.testing.exchange import Exchange
from agentprod.testing.plan import Piece, Plan
from agentprod.testing.wire.errors import plan_error
from agentprod.testing.wire.http_plans import json_plan, stream_plan
from agentprod.testing.wire.surfaces import plan_answer

__all__ = ["Behaviour", "Delivery", "Events", "Failure", "JsonBody", "RawBytes", "Refusal", "Silence"]


@runtime_checkable
class Behaviour(Protocol):
    """What a script consists of; anything with a name and a plan for a request is one."""

    @property
    def name(self) -> str:
        """What `RecordedRequest.behaviour` shows."""

    def plan(self, exchange: Exchange, /) -> Plan:
        """Return what to send."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A faithful reply."""

    answer: Answer
    name: str = "ok"

    def plan(self, exchange: Exchange) -> Plan:
        return plan_answer(exchange, self.answer)


@dataclass(frozen=True, slots=True)
class Failure:
    """An HTTP error in the vendor's shape."""

    status: int
    type: str | None = None
    code: str | None = None
    message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str = "error"

    def plan(self, exchange: Exchange) -> Plan:
        return plan_error(
            exchange, self.status, type=self.type, code=self.code, message=self.message, headers=self.headers
        )


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A JSON body of the test's own."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str = "json_body"

    def plan(self, exchange: Exchange) -> Plan:
        return json_plan(exchange, self.body, self.headers, status=self.status)


@dataclass(frozen=True, slots=True)
class Events:
    """A stream of events of the test's own."""

    events: tuple[bytes, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str = "sse_events"

    def plan(self, exchange: Exchange) -> Plan:
        return stream_plan(exchange, [Piece(event, content=True) for event in self.events], self.headers)


@dataclass(frozen=True, slots=True)
class RawBytes:
    """Bytes of the test's own in the place of an HTTP response; the connection is closed after them."""

    data: bytes
    name: str = "raw"

    def plan(self, _exchange: Exchange) -> Plan:
        return Plan(pieces=(Piece(self.data, content=True),), framed=False, ending="close")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A connection that is reset before a byte of response."""

    name: str = "refuse"

    def plan(self, _exchange: Exchange) -> Plan:
        return Plan(head=False, ending="rst")


@dataclass(frozen=True, slots=True)
class Silence:
    """A connection that stays open and never says anything."""

    name: str = "black_hole"

    def plan(self, _exchange: Exchange) -> Plan:
        return Plan(head=False, ending="stall")
