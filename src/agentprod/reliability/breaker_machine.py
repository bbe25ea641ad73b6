"""The state machine of a circuit breaker: no I/O, no clock of its own, no call under its lock.

```
CLOSED ──(failure or slow rate in the window)──► OPEN ──(wait is over)──► HALF_OPEN
  ▲   │                                            ▲                        │   │
  │   └── for `ramp_for` after closing: a share    └──(a probe failed or────┘   │
  │       of the calls, growing in steps               its lease ran out)       │
  └──────────────────────────(`close_after` probes succeeded)───────────────────┘
```

Every admission carries the generation it belongs to, and an outcome of an earlier generation is dropped: a call
that began before the circuit opened cannot close it. The idea of generations is interlock-cb's; the half-open
leases are ours: in breakers that count probes without one, a call that never returns blocks recovery for good
(resilience4j #903, #935).
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agentprod.reliability.breaker_policy import BreakerPolicy
from agentprod.reliability.breaker_snapshot import BreakerSnapshot
from agentprod.reliability.breaker_terms import (
    BreakerChange,
    BreakerListener,
    BreakerRefusal,
    BreakerState,
    Outcome,
    Permit,
)
from agentprod.reliability.outcome_window import OutcomeWindow
from agentprod.reliability.ramp import Ramp

__all__ = ["BreakerChange", "BreakerMachine", "BreakerRefusal", "BreakerState", "Outcome", "Permit"]

log = logging.getLogger("agentprod.reliability")
CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED = BreakerState  # to look one up by its class costs as much as a call


class BreakerMachine:
    """One circuit. Safe to use from any number of threads; every method takes the time from its caller.

    Args:
        policy: its numbers.

        rng: returns a random number from 0 to 1, for the jitter of the waits.

        listeners: called with every `BreakerChange`, outside the lock; what one raises is logged and dropped.

        shadow: admit everything, and say in `Permit.would_refuse` what would have been refused. The outcomes of such
            calls do not count, so the states run as they would have. `force_open` refuses all the same.
    """

    def __init__(
        self,
        policy: BreakerPolicy | None = None,
        *,
        rng: Callable[[], float] = random.random,
        listeners: tuple[BreakerListener, ...] = (),
        shadow: bool = False,
    ) -> None:
        self.policy = policy or BreakerPolicy()
        self.revision = 0
        """Grows whenever something changes that processes sharing this circuit must know."""
        self.shadow = shadow
        self._rng = rng
        self._listeners = listeners
        self._lock = threading.Lock()
        self._window = OutcomeWindow(self.policy.window, self.policy.buckets)
        self._changes: list[BreakerChange] = []
        self._generation = 1
        self._era = 1  # like the generation, but counted by all processes that share the circuit
        self._state = CLOSED
        self._since: float | None = None
        self._reason = ""
        self._fault: str | None = None
        self._error: BaseException | None = None
        self._until = 0.0
        self._reopened = 0
        self._leases: dict[str, float] = {}
        self._successes = 0
        self._ramp = Ramp(self.policy.ramp, self.policy.ramp_for)
        self.steady = 1
        """The generation while every call is admitted, else 0; read without the lock."""

    def admit(self, now: float, *, lease: float | None = None) -> Permit | BreakerRefusal:
        """Ask for leave to make one call.

        Args:
            now: monotonic seconds.

            lease: seconds a test call may take, if this becomes one; `None` for the policy's.

        Returns:
            A permit to give to `record`, or why not.
        """
        if steady := self.steady:
            return Permit(steady)
        with self._lock:
            answer = self._decide(now, self.policy.lease if lease is None else lease)
            changes = self._taken_changes()
        self._tell(changes)
        if self.shadow and isinstance(answer, BreakerRefusal) and answer.state is not FORCED_OPEN:
            return Permit(0, would_refuse=answer)
        return answer

    def record(
        self,
        permit: Permit,
        outcome: Outcome,
        now: float,
        *,
        ttft: float | None = None,
        per_token: float | None = None,
        fault: str | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Tell what became of a call. A second time for one permit, or one of an earlier generation, has no effect.

        Args:
            permit: what `admit` gave.

            outcome: what the call says about the endpoint.

            now: monotonic seconds.

            ttft: seconds to the first content, when known.

            per_token: seconds per output token, when known.

            fault: name of the fault kind of a failure.

            error: the error of a failure; kept, with its traceback, only when this call opens the circuit.
        """
        rule = self.policy.slow
        slow = None if rule is None else rule.judge(ttft, per_token)
        with self._lock:
            if not permit.is_open:
                return
            permit.is_open = False
            if permit.lease is not None:
                self._record_probe(permit.lease, outcome, now, slow, fault, error)
            elif permit.generation != self._generation or outcome is Outcome.NEUTRAL:
                return
            else:
                window = self._window
                if now >= window.ends:
                    window.turn(now)
                window.calls += 1
                if outcome is Outcome.FAILURE:
                    window.failures += 1
                    self._fault = fault
                if slow is not None:
                    window.timed += 1
                    window.slow += slow
                elif window.failures == window.old_failures and window.slow == window.old_slow:
                    return
                if not (reason := window.verdict(self.policy)):
                    return
                self._trip(now, reason, error)
            changes = self._taken_changes()
        self._tell(changes)

    def succeeded(self, generation: int, now: float) -> None:
        """Record a success that nobody timed, of a call that `steady` admitted without a permit."""
        window = self._window
        if generation == self._generation and now < window.ends and window.failures == window.old_failures:
            window.fresh.append(None)  # it cannot open the circuit, so nobody has to be kept waiting
        else:
            self.record(Permit(generation), Outcome.SUCCESS, now)

    def renew(self, permit: Permit, now: float, *, lease: float | None = None) -> bool:
        """Give a test call that makes progress, as a stream does, another lease from now; return whether it is one."""
        with self._at(now):
            if permit.lease is None or permit.lease not in self._leases:
                return False
            self._leases[permit.lease] = now + (self.policy.lease if lease is None else lease)
            self.revision += 1
            return True

    def awaits(self, permit: Permit, now: float) -> bool:
        """Return whether an outcome of this call would count."""
        with self._at(now):
            current = permit.generation == self._generation if permit.lease is None else permit.lease in self._leases
            return permit.is_open and current

    def refusal(self, now: float) -> BreakerRefusal | None:
        """Say what `admit` would refuse now, without claiming anything; a ramp's share is not foretold."""
        if self.steady:
            return None
        with self._at(now):
            refusal = self._refusal(now)
        if self.shadow and refusal is not None and refusal.state is not FORCED_OPEN:
            return None
        return refusal

    def state(self, now: float) -> BreakerState:
        """Return the state at `now`: an open circuit whose wait is over is half-open."""
        with self._at(now):
            over = self._state is OPEN and now >= self._until
            return HALF_OPEN if over else self._state

    def is_clean(self, now: float) -> bool:
        """Return whether forgetting this circuit would lose nothing: closed, recovered, no failure in the window."""
        with self._lock:
            if self._state is not CLOSED or not self._ramp.is_over(now):
                return False
            self._window.turn(now)
            counts = self._window.counts()
            return not counts["failures"] and not counts["slow_calls"]

    def force_open(self, now: float, *, reason: str = "forced") -> None:
        """Refuse everything until `reset`."""
        self._order(FORCED_OPEN, now, reason)

    def disable(self, now: float, *, reason: str = "disabled") -> None:
        """Admit everything and count nothing until `reset`."""
        self._order(DISABLED, now, reason)

    def reset(self, now: float, *, reason: str = "reset") -> None:
        """Close the circuit and forget everything: counts, waits and a person's orders."""
        self._order(CLOSED, now, reason)

    def snapshot(self, now: float) -> dict[str, Any]:
        """Return the circuit as JSON-able data, with every time relative to `now`.

        `calls`, `failures` and `slow_calls` are counted by this process alone; all else is what processes share
        through `adopt`.
        """
        with self._lock:
            self._window.turn(now)
            standing = (self._state, self._era, self._reason, self._fault, self._since, self._until)
            progress = (self._reopened, self._leases, self._successes, self._ramp.started)
            known = BreakerSnapshot(*standing, *progress)
            return known.to_dict(now) | self._window.counts()

    def adopt(self, snapshot: Mapping[str, Any], now: float, *, age: float = 0.0) -> None:
        """Take over what another process's `snapshot` says of the circuit.

        Args:
            snapshot: what `snapshot` returned there.

            now: monotonic seconds here.

            age: seconds since the snapshot was taken.

        Raises:
            ValueError: the data is not a snapshot.
        """
        known = BreakerSnapshot.from_dict(snapshot, now - age)
        with self._lock:
            if known.era != self._era or known.state is not self._state:
                old, self._state, self._era = self._state, known.state, known.era
                self._generation += 1
                self._window.clear()
                self._error = None
                self._ramp.start(known.ramp_from)
                wait = known.until - now if known.state is OPEN else None
                reason = f"shared: {known.reason}"
                self._changes.append(BreakerChange(old, known.state, now, reason, self._generation, wait))
            self._since, self._until, self._leases = known.since, known.until, dict(known.leases)
            self._reopened, self._successes = known.reopened, known.successes
            self._reason, self._fault = known.reason, known.fault
            self._set_steady(now)
            changes = self._taken_changes()
        self._tell(changes)

    @contextmanager
    def _at(self, now: float) -> Iterator[None]:
        """Hold the lock with everything done that time alone does; tell the listeners afterwards."""
        with self._lock:
            self._expire(now)
            try:
                yield
            finally:
                changes = self._taken_changes()
        self._tell(changes)

    # Everything below runs under the lock.

    def _decide(self, now: float, lease: float) -> Permit | BreakerRefusal:
        self._expire(now)
        if (refusal := self._refusal(now)) is not None:
            return refusal
        if self._state is DISABLED:
            return Permit(0)
        if self._state is CLOSED:
            return self._ramped(now)
        if self._state is OPEN:
            self._successes = 0
            self._enter(HALF_OPEN, now, "wait over")
        name = secrets.token_hex(8)
        self._leases[name] = now + lease
        self.revision += 1
        return Permit(self._generation, lease=name)

    def _refusal(self, now: float) -> BreakerRefusal | None:
        if self._state is FORCED_OPEN:
            return BreakerRefusal(self._state, None, self._fault, self._error)
        if self._state is OPEN and now < self._until:
            return BreakerRefusal(self._state, self._until - now, self._fault, self._error)
        if self._state is HALF_OPEN and len(self._leases) >= self.policy.probes:
            # Nobody knows when the test call answers; by the end of its lease at the latest, and most do sooner.
            left = min(self._leases.values()) - now
            return BreakerRefusal(self._state, min(left, self.policy.open_for), self._fault, self._error)
        return None

    def _ramped(self, now: float) -> Permit | BreakerRefusal:
        if (wait := self._ramp.refuse(now)) is not None:
            return BreakerRefusal(self._state, wait, self._fault, self._error)
        self._set_steady(now)
        return Permit(self._generation)

    def _set_steady(self, now: float) -> None:
        if self._state is CLOSED and self._ramp.is_over(now):
            self._ramp.start(None)
            self._reopened, self._fault, self._error = 0, None, None
            self.steady = self._generation
        else:
            self.steady = 0

    def _expire(self, now: float) -> None:
        if self._leases and (end := min(self._leases.values())) <= now:
            self._fault = "timeout"
            self._trip(end, "a test call did not answer within its lease", None)

    def _record_probe(
        self,
        lease: str,
        outcome: Outcome,
        now: float,
        slow: bool | None,
        fault: str | None,
        error: BaseException | None,
    ) -> None:
        self._expire(now)
        if self._leases.pop(lease, None) is None:
            return  # its lease ran out, or another test call has decided
        self.revision += 1
        if outcome is Outcome.FAILURE or (outcome is Outcome.SUCCESS and slow):
            self._fault = fault
            self._trip(now, "a test call was slow" if outcome is Outcome.SUCCESS else "a test call failed", error)
        elif outcome is Outcome.SUCCESS:
            self._successes += 1
            if self._successes >= self.policy.close_after:
                self._window.clear()
                self._ramp.start(now)
                self._enter(CLOSED, now, f"{self._successes} test calls succeeded")

    def _trip(self, at: float, reason: str, error: BaseException | None) -> None:
        # Opening during the ramp is part of the same outage, so the wait goes on growing.
        recovered = self._state is CLOSED and self._ramp.is_over(at)
        self._reopened = 0 if recovered else self._reopened + 1
        wait = self.policy.wait(self._reopened, self._rng())
        self._until = at + wait
        self._ramp.start(None)
        self._error = error
        self._enter(OPEN, at, reason, wait)

    def _enter(self, state: BreakerState, at: float, reason: str, wait: float | None = None) -> None:
        old, self._state, self._since, self._reason = self._state, state, at, reason
        self._generation += 1
        self._era += 1
        self.revision += 1
        self._leases = {}
        self._set_steady(at)
        self._changes.append(BreakerChange(old, state, at, reason, self._generation, wait))

    def _order(self, state: BreakerState, now: float, reason: str) -> None:
        with self._lock:
            self._window.clear()
            self._successes = 0
            self._ramp.start(None)
            self._enter(state, now, reason)
            changes = self._taken_changes()
        self._tell(changes)

    def _taken_changes(self) -> list[BreakerChange]:
        changes, self._changes = self._changes, []
        return changes

    # And this does not.

    def _tell(self, changes: list[BreakerChange]) -> None:
        for change in changes:
            for listener in self._listeners:
                try:
                    listener(change)
                except Exception:
                    log.exception("a listener of the circuit breaker failed; the call goes on")
