"""Test doubles for code that calls LLMs: a clock to move by hand, and a provider that does what a script says."""

from __future__ import annotations

from agentprod.testing import behaviours
from agentprod.testing.clock import FakeClock
from agentprod.testing.provider import Provider

__all__ = ["FakeClock", "Provider", "behaviours"]
