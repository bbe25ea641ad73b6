"""Everything a production LLM agent needs between its code and the model, as layers of one onion.

Names load on first use: `import agentprod` alone imports no SDK, and no layer that is not used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# These four are named like the modules they stand in, so the package must hold them before anybody imports those;
# the stack, so that a layer of whatever module can decorate.
from agentprod.context import context
from agentprod.history import history
from agentprod.meta import Meta, last, meta
from agentprod.stack import Stack
from agentprod.when import when

if TYPE_CHECKING:
    from agentprod.budget import prices
    from agentprod.budget.cost_of import cost
    from agentprod.budget.prices import price
    from agentprod.budget.tokens import count_tokens
    from agentprod.caching.exact import Cache, Stale
    from agentprod.call import Call, CallNext, Limits, Middleware, Target
    from agentprod.dialects.base import Dialect
    from agentprod.draining import Drained, adrain, drain
    from agentprod.edge.access import bind, stack_of, unwrap
    from agentprod.errors import (
        AgentprodError,
        AgentprodWarning,
        AllUnavailable,
        Blocked,
        BudgetExceeded,
        BulkheadFull,
        CacheMiss,
        CallTimeout,
        CircuitOpen,
        ConfigError,
        DeadlineExceeded,
        OrderError,
        OrderWarning,
        RateLimited,
        Rejected,
        ShuttingDown,
        StreamInterrupted,
        SuspendedError,
    )
    from agentprod.faults import Fault
    from agentprod.identity import Context
    from agentprod.layer import Layer, Place
    from agentprod.ledger import Attempt
    from agentprod.order import Inside, Outside
    from agentprod.parts import Editor, Part
    from agentprod.propagation import propagate
    from agentprod.reliability.breaker_policy import SlowCalls
    from agentprod.reliability.bulkhead import Bulkhead
    from agentprod.reliability.circuit_breaker import CircuitBreaker
    from agentprod.reliability.rate_limit import RateLimit
    from agentprod.reliability.retry import Retry
    from agentprod.reliability.retry_budget import RetryBudget
    from agentprod.reliability.timeout import Deadline, Timeout
    from agentprod.reply import End, Reply
    from agentprod.runs import agent
    from agentprod.safety import pii
    from agentprod.safety.pii.recognizer import Recognizer
    from agentprod.safety.pii.scrub import scrub
    from agentprod.safety.scrub_pii import ScrubPII
    from agentprod.switch import set_active
    from agentprod.telemetry.recording import record
    from agentprod.telemetry.tracer import Tracer
    from agentprod.usage import Usage

__all__ = [
    "AgentprodError",
    "AgentprodWarning",
    "AllUnavailable",
    "Attempt",
    "Blocked",
    "BudgetExceeded",
    "Bulkhead",
    "BulkheadFull",
    "Cache",
    "CacheMiss",
    "Call",
    "CallNext",
    "CallTimeout",
    "CircuitBreaker",
    "CircuitOpen",
    "ConfigError",
    "Context",
    "Deadline",
    "DeadlineExceeded",
    "Dialect",
    "Drained",
    "Editor",
    "End",
    "Fault",
    "Inside",
    "Layer",
    "Limits",
    "Meta",
    "Middleware",
    "OrderError",
    "OrderWarning",
    "Outside",
    "Part",
    "Place",
    "RateLimit",
    "RateLimited",
    "Recognizer",
    "Rejected",
    "Reply",
    "Retry",
    "RetryBudget",
    "ScrubPII",
    "ShuttingDown",
    "SlowCalls",
    "Stack",
    "Stale",
    "StreamInterrupted",
    "SuspendedError",
    "Target",
    "Timeout",
    "Tracer",
    "Usage",
    "adrain",
    "agent",
    "bind",
    "context",
    "cost",
    "count_tokens",
    "drain",
    "history",
    "last",
    "meta",
    "pii",
    "price",
    "prices",
    "propagate",
    "record",
    "scrub",
    "set_active",
    "stack_of",
    "unwrap",
    "when",
]

_PLACES = {
    "budget.cost_of": ("cost",),
    "budget.prices": ("price",),
    "budget.tokens": ("count_tokens",),
    "caching.exact": ("Cache", "Stale"),
    "call": ("Call", "CallNext", "Limits", "Middleware", "Target"),
    "dialects.base": ("Dialect",),
    "draining": ("Drained", "adrain", "drain"),
    "edge.access": ("bind", "stack_of", "unwrap"),
    "errors": (
        "AgentprodError",
        "AgentprodWarning",
        "AllUnavailable",
        "Blocked",
        "BudgetExceeded",
        "BulkheadFull",
        "CacheMiss",
        "CallTimeout",
        "CircuitOpen",
        "ConfigError",
        "DeadlineExceeded",
        "OrderError",
        "OrderWarning",
        "RateLimited",
        "Rejected",
        "ShuttingDown",
        "StreamInterrupted",
        "SuspendedError",
    ),
    "faults": ("Fault",),
    "identity": ("Context",),
    "layer": ("Layer", "Place"),
    "ledger": ("Attempt",),
    "order": ("Inside", "Outside"),
    "parts": ("Editor", "Part"),
    "propagation": ("propagate",),
    "reliability.breaker_policy": ("SlowCalls",),
    "reliability.bulkhead": ("Bulkhead",),
    "reliability.circuit_breaker": ("CircuitBreaker",),
    "reliability.rate_limit": ("RateLimit",),
    "reliability.retry": ("Retry",),
    "reliability.retry_budget": ("RetryBudget",),
    "reliability.timeout": ("Deadline", "Timeout"),
    "reply": ("End", "Reply"),
    "runs": ("agent",),
    "safety.pii.recognizer": ("Recognizer",),
    "safety.pii.scrub": ("scrub",),
    "safety.scrub_pii": ("ScrubPII",),
    "switch": ("set_active",),
    "telemetry.recording": ("record",),
    "telemetry.tracer": ("Tracer",),
    "usage": ("Usage",),
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}
_MODULES = {"pii": "safety.pii", "prices": "budget.prices"}


def __getattr__(name: str) -> Any:
    place = _PLACE_OF.get(name) or _MODULES.get(name)
    if place is None:
        raise AttributeError(f"module 'agentprod' has no attribute {name!r}")
    value = import_module(f"agentprod.{place}")
    if name not in _MODULES:
        value = getattr(value, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
