"""Let nobody spend more than they may: reserve before an attempt, settle after it."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agentprod.budget.booking import Booking, Meter, OnUnknown
from agentprod.budget.budget_actions import ROUTERS, Actions, ask_router, check_actions
from agentprod.budget.budget_status import Books
from agentprod.budget.limit import Bound, Limit, bounds_of
from agentprod.budget.refusal import Refusal, refusal_of, refused
from agentprod.budget.reserving import Held, Reserving
from agentprod.budget.waiting import Waiting
from agentprod.call import Call, CallNext
from agentprod.errors import BudgetExceeded, ConfigError
from agentprod.identity import seconds
from agentprod.layer import Layer
from agentprod.ledger import Attempt
from agentprod.order import layer_name
from agentprod.reply import Reply
from agentprod.runs import current_run
from agentprod.runtime.clock import SystemClock
from agentprod.stores import MemoryStore, StoreUnavailable, open_store
from agentprod.stores.base import Claim, Exhausted

if TYPE_CHECKING:
    from agentprod.stores.opening import StoreLike

__all__ = ["TokenBudget"]

_GRACE = 30.0
_FRESH = 1.0
_MOST_WARNED = 1024
_CACHES = ("Cache", "SemanticCache")

_CLOCK = SystemClock()

_log = logging.getLogger("agentprod.budget")


class TokenBudget(Layer):
    """Holds calls to limits of tokens, money and calls, exactly, also when many run at once.

    Before each physical attempt (retries, fallbacks, hedges, legs of a cascade) it reserves in every limit what the
    attempt may use at most, in one atomic step, or in none of them. When the attempt has ended, what it used replaces
    that. Nothing is billed for what a provider refused unread: 4xx, rate limits, failed connects, open circuits. What
    timed out or broke after it was sent keeps the cost of its input. A stream that is left early costs its input and
    what had come. Cache hits cost nothing.

    A reservation is an upper bound, so a burst near the limit may be refused though its real cost would fit; with
    `on_exceeded="queue"` such calls wait for what others give back. An answer may be longer than what was reserved
    for it only where the request names no maximum; then the limit may be overdrawn by the difference, and the next
    reservation sees it. Tools that a provider runs and bills itself are counted when the reply tells of them.

    A process that dies between reserve and settle leaves a reservation that counts as spent by its input's cost once
    its lease has ended.

    Args:
        limits: what to hold calls to; all of them hold together. Any option of `ap.Limit` as a keyword is short for
            one limit.

        on_exceeded: what to do when a limit has no room: one of `"raise" "warn" "downgrade" "shorten" "trim" "queue"`
            or several, tried in this order: send it and remark it; ask a cheaper one of `models`; lower the maximum of
            the answer; leave out old parts of the history; wait until there is room; raise. Where nothing helps, it
            raises.

        on_soft: likewise, from a limit's `soft` part on; `"warn"` remarks it once for each window.

        on_unknown: a model without a price costs `"upper_bound"`, the highest price its vendor lists, with one
            warning; or it is not asked (`"refuse"`); or only its tokens count (`"tokens_only"`); or it is `"free"`.

        on_uncertain: `"keep"` or `"refund"` the input's cost of an attempt that failed after it was sent.

        models: for `"downgrade"`, names of models at the same place, the dearest first; not needed where a `Router`
            stands inside, which is then asked for a model that what is left can pay for.

        margin: part by which input estimates are raised, as they are estimates.

        output_reserve: output tokens reserved where a request names no maximum.

        max_wait: seconds a call waits at most with `"queue"`; `None` for as long as its deadline lets it.

        lease: seconds after which a reservation lapses whose attempt has no time limit of its own.

        name: budgets of one name share their counters in a store.

        fail: while the store is down let no call pass (`"closed"`), or let each process use its share (`"local"`).

        workers: how many processes share the limits, for `fail="local"`.

        store: where processes share the counters: an object or a URL; the stack's when `None`.

    Raises:
        ConfigError: an option out of range, nothing to limit, or nothing to downgrade to.
        BudgetExceeded: in a call for which a limit has no room; with `limit`, `spent`, `resets_at`, `retry_after`.
    """

    needs_usage = True

    def __init__(
        self,
        *limits: Limit,
        on_exceeded: str | Sequence[str] = "raise",
        on_soft: str | Sequence[str] = "warn",
        on_unknown: OnUnknown = "upper_bound",
        on_uncertain: str = "keep",
        models: Sequence[str] = (),
        margin: float = 0.05,
        output_reserve: int = 4096,
        max_wait: float | timedelta | None = None,
        lease: float | timedelta = 600.0,
        name: str = "default",
        fail: str = "closed",
        workers: int = 1,
        store: StoreLike | None = None,
        **one: Any,
    ) -> None:
        if one:
            limits = (*limits, _one_limit(one))
        if not limits:
            raise ConfigError('TokenBudget needs a limit: TokenBudget(ap.Limit(usd=5, per="day", by="user"))')
        _check("on_unknown", on_unknown, ("upper_bound", "refuse", "tokens_only", "free"))
        _check("on_uncertain", on_uncertain, ("keep", "refund"))
        _check("fail", fail, ("closed", "local"))
        if not 0 <= margin <= 10:
            raise ConfigError(f"TokenBudget margin must be a part from 0 to 10, not {margin!r}")
        for option, value in (("output_reserve", output_reserve), ("workers", workers)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"TokenBudget {option} must be a whole number from 1, not {value!r}")
        if not isinstance(name, str) or not 0 < len(name) <= 100:
            raise ConfigError("TokenBudget name has 1 to 100 characters")
        self.limits = limits
        self.on_exceeded = check_actions("on_exceeded", on_exceeded)
        self.on_soft = check_actions("on_soft", on_soft)
        self._bounds = bounds_of(limits)
        dimensions = {bound.dimension for bound in self._bounds}
        self._meter = Meter(
            margin=margin,
            output_reserve=output_reserve,
            on_unknown=on_unknown,
            on_uncertain=on_uncertain,
            money="usd" in dimensions,
            tokens="tokens" in dimensions,
        )
        self._models = tuple(models)
        self._actions = Actions(self._meter, self._models)
        self._lease = seconds(lease, "TokenBudget lease")
        self._enforces = self.on_exceeded[0] != "warn"
        self._acts_early = any(action != "warn" for action in self.on_soft)
        self._group = f"budget {name}"
        self._share = 1.0 / workers if fail == "local" else None
        self._own_store = store is not None
        self._clock: Any = None
        opened = open_store(store) if store is not None else MemoryStore(now=self._monotonic)
        self._reserving = Reserving(opened, self._group, self._share)
        self._waiting = Waiting(None if max_wait is None else seconds(max_wait, "TokenBudget max_wait", zero=True))
        self._books = Books(self._bounds, self._reserving, self._wall)
        self._warned: OrderedDict[str, None] = OrderedDict()
        self._read_at = 0.0

    # In a stack

    def join_stack(self, stack: Any) -> None:
        """Take clock and store from the stack this layer now belongs to.

        Raises:
            ConfigError: another stack has given it another store, or nothing there can be downgraded to.
        """
        downgrades = "downgrade" in (*self.on_exceeded, *self.on_soft)
        if downgrades and not self._models and not any(layer_name(found) in ROUTERS for found in stack.layers):
            raise ConfigError(
                'TokenBudget "downgrade" needs models=(...), what to ask instead, the dearest first, or a Router inside'
            )
        self._clock = stack.entry.sync.runtime.clock
        if stack.store is None or self._own_store:
            return
        store = open_store(stack.store)
        if not isinstance(self._reserving.store, MemoryStore) and self._reserving.store is not store:
            raise ConfigError("this TokenBudget serves two stacks with different stores; give it a store of its own")
        if self._reserving.store is not store:
            self._reserving = Reserving(store, self._group, self._share)
            self._books = Books(self._bounds, self._reserving, self._wall)

    def _monotonic(self) -> float:
        return _CLOCK.monotonic() if self._clock is None else self._clock.monotonic()

    def _wall(self) -> float:
        return _CLOCK.wall() if self._clock is None else self._clock.wall()

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Register the gate, and act where it refuses."""
        state: _State = call.state.setdefault(self, _State())
        if any(layer in call.ledger.layers for layer in _CACHES):
            await self._peek(call)
        sent = call.replace()
        sent.gate(self.admit, self.settle)
        while True:
            try:
                reply = await call_next(sent)
                break
            except BudgetExceeded as error:
                refusal = refusal_of(error, self)
                if refusal is None:
                    raise
                changed = await self._act(sent, refusal, state)
                if changed is None:
                    _end_run()
                    raise
                sent = changed
        if reply.attempt is not None:
            stream = reply.stream
            state.texts[id(reply.attempt)] = (lambda: reply.text) if stream is None else stream.text_reader()
            if stream is not None:
                self._keep_lease(call, reply, state)
        return reply

    async def _peek(self, call: Call) -> None:
        """Refuse an exhausted holder before a cache answers; a hit itself needs no room."""
        if not self._enforces:
            return
        now = call.runtime.wall()
        asked = [(bound, bound.holder.key(call)) for bound in self._bounds]
        counters = [bound.counters(key, now) for bound, key in asked]
        found = iter(await self._reserving.usage(call.runtime, [name for names in counters for name in names]))
        for (bound, _), names in zip(asked, counters, strict=True):
            states = [next(found) for _ in names]
            spent, limit = sum(each.spent for each in states), bound.units(call)
            if limit is not None and spent >= limit:
                held = sum(each.held for each in states)
                _end_run()
                raise refused(self, call, bound, Exhausted(Claim(names[0], 0, limit), spent, held), now, None)

    async def _act(self, call: Call, refusal: Refusal, state: _State) -> Call | None:
        """Return the call to try next, or `None` when nothing helps."""
        soft = refusal.soft
        actions = self.on_soft if soft else self.on_exceeded
        for action in actions:
            if action == "queue" and not soft:
                if await self._waiting.wait(call, refusal):
                    call.ledger.note("TokenBudget", "waited", action="queue", name=refusal.bound.name)
                    return call
                continue
            if action == "downgrade" and not self._models:
                changed = ask_router(call, refusal, state.routed)
                state.routed += 1
            elif action in ("warn", "raise") or (action, soft) in state.tried:
                continue
            else:
                state.tried.add((action, soft))
                changed = self._actions.apply(action, call, refusal)
            if changed is not None:
                call.ledger.note("TokenBudget", "acted", action=action, name=refusal.bound.name)
                return changed
        if soft:
            if "raise" in actions:
                return None
            state.past_soft = True
            return call
        return None

    # The gate

    async def admit(self, call: Call) -> _Token:
        """Reserve for one attempt.

        Raises:
            BudgetExceeded: a limit has no room for it.
        """
        state: _State = call.state[self]
        booking = self._meter.before(call)
        now = call.runtime.wall()
        early = self._acts_early and not state.past_soft
        counts_call = 0 if state.counted or state.pending else 1
        claims, limits = [], []
        for bound in self._bounds:
            limit = bound.units(call)
            limits.append(limit)
            allowed = limit if self._enforces else None
            if early and bound.soft is not None and limit is not None:
                allowed = int(limit * bound.soft)
            amount, floor = _amounts(bound, booking, counts_call)
            claims.append(bound.claim(bound.holder.key(call), now, amount, floor, allowed))
        seen, since = self._waiting.freed, call.runtime.now()
        try:
            held = await self._reserving.reserve(call.runtime, claims, self._lease_of(call))
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
            raise refused(self, call, bound, held._replace(claim=held.claim._replace(limit=limit)), now, booking,
                          soft=soft, seen=seen)  # fmt: skip
        state.pending += counts_call
        token = _Token(call, held, booking, claims, counts_call, since)
        state.tokens.append(token)
        await self._remark(call, claims, limits, now)
        return token

    async def settle(self, token: _Token, attempt: Attempt) -> None:
        """Replace what was reserved for an attempt by what it used."""
        call = token.call
        state: _State = call.state[self]
        used = self._meter.after(call, token.booking, attempt, state.texts.pop(id(attempt), None))
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
            self._reserving.settle_now(token.held, units)
        else:
            cancelled = error is not None and not isinstance(error, Exception)
            found = await self._reserving.settle(call.runtime, token.held, units, beside=cancelled)
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

    def _keep_lease(self, call: Call, reply: Reply, state: _State) -> None:
        """Renew what a stream holds for as long as its events come."""
        lease, runtime = self._lease_of(call), call.runtime
        due = min((token.since for token in state.tokens), default=runtime.now()) + lease / 2

        def renew(event: Any) -> None:
            nonlocal due
            if runtime.now() < due:
                return
            due = runtime.now() + lease / 2
            for token in state.tokens:
                if isinstance(token.held.store, MemoryStore):
                    token.held.store.renew(self._group, token.held.id, lease=lease)
                else:
                    runtime.spawn(self._reserving.renew(runtime, token.held, lease))

        reply.on_event(renew)

    async def _remark(self, call: Call, claims: Sequence[Claim], limits: Sequence[int | None], now: float) -> None:
        """Write down how much of the tightest limit is used, and warn once when it is past its soft part."""
        clock = call.runtime.now()
        if not self._reserving.is_local and clock - self._read_at < _FRESH:
            return  # a round trip of its own: not for every call
        self._read_at = clock
        counters = [[claim.counter, *claim.also] for claim in claims]
        found = iter(await self._reserving.usage(call.runtime, [name for names in counters for name in names]))
        tightest: tuple[float, Bound, int] | None = None
        for bound, names, limit in zip(self._bounds, counters, limits, strict=True):
            taken = sum(each.spent + each.held for each in [next(found) for _ in names])
            if limit is None:
                continue
            ratio = taken / limit if limit else float(taken > 0)
            if tightest is None or ratio > tightest[0]:
                tightest = ratio, bound, limit - taken
            if bound.soft is not None and ratio >= bound.soft:
                self._warn(call, bound, names[0], ratio)
        if tightest is not None:
            ratio, bound, left = tightest
            told = {f"remaining_{bound.dimension}": bound.shown(left)}
            call.ledger.note("TokenBudget", "reserved", name=bound.name, used_ratio=ratio, **told)

    def _warn(self, call: Call, bound: Bound, window: str, ratio: float) -> None:
        call.ledger.note("TokenBudget", "soft" if ratio <= 1 else "exceeded")
        if window in self._warned:
            return
        self._warned[window] = None
        if len(self._warned) > _MOST_WARNED:
            self._warned.popitem(last=False)
        _log.warning("%.0f %% of the limit of %s, %s, is used", 100 * ratio, bound.dimension, bound.name)

    # By hand

    def status(self, **scope: str) -> list[Any]:
        """Return how the limits stand that these names tell: `budget.status(user="u1")`.

        Args:
            scope: names by kind: `user team tenant conversation run model endpoint account`, or `key` for what a
                callable `by=` returned. Limits that need another name are left out.

        Returns:
            One `LimitStatus` for each dimension of each limit.
        """
        return self._books.status(scope)

    async def astatus(self, **scope: str) -> list[Any]:
        """Like `status`."""
        return await self._books.astatus(scope)

    def grant(self, *, tokens: float | None = None, usd: Any = None, calls: float | None = None, **scope: str) -> None:
        """Give more, in the window that holds now; what was spent becomes so much less.

        Args:
            tokens: to give.

            usd: dollars to give.

            calls: to give.

            scope: whose limits, as for `status`; the limits by exactly these names.

        Raises:
            ConfigError: no limit is by these names, or an amount is out of range.
        """
        self._books.change({"tokens": tokens, "usd": usd, "calls": calls}, scope)
        self._waiting.wake()

    async def agrant(
        self, *, tokens: float | None = None, usd: Any = None, calls: float | None = None, **scope: str
    ) -> None:
        """Like `grant`."""
        await self._books.achange({"tokens": tokens, "usd": usd, "calls": calls}, scope)
        self._waiting.wake()

    def reset(self, **scope: str) -> None:
        """Forget what was spent in the window that holds now; what calls under way hold stays.

        Args:
            scope: whose limits, as for `grant`.

        Raises:
            ConfigError: no limit is by these names.
        """
        self._books.reset(scope)
        self._waiting.wake()

    async def areset(self, **scope: str) -> None:
        """Like `reset`."""
        await self._books.areset(scope)
        self._waiting.wake()

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        found: dict[str, Any] = {"limits": [f"{bound.dimension} {bound.name}" for bound in self._bounds]}
        if self.on_exceeded != ("raise",):
            found["on_exceeded"] = self.on_exceeded
        return found


class _State:
    """What one logical call has had of one budget."""

    __slots__ = ("counted", "past_soft", "pending", "routed", "texts", "tokens", "tried")

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
        self.tokens: list[_Token] = []


class _Token:
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


def _end_run() -> None:
    run = current_run()
    if run is not None and run.exit_reason is None:
        run.exit_reason = "budget"


def _one_limit(options: dict[str, Any]) -> Limit:
    try:
        return Limit(**options)
    except TypeError:
        raise ConfigError(
            f"TokenBudget has no option {', '.join(options)}; see ap.Limit for those of a limit"
        ) from None


def _check(option: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"TokenBudget {option} must be one of {', '.join(map(repr, known))}, not {value!r}")
