"""One canary for each internal of the SDKs that wrapping rests on.

When a new SDK breaks something, the canary that fails names the change and what it breaks here; the other
tests of clients say what a user would notice. `nox -s sdks` runs them on the oldest, newest and coming SDKs.
"""

from __future__ import annotations

import inspect
import socket
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

import anthropic
import openai
import pytest

from agentprod.edge.event_decoder import EventDecoder
from agentprod.edge.http_stream import http_module
from agentprod.edge.sockets import SocketWatch
from agentprod.edge.wrap import base_client
from agentprod.testing import Provider
from tests.clients.surfaces import MESSAGES, claude, make_client

SDKS = {"openai": openai, "anthropic": anthropic}


@pytest.fixture(params=SDKS)
def sdk(request: pytest.FixtureRequest) -> str:
    """Run the canary for both SDKs."""
    return str(request.param)


@pytest.fixture
def module(sdk: str) -> Any:
    """Return the SDK's module."""
    return SDKS[sdk]


@pytest.fixture(params=["sync", "async"])
def base(request: pytest.FixtureRequest, module: Any) -> type[Any]:
    """Run the canary for the base classes of sync and async clients."""
    name = "SyncAPIClient" if request.param == "sync" else "AsyncAPIClient"
    found = getattr(sys.modules[f"{module.__name__}._base_client"], name, None)
    assert found is not None, changed(module, f"has no _base_client.{name}", "wrap() tells clients by it")
    return found  # type: ignore[no-any-return]


def changed(module: Any, what: str, breaks: str) -> str:
    """Return what a canary says when it dies."""
    return f"{module.__name__} {module.__version__} {what}: {breaks}"


def parameters(fn: Any) -> set[str]:
    """Return the names of a function's parameters."""
    return set(inspect.signature(inspect.unwrap(fn)).parameters) - {"self"}


def ask(client: Any, sdk: str, **extra: Any) -> Any:
    """Ask for a reply."""
    if sdk == "openai":
        return client.chat.completions.create(model="m", messages=MESSAGES, **extra)
    return client.messages.create(**{**claude(), **extra})


def recording(kind: type, method: str, record: Callable[..., None]) -> type:
    """Return a subclass that tells which arguments a method is called with."""

    def override(self: Any, *arguments: Any, **named: Any) -> Any:
        record(*arguments, **named)
        return getattr(super(made, self), method)(*arguments, **named)

    made: type = type(kind.__name__, (kind,), {method: override})
    return made


def client_of(kind: type, sdk: str, provider: Provider, **options: Any) -> Any:
    """Return a client of a subclass."""
    url = provider.openai_url if sdk == "openai" else provider.anthropic_url
    return kind(base_url=url, api_key="k", **{"max_retries": 0, **options})


def plain_class(sdk: str) -> type:
    """Return the SDK's sync client class."""
    return openai.OpenAI if sdk == "openai" else anthropic.Anthropic


# Methods that are overridden or called


@pytest.mark.parametrize(
    ("method", "wants", "breaks"),
    [
        ("request", {"cast_to", "options", "stream", "stream_cls"}, "SyncWrapped.request sends calls into the stack"),
        (
            "_process_response",
            {"cast_to", "options", "response", "stream", "stream_cls", "retries_taken"},
            "decoding is held back there, and done by it at the outer edge",
        ),
        (
            "_sleep_for_retry",
            {"retries_taken", "max_retries", "options", "response"},
            "a deadline ends the SDK's own retries there",
        ),
        (
            "_calculate_retry_timeout",
            {"remaining_retries", "options", "response_headers"},
            "a deadline asks it how long the SDK would sleep",
        ),
        ("_build_request", {"options"}, "the socket of a synchronous request is found from there"),
        ("_make_sse_decoder", set(), "streams are read by a faster decoder put in there"),
        ("_make_status_error_from_response", {"response"}, "a deadline raises the provider's error made by it"),
        ("_maybe_override_cast_to", {"cast_to", "options"}, "raw and streamed responses are told apart by it"),
        ("_prepare_url", {"url"}, "replies without a request get their address from it"),
    ],
)
def test_the_method_is_there_with_its_parameters(
    base: type[Any], module: Any, method: str, wants: set[str], breaks: str
) -> None:
    """Overridden or called by the edge, by these names."""
    found = getattr(base, method, None)
    assert found is not None, changed(module, f"has no {base.__name__}.{method}", breaks)
    missing = wants - parameters(found)
    assert not missing, changed(module, f"renamed {sorted(missing)} of {base.__name__}.{method}", breaks)


@pytest.mark.parametrize("method", ["get", "post", "patch", "put", "delete", "get_api_list"])
def test_every_verb_goes_through_request(base: type[Any], module: Any, method: str) -> None:
    """The one place where all calls pass."""
    source = inspect.getsource(getattr(base, method))
    sends = "self.request(" in source or "self._request_api_list(" in source
    assert sends, changed(module, f"sends {base.__name__}.{method} past request()", "such calls pass no stack")


def test_responses_are_decoded_by_one_method(sdk: str, module: Any, provider: Provider) -> None:
    """`_process_response` is called once per reply, all by keyword."""
    calls: list[Any] = []
    kind = recording(plain_class(sdk), "_process_response", lambda *given, **named: calls.append((given, named)))
    with client_of(kind, sdk, provider) as client:
        ask(client, sdk)
        ask(client, sdk, stream=True).close()
    said = changed(module, "decodes responses elsewhere than in _process_response(**keywords)", "nothing is held back")
    assert len(calls) == 2, said
    assert all(not given for given, _ in calls), said
    wanted = {"cast_to", "options", "response", "stream", "stream_cls"}
    assert all(wanted <= named.keys() for _, named in calls), said


def test_the_post_parser_travels_from_the_request_to_its_decoding(sdk: str, module: Any, provider: Provider) -> None:
    """The marker that holds decoding back travels in it, unread."""
    marker = object()
    found: list[Any] = []

    class Marked(plain_class(sdk)):  # type: ignore[misc]
        def request(self, cast_to: Any, options: Any, **named: Any) -> Any:
            options.post_parser = marker
            return super().request(cast_to, options, **named)

        def _process_response(self, **named: Any) -> Any:
            found.append(named["options"].post_parser)
            vars(named["options"])["post_parser"] = lambda parsed: parsed
            return super()._process_response(**named)

    with client_of(Marked, sdk, provider) as client:
        ask(client, sdk)
    breaks = "the mark that holds decoding back is lost on the way"
    assert found == [marker], changed(module, "does not carry options.post_parser to _process_response", breaks)


def test_request_options_have_their_fields(module: Any) -> None:
    """Attempts are sent with changed copies of them."""
    models = sys.modules[f"{module.__name__}._models"]
    fields = models.FinalRequestOptions.model_fields
    wanted = {"method", "url", "params", "headers", "max_retries", "timeout", "idempotency_key", "post_parser"}
    missing = (wanted | {"json_data", "extra_json"}) - set(fields)
    assert not missing, changed(
        module, f"renamed {sorted(missing)} of FinalRequestOptions", "requests are edited there"
    )
    copy = models.FinalRequestOptions(method="post", url="/x").model_copy(update={"json_data": {"a": 1}})
    assert copy.json_data == {"a": 1}, changed(module, "copies options otherwise", "edited requests are not sent")


def test_with_options_is_copy_and_keeps_the_class(sdk: str, module: Any, provider: Provider) -> None:
    """A copy of a wrapped client is wrapped because it is made of its class."""
    kind = type("Mine", (plain_class(sdk),), {})
    with client_of(kind, sdk, provider) as client:
        breaks = "with_options() of a wrapped client would leave its stack"
        assert kind.with_options is kind.copy, changed(module, "tells with_options from copy", breaks)
        assert type(client.copy(timeout=3)) is kind, changed(module, "makes copies of another class", breaks)


# State of clients


def test_a_clients_state_is_in_its_dict(sdk: str, module: Any, provider: Provider) -> None:
    """Wrapping copies it; target and account are read from it."""
    with make_client(sdk, "sync", provider) as client:
        for name in ("_base_url", "_client", "api_key"):
            said = changed(module, f"keeps {name} elsewhere than in the client's __dict__", "copies lack it")
            assert name in client.__dict__, said
        slots = [cls.__name__ for cls in type(client).__mro__ if "__slots__" in vars(cls) and vars(cls)["__slots__"]]
        assert slots in ([], ["Generic"]), changed(module, f"has slots in {slots}", "a copy by __dict__ lacks them")


def test_resources_are_made_on_first_use_and_know_their_client(sdk: str, module: Any, provider: Provider) -> None:
    """Those of the original are left behind, those of the copy send through the copy."""
    with make_client(sdk, "sync", provider) as client:
        resource = client.chat if sdk == "openai" else client.messages
        name = "chat" if sdk == "openai" else "messages"
        breaks = "resources of a wrapped client would send through the original, past the stack"
        assert isinstance(inspect.getattr_static(type(client), name), cached_property), changed(
            module, f"makes client.{name} otherwise than by cached_property", breaks
        )
        assert resource._client is client, changed(module, "keeps a resource's client elsewhere", breaks)
        names = [cls.__name__ for cls in type(resource).__mro__]
        assert "SyncAPIResource" in names, changed(module, f"derives resources from {names}", breaks)


def test_the_base_class_is_found_by_structure(sdk: str, kind: str, module: Any, provider: Provider) -> None:
    """The class below which a client is one of ours."""
    client = make_client(sdk, kind, provider)
    found = base_client(client)
    assert found is not None, changed(module, "derives clients from another base class", "wrap() refuses them")
    assert found[1] == kind


def test_the_clients_own_middleware_has_its_hooks(provider: Provider) -> None:
    """A wrapped Anthropic client rebuilds the chain, and holds decoding back behind it."""
    if not hasattr(anthropic, "Middleware"):
        pytest.skip("this anthropic has no middleware of its own")
    with anthropic.Anthropic(base_url=provider.anthropic_url, api_key="k") as client:
        for name in ("_middleware", "_middleware_chain"):
            said = changed(anthropic, f"has no {name} on its clients", "the chain stays with the original client")
            assert name in client.__dict__, said
        for name in ("_build_middleware_chain", "_finalize_middleware_result"):
            said = changed(anthropic, f"has no {name}", "replies to the client's own middleware cannot be held back")
            assert callable(getattr(client, name, None)), said


# Streams


def test_streams_are_read_by_the_clients_decoder(sdk: str, module: Any, provider: Provider) -> None:
    """`_make_sse_decoder` makes what reads a stream, with `iter_bytes` and `aiter_bytes`."""
    made: list[Any] = []

    class Decoding(plain_class(sdk)):  # type: ignore[misc]
        def _make_sse_decoder(self) -> Any:
            made.append(super()._make_sse_decoder())
            return made[-1]

    with client_of(Decoding, sdk, provider) as client:
        stream = ask(client, sdk, stream=True)
        assert made, changed(module, "does not ask _make_sse_decoder for a decoder", "streams are read more slowly")
        stream.close()
    (decoder,) = made
    breaks = "the faster decoder cannot stand in for it"
    assert type(decoder).__name__ == "SSEDecoder", changed(module, f"reads streams by {type(decoder)}", breaks)
    for name in ("iter_bytes", "aiter_bytes"):
        assert hasattr(decoder, name), changed(module, f"has no SSEDecoder.{name}", breaks)
        assert hasattr(EventDecoder, name)
    event = sys.modules[type(decoder).__module__].ServerSentEvent
    for name in ("event", "data", "json"):
        assert hasattr(event, name), changed(module, f"has no ServerSentEvent.{name}", breaks)


def test_a_stream_can_be_built_over_a_response(sdk: str, kind: str, module: Any, provider: Provider) -> None:
    """The SDK reads an error event, so that its own error is raised for it."""
    client = make_client(sdk, kind, provider)
    found = getattr(client, "_default_stream_cls", None)
    breaks = "error events in streams cannot be turned into the SDK's errors"
    assert found is not None, changed(module, "has no _default_stream_cls", breaks)
    missing = {"cast_to", "response", "client"} - set(inspect.signature(found).parameters)
    assert not missing, changed(module, f"builds streams without {sorted(missing)}", breaks)


# Errors and the HTTP library


@pytest.mark.parametrize("name", ["APITimeoutError", "APIConnectionError"])
def test_connection_errors_are_made_from_a_request(module: Any, name: str) -> None:
    """What the SDK does not see itself is raised as its own error."""
    http = sys.modules[module.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]
    breaks = "broken streams would raise the HTTP library's errors"
    found = getattr(module, name, None)
    assert found is not None, changed(module, f"has no {name}", breaks)
    try:
        made = found(request=http.Request("POST", "http://nowhere.invalid"))
    except TypeError as error:
        pytest.fail(changed(module, f"makes {name} otherwise ({error})", breaks))
    assert isinstance(made, module.APIError)


def test_the_timeout_can_be_made_shorter(sdk: str, module: Any, provider: Provider) -> None:
    """A limit of ours bounds each phase of the SDK's own."""
    with make_client(sdk, "sync", provider) as client:
        own = client.timeout
        assert isinstance(own, int | float) or hasattr(own, "as_dict"), changed(
            module, f"has a {type(own).__name__} for its timeout", "limits cannot be told to the SDK"
        )


def test_the_http_library_is_known(sdk: str, kind: str, module: Any, provider: Provider) -> None:
    """Replies that no provider sent are responses of the client's own library."""
    http = http_module(make_client(sdk, kind, provider))
    breaks = "cached and translated replies cannot be made for it"
    assert http.__name__ in ("httpx", "httpx2"), changed(module, f"speaks through {http.__name__}", breaks)
    for name in ("Response", "Request", "SyncByteStream", "AsyncByteStream"):
        assert hasattr(http, name), changed(http, f"has no {name}", breaks)


def test_the_socket_of_a_request_is_found(sdk: str, module: Any, provider: Provider) -> None:
    """On a fresh connection and on one that is used again: a deadline shuts it down."""
    watches: list[SocketWatch] = []

    class Watched(plain_class(sdk)):  # type: ignore[misc]
        def _build_request(self, options: Any, **named: Any) -> Any:
            request = super()._build_request(options, **named)
            watches.append(SocketWatch())
            request.extensions = {**request.extensions, "trace": watches[-1]}
            return request

    with client_of(Watched, sdk, provider) as client:
        ask(client, sdk)
        ask(client, sdk)
    assert provider.connections == 1
    breaks = "a synchronous deadline would wait for the read that is under way"
    for watch, when in zip(watches, ("opens a connection", "uses one again"), strict=True):
        said = changed(module, f"tells `trace` otherwise when it {when}", breaks)
        assert isinstance(watch.sock, socket.socket), said
