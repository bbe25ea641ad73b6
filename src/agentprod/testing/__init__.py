"""Test doubles for code that calls LLMs.

`FakeClock` is a clock to move by hand, `Provider` a server that speaks the APIs of OpenAI and Anthropic
and does what a script of `behaviours` says, `FaultProxy` breaks connections by its `proxy_faults`, and `Chaos` is a
layer that lets a share of the attempts fail.
"""

from __future__ import annotations

from agentprod.testing import behaviours, proxy_faults
from agentprod.testing.chaos import Chaos
from agentprod.testing.chaos_faults import ChaosError
from agentprod.testing.clock import FakeClock
from agentprod.testing.exchange import RecordedRequest
from agentprod.testing.provider import Provider
from agentprod.testing.proxy import FaultProxy

__all__ = [
    "Chaos",
    "ChaosError",
    "FakeClock",
    "FaultProxy",
    "Provider",
    "RecordedRequest",
    "behaviours",
    "proxy_faults",
]
