"""Whose budget a call draws on: what a limit's `by=` takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from agentprod.errors import ConfigError
from agentprod.runs import current_run

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["By", "Holder"]

By: TypeAlias = "str | Callable[[Call], str] | tuple[str, ...]"

_OF_TARGET: Mapping[str, Callable[[Call], str]] = {
    "model": lambda call: call.target.model or "",
    "endpoint": lambda call: call.target.endpoint,
    "account": lambda call: call.target.account,
}
_OF_CONTEXT = ("user", "team", "tenant", "conversation", "run")


class Holder:
    """Names whose counters a call is counted in.

    Args:
        by: `"global"`; `"model" "endpoint" "account"`, which the target tells; `"user" "team" "tenant" "conversation"
            "run"`, which the caller's context tells; several of these, for a budget of each user within each team; or
            a callable `(call) -> str`. A run within a run is its outermost run.

    Raises:
        ConfigError: it is none of these.
    """

    __slots__ = ("_fn", "label", "names")

    def __init__(self, by: By) -> None:
        self._fn = by if callable(by) else None
        if callable(by):
            self.names: tuple[str, ...] = ("key",)
            self.label = getattr(by, "__qualname__", type(by).__name__)
            return
        names = (by,) if isinstance(by, str) else by
        known = ("global", *_OF_TARGET, *_OF_CONTEXT)
        if not isinstance(names, tuple) or not names or any(name not in known for name in names):
            raise ConfigError(
                f"a limit's by= takes {', '.join(map(repr, known))}, several of them as a tuple, or a callable "
                f"(call) -> str, not {by!r}"
            )
        self.names = tuple(name for name in dict.fromkeys(names) if name != "global")
        self.label = ",".join(self.names) or "global"

    def with_run(self) -> Holder:
        """Return the same, of each run apart."""
        return self if self._fn is not None or "run" in self.names else Holder((*self.names, "run"))

    def key(self, call: Call) -> str:
        """Return the name of the counters for a call; no name of a person can be read from it.

        Raises:
            ConfigError: the context does not name what is asked by, or the callable returned no text.
        """
        if not self.names:
            return "global"
        if self._fn is not None:
            found = self._fn(call)
            if not isinstance(found, str):
                raise ConfigError(f"a limit's by= must return a str, not a {type(found).__name__}")
            return _hashed((found,))
        return _hashed(tuple(self._value(name, call) for name in self.names))

    def key_of(self, scope: Mapping[str, str]) -> str | None:
        """Return the same for names given by hand; `None` where one is missing."""
        if not self.names:
            return "global"
        if any(name not in scope for name in self.names):
            return None
        return _hashed(tuple(scope[name] for name in self.names))

    def _value(self, name: str, call: Call) -> str:
        of_target = _OF_TARGET.get(name)
        if of_target is not None:
            return of_target(call)
        value: str | None = getattr(call.context, name)
        if value is None:
            hint = "with ap.agent(name):" if name == "run" else f"with ap.context({name}=…):"
            raise ConfigError(
                f"a limit by {name} cannot tell whose call this is: write `{hint}` around it, or bind the client with "
                f"ap.bind(client, {name}=…)"
            )
        return _outermost(value) if name == "run" else value


def _outermost(run: str) -> str:
    """Return the id of the run that a run is part of: what its parts spend is its own."""
    found = current_run()
    while found is not None:
        if found.id == run:
            while found.parent is not None:
                found = found.parent
            return found.id
        found = found.parent
    return run


def _hashed(values: tuple[str, ...]) -> str:
    text = "\x1f".join(values)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
