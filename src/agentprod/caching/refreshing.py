"""Fetch an expired answer anew while the old one is served."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from agentprod.ambient import Ambient
from agentprod.call import NO_LIMITS
from agentprod.opening import opening

if TYPE_CHECKING:
    from agentprod.caching.counts import Counts
    from agentprod.caching.keeping import Keeper
    from agentprod.caching.keys import Ticket
    from agentprod.call import Call, CallNext

__all__ = ["Refresher"]

_log = logging.getLogger("agentprod")

REFRESH_SECONDS = 300.0
"""After this time a refresh that was never heard of again is forgotten."""


class Refresher:
    """Runs one refresh for each answer at a time: a task of the loop, or a short daemon thread.

    Args:
        keeper: keeps the new answers.

        counts: where refreshes are counted.
    """

    def __init__(self, keeper: Keeper, counts: Counts) -> None:
        self._keeper = keeper
        self._counts = counts
        self._running: dict[tuple[str, object], float] = {}
        self._lock = threading.RLock()

    def refresh(self, call: Call, call_next: CallNext, ticket: Ticket) -> None:
        """Fetch an answer anew beside the call, unless somebody does already."""
        here = (ticket.key, call.runtime.home())
        now = call.runtime.now()
        with self._lock:
            if now - self._running.get(here, -REFRESH_SECONDS) < REFRESH_SECONDS:
                return
            self._running[here] = now
        open_call, around = opening(call.ledger.environment), Ambient(call.context, call.ledger.listeners)
        ledger = open_call(around, call.streaming, call.dialect, call.target, call.request, call.origin).ledger
        ledger.note("Cache", "refresh")
        # Nobody waits for it, and the span of the call it belongs to will have ended.
        anew = call.replace(ledger=ledger, deadline=None, limits=NO_LIMITS, observers=(), followers=())
        call.runtime.spawn(self._refresh(anew, call_next, ticket, here))

    async def _refresh(self, call: Call, call_next: CallNext, ticket: Ticket, here: tuple[str, object]) -> None:
        ledger = call.ledger
        try:
            reply = await call_next(call)
            self._keeper.keep_at_end(call, reply, ticket)
            if reply.stream is None:
                await reply.finish("complete")
            else:
                while await reply.stream.pull() is not None:
                    pass
            ledger.outcome = "complete"
            self._counts.add("refreshed")
        except Exception as error:
            ledger.outcome, ledger.error = "failed", error
            _log.debug("a stale answer could not be fetched anew: %s", type(error).__name__)
        finally:
            ledger.duration = call.runtime.now() - ledger.started
            with self._lock:
                self._running.pop(here, None)
        for listener in ledger.listeners:
            try:
                listener(call)
            except Exception:
                _log.exception("a listener at the end of a refresh failed")
