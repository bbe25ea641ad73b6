"""State by key, bounded."""

from __future__ import annotations

import threading

import pytest

from agentprod.errors import ConfigError
from agentprod.reliability.breaker_machine import BreakerMachine, BreakerState, Outcome, Permit
from agentprod.reliability.breaker_policy import BreakerPolicy
from agentprod.reliability.registry import Registry


class Note:
    """A state that is clean when told to be."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.clean = True

    def is_clean(self, now: float) -> bool:
        return self.clean


def test_a_key_has_one_state() -> None:
    """The same object each time."""
    registry = Registry(Note)
    assert registry.get("a", 0.0) is registry.get("a", 1.0)
    assert registry.peek("a") is registry.get("a", 2.0)
    assert registry.peek("b") is None


def test_the_least_recently_used_clean_state_goes_first() -> None:
    """Looking at one without using it does not keep it."""
    registry = Registry(Note, max_keys=3)
    for key in "abc":
        registry.get(key, 0.0)
    registry.get("a", 0.0)
    registry.peek("b")
    registry.get("d", 0.0)
    assert [key for key, _ in registry.items()] == ["c", "a", "d"]


def test_a_state_that_matters_stays() -> None:
    """Others go instead of it, however recently they were used."""
    registry = Registry(Note, max_keys=3)
    for key in "abc":
        registry.get(key, 0.0).clean = key == "c"
    registry.get("d", 0.0)
    assert {key for key, _ in registry.items()} == {"a", "b", "d"}


def test_when_every_state_matters_a_new_key_gets_one_that_is_not_kept() -> None:
    """It works for the call in hand; the bound holds."""
    registry = Registry(Note, max_keys=2)
    for key in "ab":
        registry.get(key, 0.0).clean = False
    assert registry.get("c", 0.0).key == "c"
    assert registry.peek("c") is None
    assert len(registry) == 2


def test_scenario_52_ten_thousand_models_leave_at_most_1024_circuits_and_the_open_ones() -> None:
    """However many names come by."""
    registry = Registry(lambda _: BreakerMachine(BreakerPolicy()))
    for index in range(10_000):
        circuit = registry.get(f"model-{index}", 0.0)
        for _ in range(10 if index % 1000 == 0 else 0):
            permit = circuit.admit(0.0)
            assert isinstance(permit, Permit)
            circuit.record(permit, Outcome.FAILURE, 0.0)
    assert len(registry) == 1024
    opened = [key for key, circuit in registry.items() if circuit.state(0.0) is BreakerState.OPEN]
    assert len(opened) == 10


def test_threads_asking_for_a_new_key_get_the_same_state() -> None:
    """It is made once."""
    registry = Registry(Note)
    barrier, seen = threading.Barrier(8), []

    def work() -> None:
        barrier.wait()
        seen.append(registry.get("a", 0.0))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len({id(note) for note in seen}) == 1


def test_a_registry_of_nothing_is_refused() -> None:
    """At least one key must fit."""
    with pytest.raises(ConfigError, match="max_keys"):
        Registry(Note, max_keys=0)
