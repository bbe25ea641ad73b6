"""Apply a layer to some calls only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentprod.call import Call, CallNext
from agentprod.compose import handle_of
from agentprod.errors import ConfigError
from agentprod.layer import Layer, LayerLike, Place, check_layer
from agentprod.order import layer_name, shown
from agentprod.reply import Reply

__all__ = ["when"]


OPERATIONS = ("chat", "responses", "messages", "embeddings", "function", "other")


class when(Layer):  # noqa: N801 - reads as a word in a stack: ap.when("chat", ap.Cache())
    """Apply `layer` to the calls a predicate picks, `otherwise` (or nothing) to the rest.

    Stands in the order checks as `layer` itself.

    Args:
        predicate: `(call) -> bool`, or an operation: `"chat" "responses" "messages" "embeddings"
            "function" "other"`.

        layer: the layer for calls that are picked.

        otherwise: the layer for the others.

    Raises:
        ConfigError: an unknown operation, or something that is no layer.
    """

    def __init__(
        self, predicate: str | Callable[[Call], bool], layer: LayerLike, otherwise: LayerLike | None = None
    ) -> None:
        if isinstance(predicate, str):
            if predicate not in OPERATIONS:
                raise ConfigError(f"when takes a predicate or one of {', '.join(OPERATIONS)}, not {predicate!r}")
            operation = predicate
            predicate = lambda call: call.operation == operation  # noqa: E731
        elif not callable(predicate):
            raise ConfigError(f"when takes a predicate (call) -> bool or an operation, not {predicate!r}")
        check_layer(layer)
        if otherwise is not None:
            check_layer(otherwise)
        self._predicate = predicate
        self.layer = layer
        self.otherwise = otherwise
        self.name: str = layer_name(layer)
        self._handle = handle_of(layer)
        self._other = None if otherwise is None else handle_of(otherwise)

    @property
    def needs_usage(self) -> bool:  # type: ignore[override]
        """Whether either layer needs token counts."""
        return any(getattr(found, "needs_usage", False) for found in (self.layer, self.otherwise))

    @property
    def other_traffic(self) -> bool:  # type: ignore[override]
        """Whether either layer wants traffic that is no model call."""
        return any(getattr(found, "other_traffic", False) for found in (self.layer, self.otherwise))

    @property
    def order(self) -> tuple[Any, ...]:  # type: ignore[override]
        """The order wishes of the layer."""
        wishes: tuple[Any, ...] = getattr(self.layer, "order", ())
        return wishes

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Hand the call to the layer that is meant for it."""
        if self._predicate(call):
            return await self._handle(call, call_next)
        if self._other is not None:
            return await self._other(call, call_next)
        return await call_next(call)

    def attach(self, place: Place) -> None:
        """Let both layers refuse the place."""
        self._tell("attach", place)

    def join_stack(self, stack: Any) -> None:
        """Let both layers know their stack."""
        self._tell("join_stack", stack)

    def _tell(self, hook: str, argument: Any) -> None:
        for found in (self.layer, self.otherwise):
            method = getattr(found, hook, None)
            if callable(method):
                method(argument)

    def __repr__(self) -> str:
        return f"when(…, {shown(self.layer)}{'' if self.otherwise is None else f', {shown(self.otherwise)}'})"
