"""Test doubles for code that calls LLMs: a clock to move by hand."""

from __future__ import annotations

from agentprod.testing.clock import FakeClock

__all__ = ["FakeClock"]
