"""Test doubles for code that calls LLMs.

`FakeClock` is a clock to move by hand, `Provider` a server that speaks the APIs of OpenAI and Anthropic
and does what a script of `behaviours` says, `FaultProxy` breaks connections by its `proxy_faults`, and `Chaos` is a
layer that lets a share of the attempts fail. `no_waiting()` lets layers wait without taking time. What layers, wire
formats and stores of others have to hold is in `agentprod.testing.conformance`, and fixtures for pytest are in
`agentprod.testing.plugin`.
"""

from __future__ import annotations

from agentprod.testing import behaviours, proxy_faults
from agentprod.testing.chaos import Chaos
from agentprod.testing.chaos_faults import ChaosError
from agentprod.testing.clock import FakeClock
from agentprod.testing.exchange import RecordedRequest
from agentprod.testing.provider import Provider
from agentprod.testing.proxy import FaultProxy
from agentprod.testing.waiting import Waits, no_waiting

__all__ = [
    "Chaos",
    "ChaosError",
    "FakeClock",
    "FaultProxy",
    "Provider",
    "RecordedRequest",
    "Waits",
    "behaviours",
    "no_waiting",
    "proxy_faults",
]
