"""Test doubles for code that calls LLMs.

`FakeClock` is a clock to move by hand, `Provider` a server that speaks the APIs of OpenAI and Anthropic
and does what a script of `behaviours` says, and `FaultProxy` breaks connections by its `proxy_faults`.
"""

from __future__ import annotations

from agentprod.testing import behaviours, proxy_faults
from agentprod.testing.clock import FakeClock
from agentprod.testing.exchange import RecordedRequest
from agentprod.testing.provider import Provider
from agentprod.testing.proxy import FaultProxy

__all__ = ["FakeClock", "FaultProxy", "Provider", "RecordedRequest", "behaviours", "proxy_faults"]
