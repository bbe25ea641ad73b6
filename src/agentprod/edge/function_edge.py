"""The edge of a decorated function: its arguments in, its value out."""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from agentprod.call import Call, Target
from agentprod.dialects.function import CHAT_FUNCTION, FUNCTION, Arguments, call_with, from_json, to_json
from agentprod.edge.iterators import AsyncItems, AsyncIteratorSource, Items, IteratorSource
from agentprod.errors import ConfigError
from agentprod.lateness import late
from agentprod.reply import Reply
from agentprod.stream import EventStream

if TYPE_CHECKING:
    from agentprod.dialects.base import Dialect
    from agentprod.edge.entry import Entry
    from agentprod.ledger import Attempt

__all__ = ["FunctionEdge", "Kind", "Stopped"]

Kind = Literal["sync", "async", "generator", "async_generator"]


class Stopped(Exception):
    """Carries a `StopIteration` that a function raised through coroutines, which would turn it into RuntimeError."""

    def __init__(self, error: StopIteration) -> None:
        super().__init__()
        self.error = error


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
        self.fn = fn
        self.kind = kind
        self.name = name or getattr(fn, "__qualname__", None) or type(fn).__qualname__
        self._model = model
        self._signature = _signature(fn)
        self.dialect = dialect or _dialect(self._signature)
        self._value_kind = _annotated(fn)
        self._runtime_kind = "async" if kind in ("async", "async_generator") else "sync"
        module = getattr(fn, "__module__", None) or "function"
        self._provider = provider or "function"
        self._base = f"{module}.{self.name}"
        self._target = self._make_target(model)
        self._plain = self.dialect is FUNCTION

    def _make_target(self, model: str | None) -> Target:
        return Target(self._provider, self._base, model, self, "", None if model else self.name, self._runtime_kind)

    def enter(self, entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Open a call."""
        request: Any = Arguments(self._signature, args, kwargs)
        streaming = self.kind in ("generator", "async_generator")
        target = self._target
        if not self._plain:
            request = request.bound()
            model = self._model or self.dialect.model(request)
            if model != target.model:
                target = self._make_target(model)
            streaming = streaming or request.get("stream") is True
        return entry.call(
            kind=self._runtime_kind,
            operation=self.dialect.operation,
            streaming=streaming,
            dialect=self.dialect,
            target=target,
            request=request,
            origin=self,
        )

    async def send(self, call: Call, attempt: Attempt) -> Reply:
        """Call the function once."""
        args, kwargs = call_with(self.fn, self._signature, call.request)
        if self.kind in ("generator", "async_generator"):
            return await self._open(call, self.fn(*args, **kwargs))
        if self.kind == "async":
            value = await self._await(call, args, kwargs)
        elif call.limits.thread:
            value = self._in_thread(call, args, kwargs)
        else:
            try:
                value = self.fn(*args, **kwargs)
            except StopIteration as stop:
                raise Stopped(stop) from None
            if hasattr(value, "__await__"):
                _close_unawaited(value)
                raise ConfigError(
                    f"{self.name} looks synchronous and returned an awaitable; decorate it with "
                    f'stack.decorate({self.name}, kind="async")'
                )
        if call.streaming and _iterates(value):
            return await self._open(call, value)
        return Reply(call, load=lambda: to_json(value), native=value)

    async def _await(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        until, phase = _limit(call)
        if until is None:
            return await self.fn(*args, **kwargs)
        alarm = call.runtime.alarm()
        alarm.enter(until)
        try:
            return await self.fn(*args, **kwargs)
        except asyncio.CancelledError as error:
            if alarm.claims(error):
                raise late(phase, call.target, call.limits) from None
            raise
        finally:
            alarm.leave()
            alarm.close()

    def _in_thread(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        from agentprod.edge.threads import call_in_thread

        until, phase = _limit(call)
        try:
            ended, value = call_in_thread(
                lambda: self.fn(*args, **kwargs), None if until is None else until - call.runtime.now()
            )
        except StopIteration as stop:
            raise Stopped(stop) from None
        if not ended:
            raise late(phase, call.target, call.limits)
        return value

    async def _open(self, call: Call, iterator: Any) -> Reply:
        until, phase = _limit(call)
        guarded = until is not None or call.limits.idle is not None or call.limits.stream_until is not None
        source = AsyncIteratorSource(iterator) if hasattr(iterator, "__anext__") else IteratorSource(iter(iterator))
        stream = EventStream(source, call, alarm=call.runtime.alarm() if guarded else None)
        reply = Reply(call, stream=stream, native=iterator)
        try:
            await stream.open(until, phase)
        except BaseException:
            await stream.close("failed")
            raise
        return reply

    def value(self, reply: Reply) -> Any:
        """Return a whole reply as the function would have."""
        if reply.native is not None and not reply.edited:
            return reply.native
        kind = self._value_kind if reply.native is None else type(reply.native)
        return from_json(reply.body, kind)

    def iterator(self, reply: Reply) -> Any:
        """Return a streaming reply as an iterator."""
        assert reply.stream is not None
        return (AsyncItems if self._runtime_kind == "async" else Items)(reply.stream, reply.native)


def _limit(call: Call) -> tuple[float | None, str]:
    """Return when the wait for the first answer must end, and which limit says so."""
    now = call.runtime.now()
    limits = call.limits
    candidates = [] if call.deadline is None else [(call.deadline, "deadline")]
    if limits.attempt is not None:
        candidates.append((now + limits.attempt, "attempt"))
    if limits.first_token is not None and call.streaming:
        candidates.append((now + limits.first_token, "first_token"))
    return min(candidates) if candidates else (None, "")


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
        found = typing.get_type_hints(fn if inspect.isroutine(fn) else type(fn).__call__).get("return")
    except Exception:  # annotations are the user's, and may name what cannot be imported here
        return None
    return found if isinstance(found, type) else None


def _iterates(value: Any) -> bool:
    return hasattr(value, "__next__") or hasattr(value, "__anext__") or hasattr(value, "__aiter__")


def _close_unawaited(value: Any) -> None:
    close = getattr(value, "close", None)
    if callable(close):
        close()
