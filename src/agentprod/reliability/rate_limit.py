"""Stay below a provider's rate limit instead of running into it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from agentprod import vitals
from agentprod.call import Call, CallNext
from agentprod.context import seconds
from agentprod.errors import ConfigError, RateLimited
from agentprod.faults import Fault, rate_limit_resets
from agentprod.hints import whole_number
from agentprod.layer import Layer
from agentprod.ledger import Attempt
from agentprod.order import layer_name
from agentprod.reliability.cooldown import Cooldowns
from agentprod.reliability.gcra import Dimension, Shortage
from agentprod.reliability.limit_accounts import LocalAccount, SharedAccount
from agentprod.reliability.limit_costs import Costs
from agentprod.reliability.queueing import refuse_if_open, wait_here
from agentprod.reliability.registry import Registry
from agentprod.reliability.scope import By, Scope
from agentprod.reply import End, Reply
from agentprod.runtime.drive import drive
from agentprod.stores import Store, open_store

if TYPE_CHECKING:
    from agentprod.stores.opening import StoreLike

__all__ = ["RateLimit"]

_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_HEADERS_PERIOD = 60.0  # seconds; what the limits in providers' headers are per
_OF_ACCOUNT = ("account", "endpoint", "model")  # the groups that providers' headers speak of
_ONE_REQUEST = (1.0,)
_QUOTA_REST, _LONGEST_QUOTA_REST = 300.0, 3600.0  # seconds


class RateLimit(Layer):
    """Lets attempts wait until they fit the limit, first come, first served, or refuses what does not fit in time.

    Each attempt books what it will need of every limit at once, or of none: one request, the tokens of its input
    (estimated), and those of its answer (from earlier answers). When it has ended, what it really used replaces that.
    All of it is given back when the provider processed nothing; after a timeout or a broken connection nothing is,
    as the provider may have counted it. The limit is a bucket that leaks (the generic cell rate algorithm): after a
    pause a whole period's worth may go at once, and any period sees at most twice the limit.

    With `sync_headers` the headers of each answer lower what is left and, where a lower limit is in them, the limit.
    An account that a provider refused (429), or told that nothing is left, rests until then.

    Stands inside `Retry`, so that every attempt is counted. Streams: settled when they end.

    Args:
        requests: limit per period; `None` for none but what headers tell.

        tokens: input and output tokens together, likewise.

        input_tokens: likewise; for Anthropic without what is read from the prompt cache, which it does not limit.

        output_tokens: likewise.

        per: `"second" "minute" "hour" "day"`, seconds, or a `timedelta`. Headers are per minute: with another period
            they only say when nothing is left.

        by: what has limits of its own: `"account"` (provider, base URL and credential), another of the `by=` names,
            or a callable `(call) -> str`.

        max_wait: seconds an attempt waits at most; `None` for as long as the call's deadline lets it, and without
            one for as long as it takes.

        sync_headers: learn from the provider's headers.

        store: where processes share the limit, and that an account rests: an object or a URL; the stack's when
            `None`. While it is down each process keeps to the whole limit by itself.

    Raises:
        ConfigError: an option out of range, or nothing to limit.
        RateLimited: in a call that would have to wait too long; at once, with `retry_after`.
    """

    other_traffic = True

    def __init__(
        self,
        *,
        requests: float | None = None,
        tokens: float | None = None,
        input_tokens: float | None = None,
        output_tokens: float | None = None,
        per: str | float | timedelta = "minute",
        by: By = "account",
        max_wait: float | timedelta | None = None,
        sync_headers: bool = True,
        store: StoreLike | None = None,
    ) -> None:
        if not isinstance(sync_headers, bool):
            raise ConfigError(f"RateLimit sync_headers must be True or False, not {sync_headers!r}")
        limits = {"requests": requests, "tokens": tokens, "input_tokens": input_tokens, "output_tokens": output_tokens}
        self.limits: dict[str, float] = {name: limit for name, limit in limits.items() if limit is not None}
        if not self.limits and not sync_headers:
            raise ConfigError("RateLimit needs something to limit: RateLimit(requests=60), or sync_headers=True")
        if isinstance(per, str) and per not in _PERIODS:
            raise ConfigError(f"RateLimit per must be one of {', '.join(_PERIODS)}, or seconds, not {per!r}")
        self.per: float = _PERIODS[per] if isinstance(per, str) else seconds(per, "RateLimit per")
        self.max_wait: float | None = None if max_wait is None else seconds(max_wait, "RateLimit max_wait", zero=True)
        self.sync_headers = sync_headers
        self._dimensions = tuple(Dimension(name, limits[name], self.per) for name in self.limits or limits)
        self._follows = sync_headers and self.per == _HEADERS_PERIOD and by in _OF_ACCOUNT
        if not self.limits and not self._follows:
            raise ConfigError(
                'RateLimit without limits learns them from headers, which takes per="minute" and by="account"'
            )
        self._names = tuple(each.name for each in self._dimensions)
        self._costs = Costs(self._names)
        self._scope = Scope(by, "RateLimit")
        self._accounts: Registry[LocalAccount | SharedAccount] = Registry(self._make)
        self._cooldowns = Cooldowns()
        self._counts_requests = self._names == ("requests",)
        self._side_by_side = False  # whether attempts of one call run at the same time
        self._now = monotonic
        self._own_store = store is not None
        self._store: Store | None = None if store is None else open_store(store)
        vitals.report(self)

    @property
    def needs_usage(self) -> bool:  # type: ignore[override]
        """Whether tokens are limited, so that those of streams are to be counted."""
        return not self._counts_requests

    def join_stack(self, stack: Any) -> None:
        """Take clock and store from the stack this layer now belongs to.

        Raises:
            ConfigError: another stack has given it another store.
        """
        self._now = stack.entry.sync.runtime.now
        self._side_by_side = self._side_by_side or any(layer_name(layer) == "Hedge" for layer in stack)
        if stack.store is None or self._own_store:
            return
        store = open_store(stack.store)
        if self._store not in (None, store):
            raise ConfigError("this RateLimit serves two stacks with different stores; give it a store of its own")
        self._store = store

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Book, wait if need be, let the attempt go, and settle."""
        key = self._scope.key(call)
        now = call.runtime.now()
        account = self._accounts.get(key, now)
        costs = _ONE_REQUEST if self._counts_requests else self._costs.before(call, account.has_limit)
        token = None
        board = call.ledger.environment.board
        if type(account) is LocalAccount and not board.cooling(call.target, now):
            token = account.take_now(costs, now)
        if token is None:
            token = await self._enter(call, account, costs, key)
        made = call.ledger.attempts
        begun = len(made)
        if self._side_by_side:
            made, begun, call = [], 0, call.replace()
            call.observe(_Attempts(made), events=False)
        try:
            reply = await call_next(call)
        except BaseException as error:
            work = self._failed(call, account, token, costs, made[begun:])
            if isinstance(error, Exception) or isinstance(account, LocalAccount):
                await work
            else:  # a cancelled call ends at once
                _beside(call, work)
            raise
        attempt = reply.attempt
        if attempt is not None and attempt.headers and self.sync_headers:
            news = rate_limit_resets(attempt.headers, call.runtime.wall)
            if news:
                await self._learn(call, account, attempt, token, news, open_stream=reply.stream is not None)
        alone = attempt is not None and len(made) == begun + 1 and made[begun] is attempt
        if alone and self._counts_requests and reply.stream is None and type(account) is LocalAccount:
            # What most calls are, without what the others need.
            assert attempt is not None
            if self._cooldowns.known:
                self._rest(call, attempt)
            account.keep(token)
            return reply
        attempts = made[begun:]
        if reply.stream is None:
            await self._settle(call, account, token, costs, attempts)
        elif isinstance(account, LocalAccount):
            reply.on_end(lambda end: drive(self._settle(call, account, token, costs, attempts)))
        else:

            async def settle(end: End) -> None:
                await self._settle(call, account, token, costs, attempts)

            reply.on_settle(settle)
        return reply

    async def _enter(self, call: Call, account: LocalAccount | SharedAccount, costs: Sequence[float], key: str) -> Any:
        """Come back with what was booked, or raise."""
        runtime = call.runtime
        begun = runtime.now()
        until = math.inf if self.max_wait is None else begun + self.max_wait
        until = until if call.deadline is None else min(until, call.deadline)
        while cooling := call.board.cooling(call.target, now := runtime.now()):
            if now + cooling > until:
                raise self._refused(call, f"{call.target} asked for a rest", cooling, "cooldown")
            refuse_if_open(call, "RateLimit")
            await wait_here(call, cooling)
        token = await account.take(call, costs, until)
        if isinstance(token, Shortage):
            many = "" if token.limit is None else f" of {token.limit:g}"
            what = f"the limit{many} {token.dimension} per {self.per:g} s of {self._scope.shown(key)} is used up"
            raise self._refused(call, what, token.retry_after, token.dimension)
        waited = runtime.now() - begun
        if waited > 0.001:
            call.ledger.note("RateLimit", "waited", wait=waited)
        return token

    def _refused(self, call: Call, what: str, wait: float, dimension: str) -> RateLimited:
        call.ledger.note("RateLimit", "refused", dimension=dimension, retry_after=wait)
        most = "its deadline" if self.max_wait is None else f"max_wait={self.max_wait:g} s or its deadline"
        return RateLimited(
            f"{what[0].upper()}{what[1:]}; the call would wait {wait:.1f} s, more than {most} allows. "
            "Try again then, or let a Fallback answer.",
            layer="RateLimit",
            target=str(call.target),
            retry_after=wait,
        )

    async def _failed(
        self,
        call: Call,
        account: LocalAccount | SharedAccount,
        token: Any,
        costs: Sequence[float],
        attempts: Sequence[Attempt],
    ) -> None:
        await self._settle(call, account, token, costs, attempts)
        for attempt in attempts:
            if attempt.headers and self.sync_headers:
                await self._learn(call, account, attempt, None, rate_limit_resets(attempt.headers, call.runtime.wall))

    async def _settle(
        self,
        call: Call,
        account: LocalAccount | SharedAccount,
        token: Any,
        costs: Sequence[float],
        attempts: Sequence[Attempt],
    ) -> None:
        for attempt in attempts:
            rest = self._rest(call, attempt)
            if rest > 0:
                await account.rest(call, rest)
        await account.settle(call, token, self._costs.after(call, attempts, costs))

    def _rest(self, call: Call, attempt: Attempt) -> float:
        """Let a refused account rest, also where the provider did not say for how long; return for how long it does."""
        now, target = call.runtime.now(), attempt.target
        model = f"{target.account} {target.model or ''}"  # providers limit each model on its own
        if attempt.fault is Fault.RATE_LIMIT:
            hint = attempt.retry_after
            until = self._cooldowns.hit(model, now, hint=hint, sent_at=attempt.started)
        elif attempt.fault is Fault.QUOTA:
            until = self._cooldowns.hit(
                target.account,
                now,
                dimension="quota",
                first=_QUOTA_REST,
                cap=_LONGEST_QUOTA_REST,
                sent_at=attempt.started,
            )
        else:
            if attempt.outcome == "ok":
                for name in (model, target.account):
                    self._cooldowns.success(name, now, sent_at=attempt.started)
            return 0.0
        call.board.cool(target, until, account=attempt.fault is Fault.QUOTA)
        return until - now

    async def _learn(
        self,
        call: Call,
        account: LocalAccount | SharedAccount,
        attempt: Attempt,
        token: Any,
        news: Sequence[tuple[str, int | None, float]],
        *,
        open_stream: bool = False,
    ) -> None:
        """Take in what the headers of a response say, as `rate_limit_resets` reads them."""
        headers = attempt.headers or {}
        for found, remaining, reset in news:
            dimension = found.replace("-", "_")
            if self._follows and dimension in self._names:
                # At the start of a stream Anthropic has not counted its tokens; OpenAI counts all when it admits.
                counted = not open_stream or dimension == "requests" or f"x-ratelimit-reset-{found}" in headers
                limit = _limit(headers, found)
                told = {"limit": limit, "remaining": remaining, "reset": reset}
                await account.learn(call, attempt.started, dimension, token if counted else None, **told)
            elif remaining == 0 and reset > 0:
                call.board.cool(attempt.target, call.runtime.now() + reset)

    def _make(self, key: str) -> LocalAccount | SharedAccount:
        if self._store is None:
            return LocalAccount(self._dimensions)
        return SharedAccount(self._store, key, self._dimensions, self._now)

    def vitals(self) -> dict[str, Any]:
        """Return where every limit stands, for health checks."""
        return {"layers": {"RateLimit": self._scope.without_names(self.snapshot())}}

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Return where every limit stands, as JSON-able data by group.

        Returns:
            Of each: `limits` by dimension, as configured or learnt, the units `left` of them, negative in debt, and how
            many calls are `waiting`; of one in a store only that it is `shared`.
        """
        now = self._now()
        return {key: account.snapshot(now) for key, account in self._accounts.items()}

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        found: dict[str, Any] = dict(self.limits)
        if self.per != _HEADERS_PERIOD:
            found["per"] = self.per
        if self.max_wait is not None:
            found["max_wait"] = self.max_wait
        return found


class _Attempts:
    """Notes the attempts of one way through the layers inside."""

    __slots__ = ("_made",)

    def __init__(self, made: list[Attempt]) -> None:
        self._made = made

    def __call__(self, event: str, attempt: Attempt, data: Any) -> None:
        if event == "attempt_start":
            self._made.append(attempt)


def _limit(headers: Mapping[str, str], dimension: str) -> float | None:
    value = headers.get(f"x-ratelimit-limit-{dimension}") or headers.get(f"anthropic-ratelimit-{dimension}-limit")
    return whole_number(value) or None


def _beside(call: Call, work: Any) -> None:
    try:
        call.runtime.spawn(work)
    except RuntimeError:  # its loop is gone; what was booked leaks
        work.close()
