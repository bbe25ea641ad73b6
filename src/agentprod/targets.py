"""Other places a call may go: what layers that choose among them take, and how they send a call there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from agentprod.call import Target
from agentprod.errors import ConfigError

if TYPE_CHECKING:
    from agentprod.call import Call
    from agentprod.layer import Place

__all__ = ["Goal", "aim", "as_goals", "check_kinds", "identity", "obstacle", "shown_goal"]

Goal: TypeAlias = "str | Target"
"""Where a call may go: a model's name stands for that model at the caller's own client."""

# Set by the edge, which alone knows how to call things.
_of_function: Callable[[Callable[..., Any]], Target] | None = None


def makes_function_targets(make: Callable[[Callable[..., Any]], Target]) -> None:
    """Say how a plain function becomes a target."""
    global _of_function  # noqa: PLW0603 - one per process, by intent
    _of_function = make


def as_goals(given: Iterable[Any], layer: str) -> tuple[Goal, ...]:
    """Read what a user listed as targets.

    Args:
        given: model names, what `ap.target(client, model)` returned, or functions.

        layer: class name of the layer that takes them, for errors.

    Raises:
        ConfigError: one of them is none of these, or the same one stands there twice.
    """
    goals = tuple(_as_goal(item, layer) for item in given)
    seen: set[Any] = set()
    for goal in goals:
        if identity(goal) in seen:
            raise ConfigError(f"{layer} lists {shown_goal(goal)} twice; each target is tried once, so list it once")
        seen.add(identity(goal))
    return goals


def _as_goal(item: Any, layer: str) -> Goal:
    if isinstance(item, Target) or (isinstance(item, str) and item):
        return item
    if callable(item) and not isinstance(item, type) and _of_function is not None:
        return _of_function(item)
    kind = item.__name__ if isinstance(item, type) else type(item).__name__
    raise ConfigError(
        f"{layer} takes model names, ap.target(client, model) and functions as targets, not {kind}"
        + ("; write ap.target(client, model) for a client" if hasattr(item, "base_url") else "")
    )


def identity(goal: Goal) -> Any:
    """Return what two goals have in common that lead to the same place."""
    if isinstance(goal, str):
        return goal
    # Two functions may bear one name.
    return goal.account, goal.model, getattr(goal.edge, "fn", None)


def shown_goal(goal: Goal) -> str:
    """Return a goal as people know it."""
    return goal if isinstance(goal, str) else str(goal)


def check_kinds(goals: Iterable[Goal], place: Place, layer: str) -> None:
    """Refuse targets that a stack cannot use where it is being attached.

    Raises:
        ConfigError: a target is asynchronous and the place is not, or the other way round; or one of function and
            target streams and the other does not.
    """
    for goal in goals:
        if isinstance(goal, str):
            continue
        streams = getattr(goal.edge, "streams", None)
        if goal.kind != place.kind:
            other = "an asynchronous" if place.kind == "async" else "a synchronous"
            raise ConfigError(
                f"{layer} target {goal} is {goal.kind} and what the stack is put around is {place.kind}; "
                f"give the target {other} client or function"
            )
        if place.function is not None and streams is not None and streams != place.streams:
            raise ConfigError(
                f"{layer} target {goal} {'is a generator' if streams else 'is no generator'} and {place.function} "
                f"{'is one' if place.streams else 'is none'}; a target must answer as the function itself does"
            )


def aim(call: Call, goal: Goal) -> Call:
    """Return the call as it goes to another place: same id, ledger, board and state.

    Inside the stack its request and its reply stay in the caller's own wire form; the target's edge translates.
    """
    if isinstance(goal, str):
        return call.replace(request=call.dialect.with_model(call.request, goal), target=call.home.with_model(goal))
    if goal.model is None:
        return call.replace(target=goal)
    return call.replace(request=call.dialect.with_model(call.request, goal.model), target=goal)


def obstacle(call: Call, goal: Goal) -> str | None:
    """Return why this call cannot go there: what it asks and the place has no words for; `None` when it can."""
    model = goal if isinstance(goal, str) else goal.model
    if call.dialect.operation == "embeddings" and model not in (None, call.dialect.model(call.request)):
        return "vectors of another model cannot be compared with those of the model asked for"
    if isinstance(goal, str):
        return f"{call.home} takes no model name" if call.dialect.operation == "function" else None
    find = getattr(goal.edge, "obstacle", None)
    return None if find is None else find(call, goal)
