"""Decorate any callable: function, method, async function, generator, async generator, callable object, partial."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncIterator, Callable, Generator
from typing import TYPE_CHECKING, Any

from agentprod import switch
from agentprod.ambient import ambient
from agentprod.dialects.function import to_json
from agentprod.edge.function_edge import FunctionEdge, Kind, Stopped, without_partials
from agentprod.edge.iterators import NO_SEND, AsyncIteratorSource, IteratorSource, direct, native
from agentprod.errors import ConfigError
from agentprod.runtime.drive import drive

if TYPE_CHECKING:
    from agentprod.edge.entry import Entry

__all__ = ["KINDS", "Marker", "function_within", "kind_of", "marker_of", "wrap_function"]

KINDS = ("sync", "async", "generator", "async_generator")
_MARKER = "__agentprod__"


class Marker:
    """What a decorated function remembers of its decoration.

    Only the wrapper itself owns it: `functools.wraps` copies attributes onto foreign wrappers, which
    are not decorated.
    """

    __slots__ = ("edge", "entry", "stack", "wrapper")

    def __init__(self, wrapper: Any, stack: Any, edge: FunctionEdge, entry: Entry) -> None:
        self.wrapper = wrapper
        self.stack = stack
        self.edge = edge
        self.entry = entry


def marker_of(fn: Any) -> Marker | None:
    """Return the marker of a decorated function, or `None`."""
    marker = getattr(fn, _MARKER, None)
    return marker if isinstance(marker, Marker) and marker.wrapper is fn else None


def function_within(fn: Any) -> tuple[Callable[..., Any], Callable[[Any], Any]] | None:
    """Return the function that a method stands for, and what makes such a method of another function.

    Of a static or class method as it stands in its class, and of a bound method whose function is decorated: a second
    decoration joins the first one's stack there, too. `None` for anything else.
    """
    if isinstance(fn, staticmethod | classmethod):
        return fn.__func__, type(fn)
    if isinstance(fn, types.MethodType) and marker_of(fn.__func__) is not None:
        return fn.__func__, lambda made: types.MethodType(made, fn.__self__)
    return None


def kind_of(fn: Callable[..., Any]) -> Kind:
    """Tell how a callable answers, looking through partials and into callable objects.

    Not through `functools.wraps`: a wrapper may run the loop itself. What looks sync and turns out
    otherwise is an error at its first call, which names `kind=`.
    """
    fn = without_partials(fn)
    for found in (fn, getattr(type(fn), "__call__", fn)):  # noqa: B004 - the method itself is wanted
        if inspect.isasyncgenfunction(found):
            return "async_generator"
        if inspect.isgeneratorfunction(found):
            return "generator"
        if inspect.iscoroutinefunction(found):
            return "async"
    return "sync"


def wrap_function(entry: Entry, edge: FunctionEdge, stack: Any) -> Callable[..., Any]:
    """Return the wrapper of `edge.fn` that sends each call through the stack."""
    fn = edge.fn
    make = {"sync": _sync, "async": _async, "generator": _generator, "async_generator": _async_generator}[edge.kind]
    wrapper = make(entry, edge)
    if hasattr(fn, "__name__"):
        functools.update_wrapper(wrapper, fn)
    else:  # an object: what it holds is its own, only what it says of itself is copied
        functools.update_wrapper(wrapper, without_partials(fn), updated=())
        wrapper.__name__ = wrapper.__qualname__ = edge.name
        wrapper.__wrapped__ = fn  # type: ignore[attr-defined]
    setattr(wrapper, _MARKER, Marker(wrapper, stack, edge, entry))
    return wrapper


def _sync(entry: Entry, edge: FunctionEdge) -> Callable[..., Any]:
    fn, stack_id = edge.fn, entry.stack_id
    enter, carry, handler = edge.entering(entry), entry.carry, entry.handler_for(edge.dialect)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        here = ambient()
        if not switch.active or (here.inside and stack_id in here.inside):
            return fn(*args, **kwargs)
        try:
            reply = drive(carry(handler, enter(here, args, kwargs)))
        except Stopped as stopped:
            raise stopped.carried from None
        return edge.leave(reply)

    return wrapper


def _async(entry: Entry, edge: FunctionEdge) -> Callable[..., Any]:
    fn, stack_id = edge.fn, entry.stack_id
    enter, carry, handler = edge.entering(entry), entry.carry, entry.handler_for(edge.dialect)

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        here = ambient()
        if not switch.active or (here.inside and stack_id in here.inside):
            return await fn(*args, **kwargs)
        return edge.leave(await carry(handler, enter(here, args, kwargs)))

    return wrapper


def _generator(entry: Entry, edge: FunctionEdge) -> Callable[..., Any]:
    fn, stack_id = edge.fn, entry.stack_id
    enter, carry, handler = edge.entering(entry), entry.carry, entry.handler_for(edge.dialect)

    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        here = ambient()
        if not switch.active or (here.inside and stack_id in here.inside):
            return (yield from fn(*args, **kwargs))
        reply = drive(carry(handler, enter(here, args, kwargs)))
        items, stream = edge.leave(reply), reply.stream
        assert stream is not None  # of what yields, every reply is one
        ask, took = stream.ask, stream.took
        try:
            while (batch := drive(stream.pull())) is not None:
                for event in batch:
                    if (yield native(event)) is not None:
                        raise TypeError(NO_SEND)
                source = direct(stream, IteratorSource)
                while source is not None and not stream.closed:
                    try:
                        ask()
                        item = source.next()
                        passes = took(item if type(item) is dict else to_json(item))
                    except BaseException as error:
                        if isinstance(error, StopIteration):
                            source.returned = error.value
                        stream.got(error)
                        break
                    if not passes:
                        break
                    if (yield item) is not None:
                        raise TypeError(NO_SEND)
            return getattr(stream.origin, "returned", None)
        finally:
            items.close()

    return wrapper


def _async_generator(entry: Entry, edge: FunctionEdge) -> Callable[..., Any]:
    fn, stack_id = edge.fn, entry.stack_id
    enter, carry, handler = edge.entering(entry), entry.carry, entry.handler_for(edge.dialect)

    async def wrapper(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        here = ambient()
        if not switch.active or (here.inside and stack_id in here.inside):
            bare = fn(*args, **kwargs)
            try:
                async for item in bare:
                    yield item
            finally:
                if hasattr(bare, "aclose"):  # whoever leaves the wrapper early leaves it, too
                    await bare.aclose()
            return
        reply = await carry(handler, enter(here, args, kwargs))
        items, stream = edge.leave(reply), reply.stream
        assert stream is not None
        ask, took = stream.ask, stream.took
        try:
            while (batch := await stream.pull()) is not None:
                for event in batch:
                    if (yield native(event)) is not None:
                        raise TypeError(NO_SEND)
                source = direct(stream, AsyncIteratorSource)
                while source is not None and not stream.closed:
                    try:
                        ask()
                        item = await source.next()
                        passes = took(item if type(item) is dict else to_json(item))
                    except BaseException as error:
                        stream.got(error)
                        break
                    if not passes:
                        break
                    if (yield item) is not None:
                        raise TypeError(NO_SEND)
        finally:
            await items.aclose()

    return wrapper


def check_callable(fn: Any) -> None:
    """Refuse what is no callable.

    Raises:
        ConfigError: `fn` is a class or cannot be called.
    """
    if inspect.isclass(fn):
        raise ConfigError(f"{fn.__name__} is a class; decorate its method, or a function that makes the object")
    if not callable(fn):
        raise ConfigError(
            f"{type(fn).__name__} cannot be decorated; pass a function, a method, or an object with __call__. "
            "A client is wrapped: stack.wrap(client)"
        )
