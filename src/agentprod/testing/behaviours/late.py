"""Replies that arrive whole, but late or in an odd rhythm. The delays are real time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentprod.testing.behaviours.behaviour import Behaviour, as_behaviour, short_form
from agentprod.testing.exchange import Exchange
from agentprod.testing.options import check_after, check_count, check_seconds
from agentprod.testing.plan import Piece, Plan
from agentprod.testing.wire.anthropic_messages import PING

__all__ = ["dribble", "pings", "slow"]

_COMMENT = Piece(b": keep-alive\n\n")


@dataclass(frozen=True, slots=True)
class Slow:
    """Everything arrives, but late."""

    reply: Behaviour
    seconds: float
    first: float | None = None
    between: float | None = None
    name: str = "slow"

    def plan(self, exchange: Exchange) -> Plan:
        """Return what to send."""
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
        """Return what to send."""
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
        """Return what to send."""
        plan = self.reply.plan(exchange)
        return replace(plan, write_size=self.bytes_per_write, write_interval=self.interval)


@short_form
def slow(
    seconds: float = 0.1,
    first: float | None = None,
    *,
    between: float | None = None,
    reply: Behaviour | str = "ok",
) -> Behaviour:
    """Deliver late. The delays are real time.

    Args:
        seconds: before the headers.

        first: between headers and preamble, which come on time, and the first content.

        between: before every further piece of content.

        reply: what is delivered.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if a delay is negative or not finite.
    """
    for option, value in (("seconds", seconds), ("first", first), ("between", between)):
        check_seconds("slow", option, value)
    return Slow(as_behaviour(reply), seconds, first, between)


@short_form
def dribble(bytes_per_write: int = 1, interval: float = 0.002, *, reply: Behaviour | str = "ok") -> Behaviour:
    """Deliver the whole response, headers too, in tiny writes; no read ever waits long, yet all of it takes long.

    Args:
        bytes_per_write: 1 or more.

        interval: seconds between writes, in real time.

        reply: what is delivered.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form.
    """
    check_count("dribble", "bytes_per_write", bytes_per_write, least=1)
    check_seconds("dribble", "interval", interval)
    return Dribble(as_behaviour(reply), bytes_per_write, interval)


@short_form
def pings(every: float = 0.01, count: int = 3, *, after: int | None = None, reply: Behaviour | str = "ok") -> Behaviour:
    """Send signs of life in the middle of a stream: Anthropic's ping events, or comments elsewhere.

    A reply that is no stream is delivered as it is.

    Args:
        every: seconds before each of them, in real time.

        count: how many.

        after: events delivered before the first of them.

        reply: what is delivered around them.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form.
    """
    check_seconds("pings", "every", every)
    check_count("pings", "count", count, least=1)
    check_after("pings", after)
    return Pings(as_behaviour(reply), every, count, after)
