"""Calls that no client makes: a key, and a function that computes its value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from agentprod.ambient import Ambient
from agentprod.board import Board
from agentprod.call import Call, Target
from agentprod.context import current_context
from agentprod.dialects.function import FUNCTION, to_json
from agentprod.errors import ConfigError
from agentprod.identity import make_context
from agentprod.ledger import Environment
from agentprod.opening import opening
from agentprod.reply import Reply, make_reply

if TYPE_CHECKING:
    from agentprod.ledger import Attempt
    from agentprod.runtime.runtime import Runtime

__all__ = ["Computation", "acompute", "compute", "computed", "value_of"]


class Computation:
    """The edge of one computation; `fn` is what tells a function's edge, and the key alone names this one."""

    fn = None

    async def send(self, call: Call, attempt: Attempt) -> Reply:
        """Refuse: a computation is not sent anywhere."""
        raise NotImplementedError


def computed(runtime: Runtime, key: Any, who: Mapping[str, Any]) -> Call:
    """Return the call that stands for a computation.

    Args:
        runtime: of its kind, sync or async.

        key: what names it: a `str`, or any data.

        who: what of `ap.context` to set for it.
    """
    context = current_context()
    if who:
        context = make_context(who).over(context)
    target = Target("function", "get_or_compute", None, Computation(), "", "get_or_compute", runtime.kind)
    open_call = opening(Environment(runtime, Board()))
    return open_call(Ambient(context), False, FUNCTION, target, {"key": key}, None)


async def compute(call: Call, fn: Callable[[], Any]) -> Reply:
    """Return the reply of a synchronous function."""
    value = fn()
    if hasattr(value, "__await__"):
        close = getattr(value, "close", None)
        if callable(close):
            close()
        raise ConfigError("get_or_compute was given an async function; use aget_or_compute")
    return make_reply(call, value, to_json)


async def acompute(call: Call, fn: Callable[[], Any | Awaitable[Any]]) -> Reply:
    """Return the reply of a function that may be async."""
    value = fn()
    return make_reply(call, await value if hasattr(value, "__await__") else value, to_json)


def value_of(reply: Reply) -> Any:
    """Return the value a reply stands for."""
    return reply.body if reply.native is None else reply.native
