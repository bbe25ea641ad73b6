"""Replies that say all is well and are no JSON: a page of a proxy, an empty 204."""

from __future__ import annotations

from typing import Any

import pytest

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.conftest import Run
from tests.clients.surfaces import make_client, result, shut

PAGE = "<html>log in to the network, 李伟</html>"


def answer(status: str, content_type: str, body: bytes) -> Any:
    """Return a behaviour that sends these bytes."""
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return b.raw(head.encode() + body)


async def ask(sdk: str, client: Any, *, raw: bool = False) -> Any:
    """Ask for a whole reply, with something in it that a scrubber takes out."""
    request: dict[str, Any] = {"messages": [{"role": "user", "content": "write to li.wei@example.com"}]}
    resource = client.chat.completions if sdk == "openai" else client.messages
    made = (resource.with_raw_response if raw else resource).create
    if sdk == "openai":
        return await result(made(model="gpt-5-mini", **request))
    return await result(made(model="claude-haiku-4-5", max_tokens=9, **request))


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        pytest.param("200 OK", "text/html; charset=utf-8", PAGE.encode(), id="page"),
        pytest.param("200 OK", "text/html; charset=gbk", PAGE.encode("gbk"), id="page in GBK"),
        pytest.param("204 No Content", "text/plain", b"", id="204"),
        pytest.param("200 OK", "application/json", b'"a text"', id="text"),
        pytest.param("200 OK", "application/json", b"[1]", id="list"),
    ],
)
def test_layers_let_pass_what_is_no_reply(
    status: str, content_type: str, body: bytes, sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """Layers that read and edit raise nothing of their own, the caller gets what the bare client returns, uncached."""
    provider.script(answer(status, content_type, body))

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        cache = ap.Cache()
        wrapped = ap.Stack(ap.ScrubPII(), cache, ap.Retry(wait=0)).wrap(client)
        bare = await ask(sdk, client)
        for _ in range(2):
            seen = await ask(sdk, wrapped)
            assert (type(seen), seen) == (type(bare), bare)
        assert cache.stats().errors == 0
        await shut(client)

    run(scenario())
    assert len(provider.requests) == 3


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_broken_json_is_the_sdks_error(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """It is raised where the SDK decodes, as it does without a stack; a raw response is the caller's to read."""
    provider.script(answer("200 OK", "application/json", b'{"id": '))

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        wrapped = ap.Stack(ap.ScrubPII(), ap.Cache()).wrap(client)
        with pytest.raises(ValueError, match="Expecting value") as bare:
            await ask(sdk, client)
        with pytest.raises(type(bare.value), match="Expecting value"):
            await ask(sdk, wrapped)
        raw = await ask(sdk, wrapped, raw=True)
        assert raw.http_response.text == '{"id": '
        await shut(client)

    run(scenario())
