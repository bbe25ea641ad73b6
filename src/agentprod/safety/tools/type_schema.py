"""JSON Schemas from type hints, and arguments as what the hints say."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from agentprod.errors import ConfigError

__all__ = ["arguments_from", "schema_of_function"]

_PLAIN: Mapping[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    None: {"type": "null"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    dict: {"type": "object"},
    Any: {},
    object: {},
    inspect.Parameter.empty: {},
}
_WRITTEN: Mapping[Any, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    datetime.datetime: ({"type": "string", "format": "date-time"}, datetime.datetime.fromisoformat),
    datetime.date: ({"type": "string", "format": "date"}, datetime.date.fromisoformat),
    datetime.time: ({"type": "string", "format": "time"}, datetime.time.fromisoformat),
    uuid.UUID: ({"type": "string", "format": "uuid"}, uuid.UUID),
    decimal.Decimal: ({"type": ["number", "string"]}, lambda value: decimal.Decimal(str(value))),
}
_LISTS = (list, tuple, set, frozenset, Sequence)


def schema_of_function(fn: Callable[..., Any], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of a function's arguments, and the hint of each.

    Raises:
        ConfigError: it has `*args`, `**kwargs` or positional-only parameters, which no model can name, or a hint that
            has no schema.
    """
    try:
        hints = typing.get_type_hints(fn, include_extras=True)
    except Exception as error:
        raise ConfigError(f"the type hints of tool {name} cannot be read: {error}") from None
    properties: dict[str, Any] = {}
    required: list[str] = []
    shared: dict[str, Any] = {}
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(
                f"tool {name} has the parameter {parameter}, which a model cannot name: give the tool a schema=, or "
                "name its parameters"
            )
        schema = _schema(hints.get(parameter.name, Any), f"{parameter.name} of tool {name}", shared)
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        properties[parameter.name] = schema
    made = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return ({**made, "$defs": shared} if shared else made), hints


def _schema(hint: Any, where: str, shared: dict[str, Any]) -> dict[str, Any]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        told = next((note for note in inner[1:] if isinstance(note, str)), None)
        schema = _schema(inner[0], where, shared)
        return {**schema, "description": told} if told else schema
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(option, where, shared) for option in inner]}
    if origin is typing.Literal:
        return {"enum": list(inner)}
    if origin in (typing.Required, typing.NotRequired):
        return _schema(inner[0], where, shared)
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _schema(inner[1], where, shared) if inner else {}}
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        items = [_schema(item, where, shared) for item in inner]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin in _LISTS or hint in _LISTS:
        return {"type": "array", **({"items": _schema(inner[0], where, shared)} if inner else {})}
    if isinstance(hint, typing.Hashable) and hint in _PLAIN:
        return dict(_PLAIN[hint])
    if hint in _WRITTEN:
        return dict(_WRITTEN[hint][0])
    if isinstance(hint, type):
        return _class_schema(hint, where, shared)
    raise ConfigError(f"the hint {hint!r} of {where} has no JSON Schema: give the tool a schema=")


def _class_schema(hint: type, where: str, shared: dict[str, Any]) -> dict[str, Any]:
    if issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    model_schema = getattr(hint, "model_json_schema", None)
    if callable(model_schema):
        schema: dict[str, Any] = dict(cast("Mapping[str, Any]", model_schema()))
        shared.update(schema.pop("$defs", {}))
        return schema
    if dataclasses.is_dataclass(hint):
        fields = [field for field in dataclasses.fields(hint) if field.init]
        needed = [
            field.name
            for field in fields
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ]
        return _object(hint, [field.name for field in fields], needed, where, shared)
    if typing.is_typeddict(hint):
        return _object(hint, list(hint.__annotations__), sorted(getattr(hint, "__required_keys__", ())), where, shared)
    raise ConfigError(f"the hint {hint.__name__} of {where} has no JSON Schema: give the tool a schema=")


def _object(hint: type, names: list[str], required: list[str], where: str, shared: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(hint, include_extras=True)
    properties = {name: _schema(hints[name], f"{name} of {where}", shared) for name in names}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def arguments_from(values: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments that fit the schema as what the hints say: enums, dates, dataclasses, models.

    Raises:
        ValueError: a model or a date refuses its value.
    """
    return {name: _made(value, hints.get(name, Any)) for name, value in values.items()}


def _made(value: Any, hint: Any) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Annotated, typing.Required, typing.NotRequired):
        return _made(value, inner[0])
    if origin in (typing.Union, types.UnionType):
        return _first_made(value, inner)
    if origin in (dict, Mapping) and inner and isinstance(value, dict):
        return {key: _made(item, inner[1]) for key, item in value.items()}
    if (origin in _LISTS or hint in _LISTS) and isinstance(value, list):
        kind: Any = origin or hint
        if kind is tuple and inner and inner[-1] is not Ellipsis:
            return tuple(_made(item, each) for item, each in zip(value, inner, strict=True))
        items = [_made(item, inner[0]) if inner else item for item in value]
        return items if kind in (list, Sequence) else kind(items)
    if isinstance(hint, typing.Hashable) and hint in _WRITTEN:
        return _WRITTEN[hint][1](value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float):
        return int(value)  # 3.0 is an integer to JSON Schema
    if isinstance(hint, type):
        return _instance(value, hint)
    return value


def _instance(value: Any, hint: type) -> Any:
    if issubclass(hint, enum.Enum):
        return hint(value)
    validate = getattr(hint, "model_validate", None)
    if callable(validate):
        return validate(value)
    if isinstance(value, dict) and (dataclasses.is_dataclass(hint) or typing.is_typeddict(hint)):
        hints = typing.get_type_hints(hint, include_extras=True)
        fields = {name: _made(item, hints.get(name, Any)) for name, item in value.items()}
        return hint(**fields)
    return value


def _first_made(value: Any, options: Sequence[Any]) -> Any:
    """Return the value as the first option it is, and else as the first that takes it."""
    for option in options:
        if option is type(None) and value is None:
            return None
        if isinstance(option, type) and type(value) is option:
            return value
    failure: Exception = ValueError("none of its forms")
    for option in options:
        accepts = (int, float) if option in (int, float) else option
        if option is type(None) or (option in (str, int, float, bool) and not isinstance(value, accepts)):
            continue
        try:
            return _made(value, option)
        except (ValueError, TypeError) as error:
            failure = error
    raise ValueError(str(failure))
