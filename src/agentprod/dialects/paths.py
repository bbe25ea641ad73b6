"""Change one value deep inside JSON without touching what the caller holds."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Path", "leaves", "put"]

Path = tuple[Any, ...]


def put(data: Any, path: Path, value: Any) -> Any:
    """Return `data` with `value` at `path`; only the containers along the path are copied, each as what it is."""
    above = []
    for key in path:
        above.append((data, key))
        data = data[key]
    for container, key in reversed(above):
        value = _with(container, key, value)
    return value


def _with(container: Any, key: Any, value: Any) -> Any:
    if type(container) is dict or not isinstance(container, dict | list | tuple):
        return {**container, key: value}
    if isinstance(container, tuple):
        items = [*container[:key], value, *container[key + 1 :]]
        return type(container)(*items) if hasattr(container, "_fields") else tuple(items)
    twin = copy.copy(container)
    twin[key] = value
    return twin


def leaves(data: Any) -> Iterator[tuple[Path, str]]:
    """Yield `(path, text)` of every string value in document order.

    Walks with an explicit stack of its own, so deep nesting cannot exhaust the interpreter's.
    """
    stack: list[tuple[Path, Any]] = [((), data)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, list | tuple):
            stack.extend(((*path, position), value[position]) for position in range(len(value) - 1, -1, -1))
        elif isinstance(value, Mapping):
            stack.extend(((*path, key), child) for key, child in reversed(list(value.items())))
