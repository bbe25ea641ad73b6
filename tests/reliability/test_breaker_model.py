"""The circuit breaker beside an oracle that keeps every outcome and recomputes everything from the list."""

from __future__ import annotations

from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentprod.reliability.breaker_machine import BreakerMachine, BreakerRefusal, BreakerState, Outcome, Permit
from agentprod.reliability.breaker_policy import BreakerPolicy

POLICY = BreakerPolicy(min_calls=4, window=60, open_for=10, max_open_for=35, lease=20, ramp_for=8, probes=2)
OUTCOMES = {
    "success": Outcome.SUCCESS,
    "failure": Outcome.FAILURE,
    "neutral": Outcome.NEUTRAL,
}
Told = Literal["success", "failure", "neutral"]


class Oracle:
    """What the rules say, written for reading; times are whole halves of a second, so sums are exact."""

    def __init__(self) -> None:
        self.state = "closed"
        self.era = 0
        self.outcomes: list[tuple[int, bool]] = []
        self.anchor: float | None = None
        self.last = 0
        self.until = 0.0
        self.opens = 0
        self.leases: dict[object, float] = {}
        self.successes = 0
        self.ramp_from: float | None = None
        self.ramp_calls: list[float] = []

    def bucket(self, now: float) -> int:
        """Buckets are 5 seconds, counted from when the window was first looked at after a pause of its whole length."""
        if self.anchor is None or now >= self.anchor + 5 * (self.last + 1) + 60:
            self.anchor, self.last, self.outcomes = now, 0, []
        self.last = max(self.last, int((now - self.anchor) // 5))
        return self.last

    def expire(self, now: float) -> None:
        if self.state == "half_open" and self.leases and min(self.leases.values()) <= now:
            self.open(min(self.leases.values()))

    def open(self, at: float) -> None:
        if self.state == "closed" and not self.ramping(at):
            self.opens = 0
        self.until = at + min(10 * 2**self.opens, 35)
        self.opens += 1
        self.state, self.ramp_from, self.leases = "open", None, {}
        self.era += 1

    def ramping(self, now: float) -> bool:
        return self.ramp_from is not None and now < self.ramp_from + 8

    def admits(self, now: float) -> bool:
        self.expire(now)
        if self.state == "open" and now >= self.until:
            self.state, self.successes = "half_open", 0
            self.era += 1
        if self.state == "half_open":
            return len(self.leases) < 2
        if self.state == "closed" and self.ramping(now):
            assert self.ramp_from is not None
            self.ramp_calls.append(0.25 if now < self.ramp_from + 4 else 0.5)
            passed = int(0.75 + sum(self.ramp_calls))
            return passed > int(0.75 + sum(self.ramp_calls[:-1]))
        return self.state == "closed"

    def told(self, era: int, lease: object, outcome: Told, now: float) -> None:
        if lease is not None:
            self.expire(now)
            if self.leases.pop(lease, None) is None:
                return
            if outcome == "failure":
                self.open(now)
            elif outcome == "success":
                self.successes += 1
                if self.successes == 2:
                    self.state, self.leases = "closed", {}
                    self.era += 1
                    self.outcomes, self.anchor = [], None
                    self.ramp_from, self.ramp_calls = now, []
        elif era == self.era and outcome != "neutral":
            bucket = self.bucket(now)
            self.outcomes.append((bucket, outcome == "failure"))
            counted = [failed for number, failed in self.outcomes if number > self.last - 12]
            if len(counted) >= 4 and sum(counted) / len(counted) >= 0.5:
                self.open(now)


class BreakerModel(RuleBasedStateMachine):
    """Runs both through the same calls and compares them after each step."""

    @initialize()
    def start(self) -> None:
        self.now = 1000.0
        self.circuit = BreakerMachine(POLICY, rng=lambda: 0.5)
        self.oracle = Oracle()
        self.running: list[tuple[Permit, int]] = []
        self.revision = 0

    @rule(halves=st.one_of(st.integers(0, 8), st.integers(8, 200)))
    def time_passes(self, halves: int) -> None:
        self.now += halves / 2

    @rule()
    def call_begins(self) -> None:
        expected = self.oracle.admits(self.now)
        answer = self.circuit.admit(self.now)
        assert isinstance(answer, Permit) is expected
        if isinstance(answer, Permit):
            if self.oracle.state == "half_open":
                assert answer.lease is not None
                self.oracle.leases[answer.lease] = self.now + 20
            else:
                assert answer.lease is None
            self.running.append((answer, self.oracle.era))
        else:
            assert isinstance(answer, BreakerRefusal)
            assert answer.retry_after is not None
            assert answer.retry_after > 0

    @precondition(lambda self: self.running)
    @rule(data=st.data(), outcome=st.sampled_from(sorted(OUTCOMES)))
    def call_ends(self, data: st.DataObject, outcome: Told) -> None:
        permit, era = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.oracle.told(era, permit.lease, outcome, self.now)
        self.circuit.record(permit, OUTCOMES[outcome], self.now)
        self.circuit.record(permit, Outcome.FAILURE, self.now)  # a second time has no effect

    @rule()
    def another_process_takes_over(self) -> None:
        copy = BreakerMachine(POLICY, rng=lambda: 0.5)
        self.oracle.bucket(self.now)
        copy.adopt(self.circuit.snapshot(self.now), self.now)
        assert copy.state(self.now) is self.circuit.state(self.now)
        assert (copy.refusal(self.now) is None) is (self.circuit.refusal(self.now) is None)

    @invariant()
    def states_agree(self) -> None:
        self.oracle.expire(self.now)
        state = self.oracle.state
        if state == "open" and self.now >= self.oracle.until:
            state = "half_open"
        assert self.circuit.state(self.now) is BreakerState(state)
        if state == "open":
            refusal = self.circuit.refusal(self.now)
            assert refusal is not None
            assert refusal.retry_after == self.oracle.until - self.now

    @invariant()
    def revisions_only_grow(self) -> None:
        assert self.circuit.revision >= self.revision
        self.revision = self.circuit.revision

    @invariant()
    def never_more_leases_than_probes(self) -> None:
        self.oracle.bucket(self.now)  # a snapshot looks at the window
        assert len(self.circuit.snapshot(self.now)["leases"]) <= POLICY.probes


BreakerModel.TestCase.settings = settings(max_examples=150, stateful_step_count=60)
test_the_circuit_does_what_its_rules_say = BreakerModel.TestCase
