"""Clients of the real SDKs around a cache, on a scripted provider."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.stores import LayeredStore, MemoryStore, RedisStore, SqliteStore, Store
from agentprod.testing import Provider
from tests.servers import redis_url

__all__ = ["redis_url"]


@pytest.fixture(scope="session")
def bare_openai() -> Iterator[openai.OpenAI]:
    """One client for all tests: making one costs more than a call."""
    with openai.OpenAI(api_key="k", base_url="http://127.0.0.1:9", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture(scope="session")
def bare_anthropic() -> Iterator[anthropic.Anthropic]:
    """One client for all tests: making one costs more than a call."""
    with anthropic.Anthropic(api_key="k", base_url="http://127.0.0.1:9", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def openai_with(bare_openai: openai.OpenAI) -> Callable[..., openai.OpenAI]:
    """Return what wraps a client of a provider in layers: `openai_with(provider, *layers, **options)`."""

    def make(provider: Provider, *layers: Any, **options: Any) -> openai.OpenAI:
        return ap.Stack(*layers, **options).wrap(bare_openai.with_options(base_url=provider.openai_url))

    return make


@pytest.fixture
def anthropic_with(bare_anthropic: anthropic.Anthropic) -> Callable[..., anthropic.Anthropic]:
    """Return what wraps a client of a provider in layers: `anthropic_with(provider, *layers, **options)`."""

    def make(provider: Provider, *layers: Any, **options: Any) -> anthropic.Anthropic:
        return ap.Stack(*layers, **options).wrap(bare_anthropic.with_options(base_url=provider.anthropic_url))

    return make


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Return a running provider that answers every request."""
    with Provider() as running:
        yield running


@pytest.fixture(params=["memory", "sqlite", "redis", "layered"])
def store(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Iterator[Store]:
    """Return a fresh store of each kind."""
    made: Store
    if request.param == "memory":
        made = MemoryStore()
    elif request.param == "sqlite":
        made = SqliteStore(tmp_path / "store.db")
    elif request.param == "redis":
        made = RedisStore(redis_url, prefix=f"test-{uuid.uuid4().hex}:", lookup_timeout=5, timeout=5)
    else:
        made = LayeredStore(MemoryStore(), SqliteStore(tmp_path / "store.db"))
    yield made
    made.close()
