"""Wait for a signal that may come from any thread."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

__all__ = ["AsyncWaiter", "SyncWaiter", "Waiter"]


class Waiter(Protocol):
    """A one-shot signal; `set()` may be called from any thread, before or after `wait()` begins."""

    def set(self) -> None:
        """Wake the waiting call."""
        ...

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds; return whether the signal came."""
        ...


class SyncWaiter:
    """A waiter that blocks its thread."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Wake the waiting thread."""
        self._event.set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Block the thread until set or `timeout` seconds have passed."""
        return self._event.wait(timeout)


class AsyncWaiter:
    """A waiter that suspends its task; belongs to the loop that made it."""

    __slots__ = ("_future", "_loop")

    def __init__(self) -> None:
        self._loop = _asyncio().get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def set(self) -> None:
        """Wake the waiting task, from any thread; a loop already closed has nobody to wake."""
        if _asyncio()._get_running_loop() is self._loop:
            self._resolve()  # a fraction of the time that waking the loop from another thread takes
            return
        try:
            self._loop.call_soon_threadsafe(self._resolve)
        except RuntimeError:
            pass

    def _resolve(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout: float | None = None) -> bool:
        """Suspend until set or `timeout` seconds have passed."""
        if timeout is None:
            await self._future
            return True
        done, _ = await _asyncio().wait((self._future,), timeout=timeout)
        return bool(done)


def _asyncio() -> Any:
    """Return the module: whoever has a loop has loaded it, and an `import` here takes as long as the rest."""
    return sys.modules["asyncio"]
