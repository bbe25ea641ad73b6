"""An HTTP response as a source of events, and a stream of events as an HTTP response body."""

from __future__ import annotations

import contextlib
import logging
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agentprod.dialects.sse import EventParser
from agentprod.edge.framed import FrameParser, is_framed
from agentprod.events import Event
from agentprod.runtime.drive import drive

if TYPE_CHECKING:
    from agentprod.edge.sdk import SdkEdge
    from agentprod.edge.undecoded import Undecoded
    from agentprod.stream import EventStream

__all__ = ["AsyncHttpSource", "HttpSource", "http_module", "stream_response", "whole_response"]

_log = logging.getLogger("agentprod")


class HttpSource:
    """Reads server-sent events from a response that nobody has read yet."""

    quiet = True
    """Reading runs the HTTP library only, none of the application's code: a tracer need not make its span current."""

    def __init__(self, edge: SdkEdge, carrier: Undecoded) -> None:
        self._edge = edge
        self._carrier = carrier
        self._chunks = edge.io.chunks(carrier.response)
        framed = is_framed(carrier.response)
        self._parser = FrameParser(carrier.client._make_sse_decoder()) if framed else EventParser()

    async def read(self) -> list[Event] | None:
        """Return the events of the next piece of the body that completes any."""
        feed = self._parser.feed
        for chunk in self._chunks:
            events = feed(chunk)
            if events:
                return events
        return self._rest()

    def _rest(self) -> list[Event] | None:
        return self._parser.flush() or None

    async def close(self) -> None:
        """Close the response, which gives its connection back or ends it."""
        await self._edge.io.close(self._carrier.response, self._chunks)

    def drop(self) -> None:
        """Close the response where that needs no loop."""
        self._edge.io.drop(self._carrier.response, self._chunks)

    async def error(self, event: Event) -> Exception:
        """Return what the SDK raises when it reads this event."""
        return await self._edge.errors.event(self._carrier, event)

    def broken(self, error: BaseException) -> BaseException:
        """Return the SDK's connection error for a transport's."""
        return self._edge.errors.transport(error, self._carrier.response.request)

    def late(self) -> BaseException | None:
        """Return the SDK's timeout error."""
        return self._edge.errors.timeout(self._carrier.response.request)


class AsyncHttpSource(HttpSource):
    """The same for async clients."""

    async def read(self) -> list[Event] | None:
        """Return the events of the next piece of the body that completes any."""
        feed = self._parser.feed
        async for chunk in self._chunks:
            events = feed(chunk)
            if events:
                return events
        return self._rest()


class Body:
    """The body of the response that a caller's SDK decodes: pulls the stream when it is read."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._encode = stream.caller.encode
        self._sealed = False

    @property
    def elapsed(self) -> timedelta | None:
        """How long the stream took, for the response whose body this is; `None` until it has ended."""
        if not self._stream.closed:
            return None
        attempt = self._stream.attempt
        return timedelta(seconds=0.0 if attempt is None else attempt.duration or 0.0)

    def _bytes(self, batch: list[Event]) -> bytes:
        if len(batch) == 1:
            event = batch[0]
            return self._encode(event.data) if event.raw is None else event.raw
        return b"".join(self._encode(event.data) if event.raw is None else event.raw for event in batch)

    def _last(self) -> bytes:
        """Return what closes a stream that did not come over the wire; nothing when it came or is closed already."""
        stream = self._stream
        if self._sealed or stream.reader.sealed:
            return b""
        self._sealed = True
        return stream.caller.sentinel

    def __del__(self) -> None:
        self._stream.drop()


class SyncBody(Body):
    """Read by a synchronous client."""

    def __iter__(self) -> SyncBody:
        return self

    def __next__(self) -> bytes:
        batch = drive(self._stream.pull())
        if batch is not None:
            return self._bytes(batch)
        last = self._last()
        if not last:
            raise StopIteration
        return last

    def close(self) -> None:
        """Leave the stream."""
        drive(self._stream.close())


class AsyncBody(Body):
    """Read by an asynchronous client."""

    _marked = False
    """Whether the end marker was delivered."""

    def __aiter__(self) -> AsyncBody:
        return self

    async def __anext__(self) -> bytes:
        if self._marked:
            # OpenAI's SDK reads on behind the marker for a tenth of a second, so that the connection can be kept, and
            # then closes. What runs at the end of a call is left to the close, where no limit cuts it off.
            await self._drain()
            raise StopAsyncIteration
        batch = await self._stream.pull()
        if batch is not None:
            made = self._bytes(batch)
            self._marked = self._stream.reader.sealed and made.rstrip().endswith(b"[DONE]")
            return made
        last = self._last()
        if not last:
            raise StopAsyncIteration
        return last

    async def _drain(self) -> None:
        try:
            while not self._stream.closed and await self._stream.source.read():
                pass
        except Exception as problem:  # the reply is complete, whatever its connection does
            _log.debug("reading to the end of a response failed: %s", type(problem).__name__)

    async def aclose(self) -> None:
        """Leave the stream."""
        await self._stream.close()


_bodies: dict[tuple[str, bool], type[Any]] = {}


def http_module(client: Any) -> Any:
    """Return the HTTP library an SDK client speaks through: `httpx2`, or `httpx` for older SDKs and clients."""
    for cls in type(client._client).__mro__:
        root = cls.__module__.partition(".")[0]
        if root in ("httpx2", "httpx"):
            return sys.modules[root]
    import httpx2

    return httpx2


def stream_response(http: Any, stream: EventStream, request: Any, template: Any, *, is_async: bool) -> Any:
    """Return a response of the client's own HTTP library whose body is the stream.

    Args:
        http: the library's module.

        stream: the events.

        request: the request it answers.

        template: the response the events came from, whose status and headers it takes over; `None`
            for a stream that came from no provider.

        is_async: whether the client reads it asynchronously.
    """
    key = (http.__name__, is_async)
    body = _bodies.get(key)
    if body is None:
        bases: tuple[type, type] = (AsyncBody, http.AsyncByteStream) if is_async else (SyncBody, http.SyncByteStream)
        body = _bodies[key] = type(bases[0].__name__, bases, {"__module__": __name__})
    if template is None:
        return http.Response(
            200, headers={"content-type": "text/event-stream; charset=utf-8"}, stream=body(stream), request=request
        )
    return http.Response(
        template.status_code,
        headers=_decoded(template.headers) if not is_framed(template) else [("content-type", "text/event-stream")],
        stream=body(stream),
        request=request,
        extensions=template.extensions,
        history=template.history,
    )


def whole_response(http: Any, content: bytes, request: Any, template: Any) -> Any:
    """Return a response of the client's own HTTP library with this body."""
    if template is None:
        made = http.Response(200, headers={"content-type": "application/json"}, content=content, request=request)
        made.elapsed = timedelta()
        return made
    made = http.Response(
        template.status_code,
        headers=_decoded(template.headers),
        content=content,
        request=request,
        extensions=template.extensions,
        history=template.history,
    )
    with contextlib.suppress(RuntimeError):  # one that is read still, or that nobody sent
        made.elapsed = template.elapsed
    return made


def _decoded(headers: Any) -> list[tuple[str, str]]:
    """Return the headers without those that spoke of the body's transport."""
    gone = ("content-encoding", "content-length", "transfer-encoding")
    return [(name, value) for name, value in headers.multi_items() if name.lower() not in gone]
