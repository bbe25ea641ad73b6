"""Every method of every resource of an SDK client, and the least that each can be called with."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

_OWN_POST = re.compile(r"self\._post\b|method=\"post\"")
_OWN_REQUEST = re.compile(r"self\._(get|delete|patch|put|get_api_list)\b")


class Shape(BaseModel):
    """What `parse` methods are asked for."""

    name: str = "x"


@dataclass(frozen=True)
class Method:
    """One public method of a resource."""

    path: tuple[str, ...]
    """Attribute names from the client to the method."""
    verb: str
    """`"post"`, `"other"` for the remaining HTTP methods, or `"composed"` of other methods or none at all."""

    def __str__(self) -> str:
        return ".".join(self.path)

    def of(self, client: Any, accessor: str | None = None) -> Callable[..., Any]:
        """Return the bound method, or its twin behind `with_raw_response` and the like."""
        owner = client
        for name in self.path[:-1]:
            owner = getattr(owner, name)
        if accessor is not None:
            owner = getattr(owner, accessor)
        return typing.cast("Callable[..., Any]", getattr(owner, self.path[-1]))


def methods(client: Any) -> list[Method]:
    """Return every method of every resource that a client reaches."""
    found = []
    for path, resource in _resources(client, ()):
        for name in dir(type(resource)):
            if name.startswith(("_", "with_")):
                continue
            fn = inspect.getattr_static(type(resource), name)
            if inspect.isfunction(fn):
                found.append(Method((*path, name), _verb(inspect.unwrap(fn))))
    return found


def _resources(owner: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in dir(type(owner)):
        attribute = inspect.getattr_static(type(owner), name)
        is_accessor = isinstance(attribute, property) or hasattr(attribute, "attrname")
        if name.startswith(("_", "with_")) or not is_accessor:
            continue
        child = getattr(owner, name, None)
        if any(cls.__name__ in ("SyncAPIResource", "AsyncAPIResource") for cls in type(child).__mro__):
            yield (*path, name), child
            yield from _resources(child, (*path, name))


def _verb(fn: Any) -> str:
    source = inspect.getsource(fn)
    if _OWN_POST.search(source):
        return "post"
    return "other" if _OWN_REQUEST.search(source) else "composed"


def least_arguments(method: Callable[..., Any]) -> dict[str, Any]:
    """Return a value for each parameter that a method cannot be called without.

    Where the SDK writes overloads, the first one says what is required: the implementation's own
    signature has defaults for everything.
    """
    fn: Any = inspect.unwrap(getattr(method, "__func__", method))
    overloads = typing.get_overloads(fn)
    fn = overloads[0] if overloads else fn
    hints = typing.get_type_hints(fn)
    filled = {}
    for name, parameter in inspect.signature(fn).parameters.items():
        required = parameter.default is inspect.Parameter.empty
        if name != "self" and required and parameter.kind.name not in ("VAR_KEYWORD", "VAR_POSITIONAL"):
            filled[name] = _value(hints.get(name, str))
    return filled


def _value(hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return arguments[0]
    if origin in (typing.Union, types.UnionType):
        return _value(arguments[0])
    if origin in (typing.Annotated, typing.Required):
        return _value(arguments[0])
    if origin is type:
        return Shape
    if hint in _PLAIN:
        return _PLAIN[hint]
    if typing.is_typeddict(hint) or origin is dict or "Mapping" in str(origin):
        return {}
    if origin is tuple or inspect.isclass(origin):
        return []
    if "FileTypes" in str(hint) or "PathLike" in str(hint) or "IO" in str(hint):
        return b"x"
    return "x"


_PLAIN: dict[Any, Any] = {str: "x", int: 1, float: 1.0, bool: False, bytes: b"x", object: {}}
