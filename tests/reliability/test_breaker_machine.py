"""The circuit breaker's state machine, scenario by scenario; tests/reliability/test_breaker_model.py has the model."""

from __future__ import annotations

import itertools
import json
import math
import threading
from typing import Any

import pytest

from agentprod.errors import ConfigError
from agentprod.reliability.breaker_machine import (
    BreakerChange,
    BreakerMachine,
    BreakerRefusal,
    BreakerState,
    Outcome,
    Permit,
)
from agentprod.reliability.breaker_policy import BreakerPolicy, SlowCalls

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
OK, FAIL, NEUTRAL = Outcome.SUCCESS, Outcome.FAILURE, Outcome.NEUTRAL


def machine(**numbers: Any) -> BreakerMachine:
    """Return a machine whose waits have no jitter, as 0.5 is the middle of it."""
    return BreakerMachine(BreakerPolicy(**numbers), rng=lambda: 0.5)


def permit(circuit: BreakerMachine, now: float) -> Permit:
    answer = circuit.admit(now)
    assert isinstance(answer, Permit), answer
    return answer


def refused(circuit: BreakerMachine, now: float) -> BreakerRefusal:
    answer = circuit.admit(now)
    assert isinstance(answer, BreakerRefusal)
    return answer


def call(circuit: BreakerMachine, outcome: Outcome, now: float, times: int = 1) -> None:
    for _ in range(times):
        circuit.record(permit(circuit, now), outcome, now)


def opened(at: float = 0.0, **numbers: Any) -> BreakerMachine:
    """Return a circuit that ten failures have opened."""
    circuit = machine(**numbers)
    call(circuit, FAIL, at, 10)
    assert circuit.state(at) is OPEN
    return circuit


def closed_again(at: float, **numbers: Any) -> BreakerMachine:
    """Return a circuit that opened 15 seconds before `at` and that two test calls have closed."""
    circuit = opened(at - 15, **numbers)
    call(circuit, OK, at, 2)
    assert circuit.state(at) is CLOSED
    return circuit


@pytest.mark.parametrize(("failures", "successes", "state"), [(10, 10, OPEN), (9, 11, CLOSED), (9, 0, CLOSED)])
def test_a_circuit_opens_at_the_failure_rate_and_not_below_min_calls(
    failures: int, successes: int, state: BreakerState
) -> None:
    """10 failures of 20 calls open it, 9 of 20 do not, nor do 9 of 9."""
    circuit = machine()
    call(circuit, OK, 1.0, successes)
    call(circuit, FAIL, 2.0, failures)
    assert circuit.state(3.0) is state


def test_a_success_may_complete_the_min_calls() -> None:
    """Nine failures and one success are ten calls, nine tenths of them failed."""
    circuit = machine()
    call(circuit, FAIL, 0.0, 9)
    call(circuit, OK, 0.0)
    assert circuit.state(0.0) is OPEN


def test_a_decimal_failure_rate_is_met_exactly() -> None:
    """3 of 30 reach 0.1, although 0.1 * 30 is more than 3 in floating point."""
    circuit = machine(failure_rate=0.1, min_calls=30)
    call(circuit, OK, 0.0, 27)
    call(circuit, FAIL, 0.0, 3)
    assert circuit.state(0.0) is OPEN


def test_neutral_outcomes_are_not_counted() -> None:
    """Mistakes, rate limits and cancellations neither open a circuit nor dilute its failures."""
    circuit = machine()
    call(circuit, NEUTRAL, 0.0, 50)
    assert circuit.state(0.0) is CLOSED
    call(circuit, FAIL, 0.0, 10)
    assert circuit.state(0.0) is OPEN


def test_outcomes_leave_the_window() -> None:
    """Failures of more than a minute ago do not count."""
    circuit = machine()
    call(circuit, FAIL, 0.0, 9)
    call(circuit, FAIL, 61.0, 9)
    assert circuit.state(61.0) is CLOSED
    assert circuit.snapshot(61.0)["calls"] == 9


def test_the_window_slides_bucket_by_bucket() -> None:
    """One call a second leaves between 55 and 60 calls in a window of twelve buckets of five seconds."""
    circuit = machine()
    for second in range(300):
        call(circuit, OK, float(second))
        if second > 60:
            assert 55 <= circuit.snapshot(float(second))["calls"] <= 60


def test_a_time_slightly_in_the_past_counts_in_the_bucket_in_progress() -> None:
    """Threads read the clock before they get the lock, so times may come out of order."""
    circuit = machine()
    call(circuit, OK, 100.0)
    call(circuit, FAIL, 99.9, 9)
    assert circuit.state(100.0) is OPEN


def test_waits_double_up_to_a_cap_and_have_jitter() -> None:
    """15, 30, 60, 120, 240, 300, 300 seconds, each spread by up to a tenth."""
    waits = []
    for spread in (0.0, 0.5, 1.0):
        circuit, now = BreakerMachine(rng=itertools.repeat(spread).__next__), 0.0
        call(circuit, FAIL, now, 10)
        for _ in range(7):
            wait = refused(circuit, now).retry_after
            assert wait is not None
            waits.append(wait)
            now += wait
            call(circuit, FAIL, now)
    middle = [15, 30, 60, 120, 240, 300, 300]
    assert waits == pytest.approx([wait * share for share in (0.9, 1.0, 1.1) for wait in middle])


def test_the_wait_is_short_again_after_a_full_recovery() -> None:
    """Once the ramp is over, an outage is a new one; during the ramp it is the old one."""
    circuit = closed_again(100.0)
    call(circuit, FAIL, 111.0, 10)
    assert refused(circuit, 111.0).retry_after == pytest.approx(15)

    circuit = closed_again(100.0, ramp=(1.0,))
    call(circuit, FAIL, 105.0, 10)
    assert refused(circuit, 105.0).retry_after == pytest.approx(30)


def test_one_call_of_fifty_tests_a_half_open_circuit() -> None:
    """The others are refused and told when another try makes sense."""
    circuit = opened()
    answers = [circuit.admit(15.0) for _ in range(50)]
    refusals = [answer for answer in answers if isinstance(answer, BreakerRefusal)]
    assert len(refusals) == 49
    assert all(refusal.retry_after == 15.0 and refusal.state is HALF_OPEN for refusal in refusals)


def test_a_hung_test_call_loses_its_lease() -> None:
    """That counts as a failure: the circuit opens for longer, later recovers, and the late answer changes nothing."""
    circuit = opened()
    hung = permit(circuit, 15.0)
    assert refused(circuit, 74.9).state is HALF_OPEN
    assert refused(circuit, 75.0).retry_after == pytest.approx(30)
    circuit.record(hung, OK, 76.0)
    assert circuit.state(76.0) is OPEN
    call(circuit, OK, 105.0, 2)
    assert circuit.state(105.0) is CLOSED


def test_a_lost_lease_counts_from_when_it_ended_not_from_when_it_was_seen() -> None:
    """After a long silence the longer wait has passed as well."""
    circuit = opened()
    permit(circuit, 15.0)
    assert circuit.state(75.0 + 30) is HALF_OPEN
    assert isinstance(circuit.admit(75.0 + 30), Permit)


def test_an_attempt_timeout_sets_the_lease() -> None:
    """The lease given at admission goes before the policy's."""
    circuit = opened()
    circuit.admit(15.0, lease=5.0)
    assert refused(circuit, 20.0).state is OPEN


def test_a_test_call_that_makes_progress_renews_its_lease() -> None:
    """A long healthy stream does not count as hung; a call that is none, or too late, cannot renew."""
    circuit = opened()
    assert not circuit.renew(Permit(1), 0.0)
    stream = permit(circuit, 15.0)
    assert circuit.renew(stream, 70.0)
    assert circuit.renew(stream, 100.0, lease=5.0)
    assert not circuit.renew(stream, 105.0)
    assert circuit.state(105.0) is OPEN


def test_a_neutral_test_call_gives_its_permit_back() -> None:
    """The circuit stays half-open and the next call tests it."""
    circuit = opened()
    call(circuit, NEUTRAL, 15.0)
    assert circuit.state(15.0) is HALF_OPEN
    call(circuit, OK, 15.0, 2)
    assert circuit.state(15.0) is CLOSED


def test_a_failed_test_call_opens_the_circuit_for_longer() -> None:
    """One success before it does not help."""
    circuit = opened()
    call(circuit, OK, 15.0)
    call(circuit, FAIL, 16.0)
    assert refused(circuit, 16.0).retry_after == pytest.approx(30)


def test_a_stale_outcome_changes_nothing() -> None:
    """A success from before the circuit opened does not close it, a failure from then does not open it again."""
    circuit = machine()
    early = [permit(circuit, 0.0) for _ in range(20)]
    call(circuit, FAIL, 0.0, 10)
    circuit.record(early[0], OK, 1.0)
    assert circuit.state(1.0) is OPEN
    call(circuit, OK, 15.0, 2)
    for late in early[1:]:
        circuit.record(late, FAIL, 16.0)
    assert circuit.state(16.0) is CLOSED
    assert circuit.snapshot(16.0)["failures"] == 0


def test_a_permit_counts_once() -> None:
    """Recording it again has no effect, whatever the outcome."""
    circuit = machine()
    once = permit(circuit, 0.0)
    for _ in range(10):
        circuit.record(once, FAIL, 0.0)
    assert circuit.snapshot(0.0)["failures"] == 1


def test_calls_come_back_in_steps() -> None:
    """A quarter, then a half, then all calls pass in the ten seconds after closing, the first one at once."""
    circuit = closed_again(100.0)
    shares = {}
    for start in (100.0, 105.0, 110.0):
        answers = [circuit.admit(start + index / 20) for index in range(80)]
        shares[start] = sum(isinstance(answer, Permit) for answer in answers) / 80
        if start == 100.0:
            assert isinstance(answers[0], Permit)
    assert shares == {100.0: 0.25, 105.0: 0.5, 110.0: 1.0}


def test_a_refusal_of_the_ramp_says_when_the_share_grows() -> None:
    """The next step is the next moment at which another try makes sense."""
    circuit = closed_again(100.0)
    permit(circuit, 100.0)
    assert refused(circuit, 101.0).retry_after == pytest.approx(4.0)
    assert refused(circuit, 101.0).state is CLOSED


@pytest.mark.parametrize("numbers", [{"ramp": ()}, {"ramp_for": 0}])
def test_the_ramp_may_be_left_out(numbers: dict[str, Any]) -> None:
    """Then everything passes at once."""
    circuit = closed_again(100.0, **numbers)
    call(circuit, OK, 100.0, 50)


def test_slow_calls_open_the_circuit() -> None:
    """Eight slow calls of ten measured ones do; calls that were not measured are left out of the share."""
    slow = SlowCalls(ttft=5.0, per_token=0.2)
    circuit = machine(slow=slow)
    call(circuit, OK, 0.0, 100)
    for ttft in [1.0] * 2 + [6.0] * 7:
        circuit.record(permit(circuit, 0.0), OK, 0.0, ttft=ttft)
    assert circuit.state(0.0) is CLOSED
    circuit.record(permit(circuit, 0.0), OK, 0.0, ttft=1.0, per_token=0.3)
    assert circuit.state(0.0) is OPEN
    assert circuit.snapshot(0.0)["slow_calls"] == 8


def test_a_slow_test_call_opens_the_circuit_again() -> None:
    """An endpoint that answers slowly has not recovered from being slow."""
    circuit = opened(slow=SlowCalls(per_token=0.2))
    circuit.record(permit(circuit, 15.0), OK, 15.0, per_token=0.5)
    assert circuit.state(15.0) is OPEN


def test_the_refusal_names_the_fault_and_the_error() -> None:
    """What is raised instead of calling can be chained to what opened the circuit."""
    circuit, last = machine(), ValueError("boom")
    for error in [ValueError("earlier")] * 9 + [last]:
        circuit.record(permit(circuit, 0.0), FAIL, 0.0, fault="server", error=error)
    answer = refused(circuit, 1.0)
    assert (answer.fault, answer.error) == ("server", last)


def test_refusal_tells_what_admit_would_without_claiming_a_test_call() -> None:
    """Layers that queue ask first."""
    circuit = opened()
    before = circuit.refusal(5.0)
    assert before is not None
    assert before.retry_after == pytest.approx(10.0)
    assert circuit.refusal(15.0) is None
    assert circuit.refusal(15.0) is None
    permit(circuit, 15.0)
    assert circuit.refusal(16.0) is not None
    assert machine().refusal(0.0) is None


def test_a_forced_open_circuit_refuses_until_reset() -> None:
    """Nobody can say when, and outcomes of earlier calls do not count."""
    circuit = machine()
    early = permit(circuit, 0.0)
    circuit.force_open(0.0, reason="maintenance")
    circuit.record(early, FAIL, 0.0)
    answer = refused(circuit, 1e6)
    assert (answer.state, answer.retry_after) == (BreakerState.FORCED_OPEN, None)
    circuit.reset(1e6)
    assert circuit.state(1e6) is CLOSED
    assert circuit.snapshot(1e6)["calls"] == 0


def test_a_disabled_circuit_admits_and_counts_nothing() -> None:
    """Until reset, that is; an open one is closed by it."""
    circuit = opened()
    circuit.disable(1.0)
    call(circuit, FAIL, 1.0, 50)
    assert circuit.state(1.0) is BreakerState.DISABLED
    circuit.reset(2.0)
    call(circuit, FAIL, 2.0, 9)
    assert circuit.state(2.0) is CLOSED


def test_shadow_mode_admits_what_it_would_refuse() -> None:
    """The permit says so, its outcome does not count, and the states run as they would have."""
    circuit = BreakerMachine(rng=lambda: 0.5, shadow=True)
    call(circuit, FAIL, 0.0, 10)
    would = permit(circuit, 1.0)
    assert would.would_refuse is not None
    assert would.would_refuse.retry_after == pytest.approx(14.0)
    assert circuit.refusal(1.0) is None
    for _ in range(5):
        circuit.record(permit(circuit, 2.0), OK, 2.0)
    assert circuit.state(2.0) is OPEN
    probe = permit(circuit, 15.0)
    assert probe.would_refuse is None
    assert permit(circuit, 15.0).would_refuse is not None
    circuit.record(probe, OK, 15.0)
    call(circuit, OK, 15.0)
    assert circuit.state(15.0) is CLOSED


def test_force_open_refuses_in_shadow_mode_too() -> None:
    """It is a person's order, not the machine's judgement."""
    circuit = BreakerMachine(rng=lambda: 0.5, shadow=True)
    circuit.force_open(0.0)
    assert refused(circuit, 0.0).state is BreakerState.FORCED_OPEN
    assert circuit.refusal(0.0) is not None


def test_a_success_without_a_permit_counts_as_one_with_a_permit_does() -> None:
    """It can be the tenth of ten calls that opens the circuit; one that began before a change does not count."""
    circuit = machine()
    steady = circuit.steady
    for _ in range(3):
        circuit.succeeded(steady, 0.0)
    assert circuit.snapshot(0.0)["calls"] == 3
    call(circuit, FAIL, 1.0, 5)
    circuit.succeeded(steady, 1.0)
    assert circuit.state(1.0) is CLOSED
    circuit.succeeded(steady, 1.0)
    assert circuit.state(1.0) is OPEN
    assert circuit.steady == 0
    circuit.reset(2.0)
    circuit.succeeded(steady, 2.0)
    assert circuit.snapshot(2.0)["calls"] == 0


def test_successes_without_permits_leave_the_window_like_others() -> None:
    """A minute later none of them is in it."""
    circuit = machine()
    circuit.succeeded(circuit.steady, 0.0)
    circuit.succeeded(circuit.steady, 30.0)
    assert circuit.snapshot(30.0)["calls"] == 2
    circuit.succeeded(circuit.steady, 75.0)
    assert circuit.snapshot(75.0)["calls"] == 2


def test_listeners_are_told_of_every_change_outside_the_lock() -> None:
    """They may ask the circuit itself; what one raises reaches neither the call nor the next listener."""
    seen: list[BreakerChange] = []
    states: list[BreakerState] = []

    def broken(change: BreakerChange) -> None:
        raise RuntimeError("listener")

    def look(change: BreakerChange) -> None:
        states.append(circuit.state(change.at))

    circuit = BreakerMachine(rng=lambda: 0.5, listeners=(broken, seen.append, look))
    call(circuit, FAIL, 0.0, 10)
    call(circuit, OK, 15.0, 2)
    assert [(change.old, change.new) for change in seen] == [(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, CLOSED)]
    assert seen[0].reason == "failure rate 1.00 of 10 calls"
    assert seen[0].wait == pytest.approx(15)
    assert [change.generation for change in seen] == [2, 3, 4]
    assert states == [OPEN, HALF_OPEN, CLOSED]


def test_a_snapshot_passes_json_and_another_process_takes_it_over() -> None:
    """Times are relative, so that clocks need not agree; the age of the snapshot is taken off."""
    here, there = opened(1000.0), machine()
    data = json.loads(json.dumps(here.snapshot(1005.0)))
    there.adopt(data, 50.0, age=2.0)
    assert refused(there, 50.0).retry_after == pytest.approx(8.0)
    assert there.snapshot(50.0)["reason"] == "failure rate 1.00 of 10 calls"


def test_adopting_a_half_open_circuit_brings_its_leases() -> None:
    """So no second process tests it, and a lease that runs out is seen by all."""
    here, there = opened(), machine()
    probe = permit(here, 15.0)
    there.adopt(here.snapshot(15.0), 15.0)
    assert refused(there, 16.0).state is HALF_OPEN
    there.record(probe, OK, 17.0)  # a lease is known by name, wherever it is told
    assert there.snapshot(17.0)["successes"] == 1


def test_adopting_a_ramp_keeps_its_progress() -> None:
    """A circuit closed seven seconds ago lets half of the calls through."""
    here, there = closed_again(100.0), machine()
    there.adopt(here.snapshot(100.0), 207.0, age=7.0)
    answers = [there.admit(207.0 + index / 50) for index in range(100)]
    assert sum(isinstance(answer, Permit) for answer in answers) in (50, 51)


def test_adopting_what_is_known_keeps_the_window() -> None:
    """A closed circuit goes on counting when others say that it is closed."""
    circuit = machine()
    call(circuit, FAIL, 0.0, 9)
    circuit.adopt(circuit.snapshot(0.0), 1.0)
    call(circuit, FAIL, 1.0)
    assert circuit.state(1.0) is OPEN


@pytest.mark.parametrize("data", [{}, {"state": "ajar"}, {**machine().snapshot(0.0), "leases": 3}])
def test_what_is_no_snapshot_is_refused(data: dict[str, object]) -> None:
    """And the circuit stays as it was."""
    circuit = machine()
    with pytest.raises(ValueError, match="not a snapshot"):
        circuit.adopt(data, 0.0)
    assert circuit.state(0.0) is CLOSED


def test_the_revision_grows_with_what_must_be_shared() -> None:
    """Leases, outcomes of test calls and changes of state do, calls through a closed circuit do not."""
    circuit = machine()
    call(circuit, OK, 0.0, 5)
    assert circuit.revision == 0
    call(circuit, FAIL, 0.0, 5)
    after_opening = circuit.revision
    assert after_opening > 0
    probe = permit(circuit, 15.0)
    with_lease = circuit.revision
    assert with_lease > after_opening
    circuit.record(probe, OK, 15.0)
    assert circuit.revision > with_lease


def test_only_a_closed_circuit_without_failures_is_clean() -> None:
    """Those alone may be forgotten."""
    assert machine().is_clean(0.0)
    assert not opened().is_clean(0.0)
    assert not opened().is_clean(1e6)
    assert not closed_again(100.0).is_clean(105.0)
    assert closed_again(100.0).is_clean(110.0)
    circuit = machine()
    call(circuit, FAIL, 0.0)
    assert not circuit.is_clean(1.0)
    assert circuit.is_clean(70.0)


def test_many_threads_count_exactly() -> None:
    """16 threads lose and invent nothing."""
    circuit = machine(min_calls=10**9)

    def work() -> None:
        for index in range(500):
            circuit.record(permit(circuit, 0.0), FAIL if index % 5 == 0 else OK, 0.0)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    snapshot = circuit.snapshot(0.0)
    assert (snapshot["calls"], snapshot["failures"]) == (8000, 1600)


def test_threads_racing_for_a_half_open_circuit_get_one_permit() -> None:
    """Whoever comes first tests it."""
    circuit = opened()
    admitted: list[Permit] = []
    barrier = threading.Barrier(16)

    def work() -> None:
        barrier.wait()
        if isinstance(answer := circuit.admit(15.0), Permit):
            admitted.append(answer)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 1


@pytest.mark.parametrize(
    "numbers",
    [
        {"failure_rate": 0},
        {"failure_rate": 1.1},
        {"failure_rate": True},
        {"min_calls": 0},
        {"min_calls": 2.5},
        {"window": 0},
        {"window": math.inf},
        {"open_for": math.nan},
        {"max_open_for": 1.0},
        {"jitter": -0.1},
        {"ramp": (0.5, 0)},
        {"ramp_for": -1},
        {"lease": "60"},
    ],
    ids=str,
)
def test_a_number_out_of_range_is_refused(numbers: dict[str, Any]) -> None:
    """With the name, the value and the range, when the policy is built."""
    with pytest.raises(ConfigError, match=next(iter(numbers))):
        machine(**numbers)


@pytest.mark.parametrize("numbers", [{}, {"ttft": 0.0}, {"ttft": 1.0, "rate": 0.0}], ids=str)
def test_a_slow_rule_that_cannot_work_is_refused(numbers: dict[str, float]) -> None:
    """It needs a limit above 0 and a share."""
    with pytest.raises(ConfigError):
        SlowCalls(**numbers)
