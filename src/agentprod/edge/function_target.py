"""A plain function as a target: it answers in place of a provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agentprod.call import Call, Target
from agentprod.dialects.arguments import call_with
from agentprod.dialects.neutral_stream import Said
from agentprod.edge.attempts import answer
from agentprod.edge.function_edge import FunctionEdge, Kind
from agentprod.edge.functions import check_callable, kind_of
from agentprod.events import Event
from agentprod.reply import Reply

if TYPE_CHECKING:
    from agentprod.ledger import Attempt
    from agentprod.stream import Source

__all__ = ["FunctionTarget", "function_target"]


class FunctionTarget(FunctionEdge):
    """Calls a function with the arguments of the decorated one, or with an SDK call's request as keywords.

    What it returns for a decorated function is returned as it is. For an SDK call it is a text, or a whole reply in
    the caller's wire form; for a stream also an iterator of texts or of events in that form.
    """

    def __init__(self, fn: Callable[..., Any], kind: Kind) -> None:
        super().__init__(fn, kind)
        self._call_once = self.send
        self.send = self._answer

    def obstacle(self, call: Call, target: Target) -> str | None:
        """Return why this function cannot be asked this; `None` when it can."""
        if isinstance(call.origin, FunctionEdge):
            return None
        try:
            args, kwargs = call_with(self._signature, call.request)
            if self._signature is not None:
                self._signature.bind(*args, **kwargs)
        except TypeError as error:
            return f"it does not take the request's fields: {error}; let it take **fields"
        return None

    async def _answer(self, call: Call, attempt: Attempt) -> Reply:
        reply = await answer(self._call_once(call, attempt))
        if isinstance(call.origin, FunctionEdge) or reply.stream is not None:
            return reply
        body = reply.body
        if isinstance(body, str):
            body = call.dialect.make_body(call.request, body)
        made = Reply.local(call, body)
        made.accounts = (call.dialect, None, body)
        if made.stream is not None:
            made.stream.attempt = attempt
            await made.stream.open()
        return made

    def source(self, call: Call, iterator: Any) -> Source:
        """Return the items of what the function returned, for an SDK call as events in its wire form."""
        source = super().source(call, iterator)
        return source if isinstance(call.origin, FunctionEdge) else _Events(source, call)


class _Events:
    """Texts as events of the caller's wire form; items that are events already pass as they are."""

    def __init__(self, source: Source, call: Call) -> None:
        self._source = source
        self._dialect = call.dialect
        self._writer = call.dialect.stream_from_neutral()
        self._model = call.target.model
        self._state = "new"

    async def read(self) -> list[Event] | None:
        batch = await self._source.read()
        if batch is not None:
            return [made for event in batch for made in self._written(event)]
        if self._state != "texts":
            return None
        self._state = "done"
        return [*self._say(Said("finish", "stop")), *self._say(Said("end"))]

    def _written(self, event: Event) -> list[Event]:
        if not isinstance(event.data, str):
            return [Event(event.data)]
        begun = self._state == "texts"
        self._state = "texts"
        start = [] if begun else self._say(Said("start", name=self._model))
        return [*start, *self._say(Said("text", event.data))]

    def _say(self, said: Said) -> list[Event]:
        if self._writer is None:
            raise TypeError(f"a stream of texts cannot be written as {self._dialect.name}; return one whole text")
        return [Event(data) for data in self._writer.feed(said)]

    async def close(self) -> None:
        await self._source.close()

    def drop(self) -> None:
        self._source.drop()

    async def error(self, event: Event) -> Exception:
        return await self._source.error(event)

    def broken(self, error: BaseException) -> BaseException:
        return error

    def late(self) -> BaseException | None:
        return None


def function_target(fn: Callable[..., Any]) -> Target:
    """Return the target that a plain function is.

    Raises:
        ConfigError: it is a class.
    """
    check_callable(fn)
    return FunctionTarget(fn, kind_of(fn)).target
