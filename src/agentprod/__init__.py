"""Everything a production LLM agent needs between its code and the model, as layers of one onion."""

from agentprod.call import Call, CallNext, Limits, Middleware, Target
from agentprod.context import Context, context, propagate
from agentprod.dialects.base import Dialect
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
from agentprod.history import history
from agentprod.layer import Layer, Place
from agentprod.ledger import Attempt
from agentprod.meta import Meta, last, meta
from agentprod.order import Inside, Outside
from agentprod.parts import Editor, Part
from agentprod.reliability.retry import Retry
from agentprod.reliability.retry_budget import RetryBudget
from agentprod.reliability.timeout import Deadline, Timeout
from agentprod.reply import End, Reply
from agentprod.stack import Stack
from agentprod.switch import set_active
from agentprod.usage import Usage
from agentprod.when import when

__all__ = [
    "AgentprodError",
    "AgentprodWarning",
    "AllUnavailable",
    "Attempt",
    "Blocked",
    "BudgetExceeded",
    "BulkheadFull",
    "CacheMiss",
    "Call",
    "CallNext",
    "CallTimeout",
    "CircuitOpen",
    "ConfigError",
    "Context",
    "Deadline",
    "DeadlineExceeded",
    "Dialect",
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
    "RateLimited",
    "Rejected",
    "Reply",
    "Retry",
    "RetryBudget",
    "ShuttingDown",
    "Stack",
    "StreamInterrupted",
    "SuspendedError",
    "Target",
    "Timeout",
    "Usage",
    "bind",
    "context",
    "history",
    "last",
    "meta",
    "propagate",
    "set_active",
    "stack_of",
    "unwrap",
    "when",
]
