"""The circuits of one breaker by key, of this process alone or shared through a store."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from agentprod.board import Refusal
from agentprod.forks import after_fork
from agentprod.reliability.breaker_machine import BreakerChange, BreakerMachine, BreakerState
from agentprod.reliability.registry import Registry
from agentprod.reliability.shared_breaker import SharedBreaker
from agentprod.vitals import circuit_changed

if TYPE_CHECKING:
    from agentprod.call import Target
    from agentprod.reliability.breaker_policy import BreakerPolicy
    from agentprod.reliability.scope import Scope
    from agentprod.stores import Store

__all__ = ["CIRCUIT_REFUSES", "Circuit", "CircuitCheck", "CircuitListener", "Circuits"]

CircuitListener: TypeAlias = Callable[[str, BreakerChange], object]
"""Is told of every change of every circuit, with its key."""

CIRCUIT_REFUSES = "circuit"
"""Reason on the board of a target whose circuit takes no call."""

_log = logging.getLogger("agentprod")

_jitter = random.Random()
# Forked workers would otherwise wait the same times, and test the endpoint in step.
after_fork(_jitter.seed)


class Circuit:
    """One circuit, and how other processes hear of it."""

    __slots__ = ("machine", "shared")

    def __init__(self, machine: BreakerMachine) -> None:
        self.machine = machine
        self.shared: SharedBreaker | None = None

    def is_clean(self, now: float) -> bool:
        """Return whether forgetting it would lose nothing."""
        return self.machine.is_clean(now)


class Circuits:
    """Circuits by key, made on first use; at most 1,024, of which open ones are never forgotten.

    Args:
        policy: the numbers of each.

        scope: what a key means.

        shadow: whether they admit everything.

        listeners: are told of every change.

        seed: makes the jitter of the waits repeatable.
    """

    def __init__(
        self,
        policy: BreakerPolicy,
        scope: Scope,
        *,
        shadow: bool,
        listeners: tuple[CircuitListener, ...] = (),
        seed: int | None = None,
    ) -> None:
        self.scope = scope
        self.store: Store | None = None
        self._policy = policy
        self._shadow = shadow
        self._listeners = listeners
        self._rng = (_jitter if seed is None else random.Random(seed)).random
        self._ordered: BreakerState | None = None  # what a person ordered for all keys, those to come included
        self._known: Registry[Circuit] = Registry(self._make)
        self.get = self._known.get
        """Returns the circuit of a key at a time, made if need be."""

    def share(self, store: Store) -> None:
        """Share every circuit with the processes that use the same store."""
        self.store = store
        for key, circuit in self._known.items():
            circuit.shared = SharedBreaker(circuit.machine, store, key)

    def order(self, state: BreakerState, key: str | None, now: float) -> None:
        """Do what a person says with one circuit or, with `None`, all of them, and tell the other processes."""
        if key is None:
            self._ordered = None if state is BreakerState.CLOSED else state
            chosen = [circuit for _, circuit in self._known.items()]
        else:
            chosen = [self._known.get(key, now)]
        for circuit in chosen:
            _give_order(circuit.machine, state, now)
            if circuit.shared is not None:
                circuit.shared.exchange(now)

    def state(self, key: str, now: float) -> BreakerState:
        """Return the state of a key's circuit; of a key without one, what a new circuit's would be."""
        circuit = self._known.peek(key)
        return (self._ordered or BreakerState.CLOSED) if circuit is None else circuit.machine.state(now)

    def states(self, now: float) -> dict[str, BreakerState]:
        """Return the state of every circuit."""
        return {key: circuit.machine.state(now) for key, circuit in self._known.items()}

    def shown_states(self, now: float) -> dict[str, str]:
        """Return the states by names fit to show, of circuits that show alike the one least fit."""
        found: dict[str, str] = {}
        for key, circuit in self._known.items():
            state, name = circuit.machine.state(now), self.scope.shown(key)
            if name not in found or state in (BreakerState.OPEN, BreakerState.FORCED_OPEN):
                found[name] = state.value
        return found

    def snapshots(self, now: float) -> dict[str, dict[str, Any]]:
        """Return where every circuit stands, with what led there, as JSON-able data."""
        return {key: _snapshot(circuit.machine, now) for key, circuit in self._known.items()}

    def refusal(self, target: Target, now: float) -> Refusal | None:
        """Say whether the target's circuit would refuse a call now, without claiming anything."""
        if self.scope.of_target is None:
            return None
        circuit = self._known.peek(self.scope.of_target(target))
        refused = None if circuit is None else circuit.machine.refusal(now)
        if refused is None:
            return None
        return Refusal(CIRCUIT_REFUSES, float("inf") if refused.retry_after is None else refused.retry_after)

    def _make(self, key: str) -> Circuit:
        shown = self.scope.shown(key)

        def log(change: BreakerChange) -> None:
            level = logging.WARNING if change.new is BreakerState.OPEN else logging.INFO
            _log.log(level, "the circuit of %s is %s: %s", shown, change.new.value, change.reason)
            if not self._shadow:
                circuit_changed(shown, change.new.value)

        told = tuple(_with_key(listener, key) for listener in self._listeners)
        circuit = Circuit(BreakerMachine(self._policy, rng=self._rng, listeners=(log, *told), shadow=self._shadow))
        if self.store is not None:
            circuit.shared = SharedBreaker(circuit.machine, self.store, key)
        if self._ordered is not None:
            _give_order(circuit.machine, self._ordered, 0.0)
        return circuit


def _with_key(listener: CircuitListener, key: str) -> Callable[[BreakerChange], object]:
    return lambda change: listener(key, change)


def _snapshot(machine: BreakerMachine, now: float) -> dict[str, Any]:
    refusal, found = machine.refusal(now), machine.snapshot(now)
    shown = ("state", "reason", "fault", "calls", "failures", "slow_calls")
    return {
        **{name: found[name] for name in shown},
        "since": found["age"],
        "retry_after": None if refusal is None else refusal.retry_after,
    }


def _give_order(machine: BreakerMachine, state: BreakerState, now: float) -> None:
    if state is BreakerState.FORCED_OPEN:
        machine.force_open(now)
    elif state is BreakerState.DISABLED:
        machine.disable(now)
    else:
        machine.reset(now)


class CircuitCheck:
    """Answers for a breaker on the board, which holds it weakly: a breaker that is gone refuses nothing."""

    __slots__ = ("__weakref__", "_circuits")

    def __init__(self, circuits: Circuits) -> None:
        self._circuits = circuits

    def __call__(self, target: Target, now: float) -> Refusal | None:
        """Say whether the target's circuit would refuse a call now."""
        return self._circuits.refusal(target, now)
