"""An event loop whose time jumps to the next timer: races of timers and cancellations come out the same every time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from agentprod.runtime.clock import SystemClock

T = TypeVar("T")

STUCK = 10.0
"""Real seconds without any timer or event after which a test hangs, not waits."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs as fast as it can; `time()` is virtual, starts at 1000 and never waits."""

    def __init__(self) -> None:
        self._virtual = 1000.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Return virtual seconds."""
        return self._virtual

    def jump(self, seconds: float) -> None:
        """Move time forward."""
        self._virtual += seconds


class _Selector(selectors.DefaultSelector):  # type: ignore[valid-type,misc]
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:  # no timer: only a thread can wake it
            ready: list[Any] = super().select(STUCK)
            if not ready:
                raise RuntimeError("nothing will ever happen on this loop: the test hangs")
            return ready
        ready = super().select(0)
        if not ready and timeout > 0:
            self._loop.jump(timeout)
        return ready


class LoopClock(SystemClock):
    """The clock of a stack whose calls run on a `VirtualLoop`: the system's, but for where the time comes from."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.monotonic = loop.time  # type: ignore[method-assign]

    def sleep(self, seconds: float) -> None:  # type: ignore[override]
        """Refuse: a loop is not to be blocked."""
        raise AssertionError("an asynchronous call blocked its loop")

    def call_at(self, when: float, fn: Callable[[], None]) -> asyncio.TimerHandle:
        """Call a function at a virtual time."""
        return self._loop.call_at(when, fn)


def run_virtually(main: Callable[[LoopClock], Coroutine[Any, Any, T]]) -> T:
    """Run `main(clock)` on a loop of its own, in virtual time."""
    made: list[VirtualLoop] = []

    def factory() -> VirtualLoop:
        made.append(VirtualLoop())
        return made[-1]

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.get_loop()
        return runner.run(main(LoopClock(made[0])))
