"""Send each call to the model it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from agentprod.call import Call, CallNext, Target
from agentprod.errors import ConfigError
from agentprod.layer import Layer, Place
from agentprod.reply import End, Reply
from agentprod.routing import constraints
from agentprod.routing.ask import Ask
from agentprod.routing.classifier import Classifier
from agentprod.routing.decision import Decision, Opinion, Question, Stage
from agentprod.routing.goal import Goal
from agentprod.routing.learned_stage import Learned
from agentprod.routing.options import options_of
from agentprod.routing.sticky import Sticky, sticky_of
from agentprod.routing.weighing import Weighing
from agentprod.runtime.drive import drive
from agentprod.targets import aim, check_kinds

if TYPE_CHECKING:
    from agentprod.ledger import Environment

__all__ = ["Router"]

_ROUTED = ("chat", "responses", "messages", "function")
_LEARNING = 0.1
"""Weight of the latest answer in the mean length of a model's answers."""


class Router(Layer):
    """Sends each call to the model it needs: rules, a classifier, or a router learned from your own calls.

    The stages are asked in order; the first that has an opinion decides, and a stage that fails has none. Where none
    has one, the last model answers: nothing known about a prompt is no reason to send it to the weakest. What a stage
    wants is taken only from the models that can answer the request at all:

    - the request fits the context window, the model takes its images, audio and files, and calls tools when any are
      offered, by what is known of it (`agentprod.capabilities`); a model nobody knows is not judged;
    - the destination can say in its wire format what the request asks;
    - a layer around the router, such as a `TokenBudget` that had to downgrade, has asked for this model or a dearer one
      of the list; a model that is not in the list is obeyed as it is;
    - its breaker is closed and its account does not cool down;
    - it meets each function of `require`.

    When no model passes the first of these, the last that meets `require` is asked: the layers inside, `ContextWindow`
    or a breaker, have their own answer. Embeddings and other traffic pass as they are.

    The decision stands in `ap.meta(reply).notes` and on the span: model, policy, reason, score.

    Args:
        models: model names at the caller's own client, `ap.target(client, model)`, or functions; the cheapest first.

        stages: `ap.Rules`, `ap.Learned`, `ap.Classifier`, or functions `(ask) -> model | None`; `ap.Learned()`, the
            router that comes with the package, when `None`.

        goal: what is to be reached on average, for `ap.Learned` (`Goal(quality=0.8)` when `None`), or with `max_usd`
            for all stages: the most a call may be expected to cost.

        require: functions `(call, model) -> bool`, or a text saying why not: whatever a model has to meet.

        sticky: keeps a conversation with its model: `True`, a scope such as `"run"`, or an `ap.Sticky`.

    Raises:
        ConfigError: a model, stage or option that cannot be meant.
    """

    def __init__(
        self,
        models: Iterable[str | Target | Callable[..., Any]],
        *,
        stages: Sequence[Stage | Callable[[Ask], str | None]] | None = None,
        goal: Goal | None = None,
        require: constraints.Requirement | Sequence[constraints.Requirement] = (),
        sticky: bool | str | Callable[[Call], str | None] | Sticky | None = None,
    ) -> None:
        self._options = options_of(models, "Router")
        self.models: tuple[str, ...] = tuple(option.name for option in self._options)
        """Names, the cheapest first."""
        if stages is not None and not isinstance(stages, list | tuple):
            raise ConfigError(f"Router stages stand in a list: stages=[ap.Learned()], not {type(stages).__name__}")
        self.stages: tuple[Stage, ...] = tuple(_stage(each) for each in ((Learned(),) if stages is None else stages))
        for stage in self.stages:
            stage.check(self.models)
        if goal is not None and not isinstance(goal, Goal):
            raise ConfigError(f"Router goal must be an ap.Goal, not {type(goal).__name__}")
        if goal is not None and goal.max_usd is None and not any(isinstance(each, Learned) for each in self.stages):
            raise ConfigError(
                "Router goal: a quality or a share of the cost needs an ap.Learned stage; max_usd does not"
            )
        self.goal = goal
        self.sticky: Sticky | None = sticky_of(sticky)
        self._require = constraints.check_requirements(require)
        self._destinations = {option.name: option.destination for option in self._options}
        self._lengths: dict[str, float] = {}
        self._environment: Environment | None = None
        self._learns = self.sticky is not None or (goal is not None and goal.max_usd is not None)
        if self._learns:
            self.needs_usage = True  # type: ignore[misc]

    def attach(self, place: Place) -> None:
        """Refuse targets of another kind."""
        check_kinds(self._destinations.values(), place, "Router")

    def join_stack(self, stack: Any) -> None:
        """Take the stack's prices for decisions outside any call."""
        self._environment = stack.entry.sync

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Decide, and send the call on."""
        if call.operation not in _ROUTED or self._is_settled(call):
            return await call_next(call)
        weighing = self._weigh(call.request, call.ledger.environment, call)

        async def classify(stage: Classifier) -> Opinion:
            return await stage.classify(weighing.question, call, call_next)

        decision = await self._decide(weighing, classify)
        requested = call.target.model
        note = decision.note() if requested is None else {"requested_model": requested, **decision.note()}
        call.ledger.note("Router", "route", **note)
        reply = await call_next(aim(call, self._destinations[decision.model]))
        if self._learns:
            reply.on_end(_Learning(self, decision.model, weighing.key, call))
        return reply

    def decide(self, request: Mapping[str, Any] | str) -> Decision:
        """Say where a request would go, without sending anything.

        There is no I/O, unless a classifier that is a synchronous function of yours is reached; one that is a model is
        asked within calls only and counts as having no opinion, which `skipped` tells. What depends on the call itself,
        such as `require`, open circuits and conversations, is left out.

        Args:
            request: wire JSON, or a prompt.

        Returns:
            The decision.

        Raises:
            ConfigError: it is neither.
            AllUnavailable: no model can take the request.
        """
        weighing = self._weigh(_wire(request), self._environment, None)

        async def classify(stage: Classifier) -> Opinion:
            return stage.opinion(stage.label(weighing.ask.text), weighing.question)

        return drive(self._decide(weighing, classify))

    async def adecide(self, request: Mapping[str, Any] | str) -> Decision:
        """Do the same where a classifier is an asynchronous function of yours.

        Args:
            request: wire JSON, or a prompt.
        """
        weighing = self._weigh(_wire(request), self._environment, None)

        async def classify(stage: Classifier) -> Opinion:
            return stage.opinion(await stage.alabel(weighing.ask.text), weighing.question)

        return await self._decide(weighing, classify)

    def learn(self, model: str, tokens: int) -> None:
        """Take the length of an answer into account."""
        before = self._lengths.get(model)
        self._lengths[model] = tokens if before is None else before + _LEARNING * (tokens - before)

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        found: dict[str, Any] = {"models": list(self.models), "stages": [stage.name for stage in self.stages]}
        if self.goal is not None:
            found["goal"] = self.goal
        return found

    def _is_settled(self, call: Call) -> bool:
        """Whether a layer outside has sent the call to a place that this router does not know."""
        target = call.target
        return target is not call.home and all(option.model != target.model for option in self._options)

    def _weigh(self, request: Mapping[str, Any], environment: Environment | None, call: Call | None) -> Weighing:
        return Weighing(
            self._options,
            request,
            goal=self.goal,
            require=self._require,
            sticky=self.sticky,
            lengths=self._lengths,
            environment=environment,
            call=call,
        )

    async def _decide(self, weighing: Weighing, classify: Callable[[Classifier], Awaitable[Opinion]]) -> Decision:
        decided = weighing.forced()
        if decided is not None:
            return decided
        for stage in self.stages:
            opinion = weighing.consult(stage)
            if opinion is None and isinstance(stage, Classifier) and weighing.ask.text:
                try:
                    opinion = await classify(stage)
                except Exception as error:
                    weighing.skip(stage, error)
            if opinion is not None:
                return weighing.decide(opinion, stage.name)
        return weighing.decide(None, "default")


class _Learning:
    """What is remembered of a reply when it has ended."""

    __slots__ = ("_call", "_key", "_model", "_router")

    def __init__(self, router: Router, model: str, key: str | None, call: Call) -> None:
        self._router = router
        self._model = model
        self._key = key
        self._call = call

    def __call__(self, end: End) -> None:
        usage = end.usage
        if usage is not None and end.outcome == "complete":
            self._router.learn(self._model, usage.output_tokens)
        sticky = self._router.sticky
        if sticky is not None and self._key is not None and end.outcome in ("complete", "abandoned"):
            sticky.remember(
                self._key, self._model, None if usage is None else usage.total_tokens, self._call.runtime.now()
            )


class _FunctionStage:
    """A function of the user's that names a model, or none."""

    def __init__(self, fn: Callable[[Ask], str | None]) -> None:
        self.name = getattr(fn, "__name__", "function")
        self._fn = fn

    def check(self, names: Sequence[str]) -> None:
        """Know nothing before it is called."""

    def decide(self, question: Question) -> Opinion | None:
        """Call it."""
        model = self._fn(question.ask)
        if model is None:
            return None
        if model not in question.names:
            raise ConfigError(f"{self.name} names a model that the Router does not have")
        return Opinion(model, "said so")


def _wire(request: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """Return a request, or the one that a prompt stands for."""
    if isinstance(request, str):
        return {"input": request}
    if not isinstance(request, Mapping):
        raise ConfigError(
            f'Router.decide takes a request, such as {{"messages": [...]}}, or a prompt, not a {type(request).__name__}'
        )
    return request


def _stage(given: Any) -> Stage:
    is_class = isinstance(given, type)
    if not is_class and callable(getattr(given, "decide", None)) and callable(getattr(given, "check", None)):
        return given  # type: ignore[no-any-return]
    if callable(given) and not is_class:
        return _FunctionStage(cast("Callable[[Ask], str | None]", given))
    kind = f"the class {given.__name__}; write {given.__name__}()" if is_class else type(given).__name__
    raise ConfigError(f"Router stages are ap.Rules, ap.Learned, ap.Classifier and functions of the ask, not {kind}")
