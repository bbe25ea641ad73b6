"""One decision of a router: which models are left, what stages say, and whether the conversation stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agentprod.errors import AllUnavailable
from agentprod.routing import constraints
from agentprod.routing.ask import read_ask
from agentprod.routing.decision import Decision, Opinion, Question, Stage
from agentprod.routing.options import Option, answer_limit, expected_usage, price_of
from agentprod.spending_cap import spending_cap

if TYPE_CHECKING:
    from agentprod.call import Call
    from agentprod.ledger import Environment
    from agentprod.routing.goal import Goal
    from agentprod.routing.sticky import Session, Sticky

__all__ = ["Weighing"]


class Weighing:
    """What is known about one request while a router decides.

    Args:
        options: the models, the cheapest first.

        request: wire JSON or arguments.

        goal, require, sticky: the router's.

        lengths: mean tokens of answers so far, by model.

        environment: prices and counts; `None` outside any stack.

        call: the call; `None` when somebody only asks.

    Raises:
        AllUnavailable: no model meets what the user requires.
    """

    def __init__(
        self,
        options: tuple[Option, ...],
        request: Mapping[str, Any],
        *,
        goal: Goal | None,
        require: tuple[constraints.Requirement, ...],
        sticky: Sticky | None,
        lengths: Mapping[str, float],
        environment: Environment | None,
        call: Call | None,
    ) -> None:
        self.ask = read_ask(request)
        self.refused: dict[str, str] = {}
        self.skipped: list[str] = []
        self._options = options
        self._request = request
        self._goal = goal
        self._sticky = sticky
        self._lengths = lengths
        self._environment = environment
        self._call = call
        self._home = None if call is None else call.home
        self.key = sticky.key(call) if sticky is not None and call is not None else None
        allowed = self._left(require)
        costs = self.costs if goal is not None and goal.max_usd is not None else None
        self.question = Question(
            self.ask, tuple(option.name for option in options), tuple(option.name for option in allowed), goal, costs
        )

    @cached_property
    def costs(self) -> dict[str, float]:
        """Expected dollars by model, where the price is known; nothing cached by the provider."""
        return {option.name: usd for option in self._options if (usd := self._price(option, 0)) is not None}

    def forced(self) -> Decision | None:
        """Return the decision when there is nothing to decide."""
        first, *others = self.question.allowed
        if others:
            return None
        return self._decision(first, "only", "the only model left" if self.refused else "one model")

    def consult(self, stage: Stage) -> Opinion | None:
        """Ask a stage; one that fails has no opinion."""
        try:
            return stage.decide(self.question)
        except Exception as error:
            self.skip(stage, error)
            return None

    def skip(self, stage: Stage, error: Exception) -> None:
        """Note that a stage could not be asked. Errors may quote the prompt, so their class is all that is kept."""
        self.skipped.append(f"{stage.name}: {type(error).__name__}")

    def decide(self, opinion: Opinion | None, policy: str) -> Decision:
        """Make the decision.

        Args:
            opinion: of the first stage that had one; `None` when none had.

            policy: name of that stage.
        """
        allowed = self.question.allowed
        session = self._session()
        if opinion is None:
            if session is not None and session.model in allowed:
                return self._decision(session.model, "sticky", "no stage had an opinion")
            return self._decision(allowed[-1], "default", "no stage had an opinion")
        wanted, reason = opinion.model, opinion.reason
        if wanted not in allowed:
            wanted = self._instead_of(wanted)
            reason = f"{reason}; {opinion.model} is not to be had"
        if session is not None and session.model != wanted and session.model in allowed:
            why = self._stays(session, wanted)
            if why is not None:
                return self._decision(session.model, "sticky", why, opinion)
        return self._decision(wanted, policy, reason, opinion)

    def _left(self, require: tuple[constraints.Requirement, ...]) -> list[Option]:
        """Return the models that are left, noting why the others are not."""
        call = self._call
        possible = list(self._options)
        if call is not None:
            own = constraints.own_requirement
            possible = [each for each in possible if self._passes(each, own(require, call, each))]
            if not possible:
                reasons = "; ".join(f"{model}: {why}" for model, why in self.refused.items())
                raise AllUnavailable(f"Router: no model can take this request ({reasons})", layer="Router")
        possible = [each for each in possible if self._passes(each, self._beyond(each))]
        able = [each for each in possible if self._passes(each, self._unable(each))]
        affordable = [each for each in able if self._passes(each, self._unaffordable(each))]
        up = affordable
        if call is not None:
            up = [each for each in affordable if self._passes(each, constraints.is_down(each, call))]
        # Where money is the only fault, the cheapest comes nearest; otherwise the layers inside have their own answer.
        return up or affordable[-1:] or able[:1] or possible[-1:]

    def _beyond(self, option: Option) -> str | None:
        """Say when a layer outside, such as a budget that downgrades, has asked for a cheaper model than this one."""
        call = self._call
        asked = None if call is None or call.target is call.home else call.target.model
        if asked is None:
            return None
        names = [each.model for each in self._options]
        dearer = asked in names and names.index(option.model) > names.index(asked)
        return f"a layer outside asks for {asked}" if dearer else None

    def _passes(self, option: Option, why_not: str | None) -> bool:
        if why_not is not None:
            self.refused[option.name] = why_not
        return why_not is None

    def _unable(self, option: Option) -> str | None:
        estimate = None if self._environment is None else self._environment.estimate
        return constraints.cannot(option, self.ask, self._request, estimate, answer_limit(self._request) or 0)

    def _unaffordable(self, option: Option) -> str | None:
        cap = None if self._call is None else spending_cap(self._call)
        most = None if self._goal is None else self._goal.max_usd
        if cap is None and most is None:
            return None
        usd = self.costs.get(option.name)
        if most is not None and (usd is None or usd > float(most)):
            return "its price is not known" if usd is None else "a call costs more than the goal"
        if cap is not None and usd is not None and usd > cap:
            return "a call costs more than the budget has left"
        return None

    def _instead_of(self, wanted: str) -> str:
        """Return the next dearer model that is left, or the dearest."""
        names, allowed = self.question.names, self.question.allowed
        place = names.index(wanted) if wanted in names else len(names)
        return next((name for name in names[place:] if name in allowed), allowed[-1])

    def _session(self) -> Session | None:
        return None if self._sticky is None or self.key is None else self._sticky.find(self.key)

    def _stays(self, session: Session, wanted: str) -> str | None:
        """Say why a conversation keeps its model; `None` when it changes."""
        sticky, call = self._sticky, self._call
        assert sticky is not None
        assert call is not None
        if self.ask.in_tool_exchange:
            return "in a tool exchange"
        if self.ask.continues:
            return "goes on"
        names = self.question.names
        if not sticky.cache_regret or session.model not in names or names.index(wanted) > names.index(session.model):
            return None
        now = call.runtime.now()
        by_name = {option.name: option for option in self._options}
        here, there = (
            self._price(by_name[name], sticky.cached(session, name, now), session) for name in (session.model, wanted)
        )
        if here is None or there is None:
            return "no price tells whether leaving the cache pays"
        return None if there < here else "the cached prefix is worth more"

    def _price(self, option: Option, cached: int, session: Session | None = None) -> float | None:
        environment = self._environment
        usage = expected_usage(self.ask, self._request, self._lengths.get(option.name))
        if session is not None:
            # What the provider counted last is nearer the truth than characters are.
            held = max((tokens for tokens, _ in session.cached.values()), default=0)
            tokens = max(usage.input_tokens, held + len(self.ask.text) // 4)
            usage = replace(usage, input_tokens=tokens, cache_read_tokens=min(cached, tokens))
        return price_of(option, self._home, None if environment is None else environment.pricer, usage)

    def _decision(self, model: str, policy: str, reason: str, opinion: Opinion | None = None) -> Decision:
        costs = self.__dict__.get("costs", {})  # only where somebody needed them
        return Decision(
            model,
            policy,
            reason,
            score=None if opinion is None else opinion.score,
            scores={} if opinion is None else opinion.scores,
            alternatives=tuple(name for name in self.question.allowed if name != model),
            refused=self.refused,
            expected_usd=costs.get(model),
            skipped=tuple(self.skipped),
        )
