"""What an application does around its model calls, and who watches it: the seam between agents, tools and telemetry."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from agentprod.errors import ConfigError

__all__ = ["Activity", "Watcher", "watch"]

_log = logging.getLogger("agentprod")


class Activity:
    """A `with` or `async with` block that has a name, a duration and an end. Times are seconds.

    Attributes:
        name: what it is called.

        duration: from entering the block to leaving it; `None` before.

        error_type: class of the exception that ended it, `None` when none did.

    Args:
        name: of few distinct values; it becomes a label of metrics.

    Raises:
        ConfigError: the name is empty or no text.
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise ConfigError(
                f"a {type(self).__name__.lower()} takes a name, a str of at least one character, not {name!r}"
            )
        self.name = name
        self.duration: float | None = None
        self.error_type: str | None = None
        self._started = 0.0
        self._watched: list[Callable[[], object]] = []

    def __enter__(self) -> Self:
        self._begin()
        self._started = time.monotonic()
        for watcher in watchers:
            try:
                ended = watcher(self)
            except Exception:
                _log.exception("a watcher of agents and tools failed; what it watches is not affected")
            else:
                if ended is not None:
                    self._watched.append(ended)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.duration = time.monotonic() - self._started
        if isinstance(error, Exception):
            self.error_type = type(error).__name__
        self._end(error)
        while self._watched:  # the last to begin is the first to end, as with the spans they open
            try:
                self._watched.pop()()
            except Exception:
                _log.exception("a watcher of agents and tools failed; what it watches is not affected")

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _begin(self) -> None:
        """Take part in what is around."""

    def _end(self, error: BaseException | None) -> None:
        """Leave what is around."""


Watcher = Callable[[Activity], "Callable[[], object] | None"]
"""Called when an activity begins, in its context; what it returns is called when the activity has ended."""

watchers: tuple[Watcher, ...] = ()
"""Who watches the activities of this process; read as `activities.watchers`, since it changes."""


def watch(watcher: Watcher) -> Callable[[], None]:
    """Let `watcher` see every activity of this process that begins from now on; return what ends that."""
    global watchers  # noqa: PLW0603 - one per process, by intent
    watchers = (*watchers, watcher)

    def stop() -> None:
        global watchers  # noqa: PLW0603 - one per process, by intent
        watchers = tuple(each for each in watchers if each is not watcher)

    return stop
