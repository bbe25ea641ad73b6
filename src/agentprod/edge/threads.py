"""Run plain blocking functions on threads, so that a wait for one can end."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["call_in_thread"]

_MOST = 64
_slots = threading.BoundedSemaphore(_MOST)


def call_in_thread(fn: Callable[[], Any], seconds: float | None) -> tuple[bool, Any]:
    """Call `fn` on a thread of its own under a copy of this context, and wait for it.

    At most 64 such threads run in the process. A thread cannot be stopped: when the wait ends first,
    the function runs on as a zombie and keeps its slot until it returns.

    Args:
        fn: what to call.

        seconds: how long to wait, for a slot and for the result together; `None` waits for ever.

    Returns:
        `(True, value)`, or `(False, None)` when the time was up.

    Raises:
        BaseException: what `fn` raised.
    """
    began = time.monotonic()
    if not _slots.acquire(timeout=seconds):
        return False, None
    done = threading.Event()
    result: list[Any] = []
    error: list[BaseException] = []

    def work() -> None:
        try:
            result.append(fn())
        except BaseException as raised:
            error.append(raised)
        finally:
            done.set()
            _slots.release()

    context = contextvars.copy_context()
    # Daemon: a zombie must not keep the interpreter from ending.
    threading.Thread(target=context.run, args=(work,), name="agentprod-call", daemon=True).start()
    if not done.wait(None if seconds is None else began + seconds - time.monotonic()):
        return False, None
    if error:
        raise error.pop()  # kept, it would keep this frame and itself alive
    return True, result[0]
