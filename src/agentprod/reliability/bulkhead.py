"""Bound how many calls are in flight."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agentprod import draining, vitals
from agentprod.call import Call, CallNext
from agentprod.context import seconds
from agentprod.errors import BulkheadFull, ConfigError
from agentprod.lateness import late
from agentprod.layer import Layer
from agentprod.reliability.queueing import refuse_if_open
from agentprod.reliability.slots import Place, Slots
from agentprod.reply import Reply

__all__ = ["Bulkhead"]


class Bulkhead(Layer):
    """Lets so many calls run at once; the next ones wait in line, first come, first served, or are refused.

    Stands inside `Retry`, so that a retry that sleeps holds no slot. Threads and event loops may share one object,
    and several stacks too: what it bounds are the calls of this object in this process.

    Streams: a slot is held until the stream ends, is closed, or is collected.

    A synchronous function that `Timeout(thread=True)` gave up on runs on in its thread without a slot.

    Args:
        max_in_flight: most calls at once, at least 1.

        queue: how many more may wait; 0 refuses at once.

        queue_timeout: seconds a call waits at most; `None` for as long as its deadline lets it.

    Raises:
        ConfigError: an option out of range.
        BulkheadFull: in a call for which there is no slot, and no place in line or no more time to wait.
    """

    other_traffic = True

    def __init__(self, max_in_flight: int, *, queue: int = 0, queue_timeout: float | timedelta | None = None) -> None:
        for name, value, least in (("max_in_flight", max_in_flight, 1), ("queue", queue, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"Bulkhead {name} must be a whole number of at least {least}, not {value!r}")
        if queue_timeout is not None and not queue:
            raise ConfigError("Bulkhead queue_timeout needs a queue: Bulkhead(10, queue=20, queue_timeout=5)")
        self.queue_timeout: float | None = (
            None if queue_timeout is None else seconds(queue_timeout, "Bulkhead queue_timeout")
        )
        self._slots = Slots(max_in_flight, queue)
        vitals.report(self)

    @property
    def max_in_flight(self) -> int:
        """Most calls at once."""
        return self._slots.size

    @property
    def queue(self) -> int:
        """How many more may wait."""
        return self._slots.line

    @property
    def in_flight(self) -> int:
        """Calls that hold a slot now."""
        return self._slots.taken

    @property
    def waiting(self) -> int:
        """Calls in line now."""
        return self._slots.waiting

    def vitals(self) -> dict[str, Any]:
        """Return how full it is, for health checks."""
        return {"layers": {"Bulkhead": self.snapshot()}}

    def snapshot(self) -> dict[str, int]:
        """Return `in_flight` and `waiting` calls, and how many of each there may be."""
        return {
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "waiting": self.waiting,
            "queue": self.queue,
        }

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Hold a slot while the rest of the call runs."""
        slots = self._slots
        if not slots.take():
            await self._queue(call)
        try:
            reply = await call_next(call)
        except BaseException:
            slots.give_back()
            raise
        if reply.stream is None:
            slots.give_back()
        else:
            reply.on_end(lambda end: slots.give_back())
        return reply

    async def _queue(self, call: Call) -> None:
        """Come back with a slot, or raise."""
        refuse_if_open(call, "Bulkhead")
        runtime, slots = call.runtime, self._slots
        joined = runtime.now()
        waiter = runtime.waiter()
        place = slots.join(waiter)
        if place is None:
            call.ledger.note("Bulkhead", "full", waiting=slots.waiting)
            raise self._full(call, f"and {slots.line} more wait already" if slots.line else "and none may wait")
        until = _earlier(None if self.queue_timeout is None else joined + self.queue_timeout, call.deadline)
        # The runtime's clock sets it, so that a wait in virtual time ends there.
        timer = None if until is None else runtime.clock.call_at(until, waiter.set)
        try:
            with draining.sleeping(waiter):
                await waiter.wait()
        except BaseException:
            self._leave(place)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        waited = runtime.now() - joined
        call.ledger.note("Bulkhead", "waited", wait=waited)
        if slots.leave(place):
            return
        if draining.begun:
            raise draining.shutting_down(call, "Bulkhead")
        if until == call.deadline:
            raise late("deadline", call.target, call.limits, "while it waited for a slot of the Bulkhead")
        raise self._full(call, f"and none has ended within queue_timeout={self.queue_timeout:g} s")

    def _leave(self, place: Place) -> None:
        if self._slots.leave(place):
            self._slots.give_back()

    def _full(self, call: Call, why: str) -> BulkheadFull:
        return BulkheadFull(
            f"{self._slots.size} calls are in flight, {why}: try again later, or allow more with Bulkhead("
            "max_in_flight, queue=…).",
            layer="Bulkhead",
            target=str(call.target),
        )

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        found: dict[str, Any] = {"max_in_flight": self.max_in_flight}
        if self.queue:
            found["queue"] = self.queue
        if self.queue_timeout is not None:
            found["queue_timeout"] = self.queue_timeout
        return found


def _earlier(one: float | None, other: float | None) -> float | None:
    return min(one, other) if one is not None and other is not None else other if one is None else one
