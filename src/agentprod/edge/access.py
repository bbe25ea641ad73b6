"""Look into what `wrap` and `decorate` made, and make typed copies of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from agentprod.edge.functions import function_within, marker_of, wrap_function
from agentprod.edge.wrap import binding_of, rebound, unwrap_client
from agentprod.errors import ConfigError
from agentprod.identity import make_context

if TYPE_CHECKING:
    from typing import Unpack

    from agentprod.identity import ContextOptions
    from agentprod.stack import Stack

__all__ = ["bind", "stack_of", "unwrap"]

T = TypeVar("T")


def bind(target: T, **who: Unpack[ContextOptions]) -> T:
    """Return a copy of a wrapped client or decorated function that always speaks for somebody.

    ```python
    mine = ap.bind(client, user="u1", tenant="acme", tags={"prompt": "B"})
    ```

    No context variable is involved, so it holds in every thread, task and callback. What is bound
    wins over `ap.context`; of two deadlines the earlier one holds.

    Args:
        target: what `stack.wrap` or `stack.decorate` returned.

        who: as for `ap.context`: user, team, tenant, conversation, run, request_id, tags, deadline, cache, ttl.

    Raises:
        ConfigError: `target` is neither wrapped nor decorated, or an option is wrong.
    """
    if (within := function_within(target)) is not None:
        fn, remake = within
        return remake(bind(fn, **who))  # type: ignore[no-any-return]
    context = make_context(who)
    marker = marker_of(target)
    if marker is not None:
        return wrap_function(marker.entry.bind(context), marker.edge, marker.stack)  # type: ignore[return-value]
    return rebound(target, context)


def stack_of(target: Any) -> Stack:
    """Return the stack around a wrapped client or decorated function.

    Raises:
        ConfigError: there is none.
    """
    if (within := function_within(target)) is not None:
        return stack_of(within[0])
    marker = marker_of(target)
    if marker is not None:
        return marker.stack  # type: ignore[no-any-return]
    binding = binding_of(target)
    if binding is None:
        raise ConfigError(f"there is no stack around this {type(target).__name__}; wrap or decorate it first")
    return binding.stack


def unwrap(target: T) -> T:
    """Return the client or function a stack was put around; what has no stack is returned as it is."""
    if (within := function_within(target)) is not None:
        fn, remake = within
        return remake(unwrap(fn))  # type: ignore[no-any-return]
    marker = marker_of(target)
    return marker.edge.fn if marker is not None else unwrap_client(target)  # type: ignore[return-value]
