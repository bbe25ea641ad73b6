"""What the framework tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentprod.testing import Provider
from tests.frameworks.place import Place


@pytest.fixture
def place() -> Iterator[Place]:
    """Return a provider with a counting stack in front of it."""
    with Provider() as provider:
        yield Place(provider)
