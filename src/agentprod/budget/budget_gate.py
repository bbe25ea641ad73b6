"""The attempt gate of a budget: reserve before a physical attempt, settle after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from agentprod.budget.booking import Booking, Meter
from agentprod.budget.budget_remarks import Remarks
from agentprod.budget.hidden_output import hidden_output
from agentprod.budget.limit import Bound
from agentprod.budget.refusal import refused
from agentprod.budget.reserving import Held, Reserving
from agentprod.budget.waiting import Waiting
from agentprod.errors import BudgetExceeded
from agentprod.runs import current_run
from agentprod.stores import MemoryStore, StoreUnavailable
from agentprod.stores.base import Claim, Exhausted

if TYPE_CHECKING:
    from agentprod.call import Call
    from agentprod.ledger import Attempt
    from agentprod.reply import Reply

__all__ = ["Gate", "State", "end_run"]

_GRACE = 30.0


class Gate:
    """Admits attempts that all limits have room for.

    Args:
        owner: the layer; what it knows of a call stands under it in `call.state`.

        bounds: every dimension of every limit.

        meter: counts attempts.

        reserving: the counters.

        waiting: who waits for room.

        lease: seconds after which a reservation lapses whose attempt has no time limit of its own.

        enforces: whether limits are held, or only watched.

        acts_early: whether something is to be done from the soft part of a limit on.
    """

    def __init__(
        self,
        owner: object,
        bounds: Sequence[Bound],
        meter: Meter,
        reserving: Reserving,
        waiting: Waiting,
        *,
        lease: float,
        enforces: bool,
        acts_early: bool,
    ) -> None:
        self._owner = owner
        self._bounds = bounds
        self._meter = meter
        self.reserving = reserving
        self._waiting = waiting
        self._lease = lease
        self.enforces = enforces
        self._early = acts_early
        self._remarks = Remarks(bounds)

    async def peek(self, call: Call) -> None:
        """Refuse an exhausted holder before a cache answers; a hit itself needs no room.

        Raises:
            BudgetExceeded: a limit is spent.
        """
        now = call.runtime.wall()
        asked = [(bound, bound.holder.key(call)) for bound in self._bounds]
        counters = [bound.counters(key, now) for bound, key in asked]
        found = iter(await self.reserving.usage(call.runtime, [name for names in counters for name in names]))
        for (bound, _), names in zip(asked, counters, strict=True):
            states = [next(found) for _ in names]
            spent, limit = sum(each.spent for each in states), bound.units(call)
            if limit is not None and spent >= limit:
                held = sum(each.held for each in states)
                end_run()
                raise refused(self._owner, call, bound, Exhausted(Claim(names[0], 0, limit), spent, held), now, None)

    async def admit(self, call: Call) -> Token:
        """Reserve for one attempt.

        Raises:
            BudgetExceeded: a limit has no room for it.
        """
        state: State = call.state[self._owner]
        booking = self._meter.before(call)
        now = call.runtime.wall()
        early = self._early and not state.past_soft
        counts_call = 0 if state.counted or state.pending else 1
        claims, limits = [], []
        for bound in self._bounds:
            limit = bound.units(call)
            limits.append(limit)
            allowed = limit if self.enforces else None
            if early and bound.soft is not None and limit is not None:
                allowed = int(limit * bound.soft)
            amount, floor = _amounts(bound, booking, counts_call)
            claims.append(bound.claim(bound.holder.key(call), now, amount, floor, allowed))
        seen, since = self._waiting.freed, call.runtime.now()
        try:
            held = await self.reserving.reserve(call.runtime, claims, self._lease_of(call))
        except StoreUnavailable as error:
            raise BudgetExceeded(
                "The store of a TokenBudget does not answer, so nothing is sent; try again, or pass "
                'TokenBudget(fail="local") to let each process use its share meanwhile.',
                layer="TokenBudget",
                target=str(call.target),
                retry_after=error.retry_after or None,
            ) from error
        if isinstance(held, Exhausted):
            place = next(n for n, claim in enumerate(claims) if claim.counter == held.claim.counter)
            bound, limit = self._bounds[place], limits[place]
            soft = early and limit is not None and held.claim.limit != limit
            raise refused(self._owner, call, bound, held._replace(claim=held.claim._replace(limit=limit)), now, booking,
                          soft=soft, seen=seen)  # fmt: skip
        state.pending += counts_call
        token = Token(call, held, booking, claims, counts_call, since)
        state.tokens.append(token)
        await self._remarks.make(call, self.reserving, claims, limits)
        return token

    async def settle(self, token: Token, attempt: Attempt) -> None:
        """Replace what was reserved for an attempt by what it used."""
        call = token.call
        state: State = call.state[self._owner]
        text, hidden = state.texts.pop(id(attempt), None), state.hidden.pop(id(attempt), ())
        used = self._meter.after(call, token.booking, attempt, text, "".join(hidden))
        state.pending -= token.counts_call
        if token in state.tokens:
            state.tokens.remove(token)
        units: list[int] | None = None
        if used is not None:
            calls = 0 if state.counted else 1
            state.counted = True
            amounts = {"tokens": used.tokens, "usd": used.nano_usd, "calls": calls}
            units = [amounts[bound.dimension] for bound in self._bounds]
            if any(spent > claim.amount for spent, claim in zip(units, token.claims, strict=True)):
                call.ledger.note("TokenBudget", "overrun")
        error = attempt.error
        if isinstance(error, GeneratorExit):  # nothing may be awaited any more
            self.reserving.settle_now(token.held, units)
        else:
            cancelled = error is not None and not isinstance(error, Exception)
            found = await self.reserving.settle(call.runtime, token.held, units, beside=cancelled)
            if found == "late":
                call.ledger.note("TokenBudget", "settled_late")
        self._waiting.wake()

    def _lease_of(self, call: Call) -> float:
        """Return the seconds within which an attempt will have ended."""
        now, limits = call.runtime.now(), call.limits
        ends = [when for when in (call.deadline, limits.stream_until) if when is not None]
        if limits.attempt is not None:
            ends.append(now + limits.attempt)
        return max(min(ends) - now, 0.0) + _GRACE if ends else self._lease

    def follow(self, call: Call, reply: Reply, state: State) -> None:
        """Renew what a stream holds for as long as its events come, and keep what is billed besides its text."""
        lease, runtime = self._lease_of(call), call.runtime
        due = min((token.since for token in state.tokens), default=runtime.now()) + lease / 2

        hidden = state.hidden.setdefault(id(reply.attempt), [])

        def seen(event: Any) -> None:
            nonlocal due
            text = hidden_output(event)
            if text:
                hidden.append(text)
            if runtime.now() < due:
                return
            due = runtime.now() + lease / 2
            for token in state.tokens:
                if isinstance(token.held.store, MemoryStore):
                    token.held.store.renew(self.reserving.group, token.held.id, lease=lease)
                else:
                    runtime.spawn(self.reserving.renew(runtime, token.held, lease))

        reply.on_event(seen)


class State:
    """What one logical call has had of one budget."""

    __slots__ = ("counted", "hidden", "past_soft", "pending", "routed", "texts", "tokens", "tried")

    def __init__(self) -> None:
        self.counted = False
        """Whether the call itself has been counted."""
        self.pending = 0
        """Reservations under way that count the call."""
        self.past_soft = False
        self.routed = 0
        """How often a router was asked for a cheaper model."""
        self.tried: set[tuple[str, bool]] = set()
        self.texts: dict[int, Callable[[], str]] = {}
        self.hidden: dict[int, list[str]] = {}
        """What streams carried besides their text, by attempt."""
        self.tokens: list[Token] = []


class Token:
    """What was reserved for one attempt."""

    __slots__ = ("booking", "call", "claims", "counts_call", "held", "since")

    def __init__(
        self, call: Call, held: Held, booking: Booking, claims: Sequence[Claim], counts_call: int, since: float
    ) -> None:
        self.call = call
        self.held = held
        self.booking = booking
        self.claims = claims
        self.counts_call = counts_call
        self.since = since
        """When it was reserved, in monotonic seconds."""


def _amounts(bound: Bound, booking: Booking, calls: int) -> tuple[int, int]:
    if bound.dimension == "usd":
        return booking.nano_usd, booking.floor_nano_usd
    if bound.dimension == "tokens":
        return booking.input_tokens + booking.output_tokens, booking.input_tokens
    return calls, calls


def end_run() -> None:
    """Write down that a budget ended the run this code is part of."""
    run = current_run()
    if run is not None and run.exit_reason is None:
        run.exit_reason = "budget"
