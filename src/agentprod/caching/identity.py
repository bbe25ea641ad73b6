"""Which function a decorated function is, where its name alone does not say."""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from agentprod.caching.canonical import Uncacheable, canonical_value

__all__ = ["Identity", "function_identity"]


_ATTRIBUTE = "_agentprod_identity"


class Identity(NamedTuple):
    """What tells a function from others of its name.

    `mark` is `None` when the name says it all; `receiver` is the name of the argument that is the object a method
    is called on.
    """

    mark: str | None
    receiver: str | None


def function_identity(edge: Any) -> Identity | None:
    """Return the identity of the function behind an edge; `None` when there is none.

    A function of a module is known by its qualified name, and stays the same when its code changes. Those that
    share a name are told apart: functions made by functions and those of `__main__` (notebooks) by code, defaults
    and closure; partials by what they hold; bound methods and callable objects by the object, which makes
    their entries useless to other processes.
    """
    fn = getattr(edge, "fn", None)
    if fn is None:
        return None
    found: Identity | None = edge.__dict__.get(_ATTRIBUTE)
    if found is None:
        found = edge.__dict__[_ATTRIBUTE] = Identity(_mark(fn), _receiver(fn))
    return found


def _mark(fn: Callable[..., Any]) -> str | None:
    if isinstance(fn, functools.partial):
        try:
            held = canonical_value([list(fn.args), fn.keywords])
        except Uncacheable:
            return _unique()
        return _digest(b"partial", _full_name(fn.func).encode(), (_mark(fn.func) or "").encode(), held)
    inner = inspect.unwrap(fn)
    if isinstance(inner, types.FunctionType):
        if "<" not in inner.__qualname__ and inner.__module__ != "__main__":
            return None
        return _code_mark(inner)
    if isinstance(inner, types.BuiltinFunctionType) and isinstance(inner.__self__, types.ModuleType):
        return None
    return _unique()


def _code_mark(fn: types.FunctionType) -> str:
    try:
        held = canonical_value(
            [
                list(fn.__defaults__ or ()),
                fn.__kwdefaults__ or {},
                [cell.cell_contents for cell in fn.__closure__ or ()],
            ]
        )
    except (Uncacheable, ValueError):  # a closure may hold anything, or nothing yet
        return _unique()
    return _digest(_code(fn.__code__), held)


def _code(code: types.CodeType) -> bytes:
    parts = [code.co_code, repr(code.co_names).encode("utf-8", "surrogatepass")]
    constants = [_code(item) if isinstance(item, types.CodeType) else repr(item).encode() for item in code.co_consts]
    return b"\0".join([*parts, *constants])


def _receiver(fn: Callable[..., Any]) -> str | None:
    """Return the first parameter when the function was defined in a class and names it `self` or `cls`."""
    name = getattr(fn, "__qualname__", "")
    if not inspect.isfunction(fn) or "." not in name or name.rpartition(".")[0].endswith("<locals>"):
        return None
    first = next(iter(inspect.signature(fn).parameters), None)
    return first if first in ("self", "cls") else None


def _full_name(fn: Any) -> str:
    return f"{getattr(fn, '__module__', '')}.{getattr(fn, '__qualname__', type(fn).__qualname__)}"


def _unique() -> str:
    return uuid.uuid4().hex


def _digest(*parts: bytes) -> str:
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).hexdigest()
