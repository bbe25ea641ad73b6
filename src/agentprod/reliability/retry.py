"""Try again, when that can help and there is time."""

from __future__ import annotations

import functools
import random
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from agentprod import draining, vitals
from agentprod.call import Call, CallNext
from agentprod.callsite import outside_level
from agentprod.context import seconds
from agentprod.errors import AgentprodWarning, CircuitOpen, ConfigError
from agentprod.faults import RETRIED, THROTTLED, Failure, Fault, classify
from agentprod.forks import after_fork
from agentprod.layer import Layer, Place
from agentprod.reliability.conditions import Condition, make_condition, strategy_wait, wants_stop
from agentprod.reliability.retry_budget import RetryBudget
from agentprod.reply import Reply

if TYPE_CHECKING:
    from datetime import timedelta

    from tenacity.stop import StopBaseT
    from tenacity.wait import WaitBaseT

__all__ = ["Retry"]

MIN_ATTEMPT = 1.0
"""Seconds an attempt needs to be worth starting before a deadline."""


class _OwnBudget:
    """Stands for a budget that each layer makes itself."""

    def __repr__(self) -> str:
        return "RetryBudget()"  # as `help(Retry)` shows it


_DEFAULT_BUDGET: Any = _OwnBudget()

_jitter = random.Random()
# Forked workers would otherwise wait the same times, and come back as one herd.
after_fork(_jitter.seed)


class Retry(Layer):
    """Repeats failed attempts: full jitter, the provider's own wishes, a budget, and the deadline.

    Which faults are retried is the fault table's decision (`ap.Fault`): connections, timeouts, server
    errors, overload, rate limits, conflicts, broken streams before their first content. `on` adds to it.
    Without a hint of the provider the wait before retry n is `U(0, min(cap, base · 2ⁿ⁻¹))` with base
    0.5 s and cap 8 s, for throttling faults 1 s and 30 s ("full jitter", AWS Architecture Blog,
    "Exponential Backoff And Jitter", 2015). With a hint it is `hint + U(0, min(1, hint / 10))`: never
    earlier, spread later.

    What finally fails raises the provider's own exception, the same object, with the attempts in its
    notes. A wrapped SDK client's own retries are switched off, so attempts do not multiply.

    Streams: retried until their first content has arrived, never after it.

    Args:
        attempts: most attempts in all, at least 1.

        wait: seconds between attempts instead of the rule above: a number or a tenacity `wait_*`
            object. A longer hint of the provider still wins.

        stop: a tenacity `stop_*` object that may end the series earlier.

        on: what to retry besides the table: exception types, `ap.Fault`s, predicates
            `(exception) -> bool`, or tenacity's `retry_if_exception*` objects; one or a list of them.

        on_result: predicate `(reply) -> bool`: a reply for which it is true is discarded and asked for again.

        max_retry_after: seconds; a provider that asks for a longer wait is not waited for.

        budget: a `RetryBudget`, per endpoint and shared by everything that uses the same object; `None`
            for no bound.

        idempotent: `False` for functions with effects: retries only faults known to precede them
            (refused connections, 429, 529, refusals of layers inside).

        wait_for_probe: wait for an open circuit's next probe when it fits the deadline.

        seed: makes the jitter repeatable; for tests.

    Raises:
        ConfigError: an option out of range.
    """

    other_traffic = True

    def __init__(
        self,
        *,
        attempts: int = 3,
        wait: float | timedelta | WaitBaseT | None = None,
        stop: StopBaseT | None = None,
        on: Any = (),
        on_result: Callable[[Reply], bool] | None = None,
        max_retry_after: float | timedelta = 60,
        budget: RetryBudget | None = _DEFAULT_BUDGET,
        idempotent: bool = True,
        wait_for_probe: bool = False,
        seed: int | None = None,
    ) -> None:
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise ConfigError(f"Retry attempts must be a whole number of at least 1, not {attempts!r}")
        if stop is not None and not callable(stop):
            raise ConfigError("Retry stop must be one of tenacity's stop_* objects")
        if on_result is not None and not callable(on_result):
            raise ConfigError("Retry on_result must be a predicate (reply) -> bool")
        if budget is not None and budget is not _DEFAULT_BUDGET and not isinstance(budget, RetryBudget):
            raise ConfigError(f"Retry budget must be a RetryBudget or None, not {type(budget).__name__}")
        for name, flag in (("idempotent", idempotent), ("wait_for_probe", wait_for_probe)):
            if not isinstance(flag, bool):
                raise ConfigError(f"Retry {name} must be True or False, not {flag!r}")
        self.attempts = attempts
        self.max_retry_after: float = seconds(max_retry_after, "Retry max_retry_after")
        self.budget: RetryBudget | None = RetryBudget() if budget is _DEFAULT_BUDGET else budget
        self.idempotent = idempotent
        self.wait_for_probe = wait_for_probe
        self._wait = wait if wait is None or callable(wait) else seconds(wait, "Retry wait", zero=True)
        self._stop = stop
        self._on: tuple[Condition, ...] = tuple(make_condition(item) for item in _listed(on))
        self._on_result = on_result
        self._random = _jitter if seed is None else random.Random(seed)
        self._warned: set[type] = set()
        vitals.report(self)

    def attach(self, place: Place) -> None:
        """Warn of a method whose object retries by itself: that cannot be switched off from here."""
        fn = place.fn
        while isinstance(fn, functools.partial):
            fn = fn.func
        owner = getattr(fn, "__self__", None)
        own = getattr(owner, "max_retries", None)
        if isinstance(own, bool) or not isinstance(own, int) or own < 1 or self.attempts < 2:
            return
        if type(owner) not in self._warned:
            self._warned.add(type(owner))
            warnings.warn(
                f"{type(owner).__name__}, whose method {place.function} is decorated, retries {own} times by itself "
                f"(max_retries), inside each of Retry's {self.attempts} attempts: make it with max_retries=0",
                AgentprodWarning,
                stacklevel=outside_level(),
            )

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Try, and try again."""
        number = 1
        budget = self.budget
        while True:
            try:
                reply = await call_next(call)
            except Exception as error:
                wait = self._decide(call, error, number)
                if wait is None:
                    raise
                number += 1
                await self._rest(call, number, wait)
                if draining.begun:
                    call.ledger.note("Retry", "stop", reason="draining", attempts=number - 1)
                    raise
                if call.choice is not None:
                    call = call.choice.other(call) or call
            else:
                if self._on_result is None or number >= self.attempts or not await self._is_bad(reply):
                    if budget is not None and budget.strained:
                        budget.succeeded(call.target.endpoint)
                    return reply
                wait = self._backoff(number, Fault.UNKNOWN)
                if self._past_deadline(call, wait) or (budget is not None and not budget.take(call.target.endpoint)):
                    return reply
                await reply.discard()
                number += 1
                await self._rest(call, number, wait)
                if draining.begun:
                    raise draining.shutting_down(call, "Retry")

    async def _rest(self, call: Call, number: int, wait: float) -> None:
        call.ledger.note("Retry", "retry", attempt=number, wait=wait)
        call.ledger.backoff += wait
        await draining.pause(call.runtime, wait)

    async def _is_bad(self, reply: Reply) -> bool:
        assert self._on_result is not None
        try:
            return self._on_result(reply)
        except BaseException:
            await reply.discard()
            raise

    def _decide(self, call: Call, error: Exception, number: int) -> float | None:
        """Return how long to wait before the next attempt, or `None` to give up; notes the reason."""
        error = getattr(error, "carried", error)
        failure = classify(error, call.classify, wall=call.runtime.wall)
        reason = self._refusal(failure, error, number, call)
        if reason is None:
            wait = self._wait_for(failure, error, number, call)
            hint = failure.retry_after
            if call.choice is not None and call.choice.has_other(call):
                wait, hint = 0.0, None  # the wait is for the place that failed
            if hint is not None and hint > self.max_retry_after:
                reason = "hint_too_long"
            elif self._past_deadline(call, wait):
                reason = "deadline"
            elif self._stop is not None and wants_stop(self._stop, number, error, call, wait):
                reason = "stop"
            elif self.budget is not None and not self.budget.take(call.target.endpoint):
                reason = "budget"
            else:
                return wait
        call.ledger.note("Retry", "stop", reason=reason, attempts=number, fault=failure.fault.value)
        return None

    def _refusal(self, failure: Failure, error: Exception, number: int, call: Call) -> str | None:
        if number >= self.attempts:
            return "attempts"
        if draining.begun:
            return "draining"
        fault = failure.fault
        if fault is Fault.REJECTED:
            probing = self.wait_for_probe and isinstance(error, CircuitOpen) and error.retry_after is not None
            return None if probing else "rejected"
        if fault is Fault.QUOTA:
            return "not_retryable"
        if call.dialect.once:
            return "body_read_once"
        if not (self.idempotent and call.dialect.repeatable) and not failure.before_processing:
            return "not_idempotent"
        if failure.should_retry is not None:
            return None if failure.should_retry else "provider_says_no"
        if fault in RETRIED or any(wants(error, fault) for wants in self._on):
            return None
        if fault is Fault.UNKNOWN and type(error) not in self._warned:
            self._warned.add(type(error))
            name = type(error).__name__
            warnings.warn(
                f"Retry does not know {name} and does not retry it; write Retry(on={name}) if it should",
                AgentprodWarning,
                stacklevel=outside_level(),
            )
        return "not_retryable"

    def _wait_for(self, failure: Failure, error: Exception, number: int, call: Call) -> float:
        hint = failure.retry_after
        if self._wait is not None:
            own = self._wait if isinstance(self._wait, float) else strategy_wait(self._wait, number, error, call)
            return max(own, hint or 0.0, 0.0)
        if hint is not None:
            return hint + self._random.uniform(0, min(1.0, 0.1 * hint))
        return self._backoff(number, failure.fault)

    def _backoff(self, number: int, fault: Fault) -> float:
        base, cap = (1.0, 30.0) if fault in THROTTLED else (0.5, 8.0)
        return self._random.uniform(0, min(cap, base * 2.0 ** min(number - 1, 30)))

    def _past_deadline(self, call: Call, wait: float) -> bool:
        return call.deadline is not None and call.runtime.now() + wait + MIN_ATTEMPT > call.deadline

    def vitals(self) -> dict[str, Any]:
        """Return what is left of its budget, for health checks."""
        return {"layers": {"Retry": self.snapshot()}}

    def snapshot(self) -> dict[str, Any]:
        """Return the tokens of the retry `budget` left by endpoint, where some are used; `None` without a budget."""
        return {"budget": None if self.budget is None else self.budget.snapshot()}

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        found: dict[str, Any] = {"attempts": self.attempts}
        if not self.idempotent:
            found["idempotent"] = False
        return found


def _listed(on: Any) -> Iterable[Any]:
    return on if isinstance(on, list | tuple | set | frozenset) else (on,)
