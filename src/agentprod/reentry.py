"""Keep a layer's own calls out of the stack it stands in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agentprod.ambient import ambient, change

__all__ = ["entered"]


@contextmanager
def entered(stack_id: int) -> Iterator[None]:
    """Mark the block as running inside that stack."""
    before = ambient().inside
    change(inside=before | {stack_id})
    try:
        yield
    finally:
        change(inside=before)
