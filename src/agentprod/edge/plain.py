"""Read what the caller passed to an SDK as the JSON the SDK would send."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

__all__ = ["plain", "wire_request"]

_OMITTED = frozenset({"Omit", "NotGiven"})


def wire_request(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a request: its JSON with `extra_body` merged over it, one level deep, as the SDKs do.

    Args:
        asked: the options of the request, by name.
    """
    body, extra = asked["json_data"], asked.get("extra_json")
    if extra:
        body = {**(body or {}), **extra}
    made = plain(body)
    return made if isinstance(made, dict) else {}


def plain(value: Any) -> Any:
    """Return `value` as plain JSON data; containers that are plain already are returned as they are.

    Mappings lose their omitted entries, iterables become lists (a one-shot iterator could not be sent
    twice), models are dumped as the SDKs dump them, dates become ISO 8601, and open files are read where
    Anthropic's SDK sends them in base64. What else JSON cannot hold, such as a path, is left for the SDK.
    """
    kind = type(value)
    return value if kind in _SCALARS else _CONTAINERS.get(kind, _other)(value)


def _plain_dict(value: dict[Any, Any]) -> dict[Any, Any]:
    changed: dict[Any, Any] | None = None
    for key, child in value.items():
        kind = type(child)
        if kind in _SCALARS:
            continue
        known = _CONTAINERS.get(kind)
        new = _member(value, key, child) if known is None else known(child)
        if new is not child:
            changed = dict(value) if changed is None else changed
            if new is _DROP:
                del changed[key]
            else:
                changed[key] = new
    return value if changed is None else changed


def _plain_list(value: list[Any]) -> list[Any]:
    changed: list[Any] | None = None
    for position, child in enumerate(value):
        kind = type(child)
        if kind in _SCALARS:
            continue
        new = _CONTAINERS.get(kind, _other)(child)
        if new is not child:
            changed = list(value) if changed is None else changed
            changed[position] = new
    return value if changed is None else changed


def _member(holder: dict[Any, Any], key: Any, value: Any) -> Any:
    if type(value).__name__ in _OMITTED:
        return _DROP
    if key == "data" and holder.get("type") == "base64" and isinstance(value, io.IOBase):
        return _base64(value)
    return _other(value)


def _base64(file: Any) -> str:
    content = file.read()
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode("ascii")


def _other(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return plain(dump(mode="json", by_alias=True, exclude_unset=True))
    if isinstance(value, str | bytes | bytearray | memoryview):
        return value
    if hasattr(value, "read") or hasattr(value, "__fspath__"):
        return value
    if isinstance(value, Mapping):
        return _plain_dict(dict(value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Iterable):
        return _plain_list(list(value))
    return value


_DROP = object()
_SCALARS: frozenset[type] = frozenset((str, int, float, bool, type(None)))
_CONTAINERS: dict[type, Callable[[Any], Any]] = {dict: _plain_dict, list: _plain_list}
"""How to make what is of exactly this kind plain."""
