"""Behaviours that damage or delay what another one delivers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from agentprod.testing.exchange import Exchange
from agentprod.testing.plan import Ending, Piece, Plan
from agentprod.testing.replies import Behaviour
from agentprod.testing.wire.anthropic_messages import PING
from agentprod.testing.wire.errors import error_events, plan_error, stream_error_status

__all__ = ["Cut", "Dribble", "Malformed", "Pings", "Slow", "Stall", "StreamError", "Truncation"]

_COMMENT = Piece(b": keep-alive\n\n")


@dataclass(frozen=True, slots=True)
class Cut:
    """The socket dies in the middle of the body."""

    reply: Behaviour
    after: int | None = None
    how: Literal["fin", "rst"] = "fin"
    name: str = "cut"

    def plan(self, exchange: Exchange) -> Plan:
        return _stop(self.reply.plan(exchange), self.after, self.how)


@dataclass(frozen=True, slots=True)
class Stall:
    """The body stops coming, and the socket stays open."""

    reply: Behaviour
    after: int | None = None
    name: str = "stall"

    def plan(self, exchange: Exchange) -> Plan:
        return _stop(self.reply.plan(exchange), self.after, "stall")


@dataclass(frozen=True, slots=True)
class Truncation:
    """The body ends too early, though HTTP says that it is complete."""

    reply: Behaviour
    after: int | None = None
    inside_tool_call: bool = False
    name: str = "truncate"

    def plan(self, exchange: Exchange) -> Plan:
        plan = self.reply.plan(exchange)
        if not plan.stream:
            return replace(plan, pieces=_part_of_body(plan, self.after))
        if self.inside_tool_call:
            ends = [index + 1 for index, piece in enumerate(plan.pieces) if piece.open_tool_call]
            late_enough = [end for end in ends if end >= (self.after or 0)]
            if ends:
                return plan.keep((late_enough or ends[-1:])[0])
        return plan.keep(plan.position(self.after, before_terminal=True))


@dataclass(frozen=True, slots=True)
class Malformed:
    """One event, or the whole body, is not JSON; everything else is in order."""

    reply: Behaviour
    after: int | None = None
    name: str = "malformed"

    def plan(self, exchange: Exchange) -> Plan:
        plan = self.reply.plan(exchange)
        if not plan.stream:
            return replace(plan, pieces=(Piece(b'{"id": not JSON', content=True),))
        name = b"event: content_block_delta\n" if exchange.surface == "messages" else b""
        broken = Piece(name + b'data: {"id": not JSON\n\n')
        return plan.insert(plan.position(self.after, before_terminal=True), broken)


@dataclass(frozen=True, slots=True)
class StreamError:
    """The provider fails after it has answered 200."""

    reply: Behaviour
    after: int | None = None
    type: str | None = None
    message: str | None = None
    name: str = "sse_error"

    def plan(self, exchange: Exchange) -> Plan:
        plan = self.reply.plan(exchange)
        if not plan.stream:
            status = stream_error_status(self.type, exchange.vendor)
            return plan_error(exchange, status, type=self.type, code=None, message=self.message, headers={})
        position = plan.position(self.after, before_terminal=True)
        failure = error_events(exchange, type=self.type, message=self.message, position=position)
        return plan.keep(position).insert(position, *failure)


@dataclass(frozen=True, slots=True)
class Slow:
    """Everything arrives, but late."""

    reply: Behaviour
    seconds: float
    first: float | None = None
    between: float | None = None
    name: str = "slow"

    def plan(self, exchange: Exchange) -> Plan:
        plan = self.reply.plan(exchange)
        pieces = []
        delay = self.first or 0.0
        for piece in plan.pieces:
            pieces.append(replace(piece, delay=piece.delay + delay) if piece.content else piece)
            delay = (self.between or 0.0) if piece.content else delay
        return replace(plan, delay=plan.delay + self.seconds, pieces=tuple(pieces))


@dataclass(frozen=True, slots=True)
class Pings:
    """Signs of life without content come in the middle."""

    reply: Behaviour
    every: float
    count: int
    after: int | None = None
    name: str = "pings"

    def plan(self, exchange: Exchange) -> Plan:
        plan = self.reply.plan(exchange)
        if not plan.stream:
            return plan
        ping = replace(PING if exchange.surface == "messages" else _COMMENT, delay=self.every)
        return plan.insert(plan.position(self.after, before_terminal=True), *[ping] * self.count)


@dataclass(frozen=True, slots=True)
class Dribble:
    """The whole response, headers too, comes in tiny writes."""

    reply: Behaviour
    bytes_per_write: int = 1
    interval: float = 0.002
    name: str = "dribble"

    def plan(self, exchange: Exchange) -> Plan:
        plan = self.reply.plan(exchange)
        return replace(plan, write_size=self.bytes_per_write, write_interval=self.interval)


def _stop(plan: Plan, after: int | None, ending: Ending) -> Plan:
    if plan.stream:
        return replace(plan.keep(plan.position(after, before_terminal=False)), ending=ending)
    promised = sum(len(piece.data) for piece in plan.pieces)
    return replace(plan, pieces=_part_of_body(plan, after), length=promised, ending=ending)


def _part_of_body(plan: Plan, after: int | None) -> tuple[Piece, ...]:
    if after == 0:
        return ()
    body = b"".join(piece.data for piece in plan.pieces)
    return (Piece(body[: len(body) // 2], content=True),)
