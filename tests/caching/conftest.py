"""Clients of the real SDKs around a cache, on a scripted provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.testing import Provider


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
