"""Change one value deep inside JSON without touching what the caller holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Path", "leaves", "map_leaves", "put"]

Path = tuple[Any, ...]


def put(data: Any, path: Path, value: Any) -> Any:
    """Return `data` with `value` at `path`; only the containers along the path are copied."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(data, dict):
        return {**data, key: put(data.get(key), rest, value)}
    copy = list(data)
    copy[key] = put(copy[key], rest, value)
    return copy


def map_leaves(data: Any, fn: Callable[[str], str]) -> Any:
    """Return `data` with `fn` applied to every string value, keys excepted; the same object when nothing changed.

    Walks with an explicit stack of its own, so deep nesting cannot exhaust the interpreter's.
    """
    changes = [(path, new) for path, text in leaves(data) if (new := fn(text)) != text]
    for path, new in changes:
        data = put(data, path, new)
    return data


def leaves(data: Any) -> Iterator[tuple[Path, str]]:
    """Yield `(path, text)` of every string value in document order."""
    stack: list[tuple[Path, Any]] = [((), data)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            stack.extend(((*path, key), child) for key, child in reversed(list(value.items())))
        elif isinstance(value, list | tuple):
            stack.extend(((*path, position), value[position]) for position in range(len(value) - 1, -1, -1))
