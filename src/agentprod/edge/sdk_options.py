"""What the options of an SDK's request say, and how an attempt gets options of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["FEATURES", "changed", "variant", "with_header"]

FEATURES = ("anthropic-beta", "openai-beta")
"""Headers that switch features on or off."""


def changed(options: Any, changes: dict[str, Any]) -> Any:
    """Return a copy with changes.

    Made by way of what pydantic pickles, in version 1 and 2 alike: half the cost of its own `copy`.
    """
    kind: Any = type(options)
    made = kind.__new__(kind)
    state = options.__getstate__()
    state["__dict__"] = {**state["__dict__"], **changes}
    made.__setstate__(state)
    return made


def with_header(headers: Any, name: str, value: str) -> dict[str, Any]:
    """Return headers with one more, unless the caller gave it."""
    given = dict(headers) if hasattr(headers, "items") else {}
    return given if any(str(key).lower() == name for key in given) else {**given, name: value}


def variant(state: dict[str, Any], asked: dict[str, Any]) -> str | None:
    """Return what headers say of features and of the API's version, and the query: the request's over the client's."""
    headers = {str(name).lower(): value for name, value in _items(state.get("_custom_headers"), asked["headers"])}
    query = dict(_items(state.get("_custom_query"), asked["params"]))
    found = [f"{name}={headers[name]}" for name in (*FEATURES, "anthropic-version") if name in headers]
    return "&".join(sorted(found + [f"{name}={value}" for name, value in query.items()])) or None


def _items(*mappings: Any) -> Iterator[tuple[Any, Any]]:
    for mapping in mappings:
        if hasattr(mapping, "items"):
            yield from mapping.items()
