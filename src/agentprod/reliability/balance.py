"""Spread calls over several places that answer alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from agentprod.call import Call, CallNext
from agentprod.errors import AllUnavailable, ConfigError
from agentprod.faults import Fault, classify
from agentprod.forks import after_fork
from agentprod.layer import Layer, Place
from agentprod.ledger import Attempt
from agentprod.reliability.deployments import Deployment, Deployments
from agentprod.reliability.passing_on import OF_CREDENTIAL, is_refusal
from agentprod.reliability.pins import Pins
from agentprod.reply import Reply
from agentprod.targets import Goal, aim, as_goals, check_kinds, obstacle, shown_goal

__all__ = ["Balance"]

LONGEST_WAIT = 60.0
"""Seconds a call waits at most for a place to be ready again, as long as `Retry` waits for a provider by default."""

LEAST_LEFT = 1.0
"""Seconds that must be left before the deadline after such a wait."""

_NAMES = ("user", "team", "tenant", "conversation", "run")

_draw = random.Random()
# Forked workers would otherwise all draw the same places.
after_fork(_draw.seed)


class Balance(Layer):
    """Sends each call to one of the targets, which answer alike: deployments, regions, keys, gateways.

    Two are drawn by weight; the one with fewer calls in flight, sooner first content, and more left of its rate limit
    is taken. Targets that are cooling down, or whose circuit is open, are passed over, and those that failed lately
    as long as others did not. When all of them rest, a call waits for the first one to be ready if the wait fits its
    deadline and takes no longer than 60 seconds.

    `Retry` inside repeats a failed attempt at another target, at once; when there is none, at the same one after its
    usual wait. What a target refused before it began (an open circuit, a limit, a used-up quota, a refused
    credential, 429 and 529) is sent to the others even without `Retry`, each once. What fails for other reasons is
    `Retry`'s and `Fallback`'s.

    Calls that a layer outside (`Fallback`, `Router`) has sent elsewhere are left alone.

    Streams: counted as in flight until they end.

    Args:
        targets: a model's name (at the caller's own client), `ap.target(client, model)`, or a function.

        weights: shares of the calls, one number above 0 for each target; equal ones when `None`.

        affinity: calls of one key go to one target, so that its prompt cache is used: `"user" "team" "tenant"
            "conversation" "run"`, or a callable `(call) -> str | None`. A pin holds for 5 minutes after its last
            use, or until its target fails or rests; a call without a key is balanced like any other.

        seed: makes the choices repeatable; for tests.

    Raises:
        ConfigError: no target, the same one twice, one of another kind (sync or async), or an option out of range.
        AllUnavailable: in a call for which no target is ready in time; with `retry_after`.
    """

    def __init__(
        self,
        *targets: Any,
        weights: Sequence[float] | None = None,
        affinity: str | Callable[[Call], str | None] | None = None,
        seed: int | None = None,
    ) -> None:
        self.targets: tuple[Goal, ...] = as_goals(targets, "Balance")
        if not self.targets:
            raise ConfigError("Balance needs targets: Balance('gpt-5-mini', ap.target(client, 'gpt-5-mini'))")
        self.weights: tuple[float, ...] = tuple([1.0] * len(self.targets) if weights is None else weights)
        if len(self.weights) != len(self.targets):
            raise ConfigError(f"Balance needs one weight for each of its {len(self.targets)} targets")
        for weight in self.weights:
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
                raise ConfigError(f"Balance weights must be numbers above 0, not {weight!r}")
        if affinity is not None and not callable(affinity) and affinity not in _NAMES:
            names = ", ".join(f'"{name}"' for name in _NAMES)
            raise ConfigError(f"Balance affinity= takes {names} or a callable (call) -> str | None, not {affinity!r}")
        self.affinity = affinity
        self._deployments = Deployments(self.targets, self.weights, _draw if seed is None else random.Random(seed))
        self._pins: Pins[Deployment] = Pins()

    def attach(self, place: Place) -> None:
        """Refuse targets that answer in another way than what the stack is put around."""
        check_kinds(self.targets, place, "Balance")

    @property
    def in_flight(self) -> dict[str, int]:
        """Calls under way now, by target."""
        return {shown_goal(place.goal): place.in_flight for place in self._deployments.all}

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Choose, and choose again where nothing was begun."""
        if call.target is not call.home:
            return await call_next(call)
        key = self._key(call)
        visit = Visit(self._deployments)
        failed: Exception | None = None
        while True:
            place = await self._choose(call, key, visit, failed)
            if place is None:
                assert failed is not None
                raise failed
            there = visit.enter(call, place)
            call.ledger.note("Balance", "chose", to=shown_goal(place.goal))
            try:
                reply = await call_next(there)
            except BaseException as error:
                visit.leave()
                if not isinstance(error, Exception) or not _begun_nowhere(call, error):
                    self._pins.drop(key)
                    raise
                failed = error
                continue
            break
        if key is not None and visit.at is not None:
            self._pins.set(key, visit.at, call.runtime.now())
        if reply.stream is None:
            visit.leave()
        else:
            reply.on_end(lambda end: visit.leave())
        return reply

    def _key(self, call: Call) -> str | None:
        if self.affinity is None:
            return None
        found = self.affinity(call) if callable(self.affinity) else getattr(call.context, self.affinity)
        if found is not None and not isinstance(found, str):
            raise ConfigError(f"Balance affinity= must return a str or None, not {type(found).__name__}")
        return found

    async def _choose(self, call: Call, key: str | None, visit: Visit, failed: Exception | None) -> Deployment | None:
        """Return where to go; `None` when everything was tried and failed."""
        runtime = call.runtime
        everywhere = self._deployments.all
        able = [place for place in everywhere if place not in visit.seen] if visit.seen else list(everywhere)
        reason: str | None = None
        while able:
            rests = {place: self._deployments.rest(call, place) for place in able}
            ready = [place for place, rest in rests.items() if rest <= 0]
            if ready:
                pinned = None if key is None else self._pins.get(key, runtime.now())
                place = pinned if pinned in ready else self._deployments.pick(call, ready)
                assert place is not None
                reason = obstacle(call, place.goal)
                if reason is None:
                    return place
                able.remove(place)
                continue
            wait = min(rests.values())
            late = call.deadline is not None and runtime.now() + wait + LEAST_LEFT > call.deadline
            if late or wait > LONGEST_WAIT:
                if failed is not None:
                    return None
                raise self._unavailable(call, wait)
            call.ledger.note("Balance", "waited", wait=wait)
            await runtime.sleep(wait)
        if failed is None:
            raise ConfigError(f"none of the targets of Balance can answer this call: {reason}")
        return None

    def _unavailable(self, call: Call, wait: float) -> AllUnavailable:
        call.ledger.note("Balance", "refused", retry_after=wait)
        never = wait == float("inf")
        return AllUnavailable(
            f"All {len(self.targets)} targets of Balance are cooling down or have an open circuit; the first is ready "
            + ("when its circuit is closed by hand." if never else f"in {wait:.1f} s. Try again then")
            + ("" if never else ", allow a longer deadline, or let a Fallback answer."),
            layer="Balance",
            target=str(call.target),
            retry_after=None if never else wait,
        )

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        found: dict[str, Any] = {"targets": [shown_goal(goal) for goal in self.targets]}
        if len(set(self.weights)) > 1:
            found["weights"] = list(self.weights)
        if self.affinity is not None:
            found["affinity"] = self.affinity
        return found


class Visit:
    """Where one call is, and has been: what layers inside ask for another place."""

    __slots__ = ("_beside", "_deployments", "at", "seen")

    def __init__(self, deployments: Deployments, seen: Sequence[Deployment] = ()) -> None:
        self._deployments = deployments
        self._beside: list[Visit] = []
        self.at: Deployment | None = None
        self.seen: list[Deployment] = list(seen)
        """Where it has been asked already."""

    def enter(self, call: Call, place: Deployment) -> Call:
        """Return the call as it goes to a place, which it counts at from now on."""
        self._deployments.enter(place)
        self.at = place
        self.seen.append(place)
        there = aim(call, place.goal)  # a copy
        there.choice = self
        # In place of the observer of where it was before.
        others = [each for each in there.observers if type(each) is not _Watch]
        there.observers = (*others, _Watch(self._deployments, call, place))
        return there

    def leave(self) -> None:
        """Count no longer where it is, nor where it goes beside."""
        place, self.at = self.at, None
        if place is not None:
            self._deployments.leave(place)
        for other in self._beside:
            other.leave()

    def _others(self, call: Call) -> list[Deployment]:
        places = [place for place in self._deployments.all if place is not self.at]
        return [
            place for place in places if self._deployments.rest(call, place) <= 0 and obstacle(call, place.goal) is None
        ]

    def has_other(self, call: Call) -> bool:
        """Whether another place than this one is ready."""
        return bool(self._others(call))

    def other(self, call: Call) -> Call | None:
        """Return the call as it goes to another place that is ready; `None` when none is."""
        others = self._others(call)
        if not others:
            return None
        place = self._deployments.pick(call, others)
        if self.at is not None:
            self._deployments.leave(self.at)
        call.ledger.note("Balance", "moved", to=shown_goal(place.goal))
        return self.enter(call, place)

    def beside(self, call: Call) -> Call | None:
        """Return a second call, to another place."""
        others = self._others(call)
        if not others:
            return None
        visit = Visit(self._deployments, self.seen)
        self._beside.append(visit)
        return visit.enter(call, self._deployments.pick(call, others))


class _Watch:
    """Tells the deployments how each attempt went."""

    __slots__ = ("_call", "_deployments", "_place")

    def __init__(self, deployments: Deployments, call: Call, place: Deployment) -> None:
        self._deployments = deployments
        self._call = call
        self._place = place

    def __call__(self, event: str, attempt: Attempt, data: Any) -> None:
        if event == "attempt_end":
            self._deployments.learn(self._call, self._place, attempt)


def _begun_nowhere(call: Call, error: Exception) -> bool:
    """Whether the target is known not to have begun, in a way in which another one may."""
    error = getattr(error, "carried", error)
    if is_refusal(error):
        return True
    failure = classify(error, call.classify, wall=call.runtime.wall)
    return failure.fault in OF_CREDENTIAL or (failure.before_processing and failure.fault is not Fault.REJECTED)
