"""Several places that answer alike, and how busy each is."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentprod.faults import OF_PROVIDER, Fault, rate_limit_resets
from agentprod.hints import whole_number
from agentprod.reliability.cooldown import Cooldowns
from agentprod.targets import Goal

if TYPE_CHECKING:
    import random

    from agentprod.call import Call, Target
    from agentprod.ledger import Attempt

__all__ = ["Deployment", "Deployments"]

_CLEARLY_BETTER = 0.8
"""Of two, the first drawn is taken unless the other's score is this much lower: near ties follow the weights."""
_BY_WEIGHT_ALONE = 0.05
"""Share of the calls for which only weights count, so that an old latency does not stand for ever."""
_LEAST_HEADROOM = 0.05

_FIRST_REST = {Fault.QUOTA: 300.0, Fault.AUTH: 300.0}  # seconds
_LONGEST_REST = {Fault.QUOTA: 3600.0, Fault.AUTH: 3600.0}


class Deployment:
    """One place."""

    __slots__ = ("goal", "headroom", "headroom_until", "in_flight", "weight")

    def __init__(self, goal: Goal, weight: float) -> None:
        self.goal = goal
        self.weight = weight
        """Its share of the calls, where 1 is the mean."""
        self.in_flight = 0
        self.headroom = 1.0
        """What was left of its scarcest rate limit, 0 to 1, when its last answer came."""
        self.headroom_until = -math.inf


class Deployments:
    """Chooses among places: two are drawn by weight, and the less busy one is taken.

    "Power of two choices": Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001. What counts
    as busy are the calls in flight times the moving average of the time to first content (Finagle's "peak EWMA"
    balancer weighs the same two), divided by what is left of the provider's rate limit.

    Args:
        goals: the places.

        weights: one for each, of any scale.

        draw: source of randomness.
    """

    def __init__(self, goals: Sequence[Goal], weights: Sequence[float], draw: random.Random) -> None:
        mean = sum(weights) / len(weights)
        self.all = tuple(Deployment(goal, weight / mean) for goal, weight in zip(goals, weights, strict=True))
        self._draw = draw
        self._even = len(set(weights)) == 1
        self._lock = threading.Lock()
        self._penalties = Cooldowns()
        self._penalised = False
        """Whether any place has ever failed: until then nobody needs to look."""

    def enter(self, place: Deployment) -> None:
        """Count a call that goes there."""
        with self._lock:
            place.in_flight += 1

    def leave(self, place: Deployment) -> None:
        """Count a call that has ended there."""
        with self._lock:
            place.in_flight -= 1

    def rest(self, call: Call, place: Deployment) -> float:
        """Return the seconds for which it would refuse the call: cooling down, or its circuit is open."""
        refusal = call.board.refuses(_target(call, place), call.runtime.now())
        return 0.0 if refusal is None else refusal.retry_after

    def pick(self, call: Call, places: Sequence[Deployment]) -> Deployment:
        """Return the place for a call, of at least one; of those that failed lately, one only if all did."""
        if self._penalised:
            now = call.runtime.now()
            places = [place for place in places if not self._penalties.remaining(_key(call, place), now)] or places
        if len(places) == 1:
            return places[0]
        first = self._drawn(places)
        if self._draw.random() < _BY_WEIGHT_ALONE:
            return first
        others = [place for place in places if place is not first]
        second = others[0] if len(others) == 1 else self._drawn(others)
        one, other = self._score(call, first, second), self._score(call, second, first)
        return second if other < one * _CLEARLY_BETTER else first

    def _drawn(self, places: Sequence[Deployment]) -> Deployment:
        if self._even:
            return places[int(self._draw.random() * len(places))]
        return self._draw.choices(places, [place.weight for place in places])[0]

    def _score(self, call: Call, place: Deployment, rival: Deployment) -> float:
        score = 1 + place.in_flight / place.weight
        latency = call.board.latency(_target(call, place))
        if latency and call.board.latency(_target(call, rival)) is not None:
            score *= latency
        if place.headroom < 1 and call.runtime.now() < place.headroom_until:
            score /= max(place.headroom, _LEAST_HEADROOM)
        return score

    def learn(self, call: Call, place: Deployment, attempt: Attempt) -> None:
        """Take note of how an attempt there went."""
        fault = attempt.fault
        if attempt.headers:
            self._look(place, attempt.headers, call.runtime.now(), call)
        if fault in OF_PROVIDER:
            now = call.runtime.now()
            self._penalised = True
            until = self._penalties.hit(
                _key(call, place),
                now,
                hint=attempt.retry_after,
                sent_at=attempt.started,
                first=_FIRST_REST.get(fault),
                cap=_LONGEST_REST.get(fault),
            )
            if fault in (Fault.RATE_LIMIT, Fault.QUOTA):
                call.board.cool(attempt.target, until, account=fault is Fault.QUOTA)
        elif self._penalised and attempt.outcome == "ok":
            self._penalties.success(_key(call, place), call.runtime.now(), sent_at=attempt.started)

    def _look(self, place: Deployment, headers: Mapping[str, Any], now: float, call: Call) -> None:
        scarcest, until = 1.0, -math.inf
        for name, remaining, reset in rate_limit_resets(headers, call.runtime.wall):
            told = headers.get(f"x-ratelimit-limit-{name}") or headers.get(f"anthropic-ratelimit-{name}-limit")
            limit = whole_number(told)
            if remaining is None or not limit:
                continue
            share = remaining / limit
            if share < scarcest:
                scarcest, until = share, now + reset
        place.headroom, place.headroom_until = scarcest, until


def _target(call: Call, place: Deployment) -> Target:
    goal = place.goal
    return call.home.with_model(goal) if isinstance(goal, str) else goal


def _key(call: Call, place: Deployment) -> str:
    # One object may balance several clients' calls.
    return f"{id(place)} {call.home.account}" if isinstance(place.goal, str) else f"{id(place)}"
