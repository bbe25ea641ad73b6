"""The edge of a decorated function: its arguments in, its value out."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal

from agentprod.call import Call, Target
from agentprod.dialects.arguments import Arguments, arguments_of, binder, call_with
from agentprod.dialects.function import CHAT_FUNCTION, FUNCTION, from_json, to_json
from agentprod.edge.iterators import AsyncItems, AsyncIteratorSource, Items, IteratorSource
from agentprod.edge.limits import MOST_TARGETS, first_limit
from agentprod.errors import ConfigError
from agentprod.lateness import late
from agentprod.meta import attach
from agentprod.reply import Reply, make_reply
from agentprod.stream import EventStream

if TYPE_CHECKING:
    from agentprod.ambient import Ambient
    from agentprod.dialects.base import Dialect
    from agentprod.edge.entry import Entry
    from agentprod.ledger import Attempt
    from agentprod.stream import Source

__all__ = ["FunctionEdge", "Kind", "Stopped", "without_partials"]

Kind = Literal["sync", "async", "generator", "async_generator"]


class Stopped(Exception):
    """Carries a `StopIteration` that a function raised through coroutines, which would turn it into RuntimeError."""

    def __init__(self, error: StopIteration) -> None:
        super().__init__()
        self.carried = error
        """What layers and accounts speak of instead."""


class FunctionEdge:
    """Calls one function. It is both edges: it opens the call and it sends the attempts.

    Args:
        fn: the function.

        kind: how it answers.

        dialect: of its arguments and value; found from its signature when `None`.

        provider, model, name: what spans, boards and errors call it.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        kind: Kind,
        *,
        dialect: Dialect | None = None,
        provider: str | None = None,
        model: str | None = None,
        name: str | None = None,
    ) -> None:
        for option, text in (("provider", provider), ("model", model), ("name", name)):
            if not isinstance(text, str | None):
                raise ConfigError(f"decorate({option}=) takes a str, not {type(text).__name__}")
        self.fn = fn
        self.kind = kind
        named = without_partials(fn)
        self.name = name or getattr(named, "__qualname__", None) or type(named).__qualname__
        self._model = model
        self._signature = _signature(fn)
        self.dialect = dialect or _dialect(self._signature)
        self._value_kind = _annotated(fn)
        self._runtime_kind = "async" if kind in ("async", "async_generator") else "sync"
        module = getattr(named, "__module__", None) or "function"
        self._provider = provider or "function"
        self._base = f"{module}.{self.name}"
        self._targets: dict[str | None, Target] = {}
        self.target = self._target(model)
        """Where calls of the function go."""
        self.streams = kind in ("generator", "async_generator")
        self.send: Callable[[Call, Attempt], Reply | Awaitable[Reply]] = {
            "sync": self._send_sync,
            "async": self._send_async,
            "generator": self._send_generator,
            "async_generator": self._send_generator,
        }[kind]
        """Calls the function once."""
        self.returns_text = self._value_kind is str
        self._call = fn
        if kind == "async" and not _says_async(fn):
            self._call = _checked(fn, self.name)

    def _target(self, model: str | None) -> Target:
        found = self._targets.get(model)
        if found is None:
            if len(self._targets) >= MOST_TARGETS:
                self._targets.clear()
            name = None if model else self.name
            found = Target(self._provider, self._base, model, self, "", name, self._runtime_kind)
            self._targets[model] = found
        return found

    def entering(self, entry: Entry) -> Callable[[Ambient, tuple[Any, ...], dict[str, Any]], Call]:
        """Return what opens a call: from what is in force around it and the function's arguments."""
        open_call = entry.open_sync if self._runtime_kind == "sync" else entry.open_async
        bind, dialect, streams, target = binder(self._signature), self.dialect, self.streams, self.target

        def enter_plain(here: Ambient, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
            return open_call(here, streams, dialect, target, arguments_of(bind, args, kwargs), self)

        def enter_chat(here: Ambient, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
            request = bind(args, kwargs)
            place = self._target(self._model or dialect.model(request))
            return open_call(here, streams or request.get("stream") is True, dialect, place, request, self)

        return enter_plain if dialect is FUNCTION else enter_chat

    def _send_sync(self, call: Call, attempt: Attempt) -> Reply | Awaitable[Reply]:
        request = call.request
        if type(request) is Arguments:
            args, kwargs = request.args, request.kwargs
        else:
            args, kwargs = call_with(self._signature, request)
        if call.limits.thread:
            value = self._in_thread(call, args, kwargs)
        else:
            try:
                value = self.fn(*args, **kwargs)
            except StopIteration as stop:
                raise Stopped(stop) from None
        if type(value) not in _VALUES:
            if call.streaming and _iterates(value):
                return self._open(call, attempt, value)
            if hasattr(value, "__await__") or isinstance(value, _GENERATORS):
                raise self._other_kind(value)
            return _told(call, value)
        return make_reply(call, value, to_json)

    async def _send_async(self, call: Call, attempt: Attempt) -> Reply:
        args, kwargs = self._arguments(call)
        value = await self._await(call, args, kwargs)
        if type(value) not in _VALUES:
            if call.streaming and _iterates(value):
                return await self._open(call, attempt, value)
            if isinstance(value, _GENERATORS):
                raise self._other_kind(value)
            return _told(call, value)
        return make_reply(call, value, to_json)

    def _other_kind(self, value: Any) -> ConfigError:
        """Return the error for a function that turned out to be of another kind than it looked."""
        close = getattr(value, "close", None)
        if callable(close):
            close()  # a coroutine that nobody awaits would say so when it is collected
        if self.kind == "async":
            return ConfigError(
                f"{self.name} looks asynchronous and returned a generator, whose items would go past the stack; "
                "make it an async generator itself (async for … : yield …)"
            )
        kind = "async_generator" if hasattr(value, "__anext__") else "generator"
        if hasattr(value, "__await__"):
            kind = "async"
        return ConfigError(
            f"{self.name} looks synchronous and returned {'an awaitable' if kind == 'async' else 'a generator'}; "
            f'decorate it with stack.decorate({self.name}, kind="{kind}")'
        )

    async def _send_generator(self, call: Call, attempt: Attempt) -> Reply:
        args, kwargs = self._arguments(call)
        return await self._open(call, attempt, self.fn(*args, **kwargs))

    def _arguments(self, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
        request = call.request
        if type(request) is Arguments:
            return request.args, request.kwargs
        return call_with(self._signature, request)

    async def _await(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        until, phase = first_limit(call)
        if until is None:
            return await self._call(*args, **kwargs)
        alarm = call.runtime.alarm()
        alarm.enter(until)
        try:
            return await self._call(*args, **kwargs)
        except BaseException as error:
            if alarm.claims(error):
                raise late(phase, call.target, call.limits) from None
            raise
        finally:
            alarm.close()

    def _in_thread(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        from agentprod.edge.threads import call_in_thread

        until, phase = first_limit(call)
        try:
            ended, value = call_in_thread(
                lambda: self.fn(*args, **kwargs), None if until is None else until - call.runtime.now()
            )
        except StopIteration as stop:
            raise Stopped(stop) from None
        if not ended:
            raise late(phase, call.target, call.limits)
        return value

    async def _open(self, call: Call, attempt: Attempt, iterator: Any) -> Reply:
        until, phase = first_limit(call)
        guarded = until is not None or call.limits.idle is not None or call.limits.stream_until is not None
        stream = EventStream(self.source(call, iterator), call, alarm=call.runtime.alarm() if guarded else None)
        stream.attempt = attempt
        reply = make_reply(call, iterator, stream=stream)
        try:
            await stream.open(until, phase, whole=call.ledger.environment.buffer)
        except GeneratorExit:  # nothing may be awaited any more
            stream.drop()
            raise
        except BaseException:
            await stream.close("failed")
            raise
        return reply

    def source(self, call: Call, iterator: Any) -> Source:
        """Return the items of what the function returned, as events."""
        return AsyncIteratorSource(aiter(iterator)) if _is_async(iterator) else IteratorSource(iter(iterator))

    def leave(self, reply: Reply) -> Any:
        """Return the reply as the function would have: its value, or an iterator."""
        native = reply.native
        if reply.stream is not None:
            is_async = self._runtime_kind == "async" if native is None else _is_async(native)
            return (AsyncItems if is_async else Items)(reply.stream, native)
        if native is not None and not reply.edited:
            return native
        value = from_json(reply.body, self._value_kind if native is None else type(native))
        if type(value) not in _VALUES:
            attach(value, reply.ledger)
        return value


_VALUES = frozenset({str, dict, list, int, float, bool, type(None)})
_GENERATORS = (types.GeneratorType, types.AsyncGeneratorType)


def _signature(fn: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(fn)
    except (TypeError, ValueError):  # some builtins have none
        return None


def _dialect(signature: inspect.Signature | None) -> Dialect:
    names = set(signature.parameters) if signature is not None else set()
    return CHAT_FUNCTION if {"model", "messages"} <= names else FUNCTION


def _annotated(fn: Callable[..., Any]) -> Any:
    """Return the class a function says it returns, when it is one that can be rebuilt from JSON."""
    try:
        fn = without_partials(fn)
        found = typing.get_type_hints(fn if inspect.isroutine(fn) else type(fn).__call__).get("return")
    except Exception:  # annotations are the user's, and may name what cannot be imported here
        return None
    return found if isinstance(found, type) else None


def _told(call: Call, value: Any) -> Reply:
    """Return the reply that is an object, with the account of the call on it."""
    reply = make_reply(call, value, to_json)
    # Not the object itself, which leads to the account: the two would keep each other alive.
    counts = {} if call.dialect is FUNCTION else {"usage": to_json(getattr(value, "usage", None))}
    reply.accounts = (call.dialect, None, counts)
    attach(value, call.ledger)
    return reply


def _iterates(value: Any) -> bool:
    return hasattr(value, "__next__") or _is_async(value)


def _is_async(iterator: Any) -> bool:
    return hasattr(iterator, "__anext__") or hasattr(iterator, "__aiter__")


def without_partials(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the callable that partials were made of."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def _says_async(fn: Callable[..., Any]) -> bool:
    """Whether a callable itself is marked as async, not only what it wraps."""
    fn = without_partials(fn)
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(type(fn), "__call__", fn))  # noqa: B004


def _checked(fn: Callable[..., Any], name: str) -> Callable[..., Awaitable[Any]]:
    """Return `fn` held to what was said or guessed of it: that it returns awaitables."""

    def call(*args: Any, **kwargs: Any) -> Awaitable[Any]:
        found = fn(*args, **kwargs)
        if not hasattr(found, "__await__"):
            raise ConfigError(
                f"{name} looks asynchronous and returned a {type(found).__name__}; decorate it with "
                f'stack.decorate({name}, kind="sync")'
            )
        return found  # type: ignore[no-any-return]

    return call
