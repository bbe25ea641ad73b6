"""Who is asking, and how: identities and per-call wishes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal, TypedDict, get_args

from agentprod.errors import ConfigError

__all__ = ["NOBODY", "CacheMode", "Context", "ContextOptions", "make_context", "seconds"]

CacheMode = Literal["default", "bypass", "refresh", "only"]
"""What caches do with a call: as always, nothing, store only, or answer and never ask."""

_MOST_SECONDS = 1_000_000_000
"""More than anybody means, and less than timers and stores can hold."""

_NO_TAGS: Mapping[str, str] = MappingProxyType({})


class ContextOptions(TypedDict, total=False):
    """What `ap.context` and `ap.bind` take; `None` leaves a thing open."""

    user: str | None
    team: str | None
    tenant: str | None
    conversation: str | None
    run: str | None
    request_id: str | None
    tags: Mapping[str, str] | None
    deadline: float | timedelta | None
    cache: CacheMode | None
    ttl: float | timedelta | None


@dataclass(frozen=True, slots=True)
class Context:
    """Identities and wishes of one call.

    `user`, `team`, `tenant`, `conversation`, `run` and `request_id` are names of the application's
    own; `tags` are free labels. `deadline` is the time left in seconds at `entered` (monotonic).
    `cache` and `ttl` (seconds) speak to the caches.
    """

    user: str | None = None
    team: str | None = None
    tenant: str | None = None
    conversation: str | None = None
    run: str | None = None
    request_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: _NO_TAGS)
    cache: CacheMode = "default"
    ttl: float | None = None
    deadline: float | None = None
    entered: float = 0.0

    def over(self, other: Context) -> Context:
        """Return this context with what it leaves open taken from `other`; of two deadlines the earlier one."""
        if other is NOBODY:
            return self
        merged = {f.name: getattr(self, f.name) or getattr(other, f.name) for f in fields(Context)}
        merged["tags"] = {**other.tags, **self.tags}
        merged["cache"] = self.cache if self.cache != "default" else other.cache
        mine, theirs = self._expires(), other._expires()
        nearer = self if mine <= theirs else other
        merged["deadline"], merged["entered"] = nearer.deadline, nearer.entered
        return Context(**merged)

    def beginning(self) -> Context:
        """Return this context with its deadline counted from now."""
        return self if self.deadline is None else replace(self, entered=time.monotonic())

    def _expires(self) -> float:
        return float("inf") if self.deadline is None else self.entered + self.deadline

    def time_left(self) -> float | None:
        """Return the seconds left of the deadline, negative once it has passed."""
        return None if self.deadline is None else self.entered + self.deadline - time.monotonic()


NOBODY = Context()
"""The context of a call that nobody spoke for."""
_NAMES = frozenset(f.name for f in fields(Context)) - {"entered"}


def make_context(options: Mapping[str, Any]) -> Context:
    """Build a `Context` from what a user wrote.

    Raises:
        ConfigError: an unknown name, or a value of the wrong kind.
    """
    unknown = sorted(set(options) - _NAMES)
    if unknown:
        raise ConfigError(f"context has no {', '.join(unknown)}; it takes {', '.join(sorted(_NAMES))}")
    values = {name: value for name, value in options.items() if value is not None}
    for name in ("user", "team", "tenant", "conversation", "run", "request_id"):
        if name in values and not isinstance(values[name], str):
            raise ConfigError(f"context {name} must be a str, not {type(values[name]).__name__}; write {name}=str(...)")
        if values.get(name) == "":
            raise ConfigError(f"context {name} must not be empty; leave it out where nobody is known")
    if values.get("cache", "default") not in get_args(CacheMode):
        raise ConfigError(f"context cache must be one of {', '.join(get_args(CacheMode))}, not {values['cache']!r}")
    if "tags" in values:
        if not isinstance(values["tags"], Mapping):
            raise ConfigError(f"context tags must be a mapping of str to str, not {type(values['tags']).__name__}")
        values["tags"] = {str(key): str(value) for key, value in values["tags"].items()}
    for name in ("deadline", "ttl"):
        if name in values:
            values[name] = seconds(values[name], f"context {name}")
    if "deadline" in values:
        values["entered"] = time.monotonic()
    return Context(**values)


def seconds(value: float | timedelta, name: str, *, zero: bool = False) -> float:
    """Read a duration in seconds.

    Raises:
        ConfigError: `value` is no number of seconds, NaN, negative, more than 31 years, or 0 where `zero` is not
            allowed.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name} must be seconds as a number or timedelta, not {type(value).__name__}")
    if not (value >= 0 if zero else value > 0):
        raise ConfigError(f"{name} must be {'at least 0' if zero else 'more than 0'} seconds, not {value!r}")
    if value > _MOST_SECONDS:
        raise ConfigError(f"{name} must be at most {_MOST_SECONDS:,} seconds, not {value!r}")
    return float(value)
