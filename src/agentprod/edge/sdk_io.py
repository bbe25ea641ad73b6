"""The few operations on an SDK client that differ between its sync and its async form."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["AsyncIO", "ClientIO", "SyncIO"]


class ClientIO(Protocol):
    """Same names, one body above: in sync, none of these suspends."""

    kind: str

    async def request(self, owner: Any, client: Any, cast_to: Any, options: Any, stream: bool, stream_cls: Any) -> Any:
        """Send a request by the SDK's own `request`."""
        ...

    async def process(self, owner: Any, client: Any, **arguments: Any) -> Any:
        """Decode a response by the SDK's own `_process_response`."""
        ...

    async def finalize(self, owner: Any, client: Any, result: Any, request: Any) -> Any:
        """Finish a response that went through the client's own middleware."""
        ...

    async def read(self, response: Any) -> None:
        """Read the whole body."""
        ...

    def chunks(self, response: Any) -> Any:
        """Return an iterator over the decoded body."""
        ...

    async def close(self, response: Any, chunks: Any) -> None:
        """Close the response, from the iterator over its body inward."""
        ...

    def drop(self, response: Any, chunks: Any) -> None:
        """Close the response without a loop, as far as that goes."""
        ...

    async def first(self, stream: Any) -> Any:
        """Read one item of an SDK stream."""
        ...


_sdk: Any = super
"""With the class that has our overrides: the client as the SDK made it."""


def _encoded(response: Any) -> bool:
    """Whether the body is compressed; only then the HTTP library's own decoding is worth its cost per piece."""
    encoding = response.headers.get("content-encoding")
    return encoding is not None and encoding.lower() != "identity"


class SyncIO:
    """Operations of a synchronous client."""

    kind = "sync"

    async def request(self, owner: Any, client: Any, cast_to: Any, options: Any, stream: bool, stream_cls: Any) -> Any:
        """Send a request."""
        return _sdk(owner, client).request(cast_to, options, stream=stream, stream_cls=stream_cls)

    async def process(self, owner: Any, client: Any, **arguments: Any) -> Any:
        """Decode a response."""
        return _sdk(owner, client)._process_response(**arguments)

    async def finalize(self, owner: Any, client: Any, result: Any, request: Any) -> Any:
        """Finish a response of the client's own middleware."""
        return _sdk(owner, client)._finalize_middleware_result(result, request)

    async def read(self, response: Any) -> None:
        """Read the whole body."""
        response.read()

    def chunks(self, response: Any) -> Any:
        """Iterate over the decoded body."""
        return response.iter_bytes() if _encoded(response) else iter(response.stream)

    async def close(self, response: Any, chunks: Any) -> None:
        """Close the response."""
        self.drop(response, chunks)

    def drop(self, response: Any, chunks: Any) -> None:
        """Close the response."""
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
        response.close()

    async def first(self, stream: Any) -> Any:
        """Read one item."""
        return next(iter(stream), None)


class AsyncIO:
    """Operations of an asynchronous client."""

    kind = "async"

    async def request(self, owner: Any, client: Any, cast_to: Any, options: Any, stream: bool, stream_cls: Any) -> Any:
        """Send a request."""
        return await _sdk(owner, client).request(cast_to, options, stream=stream, stream_cls=stream_cls)

    async def process(self, owner: Any, client: Any, **arguments: Any) -> Any:
        """Decode a response."""
        return await _sdk(owner, client)._process_response(**arguments)

    async def finalize(self, owner: Any, client: Any, result: Any, request: Any) -> Any:
        """Finish a response of the client's own middleware."""
        return await _sdk(owner, client)._finalize_middleware_result(result, request)

    async def read(self, response: Any) -> None:
        """Read the whole body."""
        await response.aread()

    def chunks(self, response: Any) -> Any:
        """Iterate over the decoded body."""
        return response.aiter_bytes() if _encoded(response) else response.stream.__aiter__()

    async def close(self, response: Any, chunks: Any) -> None:
        """Close the response."""
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
        await response.aclose()

    def drop(self, response: Any, chunks: Any) -> None:
        """Do nothing: the connection goes with the loop it belonged to."""

    async def first(self, stream: Any) -> Any:
        """Read one item."""
        return await anext(aiter(stream), None)
