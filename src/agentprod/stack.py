"""A stack: an ordered tuple of layers, and the ways to put it around things."""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from agentprod import layer as _layer
from agentprod.board import Board
from agentprod.call import Call, CallNext, Handler
from agentprod.edge.attempts import send_attempt
from agentprod.edge.entry import Entry
from agentprod.edge.function_edge import FunctionEdge
from agentprod.edge.functions import KINDS, check_callable, kind_of, marker_of, wrap_function
from agentprod.errors import ConfigError, OrderError, OrderWarning
from agentprod.layer import Place
from agentprod.ledger import Environment
from agentprod.order import check as check_order
from agentprod.order import layer_name
from agentprod.runtime.clock import Clock, SystemClock
from agentprod.runtime.runtime import AsyncRuntime, SyncRuntime
from agentprod.usage import Usage

if TYPE_CHECKING:
    from agentprod.dialects.base import Dialect
    from agentprod.edge.function_edge import Kind
    from agentprod.faults import Classify
    from agentprod.ledger import Pricer

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
        *layers: Any,
        store: Any = None,
        check: Literal["warn", "error", "off"] = "warn",
        classify: Classify | None = None,
        clock: Clock | None = None,
        prices: Pricer | None = None,
        buffer: bool = False,
    ) -> None:
        if check not in ("warn", "error", "off"):
            raise ConfigError(f'check must be "warn", "error" or "off", not {check!r}')
        if classify is not None and not callable(classify):
            raise ConfigError("classify must be callable: (exception) -> ap.Fault | None")
        for found in layers:
            _check_layer(found)
        self.layers: tuple[Any, ...] = layers
        self._options: dict[str, Any] = {
            "store": store,
            "check": check,
            "classify": classify,
            "clock": clock,
            "prices": prices,
            "buffer": buffer,
        }
        if check != "off":
            _enforce(layers, check)
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
            default_scrub,
            classify,
            own_retries,
            self._id,
            buffer,
        )
        self.entry = Entry(
            _compose(layers, send_attempt),
            _compose([found for found in layers if getattr(found, "other_traffic", False)], send_attempt),
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
        dialect: Dialect | None = None,
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

            dialect: the wire format of its arguments and value; found from the signature when absent:
                `(model, messages)` is read as OpenAI chat.

            provider: what to call the provider in spans, prices and errors.

            model: the model it calls, when no argument says so.

            kind: `"sync" "async" "generator" "async_generator"`, when it cannot be seen.

            name: what to call the function in spans and errors.

        Raises:
            ConfigError: not a callable, or a layer that cannot work there.
        """
        if isinstance(fn, staticmethod | classmethod):
            inner = self.decorate(fn.__func__, dialect=dialect, provider=provider, model=model, kind=kind, name=name)
            rewrapped: Any = type(fn)(inner)
            return rewrapped  # type: ignore[no-any-return]
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
        else:
            joined = self
            edge = FunctionEdge(fn, kind or kind_of(fn), dialect=dialect, provider=provider, model=model, name=name)
        joined.attach(
            Place(
                "async" if edge.kind in ("async", "async_generator") else "sync",
                edge.name,
                edge.kind in ("generator", "async_generator"),
            )
        )
        return wrap_function(joined.entry, edge, joined)  # type: ignore[return-value]

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
        return self._with((*self.layers, *inner.layers), inner._options)

    # Looking and changing

    @property
    def store(self) -> Any:
        """Where layers without a store of their own keep shared state; `None` for this process's memory."""
        return self._options["store"]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, kind: type[L]) -> L:
        """Return the layer of this class.

        Raises:
            KeyError: the stack has none.
        """
        for found in self.layers:
            if isinstance(found, kind):
                return found
        raise KeyError(f"the stack has no {getattr(kind, '__name__', kind)}; it has {', '.join(self._names) or 'none'}")

    def __contains__(self, kind: object) -> bool:
        return isinstance(kind, type) and any(isinstance(found, kind) for found in self.layers)

    def replace(self, layer: Any) -> Stack:
        """Return a stack with `layer` in the place of the one of its class."""
        position = self._position(layer_name(layer))
        return self._with((*self.layers[:position], layer, *self.layers[position + 1 :]))

    def without(self, kind: type[Any]) -> Stack:
        """Return a stack without the layers of this class."""
        return self._with(tuple(found for found in self.layers if not isinstance(found, kind)))

    def insert(self, layer: Any, *, outside: Any = None, inside: Any = None) -> Stack:
        """Return a stack with `layer` right outside, or right inside, the layer of a class.

        Args:
            layer: the layer to add.

            outside: class (or name) of the layer it shall stand just outside of.

            inside: class (or name) of the layer it shall stand just inside of.
        """
        if (outside is None) == (inside is None):
            raise ConfigError("insert takes exactly one of outside= and inside=")
        anchor = outside if outside is not None else inside
        position = self._position(anchor if isinstance(anchor, str) else getattr(anchor, "__name__", str(anchor)))
        position += outside is None
        return self._with((*self.layers[:position], layer, *self.layers[position:]))

    def _position(self, name: str) -> int:
        if name not in self._names:
            raise ConfigError(f"the stack has no {name}; it has {', '.join(self._names) or 'no layers'}")
        return self._names.index(name)

    def _with(self, layers: Sequence[Any], under: dict[str, Any] | None = None) -> Stack:
        options = {**(under or {}), **{k: v for k, v in self._options.items() if v is not None}}
        return Stack(*layers, **options)

    def explain(self) -> str:
        """Return the stack as text: each layer, what it is for, and what is wrong with the order."""
        from agentprod.explain import explain

        return explain(self)

    def __repr__(self) -> str:
        return f"Stack({', '.join(_shown(found) for found in self.layers)})"


def _shown(layer: Any) -> str:
    return getattr(layer, "__name__", None) or repr(layer)


def default_pricer(provider: str, model: str | None, usage: Any) -> Any:
    """Price an attempt by the built-in prices."""
    return None


def default_estimator(request: Mapping[str, Any], model: str | None, text: str) -> Usage:
    """Count the tokens of a request and of the text that came back."""
    from agentprod.budget.tokens import count_request, count_tokens

    return Usage(count_request(request, model).tokens, count_tokens(text, model or ""), estimated=True)


def default_scrub(text: str) -> str:
    """Name the personal data and secrets of a text instead of showing them."""
    from agentprod.safety.pii.detectors import built_in, find_spans
    from agentprod.safety.pii.entities import DEFAULT
    from agentprod.safety.pii.folding import fold
    from agentprod.safety.pii.overlap import resolve

    folded = fold(text)
    pieces: list[str] = []
    done = 0
    for span in resolve(folded.text, find_spans(folded.text, built_in(DEFAULT))):
        start, end = folded.original(span.start, span.end)
        pieces += (text[done:start], f"[{span.entity}]")
        done = end
    return "".join((*pieces, text[done:]))


def _compose(layers: Sequence[Any], innermost: Handler) -> Handler:
    handler = innermost
    for found in reversed(layers):
        handler = _bound(found.handle if hasattr(found, "handle") else found, handler)
    return handler


def _bound(handle: Callable[[Call, CallNext], Any], call_next: Handler) -> Handler:
    def handler(call: Call) -> Any:
        return handle(call, call_next)

    return handler


def _check_layer(found: Any) -> None:
    if inspect.isclass(found):
        raise ConfigError(f"{found.__name__} is a class; write {found.__name__}() to make a layer of it")
    if isinstance(found, Stack):
        raise ConfigError("a stack is no layer; write Stack(*one, *another) to join two")
    handle = getattr(found, "handle", None)
    if handle is None and callable(found) and inspect.iscoroutinefunction(found):
        return
    if handle is None or not inspect.iscoroutinefunction(handle):
        raise ConfigError(
            f"a {type(found).__name__} is no layer; a layer has `async def handle(self, call, call_next)` "
            "or is itself an `async def` function of (call, call_next)"
        )


def _enforce(layers: Sequence[Any], check: str) -> None:
    for finding in check_order(layers):
        if finding.harmful or check == "error":
            raise OrderError(finding.message + '. Pass check="off" to Stack if you mean it')
        warnings.warn(finding.message, OrderWarning, stacklevel=_outside_level())


def _outside_level() -> int:
    """Return the stack level of the first frame outside this library."""
    level = 1
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "agentprod":
        frame = frame.f_back
        level += 1
    return level - 1


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


_layer.decorates_with(_decorate_with_one)
