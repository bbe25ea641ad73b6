"""What the rate limiter keeps whatever happens: nothing lost, nothing admitted twice, first come first served."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentprod.reliability.gcra import Dimension, Gcra, Reservation, Ticket

LIMITS = (30.0, 4000.0)  # per 10 seconds, so 3 and 400 a second
COSTS = st.tuples(st.integers(0, 8), st.integers(0, 3000))


@dataclass
class Booking:
    """A reservation, and what is known of its true cost."""

    reservation: Reservation
    at: float
    true: tuple[float, ...]
    settled: bool = False


class LimiterModel(RuleBasedStateMachine):
    """Keeps every booking with the true cost, and plays the leaking buckets through from the start."""

    @initialize()
    def start(self) -> None:
        self.now = 1000.0
        self.gcra = Gcra([Dimension("requests", LIMITS[0], 10), Dimension("tokens", LIMITS[1], 10)])
        self.bookings: list[Booking] = []
        self.line: list[Ticket] = []

    def true_levels(self) -> list[float]:
        """Units that would stand in the buckets had each booking's true cost been booked at its time."""
        levels = [0.0, 0.0]
        last = 1000.0
        for booking in sorted(self.bookings, key=lambda booking: booking.at):
            for index, rate in enumerate((3.0, 400.0)):
                levels[index] = max(0.0, levels[index] - rate * (booking.at - last)) + booking.true[index]
            last = booking.at
        return [max(0.0, level - rate * (self.now - last)) for level, rate in zip(levels, (3.0, 400.0), strict=True)]

    def booked(self, reservation: Reservation) -> None:
        self.bookings.append(Booking(reservation, reservation.at, tuple(reservation.costs)))

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.5, 1.0, 3.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(costs=COSTS)
    def reserve(self, costs: tuple[int, int]) -> None:
        waiting = [ticket for ticket in self.line if ticket.reservation is None]
        before = self.gcra.remaining(self.now)
        answer = self.gcra.reserve(costs, self.now)
        if isinstance(answer, Reservation):
            assert all(ticket.reservation is not None for ticket in waiting)
            self.booked(answer)
        else:
            assert answer.retry_after > 0
            if not waiting:
                assert self.gcra.remaining(self.now) == pytest.approx(before, abs=1e-6)
                # One moment before its time it is refused, at its time it is not.
                assert self.gcra.wait(costs, self.now + answer.retry_after * 0.99 - 1e-3) > 0
                assert self.gcra.wait(costs, self.now + answer.retry_after) <= 1e-6
        self.collect()

    @rule(costs=COSTS)
    def join(self, costs: tuple[int, int]) -> None:
        self.line.append(self.gcra.join(costs))

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        self.gcra.claim(self.line[data.draw(st.integers(0, len(self.line) - 1))], self.now)
        self.collect()

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.gcra.leave(self.line.pop(data.draw(st.integers(0, len(self.line) - 1))), self.now)
        self.collect()

    def collect(self) -> None:
        """Take what the line has brought; nobody may be served before one who came earlier."""
        served = [ticket.reservation is not None for ticket in self.line]
        assert served == sorted(served, reverse=True)
        for ticket in [ticket for ticket in self.line if ticket.reservation is not None]:
            answer = self.gcra.claim(ticket, self.now)
            assert isinstance(answer, Reservation)
            self.booked(answer)
            self.line.remove(ticket)

    @precondition(lambda self: any(not booking.settled for booking in self.bookings))
    @rule(data=st.data(), share=st.sampled_from([0.0, 0.2, 0.9, 1.0, 1.5]))
    def settle(self, data: st.DataObject, share: float) -> None:
        running = [booking for booking in self.bookings if not booking.settled]
        booking = data.draw(st.sampled_from(running))
        used = tuple(math.floor(cost * share) for cost in booking.reservation.costs)
        if share == 1 and data.draw(st.booleans()):
            self.gcra.keep(booking.reservation)
        else:
            self.gcra.settle(booking.reservation, self.now, used)
            self.gcra.refund(booking.reservation, self.now)  # a second settlement has no effect
        booking.true, booking.settled = used, True
        self.collect()

    @invariant()
    def never_admits_more_than_the_true_costs_would_have(self) -> None:
        remaining = self.gcra.remaining(self.now)
        for name, limit, true in zip(("requests", "tokens"), LIMITS, self.true_levels(), strict=True):
            assert remaining[name] <= limit - true + 1e-6 * limit


LimiterModel.TestCase.settings = settings(max_examples=200, stateful_step_count=50)
test_a_limiter_never_admits_too_much_and_serves_in_order = LimiterModel.TestCase


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 80) | st.none()), max_size=30))
def test_at_one_moment_nothing_is_lost_or_invented(calls: list[tuple[int, int | None]]) -> None:
    """What is booked is what was settled plus what is outstanding; the rest is refunded, to the unit."""
    gcra = Gcra([Dimension("units", 1000.0)])
    spent = 0
    for cost, used in calls:
        taken = gcra.reserve((cost,), 5.0)
        if isinstance(taken, Reservation):
            if used is not None:
                gcra.settle(taken, 5.0, (used,))
            spent += cost if used is None else used
            assert gcra.remaining(5.0)["units"] == pytest.approx(1000 - spent, abs=1e-6)
        else:
            assert spent + cost > 1000


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 40)), min_size=1, max_size=40),
    st.floats(0, 1e7),
)
def test_without_refunds_the_bucket_is_a_plain_leaky_one(calls: list[tuple[float, int]], start: float) -> None:
    """What it holds is what went in, less what leaked, never below nothing."""
    gcra = Gcra([Dimension("units", 50.0, 10.0)])
    level, now = 0.0, start
    for pause, cost in calls:
        level, now = max(0.0, level - pause * 5), now + pause
        taken = gcra.reserve((cost,), now)
        if isinstance(taken, Reservation):
            level += cost
            gcra.settle(taken, now)
        else:
            assert level + cost > 50 - 1e-3
        assert gcra.remaining(now)["units"] == pytest.approx(50 - level, abs=1e-3)
