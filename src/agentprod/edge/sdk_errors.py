"""Errors in the SDK's own words, for what went wrong where the SDK could not see it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from agentprod.dialects.sse import dump
from agentprod.edge.http_stream import whole_response
from agentprod.events import Event

if TYPE_CHECKING:
    from agentprod.edge.sdk_io import ClientIO
    from agentprod.edge.undecoded import Undecoded

__all__ = ["SdkErrors"]


class SdkErrors:
    """Makes the errors of one SDK.

    Args:
        module: the SDK's top module, which holds its exceptions.

        http: its HTTP library.

        io: the client's sync or async operations.
    """

    def __init__(self, module: Any, http: Any, io: ClientIO) -> None:
        self.sdk: str = module.__name__
        self._module = module
        self._http = http
        self._io = io

    def timeout(self, request: Any) -> BaseException | None:
        """Return a fresh `APITimeoutError`; `None` when the SDK has none."""
        kind = getattr(self._module, "APITimeoutError", None)
        return kind(request=request) if kind is not None else None

    def as_timeout(self, error: BaseException) -> BaseException | None:
        """Return the SDK's timeout error for whatever a broken-off wait raised."""
        if any(cls.__name__ == "APITimeoutError" for cls in type(error).__mro__):
            return error
        made = self.timeout(getattr(error, "request", None))
        if made is not None and isinstance(error, Exception):
            made.__cause__ = error
        return made

    def transport(self, error: BaseException, request: Any) -> BaseException:
        """Return the SDK's error for one of its HTTP library; others as they are."""
        names = {cls.__name__ for cls in type(error).__mro__}
        if "TimeoutException" in names:
            return self.timeout(request) or error
        kind = getattr(self._module, "APIConnectionError", None)
        if kind is not None and names & {"TransportError", "StreamError", "EndOfStream", "SSLError"}:
            return kind(request=request)  # type: ignore[no-any-return]
        return error

    async def event(self, carrier: Undecoded, event: Event) -> Exception:
        """Let the SDK read an error event, and return what it raises."""
        client = carrier.client
        response = whole_response(self._http, event.raw or dump(event.data), carrier.response.request, carrier.response)
        kind = carrier.arguments["stream_cls"] or client._default_stream_cls
        # Streams of older SDKs, and of others of this shape, do without the options.
        wanted = inspect.signature(getattr(kind, "__origin__", kind)).parameters
        extra = {"options": carrier.arguments["options"]} if "options" in wanted else {}
        try:
            stream = kind(cast_to=object, response=response, client=client, **extra)
            await self._io.first(stream)
        except Exception as error:
            return error
        return RuntimeError("the stream carried an error event that the SDK does not recognise")
