"""What a model must be able to do for a request, whatever a stage prefers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agentprod.capabilities import capabilities
from agentprod.errors import ConfigError
from agentprod.targets import obstacle

if TYPE_CHECKING:
    from agentprod.call import Call
    from agentprod.ledger import Estimator
    from agentprod.routing.ask import Ask
    from agentprod.routing.options import Option

__all__ = ["Requirement", "cannot", "check_requirements", "is_down", "own_requirement"]

Requirement = Callable[["Call", str], "bool | str | None"]
"""`(call, model) -> bool`, or a text that says why not: a requirement of the user's."""


def cannot(option: Option, ask: Ask, request: Mapping[str, Any], estimate: Estimator | None, asked: int) -> str | None:
    """Say why a model cannot answer a request, by what is known of the model; `None` when nothing speaks against it.

    Args:
        option: the model.

        ask: what is asked.

        request: the request, for counting when it is near the limit.

        estimate: counts tokens.

        asked: tokens that the answer may have by the request.
    """
    known = capabilities(option.model)
    if ask.media and known.media is not None and (missing := ask.media - known.media):
        return f"takes no {' and no '.join(sorted(missing))}"
    if ask.has_tools and known.tools is False:
        return "calls no tools"
    return None if known.input_tokens is None else _fits(known.input_tokens, option, ask, request, estimate, asked)


def _fits(
    window: int, option: Option, ask: Ask, request: Mapping[str, Any], estimate: Estimator | None, asked: int
) -> str | None:
    # No tokenizer in use makes more tokens than bytes: counting is for requests that come near.
    if ask.size * 3 + asked <= window or estimate is None:
        return None
    tokens = estimate(request, option.model, "").input_tokens
    return None if tokens + asked <= window else f"takes {window} tokens, the request needs {tokens + asked}"


def is_down(option: Option, call: Call) -> str | None:
    """Say when a breaker, a limiter or a cooldown would refuse a call there now."""
    target = option.target(call.home)
    refusal = None if target is None else call.board.refuses(target, call.runtime.now())
    return None if refusal is None else refusal.reason


def own_requirement(requirements: tuple[Requirement, ...], call: Call, option: Option) -> str | None:
    """Say which requirement of the user, or what of the place itself, rules a model out."""
    blocked = obstacle(call, option.destination)
    if blocked is not None:
        return blocked
    for requirement in requirements:
        met = requirement(call, option.name)
        if isinstance(met, str):
            return met
        if not met and met is not None:
            return f"does not meet {getattr(requirement, '__name__', 'a requirement')}"
    return None


def check_requirements(given: Any) -> tuple[Requirement, ...]:
    """Read the user's requirements.

    Raises:
        ConfigError: one is no function.
    """
    listed = given if isinstance(given, list | tuple) else (given,)
    for each in listed:
        if not callable(each):
            raise ConfigError(f"Router require takes functions (call, model) -> bool, not {type(each).__name__}")
    return tuple(listed)
