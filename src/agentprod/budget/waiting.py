"""Calls that wait until a budget has room."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from agentprod.runtime.clock import SystemClock

if TYPE_CHECKING:
    from agentprod.budget.refusal import Refusal
    from agentprod.call import Call
    from agentprod.runtime.waiter import Waiter

__all__ = ["Waiting"]

_LOOK = 1.0
"""Seconds after which a waiting call looks again: other processes give back unheard."""


class Waiting:
    """Wakes waiting calls when something is given back in this process; otherwise they look every second.

    Args:
        max_wait: seconds a call waits at most in all; `None` for as long as its deadline lets it.
    """

    def __init__(self, max_wait: float | None) -> None:
        self._max_wait = max_wait
        self._lock = threading.Lock()
        self._waiters: list[Waiter] = []
        self.freed = 0
        """How often something was given back."""

    def wake(self) -> None:
        """Let all who wait look again."""
        with self._lock:
            self.freed += 1
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set()

    async def wait(self, call: Call, refusal: Refusal) -> bool:
        """Wait until it makes sense to try again.

        Returns:
            False when there will be no room in time.
        """
        runtime = call.runtime
        now = runtime.now()
        key = (self, "until")
        until = call.state.get(key)
        if until is None:
            until = math.inf if self._max_wait is None else now + self._max_wait
            call.state[key] = until = until if call.deadline is None else min(until, call.deadline)
        reset = math.inf if refusal.resets_at is None else now + max(0.0, refusal.resets_at - runtime.wall())
        if refusal.asked > refusal.limit:
            return False
        # What others hold may come back; without that only a new window helps.
        hopeless = refusal.spent + refusal.asked > refusal.limit or not refusal.held
        if now >= until or (hopeless and reset > until) or (hopeless and reset == math.inf):
            return False
        next_look = reset if hopeless else min(reset, now + _LOOK)
        await self._pause(call, refusal, min(next_look, until) - now)
        return runtime.now() < until or not hopeless

    async def _pause(self, call: Call, refusal: Refusal, wait: float) -> None:
        runtime = call.runtime
        waiter = runtime.waiter()
        with self._lock:
            if self.freed != refusal.seen:
                return  # given back since: look at once
            self._waiters.append(waiter)
        try:
            wait = max(wait, 0.001)
            if isinstance(runtime.clock, SystemClock):
                await waiter.wait(wait)
            else:
                await runtime.sleep(wait)
        finally:
            with self._lock:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
