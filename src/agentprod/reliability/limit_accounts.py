"""The accounts of a rate limit: of this process, or shared through a store."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentprod.reliability.gcra import Dimension, Gcra, Reservation, Shortage
from agentprod.reliability.queueing import refuse_if_open, wait_here
from agentprod.reliability.shared_limiter import SharedLimiter
from agentprod.stores import Store, StoreUnavailable

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["LocalAccount", "SharedAccount"]

_log = logging.getLogger("agentprod")


class LocalAccount:
    """What one account may still use, counted in this process."""

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self._gcra = Gcra(dimensions)
        self.take_now = self._gcra.take
        """Books costs if they fit at once; else returns `None`, and `take` tells more."""
        self.keep = self._gcra.keep
        """Does what `settle` does for a call that used what it booked, without a coroutine."""

    def is_clean(self, now: float) -> bool:
        """Return whether forgetting it would lose nothing."""
        return self._gcra.is_clean(now)

    def snapshot(self, now: float) -> dict[str, Any]:
        """Return the limits known, what is left of them, and how many calls wait, as JSON-able data."""
        left = self._gcra.remaining(now)
        limits = {each.name: each.limit for each in self._gcra.buckets if each.limit is not None}
        return {"limits": limits, "left": {name: left[name] for name in limits}, "waiting": self._gcra.waiting()}

    def has_limit(self, dimension: str) -> bool:
        """Return whether a limit of this dimension is known, by configuration or a header."""
        return any(each.name == dimension and each.limit is not None for each in self._gcra.buckets)

    async def take(self, call: Call, costs: Sequence[float], until: float) -> Reservation | Shortage:
        """Book `costs`, waiting in line if they will fit by `until` (monotonic); else say what is short."""
        gcra, runtime = self._gcra, call.runtime
        now = runtime.now()
        taken = gcra.reserve(costs, now)
        if isinstance(taken, Reservation) or now + taken.retry_after > until:
            return taken
        refuse_if_open(call, "RateLimit")
        ticket = gcra.join(costs)
        try:
            while True:
                waiter, now = runtime.waiter(), runtime.now()
                taken = gcra.claim(ticket, now, waiter)
                if isinstance(taken, Reservation) or now + taken.retry_after > until:
                    return taken
                await wait_here(call, taken.retry_after, waiter)
        finally:
            gcra.leave(ticket, runtime.now())

    async def rest(self, call: Call, seconds: float) -> None:
        """Do nothing: the board of this process tells its calls."""

    async def settle(self, call: Call, token: Any, used: Sequence[float] | None) -> None:
        """Replace what was booked by what was used; `None` leaves all of it."""
        self._gcra.settle(token, call.runtime.now(), used)

    async def learn(self, call: Call, sent_at: float, dimension: str, counted: Any, **told: float | None) -> None:
        """Take in what a header says of one dimension."""
        self._gcra.sync(dimension, call.runtime.now(), sent_at=sent_at, counted=counted, **told)


class SharedAccount:
    """The same, counted by all processes together. While the store does not answer, each counts for itself.

    Args:
        limiter: the account in the store.

        dimensions: what is limited.
    """

    def __init__(self, store: Store, key: str, dimensions: Sequence[Dimension], now: Any) -> None:
        self._limiter = SharedLimiter(store, key, dimensions, now=now)
        self._alone = LocalAccount(dimensions)
        self._warned = False

    def is_clean(self, now: float) -> bool:
        """Return whether forgetting it would lose nothing: the account itself is in the store."""
        return self._alone.is_clean(now)

    def snapshot(self, now: float) -> dict[str, Any]:
        """Return nothing but that the account is elsewhere: to look costs a round trip."""
        return {"shared": True}

    def has_limit(self, dimension: str) -> bool:
        """Return that a limit may be known: another process may have learnt it."""
        return True

    async def take(self, call: Call, costs: Sequence[float], until: float) -> Any:
        """See `LocalAccount.take`."""
        try:
            return await self._take(call, costs, until)
        except StoreUnavailable:
            if not self._warned:
                self._warned = True
                _log.warning(
                    "the store of a RateLimit does not answer; each process keeps to the whole limit by itself"
                )
            return await self._alone.take(call, costs, until)

    async def _take(self, call: Call, costs: Sequence[float], until: float) -> str | Shortage:
        limiter, runtime, id = self._limiter, call.runtime, secrets.token_hex(8)
        short = await runtime.run(lambda: limiter.reserve(id, costs), lambda: limiter.areserve(id, costs))
        if short is None:
            return id
        if runtime.now() + short.retry_after > until:
            return short
        refuse_if_open(call, "RateLimit")
        try:
            while True:
                short = await runtime.run(
                    lambda: limiter.reserve(id, costs, wait=True), lambda: limiter.areserve(id, costs, wait=True)
                )
                if short is None:
                    return id
                if runtime.now() + short.retry_after > until:
                    await self._leave(call, id)
                    return short
                await wait_here(call, short.retry_after)
        except StoreUnavailable:
            raise  # the place is lost by itself
        except BaseException:
            # A cancelled call ends at once, so the place in line is given up beside it.
            work = self._leave(call, id)
            try:
                runtime.spawn(work)
            except RuntimeError:  # its loop is gone; the place is lost by itself
                work.close()
            raise

    async def _leave(self, call: Call, id: str) -> None:
        limiter = self._limiter
        await call.runtime.run(lambda: limiter.leave(id), lambda: limiter.aleave(id))

    async def rest(self, call: Call, seconds: float) -> None:
        """Let the calls of all processes wait: the provider refused this account."""
        limiter = self._limiter
        try:
            await call.runtime.run(lambda: limiter.rest(seconds), lambda: limiter.arest(seconds))
        except StoreUnavailable:
            _log.debug("the store did not hear that an account rests")

    async def settle(self, call: Call, token: Any, used: Sequence[float] | None) -> None:
        """See `LocalAccount.settle`."""
        if isinstance(token, Reservation):
            await self._alone.settle(call, token, used)
            return
        limiter = self._limiter
        try:
            await call.runtime.run(lambda: limiter.settle(token, used), lambda: limiter.asettle(token, used))
        except StoreUnavailable:
            _log.debug("the store did not hear what a call used; what was booked leaks")

    async def learn(self, call: Call, sent_at: float, dimension: str, counted: Any, **told: float | None) -> None:
        """See `LocalAccount.learn`."""
        if isinstance(counted, Reservation):
            await self._alone.learn(call, sent_at, dimension, counted, **told)
            return
        limiter, name, ago = self._limiter, counted or "", call.runtime.now() - sent_at
        try:
            await call.runtime.run(
                lambda: limiter.learn(dimension, sent_ago=ago, counted=name, **told),
                lambda: limiter.alearn(dimension, sent_ago=ago, counted=name, **told),
            )
        except StoreUnavailable:
            _log.debug("the store did not hear what a provider's headers said")
