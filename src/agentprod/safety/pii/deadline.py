"""Run a callable on a thread, and give up on it after a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from agentprod.errors import ConfigError
from agentprod.runtime import together

__all__ = ["within"]

T = TypeVar("T")
_WORKERS = 4


def within(call: Callable[[str], T], timeout: float) -> Callable[[str], T]:
    """Return `call` with a deadline.

    A call that takes longer raises `TimeoutError` in the caller and keeps its thread until it returns by itself: Python
    cannot stop it. At most four run at a time, so a callable that hangs for ever costs four threads, which do not hold
    up the end of the process.

    Args:
        call: takes a text.

        timeout: seconds, above 0, waiting for a free thread included.

    Raises:
        ConfigError: `timeout` is not above 0.
    """
    if timeout <= 0:
        raise ConfigError(f"timeout must be above 0 seconds, not {timeout}")
    room = threading.Semaphore(_WORKERS)

    def run(text: str) -> T:
        started = monotonic()
        if not room.acquire(timeout=timeout):
            raise TimeoutError

        def work() -> T:
            try:
                return call(text)
            finally:
                room.release()

        return together.within(work, max(0.0, timeout - (monotonic() - started)))

    return run
