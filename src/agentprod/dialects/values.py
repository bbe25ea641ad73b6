"""What functions return, as JSON, and JSON as what they return."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any

__all__ = ["from_json", "to_json"]

_PLAIN = (str, int, float, bool, type(None), dict, list)


def to_json(value: Any) -> Any:
    """Return what a function returned as JSON-able data where its kind allows: models and dataclasses are dumped."""
    if isinstance(value, _PLAIN):
        return value
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return _dumped(dump)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _inner(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def _dumped(dump: Any) -> Any:
    try:
        # By the fields' names and without computed ones: what validation by name takes back.
        return dump(mode="json", by_alias=False, round_trip=True)
    except TypeError:  # something else that has a `model_dump`
        return dump()


def _inner(value: Any) -> Any:
    """Return a field's value with everything in it dumped; what has no JSON form stays as it is."""
    if type(value) is list:
        return [_inner(item) for item in value]
    if type(value) is tuple:
        return tuple(_inner(item) for item in value)
    if type(value) is dict:
        return {key: _inner(item) for key, item in value.items()}
    return to_json(value)


def from_json(data: Any, kind: Any) -> Any:
    """Return `data` as an instance of `kind`, the class a function returned or is annotated with.

    Raises:
        TypeError: the class has no way to be built from JSON.
    """
    if data is None or kind is Any or not isinstance(kind, type) or isinstance(data, kind):
        return data
    if callable(getattr(kind, "model_validate", None)):
        return _validated(kind, data)
    if dataclasses.is_dataclass(kind) and isinstance(data, dict):
        return _rebuilt(kind, data)
    build: Any = kind
    if any(issubclass(kind, plain) and isinstance(data, plain) for plain in (str, dict, list, int, float)):
        return build(data)
    if issubclass(kind, float) and isinstance(data, int):
        return build(data)
    if issubclass(kind, tuple) and isinstance(data, list | tuple):
        return build(*data) if hasattr(kind, "_fields") else build(data)
    raise TypeError(
        f"a {kind.__name__} cannot be built from {type(data).__name__}; "
        "return a str, a number, a dict, a list, a dataclass or a pydantic model"
    )


def _validated(kind: Any, data: Any) -> Any:
    try:
        return kind.model_validate(data, by_alias=False, by_name=True)
    except TypeError:  # pydantic before 2.11
        return kind.model_validate(data)


def _rebuilt(kind: Any, data: dict[str, Any]) -> Any:
    """Return a dataclass with its fields, of which some may be dataclasses themselves."""
    hints = _hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    values = {name: _as(value, hints.get(name)) for name, value in data.items()}
    made = kind(**{name: value for name, value in values.items() if name not in fields or fields[name].init})
    for name, field in fields.items():
        if not field.init and name in values:
            object.__setattr__(made, name, values[name])
    return made


@functools.lru_cache(maxsize=256)
def _hints(kind: type) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except Exception:  # annotations are the user's, and may name what cannot be imported here
        return {}


def _as(value: Any, hint: Any) -> Any:
    """Return a field's value as what its annotation says, where that is a structure."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        options = sorted(inner, key=lambda option: not (isinstance(value, dict) and _names(option) == value.keys()))
        return next((made for option in options if (made := _as(value, option)) is not value), value)
    if isinstance(value, dict):
        if origin is dict and len(inner) == 2:
            return {key: _as(item, inner[1]) for key, item in value.items()}
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            return _rebuilt(hint, value) if value.keys() <= _names(hint) else value
        if callable(getattr(hint, "model_validate", None)):
            return _validated(hint, value)
    elif isinstance(value, list | tuple) and origin in (list, tuple) and inner:
        same = origin is list or inner[-1] is Ellipsis
        items = [_as(item, inner[0] if same else inner[min(at, len(inner) - 1)]) for at, item in enumerate(value)]
        return tuple(items) if origin is tuple else items
    return value


def _names(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
