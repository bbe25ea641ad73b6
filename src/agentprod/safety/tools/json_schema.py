"""Check a value against a JSON Schema (draft 2020-12, the part that tools use)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agentprod.errors import ConfigError
from agentprod.safety.pii.redos import slow_probe

__all__ = ["check_schema", "problems"]


def _is_multiple(value: float, bound: float) -> bool:
    if isinstance(value, int) and isinstance(bound, int):
        return value % bound == 0
    try:
        return math.isclose(value / bound, round(value / bound))
    except OverflowError:
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    # Whole numbers of JSON may be longer than a float can hold.
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}
_ONE = frozenset(("items", "additionalProperties", "not", "contains", "propertyNames"))
_LIST = frozenset(("anyOf", "oneOf", "allOf", "prefixItems"))
_MAP = frozenset(("properties", "patternProperties", "$defs", "definitions"))
_NOTES = frozenset(
    "$schema $id $comment title description default examples deprecated readOnly writeOnly format discriminator "
    "contentEncoding contentMediaType".split()
)
_BOUNDS: Mapping[str, tuple[str, Callable[[Any, Any], bool], str]] = {
    "minimum": ("number", lambda value, bound: value >= bound, "at least"),
    "maximum": ("number", lambda value, bound: value <= bound, "at most"),
    "exclusiveMinimum": ("number", lambda value, bound: value > bound, "more than"),
    "exclusiveMaximum": ("number", lambda value, bound: value < bound, "less than"),
    "multipleOf": ("number", _is_multiple, "a multiple of"),
    "minLength": ("string", lambda value, bound: len(value) >= bound, "at least as long as"),
    "maxLength": ("string", lambda value, bound: len(value) <= bound, "at most as long as"),
    "pattern": ("string", lambda value, bound: re.search(bound, value) is not None, "of the pattern"),
    "minItems": ("array", lambda value, bound: len(value) >= bound, "of at least so many items:"),
    "maxItems": ("array", lambda value, bound: len(value) <= bound, "of at most so many items:"),
    "uniqueItems": ("array", lambda value, bound: not bound or _unique(value), "of items that differ:"),
    "minProperties": ("object", lambda value, bound: len(value) >= bound, "of at least so many properties:"),
    "maxProperties": ("object", lambda value, bound: len(value) <= bound, "of at most so many properties:"),
}
_KNOWN = _ONE | _LIST | _MAP | _NOTES | _BOUNDS.keys() | {"type", "enum", "const", "required", "$ref"}
_FORMS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(_MAP, (lambda value: isinstance(value, Mapping), "an object")),
    **dict.fromkeys(_LIST, (lambda value: isinstance(value, list | tuple) and len(value) > 0, "a list of schemas")),
    **dict.fromkeys(("enum",), (lambda value: isinstance(value, list | tuple), "a list")),
    **dict.fromkeys(("required",), (lambda value: isinstance(value, list | tuple), "a list of names")),
    **dict.fromkeys(("uniqueItems",), (lambda value: isinstance(value, bool), "true or false")),
    **dict.fromkeys(("pattern", "$ref"), (lambda value: isinstance(value, str), "a text")),
    **dict.fromkeys(("multipleOf",), (lambda value: _is_number(value) and value > 0, "a number above 0")),
    **dict.fromkeys(_BOUNDS.keys() - {"uniqueItems", "pattern", "multipleOf"}, (_is_number, "a number")),
}
"""What the value of a keyword must be: one that is wrong would fail only when a model calls the tool."""
_MOST = 5
_DEEPEST = 64


def check_schema(schema: Any, where: str) -> None:
    """Refuse a schema that would not be enforced as it says.

    Raises:
        ConfigError: it is no schema, holds a keyword that is not known here, a bad pattern or a reference that leads
            nowhere.
    """
    for part, path in _parts(schema, schema, "", 0):
        if isinstance(part, bool):
            continue
        if not isinstance(part, Mapping):
            raise ConfigError(f"the schema of {where} holds a {type(part).__name__} at {path or 'its root'}")
        unknown = sorted(map(str, part.keys() - _KNOWN))
        if unknown:
            raise ConfigError(
                f"the schema of {where} uses {', '.join(unknown)}, which is not checked here; known are "
                f"{', '.join(sorted(_KNOWN - _NOTES))}"
            )
        for keyword, (holds, words) in _FORMS.items():
            if keyword in part and not holds(part[keyword]):
                raise ConfigError(f"the schema of {where} has {keyword} at {path or 'its root'}, which must be {words}")
        types = part.get("type", [])
        for name in [types] if isinstance(types, str) else types:
            if name not in _TYPES:
                raise ConfigError(f"the schema of {where} has a type {name!r}; known are {', '.join(_TYPES)}")
        for pattern in (*([part["pattern"]] if "pattern" in part else []), *part.get("patternProperties", ())):
            _check_pattern(pattern, where)
        if "$ref" in part and _resolve(schema, part["$ref"]) is None:
            raise ConfigError(f"the schema of {where} refers to {part['$ref']!r}, which it does not hold")


def _check_pattern(pattern: str, where: str) -> None:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"the schema of {where} has an invalid pattern: {error}") from None
    slow = slow_probe(compiled)
    if slow:
        raise ConfigError(f"a pattern in the schema of {where} becomes slow on {slow}, which a model could write")


def _parts(root: Any, schema: Any, path: str, depth: int) -> Iterator[tuple[Any, str]]:
    yield schema, path
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return
    for key, value in schema.items():
        if key in _FORMS and not _FORMS[key][0](value):
            continue  # told of where its schema is looked at
        if key in _ONE:
            yield from _parts(root, value, f"{path}/{key}", depth + 1)
        elif key in _LIST:
            for index, item in enumerate(value):
                yield from _parts(root, item, f"{path}/{key}/{index}", depth + 1)
        elif key in _MAP:
            for name, item in value.items():
                yield from _parts(root, item, f"{path}/{key}/{name}", depth + 1)


def problems(value: Any, schema: Any) -> list[str]:
    """Return what is wrong with a value, at most five things, each with where it is; none when it fits.

    Values are not quoted, but for the choices and bounds that the schema itself states.
    """
    found: list[str] = []
    for problem in _check(value, schema, schema, "", 0):
        found.append(problem)
        if len(found) == _MOST:
            break
    return found


def _check(value: Any, schema: Any, root: Any, path: str, depth: int) -> Iterator[str]:
    place = path or "the arguments"
    if schema is True or schema == {}:
        return
    if schema is False:
        yield f"{place} must not be there"
        return
    if depth > _DEEPEST:
        yield f"{place} is nested too deep"
        return
    if "$ref" in schema:
        yield from _check(value, _resolve(root, schema["$ref"]), root, path, depth + 1)
    types = schema.get("type")
    if types is not None:
        listed = [types] if isinstance(types, str) else list(types)
        if not any(_TYPES[name](value) for name in listed):
            yield f"{place} must be {' or '.join(listed)}, not {_kind(value)}"
            return
    if "enum" in schema and not any(_same(value, choice) for choice in schema["enum"]):
        yield f"{place} must be one of {json.dumps(list(schema['enum']), ensure_ascii=False)[:300]}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{place} must be {json.dumps(schema['const'], ensure_ascii=False)[:100]}"
    for keyword, (kind, holds, words) in _BOUNDS.items():
        if keyword in schema and _TYPES[kind](value) and not holds(value, schema[keyword]):
            yield f"{place} must be {words} {schema[keyword]}"
    for branch in schema.get("allOf", ()):
        yield from _check(value, branch, root, path, depth + 1)
    for keyword, words in (("anyOf", "none"), ("oneOf", "not exactly one")):
        if keyword in schema:
            fitting = sum(not any(_check(value, branch, root, path, depth + 1)) for branch in schema[keyword])
            if fitting == 0 or (keyword == "oneOf" and fitting != 1):
                yield f"{place} fits {words} of the {len(schema[keyword])} forms it may have"
    if "not" in schema and not any(_check(value, schema["not"], root, path, depth + 1)):
        yield f"{place} has a form that is excluded"
    if isinstance(value, dict):
        yield from _check_object(value, schema, root, path, depth)
    elif isinstance(value, list):
        yield from _check_array(value, schema, root, path, depth)


def _check_object(value: dict[str, Any], schema: Mapping[str, Any], root: Any, path: str, depth: int) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{_at(path, name)} is missing"
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    others = schema.get("additionalProperties", True)
    for name, item in value.items():
        if "propertyNames" in schema:
            yield from _check(name, schema["propertyNames"], root, f"a name in {path or 'the arguments'}", depth + 1)
        known = name in properties
        if known:
            yield from _check(item, properties[name], root, _at(path, name), depth + 1)
        for pattern, inner in patterns.items():
            if re.search(pattern, name):
                known = True
                yield from _check(item, inner, root, _at(path, name), depth + 1)
        if not known and others is False:
            expected = ", ".join(map(str, properties)) or "none"
            yield f"{_at(path, name[:64])} is not expected; expected are {expected[:300]}"
        elif not known:
            yield from _check(item, others, root, _at(path, name[:64]), depth + 1)


def _check_array(value: list[Any], schema: Mapping[str, Any], root: Any, path: str, depth: int) -> Iterator[str]:
    first = schema.get("prefixItems", ())
    for index, item in enumerate(value):
        inner = first[index] if index < len(first) else schema.get("items", True)
        yield from _check(item, inner, root, f"{path}[{index}]", depth + 1)
    if "contains" in schema:
        if all(any(_check(item, schema["contains"], root, path, depth + 1)) for item in value):
            yield f"{path or 'the arguments'} lacks an item that it must contain"


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _resolve(root: Any, reference: Any) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found = root
    for step in filter(None, reference[1:].split("/")):
        key = step.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _kind(value: Any) -> str:
    return next((name for name, fits in _TYPES.items() if fits(value)), type(value).__name__)


def _same(one: Any, other: Any) -> bool:
    return (type(one) is type(other) and one == other) or (_is_number(one) and _is_number(other) and one == other)


def _unique(items: list[Any]) -> bool:
    return len({json.dumps(item, sort_keys=True) for item in items}) == len(items)
