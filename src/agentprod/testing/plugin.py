"""Fixtures for pytest, there once agentprod is installed: no import, no configuration.

| fixture | what a test gets |
|---|---|
| `ap_provider` | a running `Provider`; OpenAI's and Anthropic's clients made without arguments talk to it |
| `ap_clock` | a `FakeClock`, for `Stack(clock=ap_clock)` |
| `ap_no_waiting` | waits of stacks take no time; what would have been waited |
| `ap_off` | every stack is off: wrapped clients behave as bare ones |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from agentprod.testing.clock import FakeClock
    from agentprod.testing.provider import Provider
    from agentprod.testing.waiting import Waits

__all__ = ["ap_clock", "ap_no_waiting", "ap_off", "ap_provider"]

# Imports lie in the fixtures, so that a run that uses none of them, or measures coverage, does not pay for them.


@pytest.fixture
def ap_provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """Run a scripted provider; clients made without arguments find it by the environment, and no key is needed."""
    from agentprod.testing.provider import Provider

    with Provider() as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.anthropic_url)
        monkeypatch.setenv("OPENAI_API_KEY", "test-key")
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
        yield provider


@pytest.fixture
def ap_clock() -> FakeClock:
    """Return a clock that only moves when told to."""
    from agentprod.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
def ap_no_waiting() -> Iterator[Waits]:
    """Let waits of stacks take no time during the test."""
    from agentprod.testing.waiting import no_waiting

    with no_waiting() as waits:
        yield waits


@pytest.fixture
def ap_off() -> Iterator[None]:
    """Switch every stack off during the test."""
    from agentprod import switch

    before = switch.active
    switch.set_active(False)
    yield
    switch.set_active(before)
