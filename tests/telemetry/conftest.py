"""Fixtures of the telemetry tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from agentprod.telemetry.drops import drops

Promtool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def promtool() -> Promtool:
    """Run Prometheus' own checker; without it the test is skipped."""
    program = os.environ.get("AGENTPROD_PROMTOOL") or shutil.which("promtool")
    if program is None:
        pytest.skip(
            "no promtool: install Prometheus, or set AGENTPROD_PROMTOOL to the promtool in the folder that "
            "`python scripts/find_prometheus.py .cache/prometheus` prints, which needs apt-get"
        )

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def dropped() -> Callable[[str], int]:
    """Return how much was dropped for a reason since the test began."""
    before = drops.snapshot()
    return lambda reason: drops.snapshot().get(reason, 0) - before.get(reason, 0)


@pytest.fixture
def reader() -> InMemoryMetricReader:
    """What an application with an SDK would export."""
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader: InMemoryMetricReader) -> Iterator[MeterProvider]:
    """An SDK's meter provider, shut down after the test."""
    made = MeterProvider([reader], shutdown_on_exit=False)
    yield made
    made.shutdown()
