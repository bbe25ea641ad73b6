"""Work that must not delay a call, done soon on one daemon thread."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable

from agentprod.telemetry.drops import drops
from agentprod.telemetry.forks import renew_after_fork

__all__ = ["Later", "later"]

_TOGETHER = 16
"""So many jobs that can wait are done at once; whoever has one more while they wait does it itself."""
_PATIENCE = 0.1
"""Seconds that the first of them waits at most."""
_PAUSE = 0.0001
"""Seconds between two jobs: a thread that comes back from its provider waits for the interpreter no longer than one."""
_LOOKS = 20
"""Times that the thread looks for jobs after the last one, before it has to be woken: less often is dear to callers."""


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
        self._pressing = False
        self._busy = self._asleep = False
        self._awaited = 0
        self._thread: threading.Thread | None = None

    @property
    def current(self) -> bool:
        """Whether the thread that runs this is its thread."""
        return threading.current_thread() is self._thread

    def submit(self, job: Callable[[], object], *, can_wait: bool = False) -> bool:
        """Take a job and return at once; `False` when too many wait.

        Args:
            job: what to do.

            can_wait: whether it may wait up to 0.1 seconds for others of its kind.
        """
        most = _TOGETHER if can_wait else self._capacity
        if len(self._waiting) >= most or not (self._thread is not None or self._start()):
            return False
        self._waiting.append(job)
        # Most often without the lock, and without a signal: both take longer than all else here.
        waiting = len(self._waiting)
        if self._asleep or not can_wait or waiting >= _TOGETHER:
            with self._changed:
                self._pressing = self._pressing or not can_wait or waiting >= _TOGETHER
                self._changed.notify_all()
        return True

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until every job was done, at most `timeout` seconds; return whether all were."""
        if self.current:
            return False  # a job waits for nobody, least of all for itself
        with self._changed:
            if self._waiting and not self._pressing:
                self._pressing = True
                self._changed.notify_all()
            self._awaited += 1
            try:
                return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)
            finally:
                self._awaited -= 1

    def _start(self) -> bool:
        with self._changed:
            if self._thread is not None:
                return True
            thread = threading.Thread(target=self._work, name="agentprod-later", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down
                return False
            self._thread = thread
            # Registered after the exporters of the SDK, so it runs before they are shut down.
            atexit.register(self.flush)
            return True

    def _work(self) -> None:
        changed = self._changed
        while (job := self._next(changed)) is not None:
            try:
                job()
            except Exception:
                drops.count("later")
            del job  # it holds a call, and the next one may be long in coming
            if not self._awaited:
                time.sleep(_PAUSE)

    def _next(self, changed: threading.Condition) -> Callable[[], object] | None:
        """Return the next job, or `None` to a thread from before `after_fork`, which has no work any more."""
        with changed:
            while self._changed is changed:
                self._busy = bool(self._waiting)
                if self._busy:
                    return self._waiting.popleft()
                self._pressing = False  # whoever presses may come late, for a job that is done already
                changed.notify_all()
                self._watch(changed)
        return None

    def _watch(self, changed: threading.Condition) -> None:
        """Wait for jobs, looking by itself for a while."""
        for _ in range(_LOOKS):
            if changed.wait_for(lambda: self._pressing, _PATIENCE) or self._waiting or self._changed is not changed:
                return
        self._asleep = True
        changed.wait_for(lambda: self._waiting)
        self._asleep = False
        changed.wait_for(lambda: self._pressing, _PATIENCE)


later = Later()
"""The one of this process."""
