"""Everything a production LLM agent needs between its code and the model, as layers of one onion.

Names load on first use: `import agentprod` alone imports no SDK, and no layer that is not used.
"""

from __future__ import annotations

import sys
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
    from agentprod.batch.mapping import amap, map
    from agentprod.budget import prices
    from agentprod.budget.budget_status import LimitStatus
    from agentprod.budget.context_window import ContextWindow
    from agentprod.budget.cost_of import cost
    from agentprod.budget.costs import CostTotals
    from agentprod.budget.limit import Limit
    from agentprod.budget.prices import price
    from agentprod.budget.prompt_cache import PromptCache
    from agentprod.budget.step_limit import StepLimit
    from agentprod.budget.token_budget import TokenBudget
    from agentprod.budget.tokens import count_tokens
    from agentprod.caching import embedders
    from agentprod.caching.exact import Cache, Stale
    from agentprod.caching.semantic import SemanticCache
    from agentprod.call import Call, CallNext, Limits, Middleware, Target
    from agentprod.dialects.base import Dialect
    from agentprod.draining import Drained, adrain, drain
    from agentprod.edge.access import bind, stack_of, unwrap
    from agentprod.edge.targets import target
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
    from agentprod.presets import standard
    from agentprod.propagation import propagate
    from agentprod.reliability.balance import Balance
    from agentprod.reliability.breaker_policy import SlowCalls
    from agentprod.reliability.bulkhead import Bulkhead
    from agentprod.reliability.circuit_breaker import CircuitBreaker
    from agentprod.reliability.dead_letter import DeadLetter
    from agentprod.reliability.fallback import Fallback
    from agentprod.reliability.hedge import Hedge
    from agentprod.reliability.rate_limit import RateLimit
    from agentprod.reliability.retry import Retry
    from agentprod.reliability.retry_budget import RetryBudget
    from agentprod.reliability.timeout import Deadline, Timeout
    from agentprod.reply import End, Reply
    from agentprod.routing import checks
    from agentprod.routing.call_log import CallLog, feedback
    from agentprod.routing.cascade import Cascade
    from agentprod.routing.classifier import Classifier
    from agentprod.routing.goal import Goal
    from agentprod.routing.learned_stage import Learned
    from agentprod.routing.router import Router
    from agentprod.routing.rules import Rules
    from agentprod.routing.sticky import Sticky
    from agentprod.runs import agent
    from agentprod.safety import pii
    from agentprod.safety.content_filter import ContentFilter
    from agentprod.safety.injection_guard import InjectionGuard
    from agentprod.safety.pii.recognizer import Recognizer
    from agentprod.safety.pii.scrub import scrub
    from agentprod.safety.scrub_pii import ScrubPII
    from agentprod.safety.tools.guard import ToolGuard
    from agentprod.safety.tools.tool import tool
    from agentprod.safety.untrusted import untrusted
    from agentprod.stores.opening import aclose, close
    from agentprod.switch import set_active
    from agentprod.telemetry import logs
    from agentprod.telemetry.alerts import Alerts
    from agentprod.telemetry.audit_log import AuditLog
    from agentprod.telemetry.handlers import Alert, Webhook
    from agentprod.telemetry.health import health
    from agentprod.telemetry.monitor import Monitor
    from agentprod.telemetry.recording import record
    from agentprod.telemetry.rules import Rule, default_rules
    from agentprod.telemetry.tracer import Tracer
    from agentprod.usage import Usage

__all__ = [
    "AgentprodError",
    "AgentprodWarning",
    "Alert",
    "Alerts",
    "AllUnavailable",
    "Attempt",
    "AuditLog",
    "Balance",
    "Blocked",
    "BudgetExceeded",
    "Bulkhead",
    "BulkheadFull",
    "Cache",
    "CacheMiss",
    "Call",
    "CallLog",
    "CallNext",
    "CallTimeout",
    "Cascade",
    "CircuitBreaker",
    "CircuitOpen",
    "Classifier",
    "ConfigError",
    "ContentFilter",
    "Context",
    "ContextWindow",
    "CostTotals",
    "DeadLetter",
    "Deadline",
    "DeadlineExceeded",
    "Dialect",
    "Drained",
    "Editor",
    "End",
    "Fallback",
    "Fault",
    "Goal",
    "Hedge",
    "InjectionGuard",
    "Inside",
    "Layer",
    "Learned",
    "Limit",
    "LimitStatus",
    "Limits",
    "Meta",
    "Middleware",
    "Monitor",
    "OrderError",
    "OrderWarning",
    "Outside",
    "Part",
    "Place",
    "PromptCache",
    "RateLimit",
    "RateLimited",
    "Recognizer",
    "Rejected",
    "Reply",
    "Retry",
    "RetryBudget",
    "Router",
    "Rule",
    "Rules",
    "ScrubPII",
    "SemanticCache",
    "ShuttingDown",
    "SlowCalls",
    "Stack",
    "Stale",
    "StepLimit",
    "Sticky",
    "StreamInterrupted",
    "SuspendedError",
    "Target",
    "Timeout",
    "TokenBudget",
    "ToolGuard",
    "Tracer",
    "Usage",
    "Webhook",
    "aclose",
    "adrain",
    "agent",
    "amap",
    "bind",
    "checks",
    "close",
    "context",
    "cost",
    "count_tokens",
    "default_rules",
    "drain",
    "embedders",
    "feedback",
    "health",
    "history",
    "last",
    "logs",
    "map",
    "meta",
    "pii",
    "price",
    "prices",
    "propagate",
    "record",
    "scrub",
    "set_active",
    "stack_of",
    "standard",
    "target",
    "tool",
    "untrusted",
    "unwrap",
    "when",
]

_PLACES = {
    "budget.costs": ("CostTotals",),
    "budget.prompt_cache": ("PromptCache",),
    "batch.mapping": ("amap", "map"),
    "budget.budget_status": ("LimitStatus",),
    "budget.context_window": ("ContextWindow",),
    "budget.cost_of": ("cost",),
    "budget.limit": ("Limit",),
    "budget.prices": ("price",),
    "budget.step_limit": ("StepLimit",),
    "budget.token_budget": ("TokenBudget",),
    "budget.tokens": ("count_tokens",),
    "caching.exact": ("Cache", "Stale"),
    "caching.semantic": ("SemanticCache",),
    "call": ("Call", "CallNext", "Limits", "Middleware", "Target"),
    "dialects.base": ("Dialect",),
    "draining": ("Drained", "adrain", "drain"),
    "edge.access": ("bind", "stack_of", "unwrap"),
    "edge.targets": ("target",),
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
    "presets": ("standard",),
    "propagation": ("propagate",),
    "reliability.balance": ("Balance",),
    "reliability.breaker_policy": ("SlowCalls",),
    "reliability.bulkhead": ("Bulkhead",),
    "reliability.circuit_breaker": ("CircuitBreaker",),
    "reliability.dead_letter": ("DeadLetter",),
    "reliability.fallback": ("Fallback",),
    "reliability.hedge": ("Hedge",),
    "reliability.rate_limit": ("RateLimit",),
    "reliability.retry": ("Retry",),
    "reliability.retry_budget": ("RetryBudget",),
    "reliability.timeout": ("Deadline", "Timeout"),
    "reply": ("End", "Reply"),
    "routing.call_log": ("CallLog", "feedback"),
    "routing.cascade": ("Cascade",),
    "routing.classifier": ("Classifier",),
    "routing.goal": ("Goal",),
    "routing.learned_stage": ("Learned",),
    "routing.router": ("Router",),
    "routing.rules": ("Rules",),
    "routing.sticky": ("Sticky",),
    "runs": ("agent",),
    "safety.content_filter": ("ContentFilter",),
    "safety.injection_guard": ("InjectionGuard",),
    "safety.pii.recognizer": ("Recognizer",),
    "safety.pii.scrub": ("scrub",),
    "safety.scrub_pii": ("ScrubPII",),
    "safety.tools.guard": ("ToolGuard",),
    "safety.tools.tool": ("tool",),
    "safety.untrusted": ("untrusted",),
    "stores.opening": ("aclose", "close"),
    "switch": ("set_active",),
    "telemetry.alerts": ("Alerts",),
    "telemetry.audit_log": ("AuditLog",),
    "telemetry.footer": ("load_ipython_extension", "unload_ipython_extension"),
    "telemetry.handlers": ("Alert", "Webhook"),
    "telemetry.health": ("health",),
    "telemetry.monitor": ("Monitor",),
    "telemetry.recording": ("record",),
    "telemetry.rules": ("Rule", "default_rules"),
    "telemetry.tracer": ("Tracer",),
    "usage": ("Usage",),
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}
_MODULES = {
    "checks": "routing.checks",
    "embedders": "caching.embedders",
    "logs": "telemetry.logs",
    "pii": "safety.pii",
    "prices": "budget.prices",
}


def __getattr__(name: str) -> Any:
    place = _PLACE_OF.get(name) or _MODULES.get(name)
    if place is None:
        # With name and object Python says which name was probably meant.
        raise AttributeError(f"module 'agentprod' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    value = import_module(f"agentprod.{place}")
    if name not in _MODULES:
        value = getattr(value, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
