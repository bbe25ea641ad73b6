"""Every exception agentprod raises, in one tree.

```
AgentprodError
├── ConfigError (ValueError)            wrong option, client or order; raised when a stack is built or attached
│   └── OrderError                      two layers stand in an order that is known to do harm
├── Rejected                            the provider was never called
│   ├── CircuitOpen                     the circuit breaker of this endpoint is open
│   ├── RateLimited                     the rate limit or a cooldown leaves no room before the deadline
│   ├── BudgetExceeded                  tokens, money, calls or steps are used up
│   ├── Blocked                         a guard refused the request, the reply or a tool call
│   ├── BulkheadFull                    too many calls in flight, and the queue is full
│   ├── AllUnavailable                  every target is cooling down or open
│   ├── CacheMiss                       `cache="only"` was asked for and nothing is stored
│   └── ShuttingDown                    the process drains
├── CallTimeout (TimeoutError)          one attempt took too long
├── DeadlineExceeded (TimeoutError)     the whole call took too long
├── StreamInterrupted                   a stream broke after its first content was delivered
└── SuspendedError (RuntimeError)       a layer waited for an event loop inside a synchronous call
```

Errors of a provider's SDK are not in this tree: they pass through every layer unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
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
]


class AgentprodError(Exception):
    """Base of everything agentprod raises itself."""


class ConfigError(AgentprodError, ValueError):
    """Raised when a stack, a layer or an option cannot work as written."""


class OrderError(ConfigError):
    """Raised when two layers stand in an order that does harm."""


class Rejected(AgentprodError):
    """Raised instead of calling the provider.

    Args:
        message: what was refused, by which limit, and what to do now.

        layer: class name of the layer that refused.

        target: name of the endpoint or account it spoke of.

        retry_after: seconds until another try makes sense; `None` when unknown or never.
    """

    status_code: int = 503
    """The HTTP status a server of yours would answer with."""

    def __init__(
        self, message: str, *, layer: str | None = None, target: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.layer = layer
        self.target = target
        self.retry_after = retry_after

    def to_dict(self) -> dict[str, Any]:
        """Return the error as plain JSON-able data, for an HTTP body or a log line."""
        return {
            "error": type(self).__name__,
            "message": str(self),
            "status_code": self.status_code,
            "layer": self.layer,
            "target": self.target,
            "retry_after": self.retry_after,
        }


class CircuitOpen(Rejected):
    """Raised while the circuit breaker of an endpoint is open."""


class RateLimited(Rejected):
    """Raised when a rate limit or a provider's cooldown leaves no room in time."""

    status_code = 429


class BudgetExceeded(Rejected):
    """Raised when a budget cannot cover the call.

    Args:
        message: which limit, of whom, and when it resets.

        limit: the limit, in the unit of the budget.

        spent: what is used of it, in the same unit.

        resets_at: POSIX time at which the window ends; `None` when it never does.
    """

    status_code = 402

    def __init__(
        self,
        message: str,
        *,
        limit: float | None = None,
        spent: float | None = None,
        resets_at: float | None = None,
        layer: str | None = None,
        target: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, layer=layer, target=target, retry_after=retry_after)
        self.limit = limit
        self.spent = spent
        self.resets_at = resets_at

    def to_dict(self) -> dict[str, Any]:
        """Return the error as plain JSON-able data, with limit, spent and resets_at."""
        return {**super().to_dict(), "limit": self.limit, "spent": self.spent, "resets_at": self.resets_at}


class Blocked(Rejected):
    """Raised when a guard refuses a request, a reply or a tool call."""

    status_code = 403


class BulkheadFull(Rejected):
    """Raised when too many calls are in flight and the queue is full."""


class AllUnavailable(Rejected):
    """Raised when every target of a fallback or balance is open or cooling down."""


class CacheMiss(Rejected):
    """Raised on a miss when the caller asked for `cache="only"`."""

    status_code = 404


class ShuttingDown(Rejected):
    """Raised for new calls once `drain()` has begun."""


class CallTimeout(AgentprodError, TimeoutError):
    """Raised when one attempt exceeds its time; the SDK's own timeout error is the cause when there is one.

    Args:
        message: which limit passed, on which target.

        layer: class name of the layer that set the limit.

        target: name of the endpoint.

        limit: the limit in seconds.

        phase: `"attempt"`, `"first_token"` or `"idle"`.
    """

    def __init__(
        self,
        message: str,
        *,
        layer: str | None = None,
        target: str | None = None,
        limit: float | None = None,
        phase: str = "attempt",
    ) -> None:
        super().__init__(message)
        self.layer = layer
        self.target = target
        self.limit = limit
        self.phase = phase


class DeadlineExceeded(AgentprodError, TimeoutError):
    """Raised when the whole call exceeds its deadline; the last real error is the cause when there is one.

    Args:
        message: the limit, and what was tried within it.

        layer: class name of the layer that set the limit, or `"context"`.

        target: name of the endpoint.

        limit: the limit in seconds, when known.
    """

    def __init__(
        self, message: str, *, layer: str | None = None, target: str | None = None, limit: float | None = None
    ) -> None:
        super().__init__(message)
        self.layer = layer
        self.target = target
        self.limit = limit


class StreamInterrupted(AgentprodError):
    """Raised in a stream that broke after its first content was delivered; nothing is replayed.

    When the provider's SDK raised, the class of this error also inherits the SDK error's class,
    so `except openai.APIError` still works.

    Args:
        message: what broke, after how much.

        partial: the text delivered so far.

        fault: name of the fault kind, such as `"truncated"` or `"connection"`.

        target: name of the endpoint.

        open_tool_calls: names of tool calls whose arguments are incomplete; never execute them.

        usage: token counts up to the break, when the provider sent any.
    """

    def __init__(
        self,
        message: str,
        *,
        partial: str = "",
        fault: str = "connection",
        target: str | None = None,
        open_tool_calls: Sequence[str] = (),
        usage: Any = None,
    ) -> None:
        # Not super(): a subclass made at run time has an SDK's error class behind this one, with other arguments.
        Exception.__init__(self, message)
        self.partial = partial
        self.fault = fault
        self.target = target
        self.open_tool_calls: tuple[str, ...] = tuple(open_tool_calls)
        self.usage = usage


class SuspendedError(AgentprodError, RuntimeError):
    """Raised when a layer suspends inside a synchronous call, where no event loop could resume it."""


class AgentprodWarning(UserWarning):
    """Category of the warnings agentprod gives."""


class OrderWarning(AgentprodWarning):
    """Warning about layers in an order that costs something."""
