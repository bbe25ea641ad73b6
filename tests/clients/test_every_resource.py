"""Whatever a wrapped client is asked for passes its stack: every method of every resource of both SDKs."""

from __future__ import annotations

import contextlib
import inspect
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from tests.clients.conftest import Run
from tests.clients.resources import Method, least_arguments, methods
from tests.clients.surfaces import opened, result, shut

SDKS = ("openai", "anthropic")

ANYTHING = {
    "id": "x",
    "status": "completed",  # what polls wait for
    "data": [{"embedding": [0.5], "index": 0}],
    "content": [],
    "output": [],
    "choices": [],
    "results_url": "http://nowhere.invalid/results",
}
"""A reply that every method can read."""

# Which method speaks which dialect; all others are other traffic.
SPOKEN = {
    "openai": {
        "chat.completions.create": "chat",
        "chat.completions.parse": "chat",
        "beta.chat.completions.create": "chat",
        "beta.chat.completions.parse": "chat",
        "responses.create": "responses",
        "responses.parse": "responses",
        "beta.responses.create": "responses",
        "embeddings.create": "embeddings",
    },
    "anthropic": {
        "messages.create": "messages",
        "messages.parse": "messages",
        "messages.stream": "messages",
        "beta.messages.create": "messages",
        "beta.messages.parse": "messages",
        "beta.messages.stream": "messages",
    },
}

# Websockets are out of every hook, and these send nothing before they are entered.
WEBSOCKETS = ("connect",)


class Watch:
    """Counts what passes, other traffic too."""

    other_traffic = True

    def __init__(self) -> None:
        self.calls: list[ap.Call] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Count one."""
        self.calls.append(call)
        return await call_next(call)


class Wire:
    """A transport that answers everything and keeps what was asked."""

    def __init__(self, sdk: str) -> None:
        module = openai if sdk == "openai" else anthropic
        origin = module.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]
        self.http: Any = sys.modules[origin]
        self.requests: list[Any] = []

    def __call__(self, request: Any) -> Any:
        """Answer one request."""
        self.requests.append(request)
        body = request.content if request.method == "POST" else b""
        if b'"stream":true' in body.replace(b" ", b""):
            return self.http.Response(200, headers={"content-type": "text/event-stream"}, content=self.events(request))
        if request.url.path.startswith("/v1/files"):
            return self.http.Response(200, json={**ANYTHING, "status": "processed"})
        return self.http.Response(200, json=ANYTHING)

    def events(self, request: Any) -> bytes:
        """Return a whole stream in the format of the path."""
        if request.url.path.endswith("/messages") and "threads" not in request.url.path:
            return b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
        if request.url.path.endswith("/responses"):
            done = b'{"type":"response.completed","response":{"id":"x","output":[],"status":"completed"}}'
            return b"event: response.completed\ndata: " + done + b"\n\n"
        return b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

    def client(self, sdk: str, kind: str) -> Any:
        """Return a bare client on this transport."""
        transport = self.http.MockTransport(self)
        options: dict[str, Any] = {"base_url": "http://nowhere.invalid/v1", "api_key": "k", "max_retries": 0}
        if sdk == "openai":
            made = openai.OpenAI if kind == "sync" else openai.AsyncOpenAI
            if "admin_api_key" in inspect.signature(made).parameters:
                options["admin_api_key"] = "a"
        else:
            made = anthropic.Anthropic if kind == "sync" else anthropic.AsyncAnthropic
            options["base_url"] = "http://nowhere.invalid"
        http = self.http.Client if kind == "sync" else self.http.AsyncClient
        return made(http_client=http(transport=transport), **options)


async def call(method: Method, client: Any, accessor: str | None = None, **extra: Any) -> None:
    """Call a method with the least it takes, and enter what it opens."""
    arguments = {**least_arguments(method.of(client)), **extra}
    arguments.pop("event_handler", None)  # an overload asks for one, the method does not
    got = await result(method.of(client, accessor)(**arguments))
    if hasattr(got, "__enter__") or hasattr(got, "__aenter__"):
        async with opened(got):
            pass


@pytest.fixture(params=SDKS)
def sdk(request: pytest.FixtureRequest) -> str:
    """Run the test for both SDKs."""
    return str(request.param)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Let the SDKs say that methods are deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("accessor", [None, "with_raw_response", "with_streaming_response"])
def test_every_method_that_sends_a_request_is_seen_exactly_once(
    sdk: str, kind: str, run: Run, accessor: str | None
) -> None:
    """One HTTP request, one call in the stack, of the operation that fits: plain, raw and streaming-raw."""
    wire, watch = Wire(sdk), Watch()
    wrong: list[str] = []
    spoken: dict[str, str] = {}
    posts = 0

    async def scenario() -> None:
        nonlocal posts
        bare = wire.client(sdk, kind)
        client = ap.Stack(watch).wrap(bare)
        for method in methods(bare):
            if method.verb == "composed" or not _has(method, bare, accessor):
                continue
            wire.requests.clear()
            watch.calls.clear()
            await call(method, client, accessor)
            if not (len(watch.calls) == len(wire.requests) >= 1) or (method.verb == "post" and len(watch.calls) != 1):
                wrong.append(f"{method}: {len(watch.calls)} calls seen, {len(wire.requests)} requests sent")
            elif method.verb == "post":
                posts += 1
                assert wire.requests[0].method == "POST"
                if watch.calls[0].operation != "other":
                    spoken[str(method)] = watch.calls[0].operation
            elif watch.calls[0].operation != "other":
                wrong.append(f"{method}: taken for a model call")
        await shut(bare)

    run(scenario())
    assert wrong == []
    assert posts > 20  # the walk has found the resources
    expected = SPOKEN[sdk]
    assert {name: expected.get(name) for name in spoken} == spoken
    if accessor is None:
        # `parse` and `stream` of some versions are made of `create`, and beta resources come and go.
        core = {"chat.completions.create", "responses.create", "embeddings.create", "messages.create"}
        assert core & expected.keys() <= spoken.keys()


@pytest.mark.usefixtures("quiet")
def test_methods_made_of_others_send_nothing_past_the_stack(sdk: str, kind: str, run: Run) -> None:
    """Helpers that parse, poll, upload or stream make as many requests as the stack sees."""
    wire, watch = Wire(sdk), Watch()
    wrong: list[str] = []
    sent = 0

    async def scenario() -> None:
        nonlocal sent
        bare = wire.client(sdk, kind)
        client = ap.Stack(watch).wrap(bare)
        for method in methods(bare):
            if method.verb != "composed" or method.path[-1] in WEBSOCKETS:
                continue
            wire.requests.clear()
            watch.calls.clear()
            with contextlib.suppress(Exception):  # signatures of webhooks, files that do not exist
                await call(method, client)
            sent += len(wire.requests)
            if len(watch.calls) != len(wire.requests):
                wrong.append(f"{method}: {len(watch.calls)} calls seen, {len(wire.requests)} requests sent")
        await shut(bare)

    run(scenario())
    assert wrong == []
    assert sent > 0 or sdk == "anthropic"  # whose helpers send nothing before they are iterated


@pytest.mark.usefixtures("quiet")
def test_every_method_that_streams_is_seen_exactly_once(sdk: str, kind: str, run: Run) -> None:
    """`stream=True`, of model calls and of other traffic alike."""
    wire, watch = Wire(sdk), Watch()
    wrong: list[str] = []
    streamed: list[str] = []

    async def scenario() -> None:
        bare = wire.client(sdk, kind)
        client = ap.Stack(watch).wrap(bare)
        for method in methods(bare):
            fn = inspect.unwrap(method.of(bare).__func__)  # type: ignore[attr-defined]
            takes = "stream" in inspect.signature(fn).parameters
            if method.verb != "post" or not takes or method.path[-1] == "parse":  # which reads whole replies alone
                continue
            wire.requests.clear()
            watch.calls.clear()
            await call(method, client, stream=True)
            streamed.append(str(method))
            if len(watch.calls) != 1 or len(wire.requests) != 1:
                wrong.append(f"{method}: {len(watch.calls)} calls seen, {len(wire.requests)} requests sent")
            elif watch.calls[0].streaming is (watch.calls[0].operation == "other"):
                wrong.append(f"{method}: streaming is {watch.calls[0].streaming}")
        await shut(bare)

    run(scenario())
    assert wrong == []
    assert {"chat.completions.create", "messages.create"} & set(streamed)


def _has(method: Method, client: Any, accessor: str | None) -> bool:
    try:
        method.of(client, accessor)
    except AttributeError:
        return False  # what returns no response has no raw form
    return True


def test_adding_to_a_thread_is_no_model_call(kind: str, run: Run) -> None:
    """A path that only ends like the Messages API's, such as a thread's messages, is other traffic."""
    wire, watch = Wire("openai"), Watch()

    async def scenario() -> None:
        bare = wire.client("openai", kind)
        client = ap.Stack(watch).wrap(bare)
        await result(client.post("/threads/t1/messages", body={"role": "user", "content": "x"}, cast_to=object))
        await result(client.post("/messages", body={"model": "m", "messages": []}, cast_to=object))
        await shut(bare)

    run(scenario())
    assert [call.operation for call in watch.calls] == ["other", "messages"]
