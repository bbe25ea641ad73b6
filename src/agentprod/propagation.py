"""Carry the context into the threads of an executor."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

from agentprod.errors import ConfigError

__all__ = ["propagate"]

P = ParamSpec("P")
R = TypeVar("R")


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
        if type(executor).__module__ == "concurrent.futures.process":
            raise ConfigError("propagate carries context variables into threads; other processes cannot be given any")
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
