"""What a scripted `Provider` can do with a request.

Each function returns one behaviour; a script is made of them. Those with `reply=` damage or delay
what another behaviour delivers, and may be nested: `slow(0.1, reply=cut(after=3, how="rst"))`.

`after` counts the events of a stream as they are on the wire, preamble included; `None` is the middle
of the content, with at least one piece of it delivered. Where the caller did not ask for a stream, the
fault strikes within the JSON body: before its first byte with `after=0`, else halfway.
"""

from __future__ import annotations

from agentprod.testing.behaviours.behaviour import Behaviour
from agentprod.testing.behaviours.broken import cut, malformed, sse_error, stall, truncate
from agentprod.testing.behaviours.content import echo, ok
from agentprod.testing.behaviours.failures import black_hole, error, rate_limit, refuse
from agentprod.testing.behaviours.late import dribble, pings, slow
from agentprod.testing.behaviours.verbatim import json_body, raw, sse_events

__all__ = [
    "Behaviour",
    "black_hole",
    "cut",
    "dribble",
    "echo",
    "error",
    "json_body",
    "malformed",
    "ok",
    "pings",
    "rate_limit",
    "raw",
    "refuse",
    "slow",
    "sse_error",
    "sse_events",
    "stall",
    "truncate",
]
