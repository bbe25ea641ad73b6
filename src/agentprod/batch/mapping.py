"""Call a function for many items: so many at a time, results in order, errors kept, resumable."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sized
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from pathlib import Path
from typing import Any, Literal, TypeVar

from agentprod.batch.checkpoint import open_checkpoint
from agentprod.batch.progress import open_progress
from agentprod.batch.results import Item, Results
from agentprod.errors import BudgetExceeded, ConfigError, ShuttingDown
from agentprod.listeners import listening
from agentprod.telemetry.finished import Finished

__all__ = ["amap", "map"]

T = TypeVar("T")
R = TypeVar("R")

StopOn = tuple[type[Exception], ...]
_STOP_ON: StopOn = (BudgetExceeded, ShuttingDown)


def map(
    fn: Callable[[T], R],
    items: Iterable[T],
    *,
    concurrency: int = 8,
    progress: bool | Literal["auto"] = "auto",
    checkpoint: str | Path | None = None,
    key: Callable[[T], str] | None = None,
    stop_on: StopOn = _STOP_ON,
) -> Results[R]:
    """Call a function for every item, several at a time on threads, and return what each gave.

    ```python
    results = ap.map(summarize, articles, concurrency=16, checkpoint="summaries.jsonl")
    results.values, results.errors, results.cost
    ```

    What one item raises is kept in `errors` and does not stop the others. The context of the caller (`ap.context`,
    `ap.agent`, `ap.record`, the current span) holds in every call. Works in a notebook as well.

    Args:
        fn: a synchronous function of one item.

        items: any iterable; one that is made on the way is read as far as it is needed.

        concurrency: how many items are under way at a time, 1 or more.

        progress: show a bar with the running cost: `"auto"` does so in a terminal or a notebook where tqdm is
            installed.

        checkpoint: a JSONL file that keeps the value of every finished item. With the same file a run that was killed
            goes on where it was; failed items are tried again. Values must be JSON-able.

        key: names an item in the checkpoint; by default its JSON does.

        stop_on: exceptions that end the run: nothing new is begun, and what was not is in `missing`. By default an
            exhausted budget and a draining process.

    Raises:
        ConfigError: an option out of range, a coroutine function, or a checkpoint that cannot be used.
    """
    if inspect.iscoroutinefunction(fn):
        raise ConfigError("map takes a synchronous function; for this one write `await ap.amap(...)`")
    run = _Run(fn, items, concurrency, progress, checkpoint, key, stop_on)
    pool = ThreadPoolExecutor(concurrency, "agentprod-map")
    under_way: set[Future[Item[Any]]] = set()
    try:
        for value in items:
            if run.full(value):
                break
            item = run.begin(value)
            if item is not None:
                under_way.add(pool.submit(copy_context().run, run.work, item))
            if len(under_way) >= concurrency:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                run.collect(future.result() for future in done)
        while under_way:
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            run.collect(future.result() for future in done)
    finally:
        # An interrupted run does not wait for calls that may take minutes; their threads end with them.
        pool.shutdown(wait=not under_way, cancel_futures=True)
        run.progress.close()
    return Results(run.items, run.stopped)


async def amap(
    fn: Callable[[T], Awaitable[R]] | Callable[[T], R],
    items: Iterable[T] | AsyncIterator[T],
    *,
    concurrency: int = 8,
    progress: bool | Literal["auto"] = "auto",
    checkpoint: str | Path | None = None,
    key: Callable[[T], str] | None = None,
    stop_on: StopOn = _STOP_ON,
) -> Results[R]:
    """Call a function for every item, several at a time as tasks, and return what each gave; see `map`.

    A synchronous function is called on threads. When the caller is cancelled, so are the calls under way; what was
    finished is in the checkpoint.

    Raises:
        ConfigError: an option out of range, or a checkpoint that cannot be used.
    """
    import asyncio

    run = _Run(fn, items, concurrency, progress, checkpoint, key, stop_on)
    under_way: set[asyncio.Task[Item[Any]]] = set()
    try:
        async for value in _each(items):
            if run.full(value):
                break
            item = run.begin(value)
            if item is not None:
                under_way.add(asyncio.create_task(run.awork(item)))
            if len(under_way) >= concurrency:
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                run.collect(task.result() for task in done)
        while under_way:
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            run.collect(task.result() for task in done)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        run.progress.close()
    return Results(run.items, run.stopped)


async def _each(items: Iterable[T] | AsyncIterator[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


class _Run:
    """The items of one run, begun and ended by whoever drives it."""

    def __init__(
        self,
        fn: Callable[[Any], Any],
        items: object,
        concurrency: int,
        progress: bool | Literal["auto"],
        checkpoint: str | Path | None,
        key: Callable[[Any], str] | None,
        stop_on: StopOn,
    ) -> None:
        if not callable(fn):
            raise ConfigError(f"map takes a function and items, in this order; got a {type(fn).__name__} first")
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise ConfigError(f"concurrency is a whole number from 1 up, got {concurrency!r}")
        if progress not in (True, False, "auto"):
            raise ConfigError(f'progress is True, False or "auto", got {progress!r}')
        kinds = stop_on if isinstance(stop_on, tuple) else (stop_on,)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
            raise ConfigError(f"stop_on is a tuple of exception types, such as (ap.BudgetExceeded,), got {stop_on!r}")
        self.fn = fn
        self.items: list[Item[Any]] = []
        self.stopped: Exception | None = None
        self._sized = isinstance(items, Sized)
        self._stop_on = kinds
        self._names: dict[int, str] = {}
        self._checkpoint = open_checkpoint(checkpoint, fn, key)
        self.progress = open_progress(progress, len(items) if isinstance(items, Sized) else None)

    def full(self, value: Any) -> bool:
        """Whether to read on; what a stopped run does not begin is missing, as far as it is there."""
        if self.stopped is None:
            return False
        if not self._sized:
            return True  # making further items may take for ever
        self.items.append(Item(len(self.items), value, missing=True))
        return False

    def begin(self, value: Any) -> Item[Any] | None:
        """Return an item to work on; `None` when there is nothing to do for it."""
        if self.stopped is not None:
            return None
        item: Item[Any] = Item(len(self.items), value)
        self.items.append(item)
        if self._checkpoint is not None:
            name = self._names[item.index] = self._checkpoint.key(value)
            if name in self._checkpoint:
                item.value, item.restored = self._checkpoint.value(name), True
                self.progress.restored()
                return None
        return item

    def work(self, item: Item[Any]) -> Item[Any]:
        """Call the function; on a thread, in the context of the caller."""
        begun = time.monotonic()
        try:
            with listening(lambda call: item.finished.append(Finished(call))):
                item.value = self.fn(item.item)
        except Exception as error:
            item.error = error
        return self._done(item, begun)

    async def awork(self, item: Item[Any]) -> Item[Any]:
        """Await the function; a synchronous one runs on a thread."""
        import asyncio

        begun = time.monotonic()
        try:
            with listening(lambda call: item.finished.append(Finished(call))):
                made = self.fn(item.item) if _is_async(self.fn) else await asyncio.to_thread(self.fn, item.item)
                item.value = await made if inspect.isawaitable(made) else made
        except Exception as error:
            item.error = error
        return self._done(item, begun)

    def _done(self, item: Item[Any], begun: float) -> Item[Any]:
        item.duration = time.monotonic() - begun
        if inspect.iscoroutine(item.value):
            item.value.close()
            item.refused = ConfigError("map takes a synchronous function; for this one write `await ap.amap(...)`")
        elif self._checkpoint is not None and item.error is None:
            # Here and not by whoever collects: what has been paid for is safe at once.
            try:
                self._checkpoint.keep(self._names[item.index], item.value)
            except (ConfigError, OSError) as error:
                item.refused = error
        return item

    def collect(self, items: Iterable[Item[Any]]) -> None:
        """Take note of items that have ended.

        Raises:
            ConfigError: a value cannot be kept, or the function is of the wrong kind.

            OSError: the checkpoint cannot be written.
        """
        for item in items:
            if item.refused is not None:
                raise item.refused
            if isinstance(item.error, self._stop_on) and self.stopped is None:
                self.stopped = item.error
            # Tokens that nobody has counted yet are not counted for a bar.
            self.progress.done(item.describe(counting=False), failed=item.error is not None)


def _is_async(fn: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004
