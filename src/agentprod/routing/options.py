"""The models of a router: where each is, and what a call of it would cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentprod.call import Target
from agentprod.errors import ConfigError
from agentprod.targets import as_goals
from agentprod.usage import Usage

if TYPE_CHECKING:
    from agentprod.ledger import Pricer
    from agentprod.routing.ask import Ask
    from agentprod.targets import Goal as Destination

__all__ = ["Option", "answer_limit", "expected_usage", "options_of", "price_of"]

USUAL_OUTPUT = 400
"""Tokens of an answer, where nothing is known of it."""

_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")


@dataclass(frozen=True, slots=True)
class Option:
    """One model that calls may go to."""

    name: str
    """What rules, logs and decisions call it."""
    destination: Destination

    @property
    def model(self) -> str | None:
        """The model's name at its provider."""
        return self.destination if isinstance(self.destination, str) else self.destination.model

    def target(self, home: Target | None) -> Target | None:
        """Return where it is, given where the call goes by itself; `None` when that is not known."""
        if isinstance(self.destination, Target):
            return self.destination
        return None if home is None else home.with_model(self.destination)


def options_of(models: Iterable[Any], layer: str) -> tuple[Option, ...]:
    """Read the models of a router, the cheapest first.

    Args:
        models: model names, `ap.target(client, model)` or functions.

        layer: class name for errors.

    Raises:
        ConfigError: none are given, or two have the same name.
    """
    if isinstance(models, str):
        raise ConfigError(f"{layer} takes a list of models, the cheapest first, not one str")
    options = tuple(Option(_name(goal), goal) for goal in as_goals(models, layer))
    if not options:
        raise ConfigError(f"{layer} needs at least one model; list them the cheapest first")
    names = [option.name for option in options]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{layer} has two models called {', '.join(twice)}; give one another with ap.target(name=)")
    return options


def _name(destination: Destination) -> str:
    if isinstance(destination, str):
        return destination
    return destination.name or destination.model or str(destination)


def expected_usage(ask: Ask, request: Mapping[str, Any], output: float | None) -> Usage:
    """Guess the tokens of a call without counting: a token is about four characters, or one hanzi.

    Args:
        ask: what is asked.

        request: the request, for the limit of its answer.

        output: tokens that answers had so far; `None` when there was none.
    """
    text = ask.text
    wide = 0 if text.isascii() else sum(char > "\u2e7f" for char in text) / len(text)
    tokens = int(ask.size * (0.25 + 0.75 * wide)) + 8
    answer = USUAL_OUTPUT if output is None else output
    return Usage(tokens, int(min(answer, answer_limit(request) or answer)), estimated=True)


def answer_limit(request: Mapping[str, Any]) -> int | None:
    """Return the most tokens that a request lets its answer have; `None` when it does not say."""
    limits = [value for name in _LIMITS if isinstance(value := request.get(name), int) and value > 0]
    return min(limits, default=None)


def price_of(option: Option, home: Target | None, pricer: Pricer | None, usage: Usage) -> float | None:
    """Return dollars of a call, or `None` when no price is known.

    Args:
        option: the model.

        home: where the call goes by itself.

        pricer: the stack's.

        usage: tokens of the call.
    """
    if pricer is None:
        return None
    target = option.target(home)
    price = pricer(target.provider if target is not None else "", option.model, usage)
    return None if price is None else float(price)
