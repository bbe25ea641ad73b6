"""A stack: an ordered tuple of layers, and the ways to put it around things."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from agentprod import layer as _layer
from agentprod.board import Board
from agentprod.compose import compose
from agentprod.defaults import default_estimator, default_pricer, default_scrub
from agentprod.edge.attempts import send_attempt
from agentprod.edge.entry import Entry
from agentprod.edge.function_edge import FunctionEdge
from agentprod.edge.functions import KINDS, check_callable, function_within, kind_of, marker_of, wrap_function
from agentprod.edge.registered import dialect_named
from agentprod.errors import ConfigError
from agentprod.layer import Place, check_layer
from agentprod.ledger import Environment
from agentprod.order import Finding, enforce_order, layer_name, shown
from agentprod.order import check as check_order
from agentprod.runtime.clock import Clock, SystemClock
from agentprod.runtime.runtime import AsyncRuntime, SyncRuntime
from agentprod.targets import makes_function_targets
from agentprod.when import all_layers, layer_without

if TYPE_CHECKING:
    from agentprod.call import Target
    from agentprod.dialects.base import Dialect
    from agentprod.edge.function_edge import Kind
    from agentprod.faults import Classify, Fault
    from agentprod.layer import LayerLike
    from agentprod.ledger import Pricer
    from agentprod.stores import StoreLike

__all__ = ["Stack"]

C = TypeVar("C")
F = TypeVar("F", bound=Callable[..., Any])
L = TypeVar("L")

_ids = itertools.count(1)
_board = Board()


class Stack:
    """Layers around LLM calls; the first listed is the outermost.

    ```python
    stack = ap.Stack(ap.Tracer(), ap.Cache(ttl=3600), ap.Retry(attempts=3))
    client = stack.wrap(OpenAI())


    @stack
    def ask(prompt: str) -> str: ...
    ```

    A stack is immutable; state such as a cache's entries lives in the layer objects, so the same
    object in two stacks shares its state.

    Args:
        layers: middleware objects, or plain `async def layer(call, call_next)` functions.

        store: where layers without a store of their own keep shared state: an object, a URL, or a list
            of them, nearest first.

        check: what to do about an order that costs something: `"warn"`, `"error"`, or `"off"`. Orders
            that do harm are errors unless `"off"`.

        classify: `(exception) -> ap.Fault | None`, to teach the stack your exceptions.

        clock: a clock with `monotonic`, `wall`, `sleep`, `asleep` and `call_at`; for tests
            `agentprod.testing.FakeClock()`.

        prices: `(provider, model, usage) -> USD | None`; the built-in prices when `None`.

        buffer: deliver a stream only once it is complete; until then it can be retried as a whole.

    Raises:
        ConfigError: something that is no layer, or an option out of range.
        OrderError: an order that does harm.
    """

    def __init__(
        self,
        *layers: LayerLike,
        store: StoreLike | None = None,
        check: Literal["warn", "error", "off"] = "warn",
        classify: Classify | None = None,
        clock: Clock | None = None,
        prices: Pricer | None = None,
        buffer: bool = False,
    ) -> None:
        if check not in ("warn", "error", "off"):
            raise ConfigError(f'check must be "warn", "error" or "off", not {check!r}')
        for name, hook in (("classify", classify), ("prices", prices)):
            if hook is not None and not callable(hook):
                raise ConfigError(f"{name} must be callable: {_HOOKS[name]}")
        lacking = [name for name in _CLOCK if clock is not None and not hasattr(clock, name)]
        if lacking:
            raise ConfigError(f"clock must have {', '.join(_CLOCK)}; a {type(clock).__name__} lacks {lacking[0]}")
        if buffer not in (True, False):
            raise ConfigError(f"buffer must be True or False, not {buffer!r}")
        for found in layers:
            check_layer(found)
        self.layers: tuple[Any, ...] = layers
        self._options: dict[str, Any] = {
            "store": store,
            "check": check,
            "classify": classify,
            "clock": clock,
            "prices": prices,
            "buffer": buffer,
        }
        enforce_order(layers, check)
        self._id = next(_ids)
        self._names = tuple(layer_name(found) for found in layers)
        self._clock: Clock = clock or SystemClock()
        board = _board if clock is None else Board()
        own_retries = "Retry" in self._names
        shared = (
            board,
            self._names,
            prices or default_pricer,
            default_estimator,
            next((scrub for found in layers if (scrub := getattr(found, "scrub_text", None))), default_scrub),
            classify,
            own_retries,
            self._id,
            buffer,
        )
        self.entry = Entry(
            compose(layers, send_attempt),
            compose([found for found in layers if getattr(found, "other_traffic", False)], send_attempt),
            sync=Environment(SyncRuntime(self._clock), *shared),
            asynchronous=Environment(AsyncRuntime(self._clock), *shared),
            needs_usage=any(getattr(found, "needs_usage", False) for found in layers),
        )
        for found in layers:
            join = getattr(found, "join_stack", None)
            if callable(join):
                join(self)

    # Ways in

    def wrap(self, client: C) -> C:
        """Return a copy of an SDK client whose every call passes this stack.

        Same class for `isinstance` and type checkers, same results, same errors; the original is not
        touched. The copy shares the HTTP client without owning it: closing the copy leaves it open.
        Wrapping a wrapped client joins the stacks, this one outside.

        Args:
            client: an `openai` or `anthropic` client, sync or async, or of another SDK of that shape.

        Raises:
            ConfigError: no such client, or a layer that cannot work there.
        """
        from agentprod.edge.wrap import wrap_client

        return wrap_client(self, client)

    def decorate(
        self,
        fn: F,
        *,
        dialect: Dialect | str | None = None,
        provider: str | None = None,
        model: str | None = None,
        kind: Kind | None = None,
        name: str | None = None,
    ) -> F:
        """Return `fn` with every call passing this stack; its signature stays.

        Args:
            fn: a function, method, partial or callable object; sync, async, generator or async
                generator. Generators run the stack at the first `next`. A method of an SDK client,
                such as `client.chat.completions.create`, is taken from the wrapped client instead.

            dialect: the wire format of its arguments and value, or the name under which a package
                registers one; found from the signature when absent: `(model, messages)` is read as
                OpenAI chat.

            provider: what to call the provider in spans, prices and errors.

            model: the model it calls, when no argument says so.

            kind: `"sync" "async" "generator" "async_generator"`, when it cannot be seen.

            name: what to call the function in spans and errors.

        Raises:
            ConfigError: not a callable, or a layer that cannot work there.
        """
        if (within := function_within(fn)) is not None:
            inner, remake = within
            made = self.decorate(inner, dialect=dialect, provider=provider, model=model, kind=kind, name=name)
            return remake(made)  # type: ignore[no-any-return]
        if isinstance(fn, Stack | _layer.Layer):
            raise ConfigError(f"a {type(fn).__name__} cannot be decorated; {_BESIDE}")
        check_callable(fn)
        if kind is not None and kind not in KINDS:
            raise ConfigError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
        method = _client_method(self, fn)
        if method is not None:
            return method  # type: ignore[no-any-return]
        marker = marker_of(fn)
        if marker is not None:
            joined = self._join(marker.stack)
            edge = marker.edge
            bound = marker.entry.bound
        else:
            joined, bound = self, None
            spoken = dialect_named(dialect) if isinstance(dialect, str) else dialect
            if spoken is not None and not hasattr(spoken, "operation"):
                raise ConfigError(f"dialect must be an ap.Dialect or the name of one, not a {type(spoken).__name__}")
            edge = FunctionEdge(fn, kind or kind_of(fn), dialect=spoken, provider=provider, model=model, name=name)
        joined.attach(
            Place(
                "async" if edge.kind in ("async", "async_generator") else "sync",
                edge.name,
                edge.kind in ("generator", "async_generator"),
                edge.fn,
            )
        )
        entry = joined.entry if bound is None else joined.entry.bind(bound)
        return wrap_function(entry, edge, joined)  # type: ignore[return-value]

    def __call__(self, fn: F) -> F:
        """Decorate `fn` with this stack."""
        return self.decorate(fn)

    def attach(self, place: Place) -> None:
        """Let every layer refuse a place where it cannot work."""
        for found in self.layers:
            check = getattr(found, "attach", None)
            if callable(check):
                check(place)

    def _join(self, inner: Stack) -> Stack:
        outer, under = self._options, inner._options
        options = {**under, **{name: value for name, value in outer.items() if value is not None}}
        if outer["check"] == "warn":
            options["check"] = "error" if under["check"] == "error" else "warn"
        options["buffer"] = outer["buffer"] or under["buffer"]
        options["classify"] = _either(outer["classify"], under["classify"])
        known = (*check_order(self.layers), *check_order(inner.layers))
        return _rebuilt((*self.layers, *inner.layers), options, known)

    # Looking and changing

    @property
    def store(self) -> Any:
        """Where layers without a store of their own keep shared state; `None` for this process's memory."""
        return self._options["store"]

    def __iter__(self) -> Iterator[LayerLike]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, kind: type[L]) -> L:
        """Return the layer of this class; one that `ap.when` applies, too.

        Raises:
            ConfigError: `kind` is no class.
            KeyError: the stack has none.
        """
        if not isinstance(kind, type):
            raise ConfigError(f"a stack is asked for a layer by its class, as in stack[ap.Retry], not by {kind!r}")
        for found in all_layers(self.layers):
            if isinstance(found, kind):
                return found
        raise KeyError(f"the stack has no {getattr(kind, '__name__', kind)}; it has {', '.join(self._names) or 'none'}")

    def __contains__(self, kind: object) -> bool:
        return isinstance(kind, type) and any(isinstance(found, kind) for found in all_layers(self.layers))

    def replace(self, layer: LayerLike) -> Stack:
        """Return a stack with `layer` in the place of the one of its class."""
        position = self._position(layer_name(layer))
        return self._with((*self.layers[:position], layer, *self.layers[position + 1 :]))

    def without(self, kind: type[Any]) -> Stack:
        """Return a stack without the layers of this class, within `ap.when` too; the same again without any."""
        if not isinstance(kind, type):
            raise ConfigError(f"without takes the class of a layer, as in stack.without(ap.Cache), not {kind!r}")
        left = (layer_without(found, kind) for found in self.layers)
        return self._with(tuple(found for found in left if found is not None))

    def insert(
        self,
        layer: LayerLike,
        *,
        outside: type[Any] | LayerLike | str | None = None,
        inside: type[Any] | LayerLike | str | None = None,
    ) -> Stack:
        """Return a stack with `layer` right outside, or right inside, the layer of a class.

        Args:
            layer: the layer to add.

            outside: class (or name) of the layer it shall stand just outside of.

            inside: class (or name) of the layer it shall stand just inside of.

        Raises:
            ConfigError: neither is given, or both; or the stack has no such layer.
        """
        if (outside is None) == (inside is None):
            raise ConfigError("insert takes exactly one of outside= and inside=")
        anchor = outside if outside is not None else inside
        position = self._position(anchor if isinstance(anchor, str) else layer_name(anchor))
        position += outside is None
        return self._with((*self.layers[:position], layer, *self.layers[position:]))

    def _position(self, name: str) -> int:
        if name not in self._names:
            raise ConfigError(f"the stack has no {name}; it has {', '.join(self._names) or 'no layers'}")
        return self._names.index(name)

    def _with(self, layers: Sequence[LayerLike]) -> Stack:
        return _rebuilt(layers, self._options, check_order(self.layers))

    def explain(self) -> str:
        """Return the stack as text: each layer, what it is for, and what is wrong with the order."""
        from agentprod.explain import explain

        return explain(self)

    def __repr__(self) -> str:
        return f"Stack({', '.join(shown(found) for found in self.layers)})"


_BESIDE = "to put layers together list them in one stack, ap.Stack(...), and decorate the function with that"
_CLOCK = ("monotonic", "wall", "sleep", "asleep", "call_at")
_HOOKS = {
    "classify": "(exception) -> ap.Fault | None",
    "prices": "(provider, model, usage) -> USD | None",
}


def _rebuilt(layers: Sequence[LayerLike], options: dict[str, Any], known: Sequence[Finding]) -> Stack:
    """Return a stack of these layers; what was wrong with their order before has been said before."""
    for found in layers:
        check_layer(found)
    enforce_order(layers, options["check"], known)
    made = Stack(*layers, **{**options, "check": "off"})
    made._options["check"] = options["check"]
    return made


def _either(outer: Classify | None, inner: Classify | None) -> Classify | None:
    if outer is None or inner is None:
        return outer or inner

    def classify(error: BaseException) -> Fault | None:
        return outer(error) or inner(error)

    return classify


def _client_method(stack: Stack, fn: Any) -> Any:
    """Return `fn` of the wrapped client when it is a bound method of an SDK client's resource."""
    owner = getattr(fn, "__self__", None)
    client = getattr(owner, "_client", None)
    if owner is None or client is None:
        return None
    from agentprod.edge.wrap import is_client, wrap_client

    if not is_client(client):
        return None
    return getattr(type(owner)(wrap_client(stack, client)), fn.__name__)


def _decorate_with_one(layer: Any, fn: Callable[..., Any]) -> Any:
    return Stack(layer).decorate(fn)


def _function_target(fn: Callable[..., Any]) -> Target:
    from agentprod.edge.function_target import function_target

    return function_target(fn)


_layer.decorates_with(_decorate_with_one)
makes_function_targets(_function_target)
