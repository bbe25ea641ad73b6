"""Replies, streams and errors of one provider in the words of a caller who speaks to another."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from agentprod.dialects.function import ChatFunction
from agentprod.errors import AgentprodError
from agentprod.events import Event
from agentprod.reply import Reply, make_reply

if TYPE_CHECKING:
    from agentprod.call import Call
    from agentprod.dialects.base import Dialect
    from agentprod.dialects.neutral_stream import Said
    from agentprod.stream import Source

__all__ = ["RetoldSource", "retold_error", "retold_reply"]


def retold_reply(reply: Reply, call: Call) -> Reply:
    """Return a whole reply as the caller's own provider would have written it.

    Args:
        reply: the reply, in its provider's words.

        call: the caller's call.
    """
    body = reply.body
    neutral = reply.dialect.reply_to_neutral(body)
    assert neutral is not None  # a request that went there says that replies come back
    made: Any = call.dialect.reply_from_neutral(neutral)
    if isinstance(call.dialect, ChatFunction) and call.origin.returns_text:
        made = call.dialect.text(made)
    for name in neutral.lost:
        call.ledger.drop(name)
    retold = make_reply(call, body=made)
    # Counts are read where the provider wrote them: the caller's format may not have words for all of them.
    retold.accounts = (reply.dialect, None, body)
    return retold


class RetoldSource:
    """A stream's events in the caller's wire format.

    Args:
        source: the provider's events.

        dialect: of the provider.

        call: the caller's call.
    """

    def __init__(self, source: Source, dialect: Dialect, call: Call) -> None:
        self._source = source
        self._call = call
        self.reader = dialect.reader()
        """Follows what the provider sends."""
        teller, writer = dialect.stream_to_neutral(), call.dialect.stream_from_neutral()
        assert teller is not None and writer is not None  # noqa: PT018 - both come with the whole reply's
        self._teller = teller
        self._writer = writer

    async def read(self) -> list[Event] | None:
        """Return the next events; where the provider's have no counterpart, a sign that the stream lives."""
        batch = await self._source.read()
        if batch is None:
            self.reader.end()
            return self._written(self._teller.end()) or None
        made: list[Event] = []
        for event in batch:
            made += self._retold(event)
        return made or [Event(*self._writer.ping)]

    def _retold(self, event: Event) -> list[Event]:
        if event.data is None:
            self.reader.mark(event.raw)
            return self._written(self._teller.mark(event.raw))
        if self.reader.feed(event.data):
            return [Event({"type": "error", **event.data}, native=event)]
        return self._written(self._teller.feed(event.data))

    def _written(self, told: list[Said]) -> list[Event]:
        made: list[Event] = []
        for said in told:
            if said.kind == "lost":
                self._call.ledger.drop(said.text)
            made += [Event(data) for data in self._writer.feed(said)]
            if said.kind == "end" and self._call.dialect.sentinel:
                made.append(Event(None, self._call.dialect.sentinel))
        return made

    async def close(self) -> None:
        """Release the connection."""
        await self._source.close()

    def drop(self) -> None:
        """Release the connection without waiting."""
        self._source.drop()

    async def error(self, event: Event) -> Exception:
        """Return what the caller's SDK raises for an error event."""
        error = await self._source.error(event.native)
        return _told_from(error, retold_error(error, self._call))

    def broken(self, error: BaseException) -> BaseException:
        """Return what the caller's SDK raises for a broken connection."""
        return self._retold_error(self._source.broken(error))

    def late(self) -> BaseException | None:
        """Return the caller's SDK's timeout error."""
        error = self._source.late()
        return None if error is None else self._retold_error(error)

    def _retold_error(self, error: BaseException) -> BaseException:
        return _told_from(error, retold_error(error, self._call)) if isinstance(error, Exception) else error


def _told_from(error: Exception, made: Exception) -> Exception:
    if made is not error:
        made.__cause__ = error
    return made


def retold_error(error: Exception, call: Call) -> Exception:
    """Return the error that the caller's SDK has for what another SDK raised; errors of no SDK as they are.

    Whoever made the call wrote `except openai.RateLimitError` and need not know who answered in the end.
    """
    client = getattr(call.origin, "client", None)
    if client is None:
        return error
    if isinstance(error, AgentprodError):  # a limit of ours; the SDK's own error is its cause
        if isinstance(error.__cause__, Exception):
            error.__cause__ = _told_from(error.__cause__, retold_error(error.__cause__, call))
        return error
    sdk = sys.modules[_root(client._make_status_error)]
    names = {cls.__name__ for cls in type(error).__mro__}
    if "APIError" not in names or isinstance(error, sdk.APIError):
        return error
    if "APITimeoutError" in names:
        return sdk.APITimeoutError(request=error.request)  # type: ignore[no-any-return, attr-defined]
    if "APIConnectionError" in names:
        return sdk.APIConnectionError(message=str(error), request=error.request)  # type: ignore[no-any-return, attr-defined]
    response = getattr(error, "response", None)
    if response is not None and response.status_code >= 400:
        made = client._make_status_error_from_response(response)
        made.args = error.args
        return made  # type: ignore[no-any-return]
    # An error event: its response said that all was well.
    body: Any = getattr(error, "body", None)
    if sdk.__name__ == "openai" and isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    return sdk.APIError(str(error), error.request, body=body)  # type: ignore[no-any-return, attr-defined]


def _root(method: Any) -> str:
    return str(method.__module__).partition(".")[0]
