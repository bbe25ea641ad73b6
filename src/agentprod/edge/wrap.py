"""Wrap an SDK client: a copy of it, of a generated subclass that sends every request through a stack.

Rests on internals that every Stainless-generated SDK has had for years: `request`, `_process_response`,
`_make_sse_decoder`, `copy`/`with_options`, and that instances keep all state in `__dict__`.
The canary tests name the SDK change when one of them moves.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from agentprod import switch
from agentprod.ambient import ambient
from agentprod.edge.client_copy import copy_client
from agentprod.edge.event_decoder import decoder_for
from agentprod.edge.sdk import SdkEdge
from agentprod.edge.sdk_io import AsyncIO, SyncIO
from agentprod.edge.undecoded import Undecoded
from agentprod.errors import ConfigError
from agentprod.layer import Place
from agentprod.runtime.drive import drive

if TYPE_CHECKING:
    from agentprod.edge.entry import Entry
    from agentprod.stack import Stack

__all__ = ["Binding", "binding_of", "is_client", "unwrap_client", "wrap_client"]

C = TypeVar("C")

_BINDING = "_agentprod_binding"


class Binding:
    """What makes a client a wrapped one. Shared by the copies its `with_options` makes."""

    __slots__ = ("edge", "entry", "original", "stack")

    def __init__(self, stack: Any, entry: Any, edge: SdkEdge, original: Any) -> None:
        self.stack: Stack = stack
        self.entry: Entry = entry
        self.edge = edge
        self.original = original


class SyncWrapped:
    """Overrides of a synchronous client."""

    def request(self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
        """Send a request through the stack."""
        try:
            binding: Binding = self.__dict__[_BINDING]
        except KeyError:
            raise ConfigError(_constructed(self)) from None
        here = ambient()
        if not switch.active or binding.entry.stack_id in here.inside:
            return super().request(cast_to, options, stream=stream, stream_cls=stream_cls)  # type: ignore[misc]
        entry, edge = binding.entry, binding.edge
        call = edge.enter(entry, here, self, cast_to, options, stream, stream_cls)
        return edge.leave(call, drive(entry.carry(entry.handler_for(call.dialect), call)))

    def _process_response(self, **arguments: Any) -> Any:
        marker = arguments["options"].post_parser
        if type(marker) is not Undecoded or self.__dict__.get("_middleware"):
            # The client's own middleware wants the SDK's response object; decoding is held back behind it.
            return super()._process_response(**arguments)  # type: ignore[misc]
        return marker.hold(self, arguments)

    def _finalize_middleware_result(self, result: Any, request: Any) -> Any:
        if type(request.options.post_parser) is not Undecoded:
            return super()._finalize_middleware_result(result, request)  # type: ignore[misc]
        return _chained(self, result, request)

    def _sleep_for_retry(self, *, retries_taken: int, max_retries: int, options: Any, response: Any) -> None:
        error = _too_late(self, retries_taken, max_retries, options, response)
        if error is not None:
            if response is not None and not response.is_closed:
                response.read()
            raise error() from None
        super()._sleep_for_retry(  # type: ignore[misc]
            retries_taken=retries_taken, max_retries=max_retries, options=options, response=response
        )

    def _make_sse_decoder(self) -> Any:
        return decoder_for(super()._make_sse_decoder(), self.__dict__[_BINDING].edge.errors.sdk)  # type: ignore[misc]

    def copy(self, **changes: Any) -> Any:
        """Return a copy of this client with other options, in the same stack."""
        return _rebind(self, super().copy(**changes))  # type: ignore[misc]

    with_options = copy

    def close(self) -> None:
        """Do nothing: the HTTP client belongs to the original."""


class AsyncWrapped:
    """Overrides of an asynchronous client."""

    async def request(self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
        """Send a request through the stack."""
        try:
            binding: Binding = self.__dict__[_BINDING]
        except KeyError:
            raise ConfigError(_constructed(self)) from None
        here = ambient()
        if not switch.active or binding.entry.stack_id in here.inside:
            return await super().request(cast_to, options, stream=stream, stream_cls=stream_cls)  # type: ignore[misc]
        entry, edge = binding.entry, binding.edge
        call = edge.enter(entry, here, self, cast_to, options, stream, stream_cls)
        return await edge.leave(call, await entry.carry(entry.handler_for(call.dialect), call))

    async def _process_response(self, **arguments: Any) -> Any:
        marker = arguments["options"].post_parser
        if type(marker) is not Undecoded or self.__dict__.get("_middleware"):
            return await super()._process_response(**arguments)  # type: ignore[misc]
        return marker.hold(self, arguments)

    async def _finalize_middleware_result(self, result: Any, request: Any) -> Any:
        if type(request.options.post_parser) is not Undecoded:
            return await super()._finalize_middleware_result(result, request)  # type: ignore[misc]
        return _chained(self, result, request)

    async def _sleep_for_retry(self, *, retries_taken: int, max_retries: int, options: Any, response: Any) -> None:
        error = _too_late(self, retries_taken, max_retries, options, response)
        if error is not None:
            if response is not None and not response.is_closed:
                await response.aread()
            raise error() from None
        await super()._sleep_for_retry(  # type: ignore[misc]
            retries_taken=retries_taken, max_retries=max_retries, options=options, response=response
        )

    def _make_sse_decoder(self) -> Any:
        return decoder_for(super()._make_sse_decoder(), self.__dict__[_BINDING].edge.errors.sdk)  # type: ignore[misc]

    def copy(self, **changes: Any) -> Any:
        """Return a copy of this client with other options, in the same stack."""
        return _rebind(self, super().copy(**changes))  # type: ignore[misc]

    with_options = copy

    async def close(self) -> None:
        """Do nothing: the HTTP client belongs to the original."""


def _chained(client: Any, result: Any, request: Any) -> Any:
    """Hold back a response that the client's own middleware has seen; what it made up itself passes."""
    response = getattr(result, "http_response", None)
    if response is None:
        return result
    arguments = {
        "cast_to": request.cast_to,
        "options": result._options,
        "response": response,
        "stream": request.stream,
        "stream_cls": request.stream_cls,
        "retries_taken": request.retries_taken,
    }
    marker: Undecoded = request.options.post_parser
    return marker.hold(client, arguments, chained=request)


def _too_late(client: Any, retries_taken: int, max_retries: int, options: Any, response: Any) -> Any:
    """Return what makes the original error when the SDK would sleep past the deadline; `None` when it would not."""
    marker = options.post_parser
    if type(marker) is not Undecoded or marker.until is None:
        return None
    headers = response.headers if response is not None else None
    wait = client._calculate_retry_timeout(max_retries - retries_taken, options, headers)
    if marker.now() + wait < marker.until:
        return None
    raised = sys.exc_info()[1]
    edge: SdkEdge = client.__dict__[_BINDING].edge

    def error() -> BaseException:
        if response is not None:
            return client._make_status_error_from_response(response)  # type: ignore[no-any-return]
        assert raised is not None
        return edge.errors.transport(raised, getattr(raised, "request", None))

    return error


def _rebind(client: Any, copy: Any) -> Any:
    copy.__dict__[_BINDING] = client.__dict__[_BINDING]
    return copy


_classes: dict[type, type] = {}


def _wrapped_class(kind: type, owner: type) -> type:
    made = _classes.get(kind)
    if made is None:
        names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
        made = _classes[kind] = type(kind.__name__, (owner, kind), names)
    return made


def base_client(client: Any) -> tuple[type, str] | None:
    """Return the SDK's base class of a client and its kind, or `None` for what is no such client."""
    for cls in type(client).__mro__:
        if cls.__name__ in ("SyncAPIClient", "AsyncAPIClient") and hasattr(cls, "_process_response"):
            return cls, "sync" if cls.__name__ == "SyncAPIClient" else "async"
    return None


def is_client(client: Any) -> bool:
    """Whether `wrap` knows this kind of client."""
    return base_client(client) is not None


def binding_of(client: Any) -> Binding | None:
    """Return what makes `client` a wrapped one, or `None`."""
    found = getattr(client, "__dict__", {}).get(_BINDING)
    return found if isinstance(found, Binding) else None


def wrap_client(stack: Stack, client: C) -> C:
    """Return a wrapped copy of `client`.

    Raises:
        ConfigError: no client of a known shape, or a layer that cannot work there.
    """
    found = base_client(client)
    if found is None:
        raise ConfigError(_unknown(client))
    inner = binding_of(client)
    if inner is not None:
        joined: C = _attach(stack._join(inner.stack), inner.original, client, found[1], inner.entry.bound)
        return joined
    wrapped: C = _attach(stack, client, client, found[1], None)
    return wrapped


def _attach(stack: Stack, original: Any, client: Any, kind: str, bound: Any) -> Any:
    stack.attach(Place(kind, None))
    copy, edge = _sending_copy(type(original), client, kind)
    entry = stack.entry if bound is None else stack.entry.bind(bound)
    _bind(copy, Binding(stack, entry, edge, original))
    return copy


def _sending_copy(plain_class: type, client: Any, kind: str) -> tuple[Any, SdkEdge]:
    """Return a copy of a client that can hold decoding back, and the edge that sends through it."""
    owner: type = SyncWrapped if kind == "sync" else AsyncWrapped
    copy = copy_client(client, _wrapped_class(plain_class, owner))
    return copy, SdkEdge(copy, owner, SyncIO() if kind == "sync" else AsyncIO(), provider_name(plain_class))


def _bind(copy: Any, binding: Binding) -> None:
    copy.__dict__[_BINDING] = binding
    if hasattr(copy, "_build_middleware_chain"):
        # The chain that came along is bound to the original client.
        copy._middleware_chain = copy._build_middleware_chain()


def lent_client(client: Any) -> tuple[Any, SdkEdge]:
    """Return a copy of a client that other clients' stacks send through, and its edge.

    It has no stack of its own: the layers around a call are those of the client it was made with.

    Raises:
        ConfigError: no client of a known shape, or one that has a stack already.
    """
    found = base_client(client)
    if found is None:
        raise ConfigError(_unknown(client))
    if binding_of(client) is not None:
        raise ConfigError(
            f"this {type(client).__name__} has a stack of its own, whose layers would be left out; "
            "pass the client that was wrapped: ap.unwrap(client)"
        )
    copy, edge = _sending_copy(type(client), client, found[1])
    _bind(copy, Binding(None, None, edge, client))
    return copy, edge


def rebound(client: C, context: Any) -> C:
    """Return a copy of a wrapped client that speaks for `context` as well."""
    binding = binding_of(client)
    if binding is None:
        raise ConfigError(f"this {type(client).__name__} has no stack; wrap the client or decorate the function first")
    copy = copy_client(client, type(client))
    _bind(copy, Binding(binding.stack, binding.entry.bind(context), binding.edge, binding.original))
    return copy  # type: ignore[no-any-return]


def unwrap_client(client: C) -> C:
    """Return the client that `wrap` was given; what is not wrapped is returned as it is."""
    binding = binding_of(client)
    return client if binding is None else binding.original


_PROVIDERS = {
    "AzureOpenAI": "azure.ai.openai",
    "AsyncAzureOpenAI": "azure.ai.openai",
    "BedrockOpenAI": "aws.bedrock",
    "AsyncBedrockOpenAI": "aws.bedrock",
    "AnthropicBedrock": "aws.bedrock",
    "AsyncAnthropicBedrock": "aws.bedrock",
    "AnthropicBedrockMantle": "aws.bedrock",
    "AsyncAnthropicBedrockMantle": "aws.bedrock",
    "AnthropicAWS": "aws.bedrock",
    "AsyncAnthropicAWS": "aws.bedrock",
    "AnthropicVertex": "gcp.vertex_ai",
    "AsyncAnthropicVertex": "gcp.vertex_ai",
    "AnthropicGoogleCloud": "gcp.vertex_ai",
    "AsyncAnthropicGoogleCloud": "gcp.vertex_ai",
    "AnthropicFoundry": "azure.ai.inference",
    "AsyncAnthropicFoundry": "azure.ai.inference",
}


def provider_name(kind: type) -> str:
    """Return OpenTelemetry's name of the provider behind a client class; the SDK's own name where it has none."""
    for cls in kind.__mro__:
        if cls.__name__ in _PROVIDERS:
            return _PROVIDERS[cls.__name__]
        if cls.__name__ in ("SyncAPIClient", "AsyncAPIClient"):
            return cls.__module__.partition(".")[0]
    return "unknown"


def _constructed(client: Any) -> str:
    name = type(client).__name__
    return (
        f"this {name} was made by calling the class of a wrapped client, and no stack is around it; "
        f"construct the SDK's own {name} and pass it to stack.wrap"
    )


def _unknown(client: Any) -> str:
    kind = type(client)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    ways = (
        "wrap takes clients of the openai and anthropic SDKs and of other SDKs of that shape; for anything else "
        "decorate the function that makes the call: @stack, or stack.decorate(fn)"
    )
    if isinstance(client, type):
        return f"{client.__name__} is a class; pass an instance: stack.wrap({client.__name__}()). {ways}"
    if is_client(getattr(client, "_client", None)):
        return f"{name} is a part of a client: wrap the client itself, and take the part from what wrap returns"
    if callable(client):
        return f"this {name} is not a client but can be decorated: stack.decorate(…). {ways}"
    return f"{name} cannot be wrapped: {ways}"
