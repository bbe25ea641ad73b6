"""Who may share an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agentprod.errors import ConfigError

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["By", "Partition", "check_by", "partition_of"]

By = str | Callable[["Call"], str]
Partition = tuple[str | None, ...]

_NAMED = ("user", "team", "conversation", "run")
_PLACES = ("endpoint", "account", "model")
KNOWN = ("tenant", *_NAMED, *_PLACES, "global")


def check_by(by: Any, layer: str) -> By:
    """Return `by` when it can be one.

    Raises:
        ConfigError: neither a known word nor a callable.
    """
    if callable(by) or by in KNOWN:
        return by  # type: ignore[no-any-return]
    raise ConfigError(f"{layer} by must be one of {', '.join(KNOWN)}, or a callable (call) -> str; not {by!r}")


def partition_of(call: Call, by: By, layer: str) -> Partition:
    """Return the partition of a call; equal partitions share answers.

    With `"tenant"` a user named in the context, or in the request's own user field, partitions too,
    and calls without tenant and user have a partition of their own.

    Raises:
        ConfigError: partitioned by somebody whom neither context nor request names.
        TypeError: a callable that returned no `str`.
    """
    if by == "tenant":
        return _by_tenant(call)
    if by == "global":
        return ("global",)
    if callable(by):
        made = by(call)
        if not isinstance(made, str):
            raise TypeError(f"by returned a {type(made).__name__}, not a str")
        return ("callable", made)
    if by in _PLACES:
        return (by, getattr(call.target, by))
    name = getattr(call.context, by)
    if name is None and by == "user":
        name = call.dialect.user(call.request)
    if name is None:
        raise ConfigError(
            f'{layer}(by="{by}") met a call that names no {by}: write `with ap.context({by}=...)` around it or '
            f'ap.bind(client, {by}=...), or choose by="tenant"'
        )
    return (by, name)


def _by_tenant(call: Call) -> Partition:
    context = call.context
    own = call.dialect.user(call.request)
    if context.user is None or own is None or own == context.user:
        return ("tenant", context.tenant, context.user or own)
    return ("tenant", context.tenant, context.user, own)
