"""Reserve, settle and read the counters of a budget: one store, or this process alone while it is down."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentprod.forks import after_fork
from agentprod.stores import Store, StoreUnavailable
from agentprod.stores.base import Claim, CounterState, Exhausted
from agentprod.stores.memory import MemoryStore

if TYPE_CHECKING:
    from agentprod.runtime.runtime import Runtime

__all__ = ["Held", "Reserving"]

_log = logging.getLogger("agentprod")

_numbers = itertools.count(1)


def _prefix() -> None:
    global _name  # noqa: PLW0603 - one per process: a forked child must not reuse its parent's names
    _name = os.urandom(8).hex()


_name = ""
_prefix()
after_fork(_prefix)


class Held:
    """A reservation, and where it stands."""

    __slots__ = ("id", "store")

    def __init__(self, id: str, store: Store) -> None:
        self.id = id
        self.store = store


class Reserving:
    """The counters of one budget.

    Args:
        store: where they are.

        group: name under which processes share them.

        share: part of each limit that this process may use alone while the store is down; `None` to let nothing pass.
    """

    def __init__(self, store: Store, group: str, share: float | None) -> None:
        self.store = store
        self.group = group
        self._share = share
        self._alone = MemoryStore()
        self._warned = False
        self.is_local = isinstance(store, MemoryStore)
        """Whether asking costs no I/O."""

    async def reserve(self, runtime: Runtime, claims: Sequence[Claim], lease: float) -> Held | Exhausted:
        """Hold all claims or none.

        Raises:
            StoreUnavailable: the store does not answer, and no call may pass without it.
        """
        id, store = f"{_name}{next(_numbers):x}", self.store
        try:
            if self.is_local:
                short = store.reserve(self.group, id, claims, lease=lease)
            else:
                short = await runtime.run(
                    lambda: store.reserve(self.group, id, claims, lease=lease),
                    lambda: self._areserve(runtime, id, claims, lease),
                )
        except StoreUnavailable:
            if self._share is None:
                raise
            if not self._warned:
                self._warned = True
                _log.warning("the store of a TokenBudget does not answer; this process keeps to its share by itself")
            store, share = self._alone, self._share
            shares = [each if each.limit is None else each._replace(limit=int(each.limit * share)) for each in claims]
            short = store.reserve(self.group, id, shares, lease=lease)
        return Held(id, store) if short is None else short

    async def _areserve(self, runtime: Runtime, id: str, claims: Sequence[Claim], lease: float) -> Exhausted | None:
        """Reserve beside the task: where it is cancelled meanwhile, what it never heard of is given back."""
        store, waiter, is_gone = self.store, runtime.waiter(), False
        answers: list[Exhausted | Exception | None] = []

        async def ask() -> None:
            try:
                answers.append(await store.areserve(self.group, id, claims, lease=lease))
            except Exception as error:
                answers.append(error)
            waiter.set()
            if is_gone:
                await give_back()

        async def give_back() -> None:
            if answers == [None]:
                await self.settle(runtime, Held(id, store), None)

        runtime.spawn(ask())
        try:
            await waiter.wait()
        except BaseException:
            is_gone = True
            if answers:  # the answer and the end came at once
                runtime.spawn(give_back())
            raise
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    async def settle(self, runtime: Runtime, held: Held, used: Sequence[int] | None, *, beside: bool = False) -> str:
        """Replace what is held by what was used; `None` gives all of it back.

        Args:
            runtime: of the call.

            held: the reservation.

            used: units by claim.

            beside: finish it even when the waiting task is cancelled once more.
        """
        store = held.store
        if isinstance(store, MemoryStore):
            return store.settle(self.group, held.id, used)
        if beside:
            return await self._settle_beside(runtime, held, used)
        try:
            return await runtime.run(
                lambda: store.settle(self.group, held.id, used), lambda: store.asettle(self.group, held.id, used)
            )
        except StoreUnavailable:
            _log.debug("the store did not hear what a call used; its lease will end")
            return "unknown"

    async def _settle_beside(self, runtime: Runtime, held: Held, used: Sequence[int] | None) -> str:
        waiter = runtime.waiter()

        async def work() -> None:
            try:
                await self.settle(runtime, held, used)
            finally:
                waiter.set()

        coroutine = work()
        try:
            runtime.spawn(coroutine)
        except RuntimeError:  # its loop is gone; the lease will end
            coroutine.close()
            return "unknown"
        await waiter.wait()
        return "settled"

    def settle_now(self, held: Held, used: Sequence[int] | None) -> None:
        """Settle where nothing may be awaited any more."""
        try:
            held.store.settle(self.group, held.id, used)
        except StoreUnavailable:
            _log.debug("the store did not hear what a call used; its lease will end")

    async def renew(self, runtime: Runtime, held: Held, lease: float) -> None:
        """Let a reservation live on."""
        store = held.store
        try:
            await runtime.run(
                lambda: store.renew(self.group, held.id, lease=lease),
                lambda: store.arenew(self.group, held.id, lease=lease),
            )
        except StoreUnavailable:
            _log.debug("the lease of a stream could not be renewed; it may end before the stream")

    async def usage(self, runtime: Runtime, counters: Sequence[str]) -> list[CounterState]:
        """Return what counters hold; nothing while the store is down."""
        store = self.store
        if self.is_local:
            return store.usage(self.group, counters)
        try:
            return await runtime.run(
                lambda: store.usage(self.group, counters), lambda: store.ausage(self.group, counters)
            )
        except StoreUnavailable:
            return [CounterState(0, 0)] * len(counters)

    def __reduce__(self) -> Any:
        raise TypeError("a budget's counters cannot be pickled; make the TokenBudget in each process")
