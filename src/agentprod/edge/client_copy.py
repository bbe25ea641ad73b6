"""Copy an SDK client without constructing another: users' subclasses have constructors of their own."""

from __future__ import annotations

from typing import Any

__all__ = ["copy_client"]


def copy_client(client: Any, kind: type) -> Any:
    """Return a copy of `client`, of class `kind`, whose resources send through the copy.

    Resources keep a reference to the client they came from. Those that are made on first use are left
    out, to be made again; those that a constructor made, as the clients of some platforms do, are made
    here. Everything else is shared.
    """
    copy: Any = object.__new__(kind)
    for name, value in client.__dict__.items():
        if getattr(value, "_client", None) is not client:
            copy.__dict__[name] = value
        elif not _made_on_first_use(kind, name):
            copy.__dict__[name] = type(value)(copy) if _is_resource(value) else value
    return copy


def _made_on_first_use(kind: type, name: str) -> bool:
    attribute = getattr(kind, name, None)
    return hasattr(attribute, "func") and hasattr(attribute, "attrname")  # functools.cached_property


def _is_resource(value: Any) -> bool:
    return any(cls.__name__ in ("SyncAPIResource", "AsyncAPIResource") for cls in type(value).__mro__)
