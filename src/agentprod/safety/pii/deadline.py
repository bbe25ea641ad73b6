"""Run a callable on a thread, and give up on it after a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from agentprod.errors import ConfigError

__all__ = ["within"]

T = TypeVar("T")
_WORKERS = 4


def within(call: Callable[[str], T], timeout: float) -> Callable[[str], T]:
    """Return `call` with a deadline.

    A call that takes longer raises `TimeoutError` in the caller and keeps its thread until it returns by itself: Python
    cannot stop it. At most four run at a time, so a callable that hangs for ever costs four threads.

    Args:
        call: takes a text.

        timeout: seconds, above 0, waiting for a free thread included.

    Raises:
        ConfigError: `timeout` is not above 0.
    """
    if timeout <= 0:
        raise ConfigError(f"timeout must be above 0 seconds, not {timeout}")
    lock = threading.Lock()
    pool: list[ThreadPoolExecutor] = []

    def run(text: str) -> T:
        with lock:
            if not pool:
                pool.append(ThreadPoolExecutor(_WORKERS, thread_name_prefix="agentprod-recognizer"))
        future: Future[T] = pool[0].submit(call, text)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    return run
