"""What tests with real SDK clients share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from agentprod.runtime.drive import drive
from agentprod.testing import Provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Run a scripted provider for one test."""
    with Provider() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Run the test for sync and for async clients."""
    return str(request.param)


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run(kind: str) -> Run:
    """Return what runs a test's coroutine: a loop for async clients, none at all for sync ones."""
    return drive if kind == "sync" else asyncio.run
