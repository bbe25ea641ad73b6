"""Work with a store, written once for its synchronous and its asynchronous methods."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

from agentprod.stores import Store

__all__ = ["Steps", "ado", "call", "do"]

T = TypeVar("T")
Call: TypeAlias = tuple[str, tuple[Any, ...], dict[str, Any]]
Steps: TypeAlias = Generator[Call, Any, T]
"""Yields calls of a store's methods, gets their answers or errors, returns a result."""


def call(method: str, *args: Any, **options: Any) -> Call:
    """Return the call of a store's method; the asynchronous run takes its twin."""
    return method, args, options


def do(store: Store, steps: Steps[T]) -> T:
    """Run the steps with the store's synchronous methods."""
    try:
        method, args, options = next(steps)
        while True:
            try:
                answer = getattr(store, method)(*args, **options)
            except Exception as error:
                method, args, options = steps.throw(error)
            else:
                method, args, options = steps.send(answer)
    except StopIteration as done:
        value: T = done.value
        return value


async def ado(store: Store, steps: Steps[T]) -> T:
    """Run the steps with the store's asynchronous methods."""
    try:
        method, args, options = next(steps)
        while True:
            try:
                answer = await getattr(store, f"a{method}")(*args, **options)
            except Exception as error:
                method, args, options = steps.throw(error)
            else:
                method, args, options = steps.send(answer)
    except StopIteration as done:
        value: T = done.value
        return value
