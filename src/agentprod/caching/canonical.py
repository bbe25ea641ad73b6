"""One byte string for everything that means the same, different ones for what does not."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import hashlib
import json
import math
import unicodedata
import uuid
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from typing import Any

__all__ = ["Uncacheable", "canonical_value", "canonical_wire"]


class Uncacheable(Exception):
    """Raised for a request that has no stable key; the message names kinds, never values."""


def canonical_wire(data: Any) -> bytes:
    """Return canonical JSON of wire data: keys sorted, no spaces, text in Unicode's form NFC.

    Bytes and images stand by their digest.

    Raises:
        Uncacheable: NaN, a reference to itself, or an object that is no data.
    """
    try:
        return _bytes(_encode_wire(data))
    except (ValueError, TypeError, RecursionError) as error:
        raise Uncacheable(_reason(error)) from error


def canonical_value(value: Any) -> bytes:
    """Return canonical JSON of Python values, such as a function's arguments; kinds JSON has no word for are named.

    A tuple and a list, 1 and "1" as keys, an enumeration's member and its value are different. Objects are taken
    apart when they are data: dataclasses, pydantic models, dates, decimals, paths, sets, arrays, images. Never by
    their `repr`, which may hold an address.

    Raises:
        Uncacheable: an object that is no data.
    """
    try:
        return _bytes(_encode_plain(_tagged(value)))
    except (ValueError, TypeError, RecursionError) as error:
        raise Uncacheable(_reason(error)) from error


def _default(value: Any) -> Any:
    return _tagged(value)


_encode_wire = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), default=_default
).encode
_encode_plain = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


def _bytes(text: str) -> bytes:
    # JSON's own characters never combine with what follows them, so normalising the document normalises its strings.
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return text.encode("utf-8", "surrogatepass")


_SCALARS = frozenset({str, int, bool, type(None)})
_MARK = "\0"


def _tagged(value: Any) -> Any:
    """Return `value` as JSON data in which every kind that JSON lacks stands under a marked key."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"\0float": str(value)}
    if kind is dict:
        return _mapping(value)
    if kind is list:
        return [_tagged(item) for item in value]
    return _object(value, kind)


def _mapping(value: Mapping[Any, Any]) -> Any:
    if all(type(key) is str and not key.startswith(_MARK) for key in value):
        return {key: _tagged(item) for key, item in value.items()}
    pairs = [[_tagged(key), _tagged(item)] for key, item in value.items()]
    return {"\0mapping": sorted(pairs, key=_encode_plain)}


def _object(value: Any, kind: type) -> Any:
    if isinstance(value, enum.Enum):
        return {"\0enum": [_name(kind), value.name]}
    if isinstance(value, tuple):
        named = None if kind is tuple else _name(kind)
        return {"\0tuple": [named, *[_tagged(item) for item in value]]}
    if isinstance(value, set | frozenset):
        return {"\0set": sorted((_tagged(item) for item in value), key=_encode_plain)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"\0bytes": _digest(bytes(value))}
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return {"\0date": [kind.__name__, value.isoformat()]}
    if isinstance(value, datetime.timedelta):
        return {"\0timedelta": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, Decimal | Fraction | uuid.UUID | PurePath | complex):
        return {"\0" + kind.__name__: str(value)}
    return _data_object(value, kind)


def _data_object(value: Any, kind: type) -> Any:
    if isinstance(value, type):
        schema = _schema(value)
        if schema is None and "<" in value.__qualname__:
            raise Uncacheable(f"{_name(value)} is a class made by a function, which others may share the name of")
        return {"\0class": [_name(value), schema]}
    if dataclasses.is_dataclass(value):
        found = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {"\0object": [_name(kind), _mapping(found)]}
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return {"\0object": [_name(kind), _tagged(dump())]}
    raw: Any = getattr(value, "tobytes", None)
    if raw is not None:
        return {"\0array": [_name(kind), *_array_shape(value), _digest(bytes(raw()))]}
    if isinstance(value, Mapping):
        return {"\0object": [_name(kind), _mapping(value)]}
    plain: type[Any]
    for plain in (str, int, float, list, dict):
        if isinstance(value, plain):
            return {"\0object": [_name(kind), _tagged(plain(value))]}
    raise Uncacheable(f"a {_name(kind)} is no data")


def _array_shape(value: Any) -> list[Any]:
    """Return what an array's or image's bytes do not say: element type and shape, or mode, size and palette."""
    dtype = getattr(value, "dtype", None)
    if dtype is not None:
        if getattr(dtype, "hasobject", False):
            raise Uncacheable("an array of objects is no data")
        return [str(dtype), str(getattr(value, "shape", None))]
    mode, size, palette = (getattr(value, name, None) for name in ("mode", "size", "getpalette"))
    if mode is None or size is None:
        raise Uncacheable(f"a {_name(type(value))} has bytes but no shape")
    colours: Any = None if palette is None else palette()
    return [str(mode), str(size), None if colours is None else _digest(bytes(colours))]


def _schema(kind: type) -> Any:
    describe = getattr(kind, "model_json_schema", None)
    return describe() if callable(describe) else None


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError) or "Circular" in str(error):
        return "it refers to itself"
    if isinstance(error, ValueError):
        return "it holds a number that is not finite"
    return "it holds keys of several kinds"
