"""Stop calling an endpoint that fails, and find out gently when it works again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from agentprod import vitals
from agentprod.call import Call, CallNext
from agentprod.context import seconds
from agentprod.errors import CircuitOpen, ConfigError
from agentprod.layer import Layer
from agentprod.reliability.breaker_machine import (
    CLOSED,
    DISABLED,
    FORCED_OPEN,
    HALF_OPEN,
    BreakerRefusal,
    Outcome,
    Permit,
)
from agentprod.reliability.breaker_policy import BreakerPolicy, SlowCalls
from agentprod.reliability.circuits import Circuit, CircuitCheck, CircuitListener, Circuits
from agentprod.reliability.evidence import judge_error, time_per_token
from agentprod.reliability.scope import By, Scope
from agentprod.reliability.timeout import Timeout
from agentprod.reply import End, Reply
from agentprod.stores import open_store

if TYPE_CHECKING:
    from agentprod.stores.opening import StoreLike

__all__ = ["CircuitBreaker"]


class CircuitBreaker(Layer):
    """Refuses calls to an endpoint that keeps failing, so that nobody waits for it and it can recover.

    Of the calls of the last `window` seconds, when there were at least `min_calls` and the share of failures has
    reached `failure_rate`, the circuit opens: calls raise `CircuitOpen` at once. After `open_for` seconds (doubled
    each time it opens again, ± 10 %) one call tests the endpoint; two that succeed close the circuit, and over the
    next 10 seconds it lets 25 %, 50 %, then all calls through. A test call that has not answered within its lease,
    60 seconds or the limit of a `Timeout` inside, counts as failed.

    Failures are connections, timeouts, server errors, overload, and broken or silent streams. What is not the
    endpoint's fault counts as nothing at all: bad requests, refused content, credentials, rate limits, refusals of
    other layers, cancellations, exceptions nobody knows.

    Streams: what counts is how the stream ends; a consumer that leaves early counts as nothing.

    Args:
        failure_rate: share of failed calls that opens the circuit, above 0 and up to 1.

        min_calls: fewer calls in the window than this never open it.

        window: seconds that are looked at.

        open_for: seconds the circuit stays open the first time.

        max_open_for: seconds it stays open at most.

        slow: a `SlowCalls`, to open it for slowness too.

        by: what has a circuit of its own: `"endpoint"` (provider, base URL and model), another of the `by=` names,
            or a callable `(call) -> str`. At most 1,024; open ones are kept.

        store: where processes share circuits: an object or a URL; the stack's when `None`. They share that a circuit
            is open and who tests it; each counts its own calls. While the store is down each goes on alone.

        shadow: refuse nothing, but note what would have been refused.

        listeners: functions `(key, change)`, told of every change of a circuit by the thread or task that caused it,
            when it holds no lock; quick and without I/O. `change` has `old` and `new` (enums whose values are the words
            of `state()`), `reason`, `at`, and `wait`, the seconds it stays open. What they raise is logged.

        seed: makes the jitter of the waits repeatable; for tests.

    Raises:
        ConfigError: an option out of range.
        CircuitOpen: in a call that is refused; its cause is the error that opened the circuit.
    """

    other_traffic = True

    def __init__(
        self,
        *,
        failure_rate: float = 0.5,
        min_calls: int = 10,
        window: float | timedelta = 60,
        open_for: float | timedelta = 15,
        max_open_for: float | timedelta = 300,
        slow: SlowCalls | None = None,
        by: By = "endpoint",
        store: StoreLike | None = None,
        shadow: bool = False,
        listeners: Sequence[CircuitListener] = (),
        seed: int | None = None,
    ) -> None:
        if slow is not None and not isinstance(slow, SlowCalls):
            raise ConfigError(f"CircuitBreaker slow must be a SlowCalls or None, not {type(slow).__name__}")
        if not isinstance(listeners, Sequence) or not all(callable(listener) for listener in listeners):
            raise ConfigError("CircuitBreaker listeners must be a list of functions (key, change)")
        if not isinstance(shadow, bool):
            raise ConfigError(f"CircuitBreaker shadow must be True or False, not {shadow!r}")
        self.policy: BreakerPolicy = BreakerPolicy(
            failure_rate=failure_rate,
            min_calls=min_calls,
            window=seconds(window, "CircuitBreaker window"),
            open_for=seconds(open_for, "CircuitBreaker open_for"),
            max_open_for=seconds(max_open_for, "CircuitBreaker max_open_for"),
            slow=slow,
        )
        self._per_token = slow is not None and slow.per_token is not None
        self.shadow = shadow
        scope = Scope(by, "CircuitBreaker")
        self._circuits = Circuits(self.policy, scope, shadow=shadow, listeners=tuple(listeners), seed=seed)
        self._check = CircuitCheck(self._circuits)
        self._environment: Any = None
        self._now = monotonic
        self._lease = self.policy.lease
        self._own_store = store is not None
        if store is not None:
            self._circuits.share(open_store(store))
        vitals.report(self)

    @property
    def needs_usage(self) -> bool:  # type: ignore[override]
        """Whether output tokens are counted, to tell slow streams."""
        return self._per_token

    def join_stack(self, stack: Any) -> None:
        """Take clock, store and the time of test calls from the stack this layer now belongs to.

        Raises:
            ConfigError: another stack has given it another store.
        """
        self._now = stack.entry.sync.runtime.now
        limits = (found.attempt for found in stack if isinstance(found, Timeout))
        self._lease = max((limit for limit in limits if limit is not None), default=self.policy.lease)
        if stack.store is None or self._own_store:
            return
        store = open_store(stack.store)
        known = self._circuits.store
        if known is not None and known is not store:
            raise ConfigError("this CircuitBreaker serves two stacks with different stores; give it one of its own")
        if known is None:
            self._circuits.share(store)

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Ask the circuit for leave, and tell it what became of the call."""
        if call.ledger.environment is not self._environment:
            self._environment = call.ledger.environment
            call.board.post(self._check)
        now = call.runtime.now
        key = self._circuits.scope.key(call)
        circuit = self._circuits.get(key, now())
        machine = circuit.machine
        permit = None
        steady = 0 if circuit.shared is not None else machine.steady
        if not steady:
            permit = await self._admitted(call, circuit, key)
        try:
            reply = await call_next(call)
        except BaseException as error:
            await self._failed(call, circuit, permit or Permit(steady), error)
            raise
        if reply.stream is not None:
            self._follow(call, circuit, permit or Permit(steady), reply)
        elif permit is not None or self._per_token:
            outcome, details = self._answered(reply)
            await self._record(call, circuit, permit or Permit(steady), outcome, **details)
        elif reply.attempt is not None:  # without, nobody was asked
            before, ended = machine.revision, now()
            machine.succeeded(steady, ended)
            if machine.revision != before:
                _note_change(call, circuit, before, ended)
        return reply

    async def _admitted(self, call: Call, circuit: Circuit, key: str) -> Permit:
        """Return leave to make the call, or raise; note what is special about it."""
        now, lease, shared = call.runtime.now(), call.limits.attempt or self._lease, circuit.shared
        answer: Permit | BreakerRefusal
        if shared is None:
            answer = circuit.machine.admit(now, lease=lease)
        else:
            answer = await call.runtime.run(
                lambda: shared.admit(now, lease=lease), lambda: shared.aadmit(now, lease=lease)
            )
        if isinstance(answer, BreakerRefusal):
            call.ledger.note("CircuitBreaker", "refused", rejected=True, **_facts(answer))
            raise _refused(call, self._circuits.scope.shown(key), answer) from answer.error
        if answer.would_refuse is not None:
            call.ledger.note("CircuitBreaker", "would_refuse", **_facts(answer.would_refuse))
        elif answer.lease is not None:
            call.ledger.note("CircuitBreaker", "probe", state=HALF_OPEN.value)
        return answer

    async def _failed(self, call: Call, circuit: Circuit, permit: Permit, error: BaseException) -> None:
        outcome, fault = judge_error(call, error)
        if isinstance(error, Exception):
            await self._record(call, circuit, permit, outcome, fault=fault.value, error=error)
            return
        # A cancelled call ends at once, so what others must know of its test is told beside it.
        self._record_here(call, circuit, permit, outcome)
        if permit.lease is not None and circuit.shared is not None:
            work = _tell(call, circuit)
            try:
                call.runtime.spawn(work)
            except RuntimeError:  # its loop is gone; the lease runs out by itself
                work.close()

    def _answered(self, reply: Reply) -> tuple[Outcome, dict[str, Any]]:
        attempt = reply.attempt
        if attempt is None:  # no provider was asked
            return Outcome.NEUTRAL, {}
        return Outcome.SUCCESS, {"per_token": time_per_token(attempt)} if self._per_token else {}

    def _follow(self, call: Call, circuit: Circuit, permit: Permit, reply: Reply) -> None:
        """Record a stream when it ends; while a test call's goes on, so does its lease."""
        if permit.lease is not None:
            machine, now, lease = circuit.machine, call.runtime.now, call.limits.attempt or self._lease
            renewed = now()
            machine.renew(permit, renewed, lease=lease)

            def renew(event: Any) -> None:
                nonlocal renewed
                if now() > renewed + lease / 4:
                    renewed = now()
                    machine.renew(permit, renewed, lease=lease)

            reply.on_event(renew)
        if circuit.shared is None:
            reply.on_end(lambda end: self._record_here(call, circuit, permit, *self._judge(call, end)))
            return

        async def settle(end: End) -> None:
            outcome, details = self._judge(call, end)
            await self._record(call, circuit, permit, outcome, **details)

        reply.on_settle(settle)

    def _judge(self, call: Call, end: End) -> tuple[Outcome, dict[str, Any]]:
        if end.outcome == "failed" and end.error is not None:
            outcome, fault = judge_error(call, end.error)
            return outcome, {"fault": fault.value, "error": end.error}
        if end.outcome != "complete" or end.partial or end.attempt is None:
            return Outcome.NEUTRAL, {}  # what was not read might have broken
        per_token = time_per_token(end.attempt) if self.needs_usage else None
        return Outcome.SUCCESS, {"ttft": end.attempt.ttft, "per_token": per_token}

    async def _record(self, call: Call, circuit: Circuit, permit: Permit, outcome: Outcome, **details: Any) -> None:
        shared = circuit.shared
        if shared is None:
            self._record_here(call, circuit, permit, outcome, details)
            return
        now, before = call.runtime.now(), circuit.machine.revision
        await call.runtime.run(
            lambda: shared.record(permit, outcome, now, **details),
            lambda: shared.arecord(permit, outcome, now, **details),
        )
        _note_change(call, circuit, before, now)

    def _record_here(
        self, call: Call, circuit: Circuit, permit: Permit, outcome: Outcome, details: dict[str, Any] | None = None
    ) -> None:
        now, before = call.runtime.now(), circuit.machine.revision
        circuit.machine.record(permit, outcome, now, **details or {})
        _note_change(call, circuit, before, now)

    # By a person's hand

    def force_open(self, key: str | None = None) -> None:
        """Refuse every call until `reset`.

        Args:
            key: one circuit, as `state()` names it; `None` for all, those to come included.
        """
        self._circuits.order(FORCED_OPEN, key, self._now())

    def disable(self, key: str | None = None) -> None:
        """Let every call through and count nothing until `reset`.

        Args:
            key: one circuit; `None` for all, those to come included.
        """
        self._circuits.order(DISABLED, key, self._now())

    def reset(self, key: str | None = None) -> None:
        """Close the circuit and forget everything: counts, waits, and orders given by hand.

        Args:
            key: one circuit; `None` for all.
        """
        self._circuits.order(CLOSED, key, self._now())

    def state(self, key: str | None = None) -> Any:
        """Return where circuits stand: `"closed" "open" "half_open" "forced_open" "disabled"`.

        Args:
            key: one circuit; `None` for all.

        Returns:
            The state of one circuit; without a key a dict of all, by key.
        """
        now = self._now()
        if key is not None:
            return self._circuits.state(key, now).value
        return {name: state.value for name, state in self._circuits.states(now).items()}

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Return where every circuit stands, as JSON-able data by key.

        Returns:
            Of each: `state`, `reason` of the last change, `fault` (the last one that counted), `since` (seconds in this
            state; `None` before any change), `retry_after` (seconds; `None` while calls are let through, or when only
            a person can tell), and the `calls`, `failures` and `slow_calls` of this process in the window.
        """
        return self._circuits.snapshots(self._now())

    def vitals(self) -> dict[str, Any]:
        """Return the state of every circuit, for health checks."""
        circuits = self._circuits.scope.without_names(self.snapshot())
        states = {} if self.shadow else {"breakers": self._circuits.shown_states(self._now())}
        return {**states, "layers": {"CircuitBreaker": circuits}}

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        default = BreakerPolicy()
        names = ("failure_rate", "min_calls", "window", "open_for", "max_open_for", "slow")
        found = {name: getattr(self.policy, name) for name in names}
        differ = {name: value for name, value in found.items() if value != getattr(default, name)}
        return {**differ, **({"shadow": True} if self.shadow else {})}


def _facts(refusal: BreakerRefusal) -> dict[str, Any]:
    facts: dict[str, Any] = {"state": refusal.state.value}
    if refusal.retry_after is not None:
        facts["retry_after"] = refusal.retry_after
    if refusal.fault is not None:
        facts["fault"] = refusal.fault
    return facts


def _refused(call: Call, shown: str, refusal: BreakerRefusal) -> CircuitOpen:
    state, wait = refusal.state, refusal.retry_after
    told = f"is open after {refusal.fault} faults" if refusal.fault else "is open"
    if state is FORCED_OPEN:
        told = "was opened by hand; call reset() to close it"
    elif state is CLOSED:
        told = "has just closed and lets only a share of the calls through"
    elif state is HALF_OPEN:
        told += ", and another call is testing it"
    when = "" if wait is None else f"; try again in {wait:.1f} s, or let a Fallback answer"
    return CircuitOpen(
        f"The circuit of {shown} {told}{when}.", layer="CircuitBreaker", target=str(call.target), retry_after=wait
    )


def _note_change(call: Call, circuit: Circuit, before: int, now: float) -> None:
    if circuit.machine.revision != before:
        call.ledger.note("CircuitBreaker", "changed", state=circuit.machine.state(now).value)


async def _tell(call: Call, circuit: Circuit) -> None:
    shared, now = circuit.shared, call.runtime.now()
    assert shared is not None
    await call.runtime.run(lambda: shared.exchange(now), lambda: shared.aexchange(now))
