"""Let nobody spend more than they may: reserve before an attempt, settle after it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from inspect import signature
from typing import TYPE_CHECKING, Any

from agentprod.budget.booking import Meter, OnUnknown
from agentprod.budget.budget_actions import ROUTERS, Actions, ask_router, check_actions
from agentprod.budget.budget_gate import Gate, State, end_run
from agentprod.budget.budget_status import Books
from agentprod.budget.limit import Limit, bounds_of
from agentprod.budget.refusal import Refusal, refusal_of
from agentprod.budget.reserving import Reserving
from agentprod.budget.waiting import Waiting
from agentprod.call import Call, CallNext
from agentprod.errors import BudgetExceeded, ConfigError
from agentprod.identity import seconds
from agentprod.layer import Layer
from agentprod.order import layer_name
from agentprod.reply import Reply
from agentprod.runtime.clock import SystemClock
from agentprod.stores import MemoryStore, open_store

if TYPE_CHECKING:
    from typing import Unpack

    from agentprod.budget.limit import LimitOptions
    from agentprod.stores.opening import StoreLike

__all__ = ["TokenBudget"]

_CACHES = ("Cache", "SemanticCache")

_CLOCK = SystemClock()


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
        **one: Unpack[LimitOptions],
    ) -> None:
        if one:
            limits = (*limits, _one_limit(one))
        if not limits:
            raise ConfigError('TokenBudget needs a limit: TokenBudget(ap.Limit(usd=5, per="day", by="user"))')
        _check("on_unknown", on_unknown, ("upper_bound", "refuse", "tokens_only", "free"))
        _check("on_uncertain", on_uncertain, ("keep", "refund"))
        _check("fail", fail, ("closed", "local"))
        if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin <= 10:
            raise ConfigError(f"TokenBudget margin must be a part from 0 to 10, not {margin!r}")
        if isinstance(models, str) or not all(isinstance(model, str) and model for model in models):
            raise ConfigError("TokenBudget models is a list of names of models, the dearest first")
        for option, value in (("output_reserve", output_reserve), ("workers", workers)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"TokenBudget {option} must be a whole number from 1, not {value!r}")
        if not isinstance(name, str) or not 0 < len(name) <= 100:
            raise ConfigError("TokenBudget name has 1 to 100 characters")
        self.limits = limits
        self.on_exceeded: tuple[str, ...] = check_actions("on_exceeded", on_exceeded)
        self.on_soft: tuple[str, ...] = check_actions("on_soft", on_soft)
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
        self._group = f"budget {name}"
        self._share = 1.0 / workers if fail == "local" else None
        self._own_store = store is not None
        self._clock: Any = None
        opened = open_store(store) if store is not None else MemoryStore(now=self._monotonic)
        self._reserving = Reserving(opened, self._group, self._share)
        self._waiting = Waiting(None if max_wait is None else seconds(max_wait, "TokenBudget max_wait", zero=True))
        self._books = Books(self._bounds, self._reserving, self._wall)
        self._gate = Gate(
            self,
            self._bounds,
            self._meter,
            self._reserving,
            self._waiting,
            lease=seconds(lease, "TokenBudget lease"),
            enforces=self.on_exceeded[0] != "warn",
            acts_early=any(action != "warn" for action in self.on_soft),
        )

    # In a stack

    def join_stack(self, stack: Any) -> None:
        """Take clock and store from the stack this layer now belongs to.

        Raises:
            ConfigError: another stack has given it another store, or nothing there can be downgraded to.
        """
        if "downgrade" in (*self.on_exceeded, *self.on_soft) and not self._models:
            self._check_router(stack)
        self._clock = stack.entry.sync.runtime.clock
        if stack.store is None or self._own_store:
            return
        store = open_store(stack.store)
        if not isinstance(self._reserving.store, MemoryStore) and self._reserving.store is not store:
            raise ConfigError("this TokenBudget serves two stacks with different stores; give it a store of its own")
        if self._reserving.store is not store:
            self._reserving = self._gate.reserving = Reserving(store, self._group, self._share)
            self._books = Books(self._bounds, self._reserving, self._wall)

    def _check_router(self, stack: Any) -> None:
        """Refuse to downgrade where nobody could say to what."""
        place = next((number for number, layer in enumerate(stack.layers) if self in _held(layer)), -1)
        if not any(layer_name(layer) in ROUTERS for layer in stack.layers[place + 1 :]):
            raise ConfigError(
                'TokenBudget "downgrade" needs models=(...), what to ask instead, the dearest first, or a Router inside'
            )
        if not any(bound.dimension == "usd" for bound in self._bounds):
            raise ConfigError(
                'TokenBudget "downgrade" needs models=(...): a Router saves dollars, and no limit here is in usd='
            )

    def _monotonic(self) -> float:
        return _CLOCK.monotonic() if self._clock is None else self._clock.monotonic()

    def _wall(self) -> float:
        return _CLOCK.wall() if self._clock is None else self._clock.wall()

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Register the gate, and act where it refuses."""
        state: State = call.state.setdefault(self, State())
        if self._gate.enforces and any(layer in call.ledger.layers for layer in _CACHES):
            await self._gate.peek(call)
        sent = call.replace()
        sent.gate(self._gate.admit, self._gate.settle)
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
                    end_run()
                    raise
                sent = changed
        if reply.attempt is not None:
            stream = reply.stream
            state.texts[id(reply.attempt)] = (lambda: reply.text) if stream is None else stream.text_reader()
            if stream is not None:
                self._gate.follow(call, reply, state)
        return reply

    async def _act(self, call: Call, refusal: Refusal, state: State) -> Call | None:
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


def _held(layer: Any) -> tuple[Any, ...]:
    """Return a layer, and what it holds if it is an `ap.when`."""
    return layer, getattr(layer, "layer", None), getattr(layer, "otherwise", None)


def _one_limit(options: LimitOptions) -> Limit:
    try:
        return Limit(**options)
    except TypeError:
        unknown = [name for name in options if name not in signature(Limit).parameters]
        raise ConfigError(
            f"TokenBudget has no option {', '.join(unknown)}; see ap.Limit for those of a limit"
        ) from None


def _check(option: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"TokenBudget {option} must be one of {', '.join(map(repr, known))}, not {value!r}")
