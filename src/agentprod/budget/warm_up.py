"""Let one call write a prefix to the provider's cache before the others come to read it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from agentprod.runtime.clock import SystemClock

if TYPE_CHECKING:
    from agentprod.call import Call
    from agentprod.runtime.waiter import Waiter

__all__ = ["WarmUp"]

_MOST = 1024


class _Prefix:
    __slots__ = ("until", "waiters", "warming")

    def __init__(self) -> None:
        self.until = 0.0
        self.warming = False
        self.waiters: list[Waiter] = []


class WarmUp:
    """Knows which prefixes are warm, and lets who comes while one is being written wait for it.

    Args:
        longest: seconds a call waits at most; then it goes on, and writes the prefix as well.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._lock = threading.Lock()
        self._prefixes: OrderedDict[str, _Prefix] = OrderedDict()

    def is_warm(self, key: str, now: float) -> bool:
        """Whether a prefix has been written and is still kept."""
        prefix = self._prefixes.get(key)
        return prefix is not None and prefix.until > now

    async def enter(self, key: str, call: Call) -> bool:
        """Come back when the prefix is warm, or with `True` when this call is the one to write it."""
        runtime = call.runtime
        give_up = runtime.now() + self._longest
        if call.deadline is not None:
            give_up = min(give_up, call.deadline)
        while True:
            now = runtime.now()
            with self._lock:
                prefix = self._prefixes.get(key)
                if prefix is None:
                    prefix = self._prefixes[key] = _Prefix()
                    if len(self._prefixes) > _MOST:
                        self._prefixes.popitem(last=False)
                self._prefixes.move_to_end(key)
                if prefix.until > now:
                    return False
                if not prefix.warming or now >= give_up:
                    first = not prefix.warming
                    prefix.warming = True
                    return first
                waiter = runtime.waiter()
                prefix.waiters.append(waiter)
            call.ledger.note("PromptCache", "waits")
            if isinstance(runtime.clock, SystemClock):
                await waiter.wait(give_up - now)
            else:
                await runtime.sleep(give_up - now)

    def leave(self, key: str, until: float | None) -> None:
        """Say that the writing call has an answer (the prefix is warm until then), or failed (`None`)."""
        with self._lock:
            prefix = self._prefixes.get(key)
            if prefix is None:
                return
            prefix.warming = False
            if until is not None:
                prefix.until = until
            waiters, prefix.waiters = prefix.waiters, []
        for waiter in waiters:
            waiter.set()

    def used(self, key: str, until: float) -> None:
        """Prolong a prefix that was read."""
        with self._lock:
            prefix = self._prefixes.get(key)
            if prefix is not None:
                prefix.until = max(prefix.until, until)
