"""Let layers wait without taking time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentprod import draining
from agentprod.runtime.clock import SystemClock

if TYPE_CHECKING:
    from agentprod.runtime.runtime import Runtime
    from agentprod.runtime.waiter import Waiter

__all__ = ["Waits", "no_waiting"]


class Waits:
    """What would have been waited.

    Attributes:
        seconds: each wait, in the order they began.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._lock = threading.Lock()

    @property
    def total(self) -> float:
        """All of it together, in seconds."""
        return sum(self.seconds)

    def add(self, seconds: float) -> None:
        """Note one wait; any thread may."""
        with self._lock:
            self.seconds.append(seconds)


@contextlib.contextmanager
def no_waiting() -> Iterator[Waits]:
    """Let layers of every stack in this process wait without taking time, as `Retry` does between attempts.

    ```python
    with no_waiting() as waits:
        ask_with_retries()
    assert waits.total < 10
    ```

    It is for clients and functions made at import time; a stack that a test makes itself better takes
    `Stack(clock=FakeClock())`, by which time passes as well. Here the clock stays what it is: a rate limit
    looks again at once and sends no earlier than it may, a circuit does not close earlier, timeouts and
    deadlines hold as before, and waiting for other calls takes the time that they take.

    Yields:
        What would have been waited.
    """
    waits = Waits()
    pause = draining.pause

    async def pass_by(runtime: Runtime, seconds: float, waiter: Waiter | None = None) -> None:
        if not isinstance(runtime.clock, SystemClock):
            await pause(runtime, seconds, waiter)
            return
        waits.add(seconds)
        await runtime.sleep(0)  # others have their turn

    draining.pause = pass_by
    try:
        yield waits
    finally:
        draining.pause = pause
