"""The rate limiter, scenario by scenario; tests/reliability/test_gcra_model.py has the model."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agentprod.errors import ConfigError
from agentprod.reliability.gcra import Dimension, Gcra, Reservation, Shortage


class Signal:
    """Counts how often it was set."""

    def __init__(self) -> None:
        self.times = 0

    def set(self) -> None:
        self.times += 1


def limiter(*limits: float | None, per: float = 60.0, burst: float | None = None) -> Gcra:
    """Return a limiter with one dimension per limit, named a, b, c."""
    return Gcra([Dimension(name, limit, per, burst) for name, limit in zip("abc", limits, strict=False)])


def take(gcra: Gcra, now: float, *costs: float) -> Reservation:
    answer = gcra.reserve(costs, now)
    assert isinstance(answer, Reservation), answer
    return answer


def short(gcra: Gcra, now: float, *costs: float) -> Shortage:
    answer = gcra.reserve(costs, now)
    assert isinstance(answer, Shortage)
    return answer


def test_a_burst_passes_and_the_next_waits_for_the_leak() -> None:
    """60 a minute: 60 at once, then one a second."""
    gcra = limiter(60)
    for _ in range(60):
        take(gcra, 100.0, 1)
    answer = short(gcra, 100.0, 1)
    assert (answer.dimension, answer.limit) == ("a", 60)
    assert answer.retry_after == pytest.approx(1.0)
    take(gcra, 101.0, 1)
    assert short(gcra, 101.0, 1).retry_after == pytest.approx(1.0)


def test_sums_that_fill_the_burst_exactly_pass() -> None:
    """30 times 3,000 tokens are 90,000, whatever rounding makes of it, at any time of the clock."""
    for now in (0.0, 12_345.678, 9_999_999.9):
        gcra = limiter(90_000)
        for _ in range(30):
            take(gcra, now, 3000)
        short(gcra, now, 1)


def test_all_dimensions_are_booked_or_none() -> None:
    """Where tokens refuse, requests are not consumed, and the shortage names the tokens."""
    gcra = limiter(10, 1000)
    take(gcra, 0.0, 1, 900)
    assert short(gcra, 0.0, 1, 200).dimension == "b"
    assert gcra.remaining(0.0) == {"a": pytest.approx(9), "b": pytest.approx(100)}


def test_the_longest_wait_decides() -> None:
    """Two exhausted dimensions: the one that has room last is named."""
    gcra = limiter(10, 1000)
    take(gcra, 0.0, 10, 1000)
    answer = short(gcra, 0.0, 1, 500)
    assert answer.dimension == "b"
    assert answer.retry_after == pytest.approx(30.0)


def test_a_dimension_without_cost_does_not_hold_up_a_call() -> None:
    """Embeddings need no output tokens."""
    gcra = limiter(10, 1000)
    take(gcra, 0.0, 1, 1000)
    take(gcra, 0.0, 1, 0)


def test_no_sliding_minute_sees_more_than_limit_and_burst() -> None:
    """50 callers of 3,000 tokens for three minutes, in both dimensions."""
    gcra = Gcra([Dimension("requests", 60, burst=10), Dimension("tokens", 90_000, burst=9_000)])
    sent: list[float] = []
    for step in range(180 * 20):
        now = 1000 + step / 20
        while isinstance(gcra.reserve((1, 3000), now), Reservation):
            sent.append(now)
    worst = max(sum(1 for other in sent if start <= other < start + 60) for start in sent)
    assert worst <= 33
    assert len(sent) >= 90  # and it does not throttle more than it must: 30 a minute fit


def test_a_cheaper_call_gives_room_back_at_once() -> None:
    """4,000 reserved and 600 used: the next caller does not wait for the leak."""
    gcra = limiter(4500, per=60)
    first = take(gcra, 0.0, 4000)
    short(gcra, 2.0, 3000)
    gcra.settle(first, 2.0, (600,))
    take(gcra, 2.0, 3000)


def test_a_dearer_call_leaves_a_debt() -> None:
    """4,000 reserved and 6,000 used: the next one waits longer."""
    gcra = limiter(4500, per=60)
    gcra.settle(take(gcra, 0.0, 4000), 0.0, (6000,))
    assert gcra.remaining(0.0)["a"] == pytest.approx(-1500)
    assert short(gcra, 0.0, 500).retry_after == pytest.approx(2000 / 4500 * 60)


def test_a_refund_gives_everything_back() -> None:
    """Nothing was processed, so nothing was used."""
    gcra = limiter(10, 1000)
    gcra.refund(take(gcra, 0.0, 10, 1000), 0.0)
    assert gcra.remaining(0.0) == {"a": pytest.approx(10), "b": pytest.approx(1000)}


def test_settling_without_usage_leaves_what_was_booked() -> None:
    """After a timeout the provider may have counted it all."""
    gcra = limiter(10)
    gcra.settle(take(gcra, 0.0, 10), 0.0)
    short(gcra, 5.0, 1)
    take(gcra, 6.0, 1)


def test_a_reservation_is_settled_once() -> None:
    """A refund after a settlement, or a second one, has no effect."""
    gcra = limiter(10)
    taken = take(gcra, 0.0, 10)
    gcra.settle(taken, 0.0, (8,))
    gcra.refund(taken, 0.0)
    gcra.settle(taken, 0.0, (1,))
    assert gcra.remaining(0.0)["a"] == pytest.approx(2)


def test_what_has_leaked_is_not_given_back() -> None:
    """Room that another call has used in the meantime cannot be used twice."""
    gcra = limiter(1500, per=1, burst=10_000)
    first = take(gcra, 0.0, 4000)
    take(gcra, 1.0, 1000)
    gcra.settle(first, 1.0, (600,))
    # Booked rightly from the start, 600 would have leaked within 0.4 s, and 1,000 would stand there now.
    assert gcra.remaining(1.0)["a"] == pytest.approx(9000)


def test_a_refund_counts_the_refunds_before_it() -> None:
    """They moved it forward in the queue of what leaks, so more of it has leaked than its own place says."""
    gcra = limiter(10, per=10)
    first, second = take(gcra, 0.0, 1), take(gcra, 0.0, 5)
    gcra.refund(first, 0.0)
    take(gcra, 2.0, 5)
    gcra.refund(second, 2.0)
    assert gcra.remaining(2.0)["a"] == pytest.approx(5)


def test_a_cost_above_the_burst_goes_alone_when_the_bucket_is_full() -> None:
    """It neither waits for ever nor passes beside others, and what it overdrew has to leak first."""
    gcra = limiter(100, per=10)
    taken = take(gcra, 0.0, 10)
    assert short(gcra, 0.0, 250).retry_after == pytest.approx(1.0)
    gcra.settle(taken, 0.0)
    take(gcra, 1.0, 250)
    assert short(gcra, 1.0, 1).retry_after == pytest.approx((250 - 100 + 1) / 10)


def test_a_wrong_number_of_costs_or_a_negative_one_is_refused() -> None:
    """And books nothing."""
    gcra = limiter(10, 1000)
    for costs in ((1,), (1, 2, 3), (1, -5), (float("nan"), 1)):
        with pytest.raises(ValueError, match="cost"):
            gcra.reserve(costs, 0.0)
    assert gcra.remaining(0.0) == {"a": pytest.approx(10), "b": pytest.approx(1000)}


def test_a_big_waiter_is_served_in_turn() -> None:
    """One waiter for 900 units among 10-unit traffic on 1,000 a second: nobody passes it."""
    gcra = limiter(1000, per=1)
    take(gcra, 0.0, 1000)
    big = gcra.join((900,))
    order: list[str] = []
    for step in range(1, 100):
        now = step / 100
        if isinstance(gcra.reserve((10,), now), Reservation):
            order.append("small")
        if "big" not in order and isinstance(gcra.claim(big, now), Reservation):
            order.append("big")
    assert order[0] == "big"
    assert "small" in order


def test_the_line_is_served_in_its_order_and_each_one_is_woken() -> None:
    """A refund that makes room for two wakes these two, and the third to look again."""
    gcra = limiter(100)
    taken = take(gcra, 0.0, 100)
    tickets = [gcra.join((40,)) for _ in range(3)]
    signals = [Signal() for _ in tickets]
    for ticket, signal in zip(tickets, signals, strict=True):
        assert isinstance(gcra.claim(ticket, 0.0, signal), Shortage)
    gcra.refund(taken, 0.0)
    assert [signal.times for signal in signals] == [1, 1, 1]
    assert [isinstance(gcra.claim(ticket, 0.0), Reservation) for ticket in tickets] == [True, True, False]


def test_waits_in_line_count_those_ahead() -> None:
    """Each is told when its own turn comes, and a newcomer when the last one's does."""
    gcra = limiter(60)
    take(gcra, 0.0, 60)
    tickets = [gcra.join((10,)) for _ in range(3)]
    waits = [gcra.claim(ticket, 0.0) for ticket in tickets]
    assert [shortage.retry_after for shortage in waits if isinstance(shortage, Shortage)] == pytest.approx([10, 20, 30])
    assert short(gcra, 0.0, 10).retry_after == pytest.approx(40)
    assert gcra.wait((10,), 0.0) == pytest.approx(40)


def test_who_needs_nothing_of_what_is_short_waits_in_line_all_the_same() -> None:
    """First come, first served; its wait is that of the first one, and never 0."""
    gcra = limiter(60, 60)
    take(gcra, 0.0, 1, 60)
    gcra.join((1, 30))
    assert short(gcra, 0.0, 1, 0).retry_after == pytest.approx(30)


def test_a_ticket_nobody_looks_at_does_not_hold_up_the_line() -> None:
    """Its thread is busy or its loop is gone: whoever looks next books for it and goes on."""
    gcra = limiter(60)
    take(gcra, 0.0, 60)
    sleeper, awake = gcra.join((10,)), gcra.join((10,))
    assert isinstance(gcra.claim(awake, 20.0), Reservation)
    assert isinstance(gcra.claim(sleeper, 100.0), Reservation)


def test_a_newcomer_is_served_once_the_line_has_been() -> None:
    """Those in line get their room, and what is left is there to take."""
    gcra = limiter(60)
    take(gcra, 0.0, 60)
    waiting, signal = gcra.join((10,)), Signal()
    gcra.claim(waiting, 0.0, signal)
    take(gcra, 30.0, 10)
    assert signal.times == 1
    assert isinstance(gcra.claim(waiting, 30.0), Reservation)


def test_leaving_the_line_moves_up_those_behind() -> None:
    """The next one is woken and told its shorter wait."""
    gcra = limiter(60)
    take(gcra, 0.0, 60)
    first, second, signal = gcra.join((50,)), gcra.join((10,)), Signal()
    gcra.claim(first, 0.0)
    gcra.claim(second, 0.0, signal)
    gcra.leave(first, 0.0)
    assert signal.times == 1
    answer = gcra.claim(second, 0.0)
    assert isinstance(answer, Shortage)
    assert answer.retry_after == pytest.approx(10)


def test_leaving_from_the_middle_of_the_line() -> None:
    """Who was behind it moves up when its turn comes."""
    gcra = limiter(60)
    take(gcra, 0.0, 60)
    first, second, third = gcra.join((10,)), gcra.join((40,)), gcra.join((10,))
    signal = Signal()
    gcra.claim(third, 0.0, signal)
    gcra.leave(second, 0.0)
    assert isinstance(gcra.claim(first, 10.0), Reservation)
    assert signal.times == 1
    answer = gcra.claim(third, 10.0)
    assert isinstance(answer, Shortage)
    assert answer.retry_after == pytest.approx(10)


def test_leaving_gives_back_what_was_booked_but_not_claimed() -> None:
    """A cancelled waiter whose turn had come costs nothing, and the next one gets the room."""
    gcra = limiter(60)
    taken = take(gcra, 0.0, 60)
    cancelled, other = gcra.join((60,)), gcra.join((60,))
    signal = Signal()
    gcra.claim(other, 0.0, signal)
    gcra.refund(taken, 0.0)
    gcra.leave(cancelled, 0.0)
    assert signal.times >= 1
    assert isinstance(gcra.claim(other, 0.0), Reservation)


def test_leaving_after_a_claim_changes_nothing() -> None:
    """So it may stand in a `finally`."""
    gcra = limiter(60)
    ticket = gcra.join((60,))
    assert isinstance(gcra.claim(ticket, 0.0), Reservation)
    gcra.leave(ticket, 0.0)
    gcra.leave(ticket, 0.0)
    short(gcra, 0.0, 1)


def test_a_header_without_rest_blocks_until_its_reset() -> None:
    """Although the local bucket is full; other dimensions' calls pass."""
    gcra = limiter(60, 1000)
    gcra.sync("a", 10.0, sent_at=9.0, limit=60, remaining=0, reset=58.0)
    answer = short(gcra, 10.0, 1, 1)
    assert answer.dimension == "a"
    assert answer.retry_after == pytest.approx(58.0)
    take(gcra, 10.0, 0, 1)
    assert not gcra.is_clean(10.0)
    take(gcra, 68.0, 1, 1)


def test_a_newer_header_with_rest_lifts_the_block() -> None:
    """The reset came earlier than announced; what has leaked since is there, the local bucket's rest is not."""
    gcra = limiter(60)
    gcra.sync("a", 10.0, sent_at=9.0, remaining=0, reset=58.0)
    gcra.sync("a", 20.0, sent_at=19.0, remaining=50, reset=10.0)
    assert gcra.remaining(20.0)["a"] == pytest.approx(10)
    take(gcra, 20.0, 1)


def test_a_late_header_of_an_older_request_is_ignored() -> None:
    """Responses overtake each other; the send time tells which is newer."""
    gcra = limiter(60)
    gcra.sync("a", 10.0, sent_at=9.0, remaining=40)
    gcra.sync("a", 11.0, sent_at=8.0, remaining=0, reset=60.0)
    take(gcra, 11.0, 30)


@pytest.mark.parametrize("header", [{"limit": -1, "remaining": 0}, {"limit": 0, "remaining": 0}, {"remaining": -1}])
def test_unknown_values_in_headers_are_ignored(header: dict[str, Any]) -> None:
    """Azure sends -1 and 0."""
    gcra = limiter(60)
    gcra.sync("a", 0.0, sent_at=0.0, reset=60.0, **header)
    take(gcra, 0.0, 60)


def test_a_dimension_the_limiter_has_not_is_ignored() -> None:
    """Providers may add some."""
    gcra = limiter(60)
    gcra.sync("tokens", 0.0, sent_at=0.0, remaining=0, reset=60.0)
    take(gcra, 0.0, 60)


def test_what_is_in_flight_is_taken_off_the_rest() -> None:
    """The provider has not seen it yet; the answered request itself it has."""
    gcra = limiter(100)
    answered, running = take(gcra, 0.0, 10), take(gcra, 0.0, 20)
    gcra.sync("a", 0.0, sent_at=0.0, remaining=50, counted=answered)
    assert gcra.remaining(0.0)["a"] == pytest.approx(30)
    gcra.settle(answered, 0.0, (2,))  # the provider's rest had its true cost taken off already
    assert gcra.remaining(0.0)["a"] == pytest.approx(30)
    gcra.refund(running, 0.0)
    assert gcra.remaining(0.0)["a"] == pytest.approx(50)


def test_a_header_never_adds_to_what_is_left() -> None:
    """The local count is right about this process; the header may not have seen it all."""
    gcra = limiter(100)
    gcra.settle(take(gcra, 0.0, 90), 0.0)
    gcra.sync("a", 0.0, sent_at=0.0, remaining=99)
    assert gcra.remaining(0.0)["a"] == pytest.approx(10)


def test_limits_are_adopted_but_never_above_the_configured_one() -> None:
    """The provider knows its limit; a lower one that was configured is a wish."""
    gcra = limiter(100)
    gcra.settle(take(gcra, 0.0, 30), 0.0)
    gcra.sync("a", 0.0, sent_at=0.0, limit=50)
    assert gcra.remaining(0.0)["a"] == pytest.approx(20)
    gcra.sync("a", 0.0, sent_at=1.0, limit=1000)
    assert gcra.remaining(0.0)["a"] == pytest.approx(70)


def test_a_limit_is_learnt_from_headers() -> None:
    """Until then everything passes; calls in flight count from the start."""
    gcra = limiter(None)
    running = take(gcra, 0.0, 60)
    assert gcra.remaining(0.0)["a"] == float("inf")
    gcra.sync("a", 0.0, sent_at=0.0, limit=100)
    assert gcra.remaining(0.0)["a"] == pytest.approx(40)
    gcra.refund(running, 0.0)
    assert gcra.remaining(0.0)["a"] == pytest.approx(100)


def test_a_header_wakes_the_line_to_look_again() -> None:
    """A larger limit shortens the wait."""
    gcra = limiter(None)
    gcra.sync("a", 0.0, sent_at=0.0, limit=10)
    take(gcra, 0.0, 10)
    ticket, signal = gcra.join((10,)), Signal()
    gcra.claim(ticket, 0.0, signal)
    gcra.sync("a", 0.0, sent_at=1.0, limit=100)
    assert signal.times == 1
    assert isinstance(gcra.claim(ticket, 0.0), Reservation)


def test_what_was_used_as_booked_is_no_longer_in_flight() -> None:
    """However many calls have ended so, and whoever asks next; the room they used stays used."""
    gcra = limiter(1000)
    ended = [take(gcra, 0.0, 1) for _ in range(200)]
    open_still = take(gcra, 0.0, 1)
    for reservation in ended:
        gcra.keep(reservation)
    gcra.sync("a", 0.0, sent_at=0.0, remaining=500)
    assert gcra.remaining(0.0)["a"] == pytest.approx(499)
    gcra.keep(open_still)
    assert not gcra.is_clean(0.0)
    assert gcra.is_clean(60.0)
    for _ in range(200):
        gcra.keep(take(gcra, 60.0, 1))
    assert len(gcra.reservations) < 100
    assert gcra.in_flight(60.0) == 0
    assert gcra.remaining(60.0)["a"] == pytest.approx(800)


def test_an_unsettled_reservation_stops_counting_as_in_flight() -> None:
    """After its lease it is taken as used; a refund that comes later still finds its way."""
    gcra = Gcra([Dimension("a", 100, per=10_000)], lease=60.0)
    lost = take(gcra, 0.0, 50)
    gcra.sync("a", 59.0, sent_at=59.0, remaining=60)
    assert gcra.remaining(59.0)["a"] == pytest.approx(10)
    gcra.sync("a", 61.0, sent_at=61.0, remaining=5)
    assert gcra.remaining(61.0)["a"] == pytest.approx(5)
    gcra.refund(lost, 61.0)
    assert gcra.remaining(61.0)["a"] == pytest.approx(55, abs=1)


def test_memory_is_bounded_by_the_lease() -> None:
    """Reservations that nobody settles are swept without anybody asking."""
    gcra = Gcra([Dimension("a", 1000, per=1)], lease=80.0)
    for second in range(100):
        take(gcra, float(second), 1)
    gcra.sync("a", 1000.0, sent_at=1000.0)
    assert gcra.is_clean(1000.0)


def test_a_limiter_is_clean_when_nothing_is_booked_or_waiting() -> None:
    """Only then may it be forgotten."""
    gcra = limiter(60)
    assert gcra.is_clean(0.0)
    taken = take(gcra, 0.0, 1)
    assert not gcra.is_clean(0.5)
    gcra.settle(taken, 0.5)
    assert not gcra.is_clean(0.5)
    assert gcra.is_clean(1.0)
    ticket = gcra.join((1,))
    assert not gcra.is_clean(1.0)
    gcra.leave(ticket, 1.0)
    assert gcra.is_clean(1.0)


def test_threads_never_take_more_than_there_is() -> None:
    """16 threads at one moment get exactly the burst."""
    gcra = limiter(1000, 1_000_000)
    taken = [0] * 16

    def work(index: int) -> None:
        for _ in range(200):
            taken[index] += isinstance(gcra.reserve((1, 500), 0.0), Reservation)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 1000


def test_waiting_threads_are_all_served() -> None:
    """No wakeup is lost: 32 threads share 4 units that come back when each is done."""
    gcra = limiter(4, per=3600)
    clock = itertools.count()
    done: list[int] = []

    def work(index: int) -> None:
        taken: Reservation | Shortage = gcra.reserve((1,), 0.0)
        if isinstance(taken, Shortage):
            ticket = gcra.join((1,))
            while True:
                event = threading.Event()
                taken = gcra.claim(ticket, 0.0, event)
                if isinstance(taken, Reservation):
                    break
                assert event.wait(10), "nobody woke it"
            gcra.leave(ticket, 0.0)
        done.append(next(clock))
        gcra.refund(taken, 0.0)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 32


IMPOSSIBLE: dict[str, Callable[[], object]] = {
    "no limit": lambda: Dimension("a", 0),
    "negative period": lambda: Dimension("a", 10, per=-1),
    "endless burst": lambda: Dimension("a", 10, burst=float("inf")),
    "no dimension": lambda: Gcra([]),
    "one name twice": lambda: Gcra([Dimension("a", 1), Dimension("a", 2)]),
    "no lease": lambda: Gcra([Dimension("a", 1)], lease=0),
}


@pytest.mark.parametrize("build", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_work_is_refused(build: Callable[[], object]) -> None:
    """When it is built."""
    with pytest.raises(ConfigError):
        build()
