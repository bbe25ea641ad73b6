"""Which stacks the running code is inside of, so that a layer's own calls do not loop."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["entered", "inside"]

_inside: contextvars.ContextVar[frozenset[int]] = contextvars.ContextVar("agentprod_inside", default=frozenset())


def inside(stack_id: int) -> bool:
    """Whether this code runs within a helper block of that stack."""
    return stack_id in _inside.get()


@contextmanager
def entered(stack_id: int | None) -> Iterator[None]:
    """Mark the block as running inside that stack."""
    if stack_id is None:
        yield
        return
    token = _inside.set(_inside.get() | {stack_id})
    try:
        yield
    finally:
        _inside.reset(token)
