"""Ask another target when one fails."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any

from agentprod.call import Call, CallNext, Target
from agentprod.callsite import outside_level
from agentprod.errors import AgentprodWarning, ConfigError, DeadlineExceeded
from agentprod.faults import OF_PROVIDER, Fault
from agentprod.layer import Layer, Place
from agentprod.meta import add_note
from agentprod.reliability.conditions import Condition, make_condition
from agentprod.reliability.passing_on import OF_CREDENTIAL, Candidates, fault_of, is_refusal, rests
from agentprod.reply import Reply
from agentprod.targets import Goal, as_goals, check_kinds, shown_goal

__all__ = ["Fallback"]

_LEAST_SHARE = 1.0  # seconds
_RESTING = "resting"

_log = logging.getLogger("agentprod")


class Fallback(Layer):
    """Asks the targets in their order, each once, when the one before failed.

    Passed on are faults of the provider: broken connections, timeouts, server errors, overload, rate limits, broken
    streams before their first content, an open circuit, a limit or a bulkhead that refused; a used-up quota and a
    refused credential only to a target with another credential. A bad request, a conflict, a budget, a guard and an
    exception nobody knows are not: they would fail there as well, or must not be got around. A target that is
    cooling down, or whose circuit is open, is asked only when no other is left; so is the first one.

    A target that cannot say what the call asks is left out. When all have failed the first one's error is raised,
    the same object, with the others in its notes. `ap.meta(result).served_by` names who answered, and
    `"degraded" in ap.meta(result).flags` says that it was not the first.

    A deadline is shared: each target gets the time left divided by the targets left, 1 second at least.

    Streams: passed on until their first content has arrived, never after it.

    Args:
        targets: a model's name (at the caller's own client), `ap.target(client, model)`, or a function. A function is
            called with the decorated function's arguments, or with the SDK call's request as keywords, and returns a
            text or a whole reply.

        on: what to pass on besides the faults above: exception types, `ap.Fault`s, predicates `(exception) -> bool`,
            or tenacity's `retry_if_exception*` objects; one or a list of them.

        on_context_overflow: a target or a list of them, for requests that are too long for the first one's context
            window, and for nothing else.

        on_content_policy: a target or a list of them, for what the first one's content policy refused, as an error or
            as a whole reply that says so, and for nothing else.

    Raises:
        ConfigError: no target, the same one twice, one of another kind (sync or async), or an option of the wrong kind.
    """

    def __init__(
        self,
        *targets: Any,
        on: Any = None,
        on_context_overflow: Any = (),
        on_content_policy: Any = (),
    ) -> None:
        self.targets: tuple[Goal, ...] = as_goals(targets, "Fallback")
        self._overflow = as_goals(_listed(on_context_overflow), "Fallback on_context_overflow")
        self._policy = as_goals(_listed(on_content_policy), "Fallback on_content_policy")
        if not (self.targets or self._overflow or self._policy):
            raise ConfigError("Fallback needs a target: Fallback('gpt-5-mini') or Fallback(ap.target(client, model))")
        self._on: tuple[Condition, ...] = tuple(_condition(item) for item in _listed(() if on is None else on))
        self._warned: set[type] = set()

    def attach(self, place: Place) -> None:
        """Refuse targets that answer in another way than what they stand in for."""
        check_kinds((*self.targets, *self._overflow, *self._policy), place, "Fallback")

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Ask, and ask the next one."""
        pool = self.targets
        # Behind Balance stand several places, and it knows which of them rest.
        if pool and rests(call) and "Balance" not in call.ledger.layers:
            candidates = Candidates(call)
            other = candidates.next(pool, resting=False)
            if other is not None:
                return await self._pass_on(call, call_next, candidates, other, _Tried(call.target, _RESTING))
        try:
            reply = await call_next(_with_share(call, len(pool)))
        except Exception as error:
            tried = _Tried(call.target, fault_of(call, getattr(error, "carried", error)), error)
        else:
            if not self._policy or not _is_refused(reply):
                return reply
            tried = _Tried(call.target, Fault.CONTENT_POLICY, None, reply)
        return await self._pass_on(call, call_next, Candidates(call), None, tried)

    async def _pass_on(
        self, call: Call, call_next: CallNext, candidates: Candidates, other: tuple[Goal, Call] | None, tried: _Tried
    ) -> Reply:
        """Ask one target after the other, from `other` on; without one, from where the fault leads."""
        rested = tried.fault == _RESTING
        failures = [] if rested else [tried]
        refused, pool = tried.reply, self.targets
        while True:
            if other is None:
                pool = self._pool(tried.fault, pool)
                if tried.error is None or self._passes(call, tried):
                    if tried.fault in OF_CREDENTIAL:
                        candidates.spend(tried.target)
                    other = candidates.next(pool)
                    if other is None and rested:  # nobody else could answer
                        other, rested = (str(call.target), call), False
            if other is None:
                if refused is not None:
                    return refused
                raise _final(call, failures, candidates)
            goal, there = other
            other = None
            candidates.take(there)
            # The cache tells by this note that what comes is not what was asked for.
            call.ledger.note("Fallback", "switch", left=str(tried.target), to=shown_goal(goal), reason=tried.reason)
            try:
                reply = await call_next(_with_share(there, candidates.left(pool)))
            except Exception as error:
                tried = _Tried(there.target, fault_of(call, getattr(error, "carried", error)), error)
                failures.append(tried)
                continue
            if refused is not None:
                await refused.discard()
            if not self._policy or not _is_refused(reply):
                if there is not call:
                    call.ledger.flag("degraded")
                return reply
            refused = reply
            tried = _Tried(there.target, Fault.CONTENT_POLICY, None, reply)

    def _pool(self, fault: Fault | str, now: tuple[Goal, ...]) -> tuple[Goal, ...]:
        """Return the targets for a fault. Once a request was too long, targets for other faults are too short, too."""
        if fault is Fault.CONTEXT_OVERFLOW:
            return self._overflow
        return self._policy if fault is Fault.CONTENT_POLICY else now

    def _passes(self, call: Call, tried: _Tried) -> bool:
        fault = tried.fault
        error: Exception = getattr(tried.error, "carried", tried.error)  # type: ignore[assignment]
        assert isinstance(fault, Fault)
        if fault is Fault.AUTH:
            _log.error("%s refused the credential it was given; check the key of that client", tried.target)
        if fault in OF_PROVIDER or fault in (Fault.CONTEXT_OVERFLOW, Fault.CONTENT_POLICY) or is_refusal(error):
            return True
        if isinstance(error, DeadlineExceeded):
            return False
        if any(wants(error, fault) for wants in self._on):
            return True
        if fault is Fault.UNKNOWN and "Retry" not in call.ledger.layers and type(error) not in self._warned:
            self._warned.add(type(error))
            name = type(error).__name__
            warnings.warn(
                f"Fallback does not know {name} and passes it on to nobody; write Fallback(…, on={name}) if it should",
                AgentprodWarning,
                stacklevel=outside_level(),
            )
        return False

    def options(self) -> dict[str, Any]:
        """Return the targets."""
        found = {
            "targets": self.targets,
            "on_context_overflow": self._overflow,
            "on_content_policy": self._policy,
        }
        return {name: [shown_goal(goal) for goal in goals] for name, goals in found.items() if goals}


class _Tried:
    """A target that was not good enough: what was wrong, and what came of it."""

    __slots__ = ("error", "fault", "reply", "target")

    def __init__(
        self, target: Target, fault: Fault | str, error: Exception | None = None, reply: Reply | None = None
    ) -> None:
        self.target = target
        self.fault = fault
        self.error = error
        self.reply = reply

    @property
    def reason(self) -> str:
        return self.fault.value if isinstance(self.fault, Fault) else self.fault


def _with_share(call: Call, left: int) -> Call:
    """Return the call with its part of the time that is left for it and for the targets behind it."""
    if call.deadline is None or not left:
        return call
    now = call.runtime.now()
    share = max(_LEAST_SHARE, (call.deadline - now) / (left + 1))
    return call.replace(deadline=min(call.deadline, now + share))


def _final(call: Call, failures: Sequence[_Tried], candidates: Candidates) -> Exception:
    """Return what is raised when no target is left: the first error, or that the time is over."""
    first, last = failures[0].error, failures[-1].error
    assert first is not None
    assert last is not None
    if isinstance(last, DeadlineExceeded) and call.deadline is not None and call.runtime.now() >= call.deadline:
        first = last
    if len(failures) > 1 or candidates.left_out:
        told = "asked " + ", then ".join(f"{tried.target} ({tried.reason})" for tried in failures)
        if candidates.left_out:
            told += "; left out " + ", ".join(f"{name} ({why})" for name, why in candidates.left_out.items())
            call.ledger.note("Fallback", "left_out", targets=list(candidates.left_out))
        add_note(getattr(first, "carried", first), f"agentprod Fallback: {told}")
    for tried in failures:
        tried.error = None  # an error's traceback leads to the frames that would keep it alive
    return first


def _condition(item: Any) -> Condition:
    if isinstance(item, Fault) and item is not Fault.CANCELLED:
        return lambda error, fault: fault is item
    return make_condition(item, "Fallback")


def _listed(given: Any) -> Sequence[Any]:
    return tuple(given) if isinstance(given, list | tuple | set | frozenset) else (given,)


def _is_refused(reply: Reply) -> bool:
    """Whether a whole reply says that the content policy ended it; a stream has been passed on by then."""
    return reply.stream is None and reply.dialect.finish(reply.body) == "content_filter"
