"""Layers one around the other: each gets the rest of the onion as its `call_next`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agentprod.call import Call, CallNext, Handler
from agentprod.errors import ConfigError
from agentprod.order import layer_name
from agentprod.reply import Reply

__all__ = ["Handle", "compose", "handle_of"]

Handle = Callable[[Call, CallNext], Awaitable[Reply]]


def compose(layers: Sequence[Any], innermost: Handler) -> Handler:
    """Return the handler that passes a call through the layers, outermost first, to the innermost handler."""
    handler = innermost
    for found in reversed(layers):
        handler = _bound(handle_of(found), handler)
    return handler


def handle_of(layer: Any) -> Handle:
    """Return what a layer does to a call; one that somebody else wrote is held to what it owes.

    The layers around it would stumble over anything but a reply, and be blamed for it.
    """
    handle: Handle = getattr(layer, "handle", layer)
    if str(getattr(handle, "__module__", "")).startswith("agentprod."):
        return handle
    name = layer_name(layer)

    async def checked(call: Call, call_next: CallNext) -> Reply:
        reply = await handle(call, call_next)
        if not isinstance(reply, Reply):
            raise _no_reply(name, reply)
        return reply

    return checked


def _bound(handle: Handle, call_next: Handler) -> Handler:
    def handler(call: Call) -> Awaitable[Reply]:
        return handle(call, call_next)

    return handler


def _no_reply(name: str, found: Any) -> ConfigError:
    if inspect.iscoroutine(found):
        found.close()
        return ConfigError(f"layer {name} returned a coroutine instead of a reply: write `await call_next(call)`")
    return ConfigError(
        f"layer {name} returned {'None' if found is None else f'a {type(found).__name__}'} instead of a reply: "
        "its `handle` has to return what `call_next(call)` gave, or `call.reply(...)`"
    )
