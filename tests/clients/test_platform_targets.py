"""Clients for Azure, Bedrock, Vertex and Foundry as targets of calls made with another client."""

from __future__ import annotations

import sys
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.targets import aim
from agentprod.testing import Provider
from tests.clients.conftest import Run
from tests.clients.plain_http import plain_client
from tests.clients.platforms import PLATFORMS, Platform
from tests.clients.surfaces import MESSAGES, claude, items, opened, result, shut


class Send:
    """Sends every call to one target."""

    def __init__(self, target: ap.Target) -> None:
        self.target = target

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Send it."""
        return await call_next(aim(call, self.target))


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    """Run the test for every platform whose client the installed SDKs have."""
    name = str(request.param)
    client, _, _ = PLATFORMS[name]
    if not hasattr(openai, client) and not hasattr(anthropic, client):
        pytest.skip(f"the installed SDK has no {client}")
    if name == "bedrock":
        pytest.importorskip("botocore")
    return name


@pytest.mark.parametrize("caller", ["openai", "anthropic"])
def test_a_platforms_client_answers_callers_of_either_sdk(
    platform: str, caller: str, kind: str, run: Run, provider: Provider
) -> None:
    """At the platform's own path, with its own authentication; whole, streamed and by the helper."""
    kind_of_client, named, build = PLATFORMS[platform]
    wire = Platform("openai" if hasattr(openai, kind_of_client) else "anthropic")

    async def case() -> None:
        away, home = build(kind, wire.options(kind)), plain_client(caller, kind, provider)
        target = ap.target(away, "m", defaults={"max_tokens": 100} if wire.sdk == "anthropic" else {})
        assert target.provider == named
        client = ap.Stack(Send(target)).wrap(home)
        if caller == "openai":
            made = await result(client.chat.completions.create(model="x", messages=MESSAGES))
            assert made.choices[0].message.content == "Hello 李伟."
            stream = await result(client.chat.completions.create(model="x", messages=MESSAGES, stream=True))
            text = "".join(chunk.choices[0].delta.content or "" for chunk in await items(stream))
            async with opened(client.chat.completions.stream(model="x", messages=MESSAGES)) as helper:
                await items(helper)
                final = await result(helper.get_final_completion())
                assert final.choices[0].message.content == "Hello 李伟."
        else:
            made = await result(client.messages.create(**claude()))
            assert made.content[0].text == "Hello 李伟."
            stream = await result(client.messages.create(stream=True, **claude()))
            text = "".join(getattr(getattr(event, "delta", None), "text", None) or "" for event in await items(stream))
            async with opened(client.messages.stream(**claude())) as helper:
                await items(helper)
                assert (await result(helper.get_final_message())).content[0].text == "Hello 李伟."
        assert text == "Hello 李伟."
        assert len(wire.requests) == 3
        assert provider.requests == []
        await shut(home)
        await shut(away)

    run(case())


def test_clients_of_two_http_libraries_work_together(provider: Provider) -> None:
    """The reply is a response of the caller's own library, whatever the target's is."""
    httpx = pytest.importorskip("httpx")
    own = openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]
    if own == "httpx" or "httpx2" not in sys.modules:
        pytest.skip("the installed SDKs know one HTTP library only")
    home = openai.OpenAI(base_url="http://nowhere.test", api_key="k", http_client=httpx.Client(verify=False))
    away = plain_client("openai", "sync", provider)
    client: Any = ap.Stack(Send(ap.target(away, "m"))).wrap(home)
    question: Any = {"model": "x", "messages": MESSAGES}
    raw = client.chat.completions.with_raw_response.create(**question)
    assert isinstance(raw.http_response, httpx.Response)
    assert raw.parse().choices[0].message.content
    chunks = list(client.chat.completions.create(**question, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    home.close()
    away.close()
