"""Apply a layer to some calls only."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from agentprod.call import Call, CallNext
from agentprod.compose import handle_of
from agentprod.errors import ConfigError
from agentprod.layer import Layer, LayerLike, Place, check_layer
from agentprod.order import layer_name, shown
from agentprod.reply import Reply

__all__ = ["all_layers", "layer_without", "when"]


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
        elif inspect.iscoroutinefunction(predicate):
            raise ConfigError("when takes a plain predicate (call) -> bool, not an `async def`, which is never false")
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

    def without(self, kind: type[Any]) -> Layer | None:
        """Return what is left without the layers of this class, for the calls it was meant for; `None` for nothing."""
        layer, otherwise = layer_without(self.layer, kind), layer_without(self.otherwise, kind)
        if layer is self.layer and otherwise is self.otherwise:
            return self
        predicate = self._predicate
        if layer is None:
            return None if otherwise is None else when(lambda call: not predicate(call), otherwise)
        return when(predicate, layer, otherwise)

    def _tell(self, hook: str, argument: Any) -> None:
        for found in (self.layer, self.otherwise):
            method = getattr(found, hook, None)
            if callable(method):
                method(argument)

    def __repr__(self) -> str:
        return f"when(…, {shown(self.layer)}{'' if self.otherwise is None else f', {shown(self.otherwise)}'})"


def all_layers(layers: Iterable[Any]) -> Iterator[Any]:
    """Yield each layer, and after a `when` those that it chooses from."""
    for found in layers:
        yield found
        if isinstance(found, when):
            yield from all_layers(each for each in (found.layer, found.otherwise) if each is not None)


def layer_without(found: Any, kind: type[Any]) -> Any:
    """Return what is left of a layer without those of a class; `None` for nothing."""
    if isinstance(found, kind):
        return None
    return found.without(kind) if isinstance(found, when) else found
