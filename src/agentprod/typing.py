"""Names for annotations: what the public functions and layers take and give.

Nothing here is needed to use agentprod; frameworks that hand its options on find their types here.
"""

from __future__ import annotations

from agentprod.budget.limit import LimitOptions, Money
from agentprod.budget.windows import Per
from agentprod.call import CallNext, Middleware
from agentprod.faults import Classify
from agentprod.identity import CacheMode, ContextOptions
from agentprod.layer import LayerLike
from agentprod.ledger import Pricer
from agentprod.reliability.scope import By
from agentprod.runtime.clock import Clock
from agentprod.runtime.runtime import Runtime
from agentprod.stores.base import Store
from agentprod.stores.opening import StoreLike

__all__ = [
    "By",
    "CacheMode",
    "CallNext",
    "Classify",
    "Clock",
    "ContextOptions",
    "LayerLike",
    "LimitOptions",
    "Middleware",
    "Money",
    "Per",
    "Pricer",
    "Runtime",
    "Store",
    "StoreLike",
]
