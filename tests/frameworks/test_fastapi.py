"""Identity in a real FastAPI application, served by a real uvicorn: dependencies of every kind, and streams."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
import uvicorn
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse

import agentprod as ap
from agentprod.testing import Provider
from tests.clients.surfaces import MESSAGES

USERS = 24


class Seen:
    """Keeps who was named in each call, by the marker in its prompt."""

    def __init__(self) -> None:
        self.users: dict[str, str | None] = {}

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Take note."""
        self.users[call.request["messages"][-1]["content"]] = call.context.user
        return await call_next(call)


@pytest.fixture
def seen() -> Seen:
    """Return a fresh note-taker."""
    return Seen()


@pytest.fixture
def address(seen: Seen) -> Iterator[str]:
    """Serve the application on a free port for one test."""
    with Provider(["echo"]) as provider:
        app = build(provider, seen)
        config = uvicorn.Config(app, port=0, log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            threading.Event().wait(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()


def build(provider: Provider, seen: Seen) -> FastAPI:
    """Return an application that names its user in each way there is."""
    app = FastAPI()
    options: dict[str, Any] = {"base_url": provider.openai_url, "api_key": "k", "max_retries": 0}
    stack = ap.Stack(seen)
    client = stack.wrap(openai.AsyncOpenAI(**options))
    blocking = stack.wrap(openai.OpenAI(**options))

    def bound(user: str) -> openai.AsyncOpenAI:
        return ap.bind(client, user=user)

    def bound_blocking(user: str) -> openai.OpenAI:
        return ap.bind(blocking, user=user)

    async def in_context(user: str) -> AsyncIterator[None]:
        with ap.context(user=user):
            yield

    def in_sync_context(user: str) -> Iterator[None]:
        with ap.context(user=user):
            yield

    @app.get("/bind")
    async def by_bind(user: str, mine: openai.AsyncOpenAI = Depends(bound)) -> str:  # noqa: B008 - as FastAPI asks
        return await ask(mine, f"bind {user}")

    @app.get("/bind-sync")
    def by_bind_sync(user: str, mine: openai.OpenAI = Depends(bound_blocking)) -> str:  # noqa: B008 - as FastAPI asks
        return blocking_ask(mine, f"bind-sync {user}")

    @app.get("/context", dependencies=[Depends(in_context)])
    async def by_context(user: str) -> str:
        return await ask(client, f"context {user}")

    @app.get("/context-sync", dependencies=[Depends(in_sync_context)])
    def by_context_sync(user: str) -> str:
        return blocking_ask(blocking, f"context-sync {user}")

    @app.get("/stream")
    async def by_stream(user: str) -> StreamingResponse:
        with ap.context(user=user):
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": f"stream {user}"}], stream=True
            )

        async def body() -> AsyncIterator[str]:
            async for chunk in stream:
                await asyncio.sleep(0)
                yield (chunk.choices[0].delta.content or "") if chunk.choices else ""

        return StreamingResponse(body())

    return app


async def ask(client: openai.AsyncOpenAI, text: str) -> str:
    """Ask and return the answer, which repeats the question."""
    made = await client.chat.completions.create(model="m", messages=[*MESSAGES[:1], {"role": "user", "content": text}])  # type: ignore[list-item]
    assert ap.meta(made).attempts
    return made.choices[0].message.content or ""


def blocking_ask(client: openai.OpenAI, text: str) -> str:
    """Ask and return the answer, which repeats the question."""
    made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    return made.choices[0].message.content or ""


def fetch_all(way: str, address: str) -> dict[int, str]:
    """Return what each user got, all asking at once."""
    answers: dict[int, str] = {}

    def fetch(number: int) -> None:
        with urllib.request.urlopen(f"{address}/{way}?user=u{number}") as answer:
            text = answer.read().decode()
            answers[number] = text if way == "stream" else json.loads(text)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(USERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize("way", ["bind", "bind-sync", "context", "stream"])
def test_each_request_speaks_for_its_own_user(way: str, address: str, seen: Seen) -> None:
    """Many users at once, each named in its own way, and never another's name on a call."""
    assert fetch_all(way, address) == {number: f"{way} u{number}" for number in range(USERS)}
    assert seen.users == {f"{way} u{number}": f"u{number}" for number in range(USERS)}


def test_a_context_opened_in_a_sync_generator_dependency_ends_there(address: str, seen: Seen) -> None:
    """FastAPI runs such a dependency under a copy of the context: it is left without complaint, and names nobody.

    Nobody is not somebody else; `ap.bind` is the way to name a user there.
    """
    answers = fetch_all("context-sync", address)
    assert answers == {number: f"context-sync u{number}" for number in range(USERS)}
    assert set(seen.users.values()) == {None}
