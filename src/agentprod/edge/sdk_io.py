"""The few operations on an SDK client that differ between its sync and its async form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from agentprod.meta import attach

if TYPE_CHECKING:
    from agentprod.ledger import Ledger

__all__ = ["AsyncIO", "ClientIO", "SyncIO"]


class ClientIO(Protocol):
    """Same names, one body above: in sync, none of these suspends, and what is awaited in async is there at once."""

    kind: str

    def decode(self, sdk: Any, arguments: dict[str, Any], chained: Any, ledger: Ledger) -> Any:
        """Return what the SDK's own `_process_response` makes of a response, and leave the account on it.

        Args:
            sdk: the client as the SDK made it.

            arguments: of `_process_response`.

            chained: the request that went through the client's own middleware, whose chain ends with the result.

            ledger: the account.
        """
        ...

    def attached(self, result: Any, ledger: Ledger) -> Any:
        """Return a finished result with the account on it."""
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


def _encoded(response: Any) -> bool:
    """Whether the body is compressed; only then the HTTP library's own decoding is worth its cost per piece."""
    encoding = response.headers.get("content-encoding")
    return encoding is not None and encoding.lower() != "identity"


class SyncIO:
    """Operations of a synchronous client."""

    kind = "sync"

    def decode(self, sdk: Any, arguments: dict[str, Any], chained: Any, ledger: Ledger) -> Any:
        """Return the result."""
        result = sdk._process_response(**arguments)
        if chained is not None:
            result = sdk._finalize_middleware_result(result, chained)
        attach(result, ledger)
        return result

    def attached(self, result: Any, ledger: Ledger) -> Any:
        """Return the result."""
        attach(result, ledger)
        return result

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

    async def decode(self, sdk: Any, arguments: dict[str, Any], chained: Any, ledger: Ledger) -> Any:
        """Return the result."""
        result = await sdk._process_response(**arguments)
        if chained is not None:
            result = await sdk._finalize_middleware_result(result, chained)
        attach(result, ledger)
        return result

    async def attached(self, result: Any, ledger: Ledger) -> Any:
        """Return the result."""
        attach(result, ledger)
        return result

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
