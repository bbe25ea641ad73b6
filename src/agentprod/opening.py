"""Open a call: the call itself and its account, as every way into a stack begins.

Call, ledger and attempt have no `__init__`: CPython 3.11 takes twice as long for `Call(…)` with one as for setting the
attributes of an empty one here, and that is on the way of every call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agentprod.call import NO_LIMITS, Call, Limits, Target
from agentprod.ledger import Environment, Ledger

if TYPE_CHECKING:
    from agentprod.ambient import Ambient
    from agentprod.dialects.base import Dialect
    from agentprod.identity import Context

__all__ = ["Opening", "opening"]

Opening = Callable[["Ambient", bool, "Dialect", Target, Any, Any], Call]
"""`(what is in force, streaming, dialect, target, request, origin) -> Call`"""


def opening(environment: Environment, bound: Context | None = None) -> Opening:
    """Return what opens calls of one mode of a stack; what they have in common is looked up once, not at every call.

    Args:
        environment: of these calls.

        bound: whom every one speaks for, besides what is in force around it.
    """
    runtime = environment.runtime
    now = runtime.now

    def open_call(here: Ambient, streaming: bool, dialect: Dialect, target: Target, request: Any, origin: Any) -> Call:
        context = here.context if bound is None else bound.over(here.context)
        ledger = Ledger()
        ledger.started = started = now()
        ledger.environment = environment
        ledger.context = context
        ledger.listeners = here.listeners
        ledger.attempts = []
        ledger.backoff = 0.0
        call = Call()
        call.streaming = streaming
        call.dialect = dialect
        call.target = call.home = target
        call.request = request
        call.context = context
        call.ledger = ledger
        call.runtime = runtime
        call.origin = origin
        call.gates = ()
        call.observers = ()
        call.followers = ()
        call.safe_request = None
        call.variant = None
        call.choice = None
        if context.deadline is None:
            call.deadline = None
            call.limits = NO_LIMITS
        else:
            call.deadline = deadline = started + (context.time_left() or 0.0)
            call.limits = Limits(stream_until=deadline)
        return call

    return open_call
