"""Fill a cache before it is needed, a few requests at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentprod.errors import ConfigError

if TYPE_CHECKING:
    from agentprod.runtime.runtime import Runtime

__all__ = ["WarmUp", "arequest", "awarm", "request", "warm"]


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What a warm-up did: how many items went through, and the errors of the others by their position."""

    done: int = 0
    failed: Mapping[int, Exception] = field(default_factory=dict)


def request(fn: Callable[..., Any], item: Any) -> None:
    """Ask one request, and read its answer to the end."""
    answer = fn(**_arguments(item))
    if hasattr(answer, "__next__"):
        for _ in answer:
            pass


async def arequest(fn: Callable[..., Any], item: Any) -> None:
    """Ask one request, and read its answer to the end."""
    answer = await fn(**_arguments(item))
    if hasattr(answer, "__anext__"):
        async for _ in answer:
            pass


def _arguments(item: Any) -> Mapping[str, Any]:
    if not isinstance(item, Mapping):
        raise ConfigError(
            f"warm_up(requests, fn) takes each request as a mapping of arguments, not {type(item).__name__}"
        )
    return item


def check_concurrency(concurrency: int) -> int:
    """Return `concurrency` when it is one.

    Raises:
        ConfigError: below 1, or no whole number.
    """
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigError(f"warm_up concurrency must be a whole number of at least 1, not {concurrency!r}")
    return concurrency


def warm(items: Iterable[Any], do: Callable[[Any], None], concurrency: int) -> WarmUp:
    """Do each item, on as many threads as `concurrency` says."""
    progress = _Progress(items)
    with ThreadPoolExecutor(check_concurrency(concurrency), thread_name_prefix="agentprod-warm-up") as pool:
        for _ in range(concurrency):
            pool.submit(copy_context().run, progress.work, do)
    return progress.result()


async def awarm(items: Iterable[Any], do: Callable[[Any], Any], concurrency: int, runtime: Runtime) -> WarmUp:
    """Do each item, in as many tasks as `concurrency` says."""
    progress = _Progress(items)
    finished = [runtime.waiter() for _ in range(check_concurrency(concurrency))]
    jobs = [runtime.spawn(progress.awork(do, waiter.set)) for waiter in finished]
    try:
        for waiter in finished:
            await waiter.wait()
    except BaseException:
        for job in jobs:
            job.cancel()
        raise
    return progress.result()


class _Progress:
    def __init__(self, items: Iterable[Any]) -> None:
        self._items: Iterator[tuple[int, Any]] = enumerate(items)
        self._lock = threading.Lock()
        self._done = 0
        self._failed: dict[int, Exception] = {}

    def _next(self) -> tuple[int, Any] | None:
        with self._lock:  # a generator must not be asked by two threads at once
            return next(self._items, None)

    def _tell(self, position: int, error: Exception | None) -> None:
        with self._lock:
            if error is None:
                self._done += 1
            else:
                self._failed[position] = error

    def work(self, do: Callable[[Any], None]) -> None:
        while (found := self._next()) is not None:
            try:
                do(found[1])
            except Exception as error:
                self._tell(found[0], error)
            else:
                self._tell(found[0], None)

    async def awork(self, do: Callable[[Any], Any], finished: Callable[[], None]) -> None:
        try:
            while (found := self._next()) is not None:
                try:
                    await do(found[1])
                except Exception as error:
                    self._tell(found[0], error)
                else:
                    self._tell(found[0], None)
        finally:
            finished()

    def result(self) -> WarmUp:
        return WarmUp(self._done, dict(sorted(self._failed.items())))
