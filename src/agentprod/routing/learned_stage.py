"""The stage that chooses by a router learned from recorded calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

from agentprod.errors import ConfigError
from agentprod.routing.decision import Opinion, Question
from agentprod.routing.goal import Goal
from agentprod.routing.learned import LearnedRouter

__all__ = ["Learned"]

USUAL_GOAL = Goal(quality=0.8)
"""What is aimed at where the router was given no goal."""


class Learned:
    """A stage that chooses by what was learned from your own calls.

    Args:
        path: of a file that `python -m agentprod router fit` wrote, or a fitted router; the one that comes with the
            package when `None`. That one knows no models: it tells prompts that are harder on the face of them, and
            chooses between the first and the last model.

        names: what the router calls the models of the file, where the names differ:
            `{"name in the file": "name here"}`.

    Raises:
        ConfigError: the file is missing or is no fitted router, or it was fitted to judge answers.
    """

    name = "learned"

    def __init__(
        self, path: str | PathLike[str] | LearnedRouter | None = None, *, names: Mapping[str, str] | None = None
    ) -> None:
        self._is_prior = path is None
        self.router: LearnedRouter
        if path is None:
            self.router = LearnedRouter.prior()
        else:
            self.router = path if isinstance(path, LearnedRouter) else LearnedRouter.load(path)
        if self.router.encoder.has_answer:
            raise ConfigError("Learned: this router judges first answers; give it to Cascade as ap.checks.Judge")
        if unknown := sorted(set(names or {}) - set(self.router.models)):
            raise ConfigError(
                f"Learned names: {', '.join(unknown)} is not in the file; it has {', '.join(self.router.models)}"
            )
        self._names = dict(names or {})

    def check(self, names: Sequence[str]) -> None:
        """Refuse models among which the file cannot choose."""
        if self._is_prior and not self._names:
            return
        known = [self._names.get(model, model) for model in self.router.models]
        if unknown := sorted(set(self._names.values()) - set(names)):
            raise ConfigError(f"Learned names {', '.join(unknown)}; the Router has {', '.join(names)}")
        if len(set(known) & set(names)) < min(2, len(names)):
            raise ConfigError(
                f"Learned was fitted on {', '.join(self.router.models)} and cannot choose among {', '.join(names)}; "
                "fit it on calls of these models, or say what is what with names="
            )

    def decide(self, question: Question) -> Opinion | None:
        """Return the model that reaches the goal; no opinion on a request without any text."""
        if not question.ask.text:
            return None
        here = dict(self._names)
        if self._is_prior and not here:
            weak, strong = self.router.models
            here = {weak: question.names[0], strong: question.names[-1]}
        fitted = {here.get(model, model): model for model in self.router.models}
        among = [fitted[name] for name in question.allowed if name in fitted]
        if not among:
            return None
        # Where dollars are the goal, those that are too dear are not among the allowed any more.
        usd = question.costs
        known = None if usd is None else {model: usd.get(here.get(model, model), 0.0) for model in self.router.models}
        choice = self.router.choose(question.ask.text, question.goal or USUAL_GOAL, costs=known, among=among)
        scores = {here.get(model, model): value for model, value in choice.qualities.items()}
        return Opinion(here.get(choice.model, choice.model), "expected quality", choice.gain, scores)
