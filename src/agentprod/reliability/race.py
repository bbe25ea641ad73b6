"""Several sendings of one call side by side, of which the first to answer wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentprod.faults import THROTTLED, Fault, classify

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentprod.call import Call, CallNext
    from agentprod.ledger import Attempt
    from agentprod.reply import Reply
    from agentprod.runtime.runtime import Job
    from agentprod.runtime.waiter import Waiter

__all__ = ["Leg", "Race"]

_FOR_GOOD = frozenset(
    {Fault.BAD_REQUEST, Fault.CONTEXT_OVERFLOW, Fault.CONTENT_POLICY, Fault.CONFLICT, Fault.UNKNOWN, Fault.CANCELLED}
)
"""Faults that the other sending of the same request will meet as well."""

_CLOSING_TIME = 1.0
"""Seconds that the losers' connections may take to close before the winner is handed out all the same."""


class Leg:
    """One sending, as a task of its own."""

    def __init__(self, race: Race, call: Call, call_next: CallNext, number: int) -> None:
        self.number = number
        self.started = call.runtime.now()
        self.reply: Reply | None = None
        self.error: BaseException | None = None
        self.ended = False
        self._begun = False
        self._race = race
        self.watch = _Watch(extra=number > 0)
        sent = call.replace()
        sent.observe(self.watch, events=False)
        self._job: Job | None = call.runtime.spawn(self._run(sent, call_next))

    async def _run(self, call: Call, call_next: CallNext) -> None:
        self._begun = True
        try:
            reply = await call_next(call)
            if self.watch.given_up:
                await reply.discard()  # nobody waits for it any more
            else:
                self.reply = reply
        except Exception as error:
            self.error = error
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ended = True
            self._race.ring()

    def give_up(self) -> None:
        """Cancel it."""
        self.watch.given_up = True
        if not self.ended and self._job is not None:
            self._job.cancel()
            self.ended = not self._begun  # cancelled before its first step, it never runs

    def forget(self) -> None:
        """Let go of what an error's traceback leads back from."""
        self.error = self._job = None


class _Watch:
    """Marks the attempts of one leg, and hears what they were told."""

    def __init__(self, *, extra: bool) -> None:
        self.throttled = False
        """Whether one was told to come less often."""
        self.given_up = False
        self._extra = extra
        self._sent: Call | None = None

    def __call__(self, event: str, attempt: Attempt, data: Any) -> None:
        if event == "attempt_start":
            attempt.hedged = self._extra
            self._sent = data
        elif event == "attempt_end":
            sent, self._sent = self._sent, None
            self.throttled = self.throttled or attempt.fault in THROTTLED
            if self.given_up and attempt.fault is Fault.CANCELLED and sent is not None:
                _bill(attempt, sent)


def _bill(attempt: Attempt, call: Call) -> None:
    """Count what the provider may charge for a request that was sent and then given up: its input, at least."""
    estimate = call.ledger.environment.estimate
    if estimate is not None and call.operation not in ("function", "other"):
        attempt.uncounted = (estimate, call.request, attempt.model, ())
        call.ledger.flag("usage_estimated")


class Race:
    """The legs of one call.

    Args:
        call: the call; each leg sends a copy.

        call_next: sends.
    """

    def __init__(self, call: Call, call_next: CallNext) -> None:
        self._call = call
        self._runtime = call.runtime
        self._call_next = call_next
        self._waiter: Waiter = call.runtime.waiter()
        self.legs: list[Leg] = [Leg(self, call, call_next, 0)]

    def add(self, call: Call) -> None:
        """Send once more."""
        self.legs.append(Leg(self, call, self._call_next, len(self.legs)))

    def ring(self) -> None:
        """Wake who waits; from any thread."""
        self._waiter.set()

    async def wait(self, until: float | None) -> None:
        """Wait until a leg ends, or until that time (monotonic)."""
        ended = self._ended()
        await self._something(until, lambda: self._ended() != ended)

    def _ended(self) -> int:
        return sum(leg.ended for leg in self.legs)

    async def _something(self, until: float | None, happened: Callable[[], bool]) -> None:
        timer = None if until is None else self._runtime.clock.call_at(until, self.ring)
        try:
            while not happened() and (until is None or self._runtime.now() < until):
                await self._waiter.wait()
                self._waiter = self._runtime.waiter()
        finally:
            if timer is not None:
                timer.cancel()

    @property
    def throttled(self) -> bool:
        """Whether any attempt was told to come less often."""
        return any(leg.watch.throttled for leg in self.legs)

    @property
    def winner(self) -> Leg | None:
        """The first leg that has a reply; of two at once the earlier sent."""
        return next((leg for leg in self.legs if leg.reply is not None), None)

    @property
    def lost(self) -> BaseException | None:
        """The error to raise once no leg can win, or a fault says that none will: if all failed, the first leg's."""
        failed = [leg.error for leg in self.legs if leg.error is not None]
        for error in failed:
            fault = classify(getattr(error, "carried", error), self._call.classify, wall=self._runtime.wall).fault
            if fault in _FOR_GOOD:
                return error
        return failed[0] if len(failed) == len(self.legs) else None

    def give_up(self) -> None:
        """Cancel every leg, and see none of them end."""
        for leg in self.legs:
            leg.give_up()

    async def end(self, winner: Leg | None) -> None:
        """Give up every leg but one, and see them end; who is cancelled meanwhile wants none of them."""
        losers = [leg for leg in self.legs if leg is not winner]
        for leg in losers:
            leg.give_up()
        try:
            for leg in losers:
                if leg.reply is not None:
                    await leg.reply.discard()
            if not all(leg.ended for leg in losers):
                until = self._runtime.now() + _CLOSING_TIME
                await self._something(until, lambda: all(leg.ended for leg in losers))
        except GeneratorExit:  # nothing may be awaited any more
            raise
        except BaseException:
            if winner is not None and winner.reply is not None:
                await winner.reply.discard()
            raise
        finally:
            for leg in losers:
                leg.forget()
            self.legs.clear()  # they know the race, which knows them
