"""Whose calls share one circuit or one limit: what `by=` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from agentprod.errors import ConfigError

if TYPE_CHECKING:
    from agentprod.call import Call, Target

__all__ = ["By", "Scope"]

T = TypeVar("T")

By: TypeAlias = "str | Callable[[Call], str]"
"""What has a limit or a circuit of its own: a name such as `"endpoint"` or `"user"`, or a function of the call."""

_OF_TARGET: dict[str, Callable[[Target], str]] = {
    "endpoint": lambda target: target.endpoint,
    "account": lambda target: target.account,
    "model": lambda target: f"{target.provider} {target.model or ''}",
    "global": lambda target: "global",
}
_OF_CALL: dict[str, Callable[[Call], str]] = {  # of all names those that most calls go by, without a step between
    "endpoint": lambda call: call.target.endpoint,
    "account": lambda call: call.target.account,
    "global": lambda call: "global",
}
_OF_CONTEXT = ("user", "team", "tenant", "conversation", "run")


class Scope:
    """Names the group a call belongs to.

    Args:
        by: `"endpoint" "account" "model" "global"`, which the target tells; `"user" "team" "tenant" "conversation"
            "run"`, which the caller's context tells; or a callable `(call) -> str`.

        layer: class name of the layer that asks, for errors.

    Raises:
        ConfigError: it is none of these.
    """

    __slots__ = ("_by", "_fn", "_layer", "key", "of_target")

    def __init__(self, by: By, layer: str) -> None:
        if not callable(by) and not (isinstance(by, str) and (by in _OF_TARGET or by in _OF_CONTEXT)):
            names = ", ".join(f'"{name}"' for name in (*_OF_TARGET, *_OF_CONTEXT))
            raise ConfigError(f"{layer} by= takes {names} or a callable (call) -> str, not {by!r}")
        self.of_target = None if callable(by) else _OF_TARGET.get(by)
        """Names the group of a target; `None` when the target alone does not tell."""
        self._fn = by if callable(by) else None
        self._by = "" if callable(by) else by
        self._layer = layer
        self.key: Callable[[Call], str] = _OF_CALL.get(self._by, self._key)
        """Returns the name of a call's group.

        Raises:
            ConfigError: the context does not name what is asked by, or the callable returned no text.
        """

    def _key(self, call: Call) -> str:
        if self.of_target is not None:
            return self.of_target(call.target)
        if self._fn is not None:
            key = self._fn(call)
            if not isinstance(key, str):
                raise ConfigError(f"{self._layer} by= must return a str, not {type(key).__name__}")
            return key
        name = getattr(call.context, self._by)
        if name is None:
            raise ConfigError(
                f"{self._layer}(by={self._by!r}) cannot tell whose call this is: "
                f"write `with ap.context({self._by}=…):` around it, or bind the client with ap.bind"
            )
        return f"{self._by} {name}"

    def without_names(self, found: Mapping[str, T]) -> dict[str, T]:
        """Return what is known by group with groups that are named after people, or by the user, numbered instead."""
        if self.of_target is not None:
            return dict(found)
        return {f"{self.shown(key)} {number}": each for number, (key, each) in enumerate(found.items(), start=1)}

    def shown(self, key: str) -> str:
        """Return what may stand in a log or a message: never the name of a person."""
        return key if self.of_target is not None else f"one {self._by or 'group'}"
