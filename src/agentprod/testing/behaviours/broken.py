"""Replies that begin well and do not end well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from agentprod.errors import ConfigError
from agentprod.testing.behaviours.behaviour import Behaviour, as_behaviour, short_form
from agentprod.testing.behaviours.content import Delivery, ok
from agentprod.testing.exchange import Exchange
from agentprod.testing.options import check_after
from agentprod.testing.plan import Ending, Piece, Plan
from agentprod.testing.wire.errors import error_events, plan_stream_error

__all__ = ["cut", "malformed", "sse_error", "stall", "truncate"]


@dataclass(frozen=True, slots=True)
class Cut:
    """The socket dies in the middle of the body."""

    reply: Behaviour
    after: int | None = None
    how: Literal["fin", "rst"] = "fin"
    name: str = "cut"

    def plan(self, exchange: Exchange) -> Plan:
        """Return what to send."""
        return _stop(self.reply.plan(exchange), self.after, self.how)


@dataclass(frozen=True, slots=True)
class Stall:
    """The body stops coming, and the socket stays open."""

    reply: Behaviour
    after: int | None = None
    name: str = "stall"

    def plan(self, exchange: Exchange) -> Plan:
        """Return what to send."""
        return _stop(self.reply.plan(exchange), self.after, "stall")


@dataclass(frozen=True, slots=True)
class Truncation:
    """The body ends too early, though HTTP says that it is complete."""

    reply: Behaviour
    after: int | None = None
    inside_tool_call: bool = False
    name: str = "truncate"

    def plan(self, exchange: Exchange) -> Plan:
        """Return what to send."""
        plan = self.reply.plan(exchange)
        if not plan.stream:
            return replace(plan, pieces=_part_of_body(plan, self.after))
        if self.inside_tool_call:
            ends = [index + 1 for index, piece in enumerate(plan.pieces) if piece.mark == "open_tool_call"]
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
        """Return what to send."""
        plan = self.reply.plan(exchange)
        if not plan.stream:
            return replace(plan, pieces=(Piece(b'{"id": not JSON', mark="content"),))
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
        """Return what to send."""
        plan = self.reply.plan(exchange)
        if not plan.stream:
            return plan_stream_error(exchange, type=self.type, message=self.message)
        position = plan.position(self.after, before_terminal=True)
        failure = error_events(exchange, type=self.type, message=self.message, position=position)
        return plan.keep(position).insert(position, *failure)


@short_form
def cut(after: int | None = None, how: Literal["fin", "rst"] = "fin", *, reply: Behaviour | str = "ok") -> Behaviour:
    """Let the socket die in the middle of the body.

    Args:
        after: events delivered before; 0 is after the headers, and as many as there are or more is after the last
            event but before the end of the HTTP body.

        how: `"fin"` closes the connection, `"rst"` resets it.

        reply: what is delivered until then.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form.
    """
    check_after("cut", after)
    if how not in ("fin", "rst"):
        raise ConfigError(f'cut(how=) must be "fin" or "rst", not {how!r}')
    return Cut(as_behaviour(reply), after, how)


@short_form
def stall(after: int | None = None, *, reply: Behaviour | str = "ok") -> Behaviour:
    """Stop sending in the middle of the body, and keep the socket open until the client or the provider closes it.

    Args:
        after: events delivered before; 0 is after the headers.

        reply: what is delivered until then.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form.
    """
    check_after("stall", after)
    return Stall(as_behaviour(reply), after)


@short_form
def truncate(after: int | None = None, *, inside_tool_call: bool = False, reply: Behaviour | str = "ok") -> Behaviour:
    """End the body too early, with complete HTTP framing: nothing says that the reply is finished.

    Args:
        after: events delivered before; what says that the reply is finished is never among them.

        inside_tool_call: stop while the arguments of a tool call are incomplete, at the first such place
            from `after` on.

        reply: what is delivered until then.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form, or the reply has no tool call to stop in.
    """
    check_after("truncate", after)
    if reply == "ok" and inside_tool_call:
        reply = ok(tool_calls=[{"name": "get_weather", "arguments": {"city": "Berlin"}}])
    shortened = as_behaviour(reply)
    if inside_tool_call and not _has_tool_calls(shortened):
        raise ConfigError("truncate(inside_tool_call=True) needs reply=ok(tool_calls=[...]) to stop inside of")
    return Truncation(shortened, after, inside_tool_call)


@short_form
def malformed(after: int | None = None, *, reply: Behaviour | str = "ok") -> Behaviour:
    """Put an event that is not JSON into the stream; a whole body is not JSON at all.

    Args:
        after: events delivered before it; the others follow.

        reply: what is delivered otherwise.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form.
    """
    check_after("malformed", after)
    return Malformed(as_behaviour(reply), after)


@short_form
def sse_error(
    after: int | None = None,
    type: str | None = None,
    message: str | None = None,
    *,
    reply: Behaviour | str = "ok",
) -> Behaviour:
    """Fail in the middle of a stream that began with status 200, in the shape of the provider that is asked.

    Where no stream is asked for, it is the HTTP error of the same type.

    Args:
        after: events delivered before the error, which is the last.

        type: such as `"overloaded_error"` or `"server_error"`, translated to the provider's word; `None` takes
            overloaded for Anthropic and a server error for OpenAI.

        message: the error's message.

        reply: what is delivered until then.

    Returns:
        The behaviour.

    Raises:
        ConfigError: if an option is not of that form.
    """
    check_after("sse_error", after)
    return StreamError(as_behaviour(reply), after, type, message)


def _has_tool_calls(behaviour: Any) -> bool:
    while hasattr(behaviour, "reply"):
        behaviour = behaviour.reply
    return isinstance(behaviour, Delivery) and bool(behaviour.answer.tool_calls)


def _stop(plan: Plan, after: int | None, ending: Ending) -> Plan:
    if plan.stream:
        return replace(plan.keep(plan.position(after, before_terminal=False)), ending=ending)
    promised = sum(len(piece.data) for piece in plan.pieces)
    return replace(plan, pieces=_part_of_body(plan, after), length=promised, ending=ending)


def _part_of_body(plan: Plan, after: int | None) -> tuple[Piece, ...]:
    if after == 0:
        return ()
    body = b"".join(piece.data for piece in plan.pieces)
    return (Piece(body[: len(body) // 2], mark="content"),)
