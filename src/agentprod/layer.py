"""What the built-in layers share: each one is a decorator, too."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, TypeVar

from agentprod.errors import ConfigError

if TYPE_CHECKING:
    from agentprod.call import Call, CallNext, Middleware
    from agentprod.reply import Reply

__all__ = ["Layer", "LayerLike", "Place", "check_layer"]

LayerLike: TypeAlias = "Middleware | Callable[[Call, CallNext], Awaitable[Reply]]"
"""What a stack is made of: an object with `handle`, or a plain `async def layer(call, call_next)`."""

F = TypeVar("F", bound=Callable[..., Any])

# Set by the stack module: a stack is built from layers, so layers cannot import it.
_decorate: Callable[[Layer, Callable[..., Any]], Any] | None = None


def decorates_with(decorate: Callable[[Layer, Callable[..., Any]], Any]) -> None:
    """Say how a single layer decorates a function."""
    global _decorate  # noqa: PLW0603 - one per process, by intent
    _decorate = decorate


class Place:
    """Where a stack is about to be attached, for layers that cannot work everywhere.

    Attributes:
        kind: `"sync"` or `"async"`.

        function: name of the decorated function; `None` for an SDK client.

        streams: whether every call there is a stream (generators).

        fn: the decorated function; `None` for an SDK client.
    """

    __slots__ = ("fn", "function", "kind", "streams")

    def __init__(
        self, kind: str, function: str | None, streams: bool = False, fn: Callable[..., Any] | None = None
    ) -> None:
        self.fn: Callable[..., Any] | None = fn
        self.kind: str = kind
        self.function: str | None = function
        self.streams: bool = streams


class Layer:
    """Base of the built-in layers: `@Retry()` is a stack of one.

    A layer of your own needs none of this, only `handle`. What it may say of itself, in class attributes:
    `needs_usage` (token counts of streams are asked for), `other_traffic` (it also wants the client's requests
    that are no model calls: files, batches, GETs), `order` (a tuple of `Outside` and `Inside`), and a method
    `attach(place)` that raises `ConfigError` where the layer cannot work.
    """

    needs_usage: ClassVar[bool] = False
    other_traffic: ClassVar[bool] = False
    order: ClassVar[tuple[Any, ...]] = ()

    if not TYPE_CHECKING:  # type checkers shall see each layer's own options

        def __new__(cls, *args: Any, **options: Any) -> Self:
            """Tell who decorates with the class that a layer is meant."""
            if len(args) == 1 and inspect.isfunction(args[0]) and not options and not _takes_positional(cls):
                raise ConfigError(f"@{cls.__name__} lacks its brackets: write @{cls.__name__}()")
            return super().__new__(cls)

    def __call__(self, fn: F) -> F:
        """Decorate a function with this one layer."""
        assert _decorate is not None
        return _decorate(self, fn)  # type: ignore[no-any-return]

    def attach(self, place: Place) -> None:
        """Refuse a place where this layer cannot work."""

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults, for `print(stack)`."""
        return {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.options().items())})"


def _takes_positional(cls: type) -> bool:
    return any(each.kind is not each.KEYWORD_ONLY for each in inspect.signature(cls).parameters.values())


def check_layer(found: Any) -> None:
    """Refuse what is no layer.

    Raises:
        ConfigError: it has no `async def handle` and is no `async def` function either.
    """
    if inspect.isclass(found):
        raise ConfigError(f"{found.__name__} is a class; write {found.__name__}() to make a layer of it")
    if hasattr(found, "decorate") and not hasattr(found, "handle"):
        raise ConfigError("a stack is no layer; write Stack(*one, *another) to join two")
    if isinstance(found, list | tuple):
        raise ConfigError(f"a {type(found).__name__} of layers is no layer; write Stack(*layers)")
    handle = getattr(found, "handle", found)
    if inspect.iscoroutinefunction(handle):
        return
    if inspect.isasyncgenfunction(handle):
        name = getattr(handle, "__qualname__", type(found).__name__)
        raise ConfigError(f"{name} has a `yield`, so it is no layer: it has to return the one reply to the call")
    if inspect.isroutine(handle):
        name = getattr(handle, "__qualname__", type(found).__name__)
        raise ConfigError(
            f"{name} is not `async def`, so it is no layer: write `async def` before it, which serves synchronous "
            "calls as well. To put a stack around a function, write @Stack(...) with the layers"
        )
    raise ConfigError(
        f"{'None' if found is None else type(found).__name__} is no layer; a layer has "
        "`async def handle(self, call, call_next)` or is itself an `async def` function of (call, call_next)"
    )
