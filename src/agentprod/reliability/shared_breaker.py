"""One circuit for several processes, through a store."""

from __future__ import annotations

import json
from typing import Any

from agentprod.reliability.breaker_machine import BreakerMachine, BreakerRefusal, Outcome, Permit
from agentprod.reliability.store_steps import Steps, ado, call, do
from agentprod.stores import Store, StoreUnavailable

__all__ = ["SharedBreaker"]

_ATTEMPTS = 5


class SharedBreaker:
    """A circuit whose state all processes with the same store and key share; each counts its own calls.

    What is shared is what costs nothing per call: that the circuit opened, since when, who tests it, and how it
    closes again. A closed circuit asks the store once per `refresh` seconds; a change is written by compare-and-set,
    so of all processes one tests an open circuit. When processes change it at the same time, the store's state wins.
    While the store does not answer, each process goes on with its own.

    Args:
        machine: this process's circuit.

        store: where the state is.

        key: which circuit it is; no secret.

        refresh: seconds between two looks at what others changed.
    """

    def __init__(self, machine: BreakerMachine, store: Store, key: str, *, refresh: float = 0.5) -> None:
        self.machine = machine
        self.is_alone = False
        """Whether the store did not answer when it was last asked."""
        self._store = store
        self._key = f"circuit:{key}"
        self._refresh = refresh
        policy = machine.policy
        self._ttl = 2 * policy.max_open_for + policy.lease + policy.ramp_for + 3600.0
        self._next_look = float("-inf")
        self._version = 0
        self._told = machine.revision

    def admit(self, now: float, *, lease: float | None = None) -> Permit | BreakerRefusal:
        """See `BreakerMachine.admit`."""
        return do(self._store, self._admit(now, lease))

    async def aadmit(self, now: float, *, lease: float | None = None) -> Permit | BreakerRefusal:
        """Like `admit`."""
        return await ado(self._store, self._admit(now, lease))

    def record(self, permit: Permit, outcome: Outcome, now: float, **details: Any) -> None:
        """See `BreakerMachine.record`, which takes the same details."""
        do(self._store, self._record(permit, outcome, now, details))

    async def arecord(self, permit: Permit, outcome: Outcome, now: float, **details: Any) -> None:
        """Like `record`."""
        await ado(self._store, self._record(permit, outcome, now, details))

    def is_clean(self, now: float) -> bool:
        """See `BreakerMachine.is_clean`; what the store has is learnt again."""
        return self.machine.is_clean(now)

    def exchange(self, now: float) -> None:
        """Tell the store what changed here, or learn what changed there; after `machine.force_open` and the like."""
        do(self._store, self._exchange(now))

    async def aexchange(self, now: float) -> None:
        """Like `exchange`."""
        await ado(self._store, self._exchange(now))

    def _admit(self, now: float, lease: float | None) -> Steps[Permit | BreakerRefusal]:
        if now >= self._next_look:
            yield from self._exchange(now)
        answer = self.machine.admit(now, lease=lease)
        for _ in range(_ATTEMPTS):
            if self._is_settled(now):
                break
            yield from self._exchange(now)
            if isinstance(answer, Permit) and answer.lease is not None and not self.machine.awaits(answer, now):
                answer = self.machine.admit(now, lease=lease)  # another process tests the circuit already
        return answer

    def _record(self, permit: Permit, outcome: Outcome, now: float, details: dict[str, Any]) -> Steps[None]:
        self.machine.record(permit, outcome, now, **details)
        for _ in range(_ATTEMPTS):
            if self._is_settled(now):
                return
            yield from self._exchange(now)
            if permit.lease is not None:
                # If somebody else was faster, their state has our lease still open; else this has no effect.
                self.machine.record(Permit(permit.generation, permit.lease), outcome, now, **details)

    def _exchange(self, now: float) -> Steps[None]:
        self._next_look = now + self._refresh
        try:
            yield from self._agree(now)
            self.is_alone = False
        except StoreUnavailable:
            self.is_alone = True

    def _agree(self, now: float) -> Steps[None]:
        for _ in range(_ATTEMPTS):
            revision = self.machine.revision
            if revision != self._told:
                value = json.dumps(self.machine.snapshot(now)).encode()
                new = yield call("compare_and_set", self._key, value, version=self._version, ttl=self._ttl)
                if new is not None:
                    self._version, self._told = new, revision
                    return
            entry = yield call("get", self._key, fresh=True)
            known, self._version = self._version, 0 if entry is None else entry.version
            if entry is not None and entry.version != known:
                try:
                    self.machine.adopt(json.loads(entry.value), now, age=entry.age)
                except ValueError:
                    continue  # nothing of ours, to be written over with the next change
                self._told = self.machine.revision
                return
            if revision == self._told:
                return

    def _is_settled(self, now: float) -> bool:
        return self.machine.revision == self._told or (self.is_alone and now < self._next_look)
