"""Who is asking, and how: identities and per-call wishes, captured when a call enters a stack."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, fields
from datetime import timedelta
from types import MappingProxyType, TracebackType
from typing import Any, Literal, ParamSpec, TypeVar, get_args

from agentprod.errors import ConfigError

__all__ = ["CacheMode", "Context", "context", "current_context", "propagate", "seconds"]

P = ParamSpec("P")
R = TypeVar("R")

CacheMode = Literal["default", "bypass", "refresh", "only"]

_NO_TAGS: Mapping[str, str] = MappingProxyType({})


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
        if other is _EMPTY:
            return self
        if self is _EMPTY:
            return other
        merged = {f.name: getattr(self, f.name) or getattr(other, f.name) for f in fields(Context)}
        merged["tags"] = {**other.tags, **self.tags}
        merged["cache"] = self.cache if self.cache != "default" else other.cache
        mine, theirs = self._expires(), other._expires()
        nearer = self if mine <= theirs else other
        merged["deadline"], merged["entered"] = nearer.deadline, nearer.entered
        return Context(**merged)

    def _expires(self) -> float:
        return float("inf") if self.deadline is None else self.entered + self.deadline

    def time_left(self) -> float | None:
        """Return the seconds left of the deadline, negative once it has passed."""
        return None if self.deadline is None else self.entered + self.deadline - time.monotonic()


_EMPTY = Context()
_current: contextvars.ContextVar[Context] = contextvars.ContextVar("agentprod_context", default=_EMPTY)
_NAMES = frozenset(f.name for f in fields(Context)) - {"entered"}


def current_context() -> Context:
    """Return the context in force here."""
    return _current.get()


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


class context:  # noqa: N801 - reads as the verb it is: `with ap.context(user="u1"):`
    """Say who is asking, around code that makes calls.

    ```python
    with ap.context(user="u1", tenant="acme", conversation="c7", deadline=30):
        agent.run(...)
    ```

    A call captures the context when it enters a stack, so a stream outlives the `with`. Contexts
    nest: the inner one wins, except that of two deadlines the earlier one holds.

    Args:
        user, team, tenant, conversation, run, request_id: names of your own, as `str`.

        tags: mapping of labels, added to those outside.

        deadline: seconds (or `timedelta`) from now in which calls must end, streams included.

        cache: `"default"`, `"bypass"` (neither read nor write), `"refresh"` (write only) or `"only"`
            (raise `CacheMiss` instead of calling the provider).

        ttl: seconds for which caches keep replies of these calls.

    Raises:
        ConfigError: an unknown name or a value of the wrong kind.
    """

    def __init__(self, **options: Any) -> None:
        self._context = make_context(options)
        self._token: contextvars.Token[Context] | None = None

    def __enter__(self) -> Context:
        merged = self._context.over(_current.get())
        self._token = _current.set(merged)
        return merged

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            try:
                _current.reset(self._token)
            except ValueError:
                # Left in another task or thread, as FastAPI's sync dependencies do: that one has its own value.
                pass
            self._token = None

    async def __aenter__(self) -> Context:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


class propagate(Executor):  # noqa: N801 - reads as a verb around an executor
    """Carry the caller's context variables into the threads of an executor.

    ```python
    pool = ap.propagate(ThreadPoolExecutor(8))
    pool.submit(ask, "…")  # sees the context of this line
    ```

    Args:
        executor: any `concurrent.futures.Executor` whose work runs in this process.
    """

    def __init__(self, executor: Executor) -> None:
        if not isinstance(executor, Executor):
            raise ConfigError(f"propagate takes a concurrent.futures.Executor, not {type(executor).__name__}")
        self._executor = executor

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Schedule `fn(*args, **kwargs)` under a copy of this thread's context."""
        here = contextvars.copy_context()

        def run() -> R:
            return here.run(fn, *args, **kwargs)

        return self._executor.submit(run)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the executor down."""
        self._executor.shutdown(wait=wait, cancel_futures=cancel_futures)


def seconds(value: float | timedelta, name: str, *, zero: bool = False) -> float:
    """Read a duration in seconds.

    Raises:
        ConfigError: `value` is no number of seconds, NaN, negative, or 0 where `zero` is not allowed.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name} must be seconds as a number or timedelta, not {type(value).__name__}")
    if not (value >= 0 if zero else value > 0):
        raise ConfigError(f"{name} must be {'at least 0' if zero else 'more than 0'} seconds, not {value!r}")
    return float(value)
