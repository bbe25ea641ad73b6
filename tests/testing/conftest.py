"""Bare SDK clients: what reads the scripted provider in these tests is what reads the real ones."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest

from agentprod.testing import Provider
from tests.testing.callers import STRICT, AnthropicAt, Caller, Chat, Messages, OpenAIAt, Responses


@pytest.fixture(scope="session")
def openai_session() -> Iterator[openai.OpenAI]:
    """One client for all tests: making one costs more than a call."""
    with openai.OpenAI(api_key="k", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture(scope="session")
def anthropic_session() -> Iterator[anthropic.Anthropic]:
    """One client for all tests: making one costs more than a call."""
    with anthropic.Anthropic(api_key="k", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def openai_at(openai_session: openai.OpenAI) -> OpenAIAt:
    """Return what makes a strict client of a provider."""
    return lambda provider: openai_session.with_options(base_url=provider.openai_url, _extra_kwargs=STRICT)


@pytest.fixture
def anthropic_at(anthropic_session: anthropic.Anthropic) -> AnthropicAt:
    """Return what makes a strict client of a provider."""
    return lambda provider: anthropic_session.with_options(base_url=provider.anthropic_url, _extra_kwargs=STRICT)


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Return a running provider that answers every request."""
    with Provider() as running:
        yield running


@pytest.fixture(params=[Chat, Responses, Messages])
def caller(request: pytest.FixtureRequest, openai_at: OpenAIAt, anthropic_at: AnthropicAt) -> Caller:
    """Return a caller of each surface that streams."""
    made: Caller = request.param(openai_at, anthropic_at)
    return made
