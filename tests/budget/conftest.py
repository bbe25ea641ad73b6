"""What the tests of budgets share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentprod.stores import Store
from tests.budget.spending import STORES, make_store
from tests.servers import postgres_url, redis_url

__all__ = ["postgres_url", "redis_url", "store"]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each kind of store that budgets stand in; a server is started only where it is needed."""
    made = make_store(request.param, tmp_path, request.getfixturevalue)
    yield made
    made.close()
