"""What a request is made of besides the SDK's JSON: files, bytes, iterators, and sending them twice."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.conftest import Run
from tests.clients.surfaces import MESSAGES, make_client, result, shut

FLAKY: list[Any] = [b.rate_limit(retry_after_ms=1), "ok"]
BYTES = {"headers": {"content-type": "application/octet-stream"}}


class Pipe(io.RawIOBase):
    """A file that can be read once."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """There is no way back."""
        return False

    def read(self, size: int = -1) -> bytes:
        """Read some of it."""
        return self._content.read(size)


def pieces(kind: str) -> Any:
    """Return an iterator over a body, for a client of either kind."""

    def whole() -> Iterator[bytes]:
        yield from (b"a", b"b")

    async def awaited() -> AsyncIterator[bytes]:
        for piece in whole():
            yield piece

    return whole() if kind == "sync" else awaited()


def retried(sdk: str, kind: str, provider: Provider) -> tuple[Any, Any]:
    """Return a bare client and the same in a stack that retries."""
    client = make_client(sdk, kind, provider)
    return client, ap.Stack(ap.Retry(wait=0)).wrap(client)


@pytest.mark.parametrize("how", ["pipe", "iterator"])
def test_what_can_be_read_once_is_sent_once(how: str, kind: str, run: Run, provider: Provider) -> None:
    """A second attempt would upload nothing and call it a success: the provider's error goes to the caller."""
    provider.script(FLAKY)

    async def scenario() -> None:
        client, wrapped = retried("openai", kind, provider)
        with pytest.raises(openai.RateLimitError) as caught:
            if how == "pipe":
                await result(wrapped.files.create(file=("n.txt", Pipe(b"xyz"), "text/plain"), purpose="batch"))
            else:
                await result(wrapped.post("/files", content=pieces(kind), cast_to=object, options=BYTES))
        (note,) = [note for note in ap.meta(caught.value).notes if note[0] == "Retry"]
        assert note[2]["reason"] == "body_read_once"
        await shut(client)

    run(scenario())
    assert len(provider.requests) == 1


START = 2 if openai.DefaultHttpxClient.__mro__[1].__module__.startswith("httpx2") else 0
"""Where a file stands: the older HTTP library declares the length of all of it, wherever it stands."""


def test_what_can_be_read_again_is_sent_again(kind: str, run: Run, provider: Provider) -> None:
    """Files are put back to where they stood, whether they are a form's or the whole body."""
    provider.script(FLAKY)

    async def scenario() -> None:
        client, wrapped = retried("openai", kind, provider)
        await result(wrapped.files.create(file=("n.txt", io.BytesIO(b"xyz"), "text/plain"), purpose="batch"))
        if kind == "sync":  # the asynchronous HTTP library takes no files as a body
            provider.script(FLAKY)
            content = io.BytesIO(b"__hello"[2 - START :])
            content.seek(START)
            wrapped.post("/files", content=content, cast_to=object, options=BYTES)
        await shut(client)

    run(scenario())
    assert all(b"xyz" in request.body for request in provider.requests[:2])
    assert [request.body for request in provider.requests[2:]] == ([b"hello"] * 2 if kind == "sync" else [])


def test_a_file_in_a_message_is_in_every_attempt(kind: str, run: Run, provider: Provider) -> None:
    """Anthropic's SDK sends open files in base64; it is read once, however often it is sent, and has a cache key."""
    provider.script(FLAKY)

    async def scenario() -> None:
        client = make_client("anthropic", kind, provider)
        wrapped = ap.Stack(ap.Cache(), ap.Retry(wait=0)).wrap(client)
        for file in (io.BytesIO(b"PNG"), io.BytesIO(b"PNG"), io.StringIO("GIF")):
            source = {"type": "base64", "media_type": "image/png", "data": file}
            messages = [{"role": "user", "content": [{"type": "image", "source": source}]}]
            await result(wrapped.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=messages))
        await shut(client)

    run(scenario())
    sent = [request.json["messages"][0]["content"][0]["source"]["data"] for request in provider.requests]
    assert [base64.b64decode(data) for data in sent] == [b"PNG", b"PNG", b"GIF"]


def test_an_iterator_of_messages_is_counted(kind: str, run: Run, provider: Provider) -> None:
    """What layers have read of a one-shot iterator is what is sent, also where no model is asked."""

    async def scenario() -> None:
        client = make_client("anthropic", kind, provider)
        wrapped = ap.Stack().wrap(client)
        await result(wrapped.messages.count_tokens(model="claude-haiku-4-5", messages=iter(MESSAGES[1:])))
        await shut(client)

    run(scenario())
    assert provider.requests[0].json["messages"] == MESSAGES[1:]


@pytest.mark.parametrize("by", ["content", "body"])
def test_json_that_the_caller_wrote_passes_the_layers(by: str, kind: str, run: Run, provider: Provider) -> None:
    """A model call posted as bytes is read and edited like any other."""
    body = json.dumps({"model": "gpt-5-mini", "messages": MESSAGES}).encode()
    if by == "content" and "content" not in openai.OpenAI.post.__annotations__:
        pytest.skip("this openai takes no content")

    async def edit(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return await call_next(call.map_text(lambda text, part: text.upper()))

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        wrapped = ap.Stack(edit).wrap(client)
        given = {by: body}
        with pytest.warns(DeprecationWarning, match="raw bytes") if by == "body" else contextlib.nullcontext():
            reply = await result(wrapped.post("/chat/completions", cast_to=object, **given))
        assert reply["choices"]
        await shut(client)

    run(scenario())
    assert provider.requests[0].json["messages"][0]["content"] == "BE BRIEF."


@pytest.mark.parametrize("content", [b"[1]", b"no JSON", "an iterator"])
def test_a_model_call_that_no_layer_can_read_is_refused(content: Any, kind: str, run: Run, provider: Provider) -> None:
    """It would pass budgets and scrubbers unseen."""

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        wrapped = ap.Stack().wrap(client)
        with pytest.raises(ap.ConfigError, match=r"/chat/completions.*no JSON object"):
            body = pieces(kind) if content == "an iterator" else content
            await result(wrapped.post("/chat/completions", content=body, cast_to=object))
        await shut(client)

    run(scenario())
    assert provider.requests == []
