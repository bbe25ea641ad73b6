"""Work that must not delay a call, done soon on one daemon thread."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable

from agentprod.telemetry.drops import drops
from agentprod.telemetry.forks import renew_after_fork

__all__ = ["Later", "later"]


class Later:
    """Runs small jobs in their order on one thread, which starts with the first one.

    What a job raises is dropped and counted. At the end of the process the jobs that wait have two seconds.

    Args:
        capacity: how many jobs may wait.
    """

    def __init__(self, *, capacity: int = 1000) -> None:
        self._capacity = capacity
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a forked child: what waited is the parent's to do."""
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], object]] = deque()
        self._busy = False
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[], object]) -> bool:
        """Take a job and return at once; `False` when too many wait."""
        with self._changed:
            if len(self._waiting) >= self._capacity:
                return False
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="agentprod-later", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is shutting down
                    return False
                self._thread = thread
                # Registered after the exporters of the SDK, so it runs before they are shut down.
                atexit.register(self.flush)
            self._waiting.append(job)
            self._changed.notify_all()
        return True

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until every job was done, at most `timeout` seconds; return whether all were."""
        if threading.current_thread() is self._thread:
            return False  # a job waits for nobody, least of all for itself
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                job = self._waiting.popleft()
                self._busy = True
            try:
                job()
            except Exception:
                drops.count("later")


later = Later()
"""The one of this process."""
