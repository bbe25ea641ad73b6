"""A stack for production in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agentprod.errors import ConfigError
from agentprod.layer import Place
from agentprod.reliability.timeout import Timeout
from agentprod.stack import Stack

if TYPE_CHECKING:
    from agentprod.budget.limit import Limit
    from agentprod.call import Middleware
    from agentprod.stores import StoreLike

__all__ = ["StreamTimeout", "standard"]

_IDLE = 60.0
"""Seconds between two events of a stream: pings, which providers send every few seconds, count as life."""


class StreamTimeout(Timeout):
    """The preset's timeout: ends streams that fall silent, and lets be what cannot stream."""

    name = "Timeout"

    def attach(self, place: Place) -> None:
        """Stand anywhere."""


def standard(
    *,
    deadline: float | timedelta | None = 120,
    retry: Middleware | int | bool | None = True,
    breaker: Middleware | bool | None = True,
    timeout: Middleware | float | timedelta | bool | None = True,
    budget: Middleware | Limit | Sequence[Limit] | None = None,
    cache: Middleware | float | timedelta | bool | None = None,
    semantic: Middleware | bool | None = None,
    pii: Middleware | bool | None = None,
    injection: Middleware | str | bool | None = None,
    router: Middleware | None = None,
    fallback: Middleware | str | Sequence[Any] | None = None,
    store: StoreLike | None = None,
) -> Stack:
    """Return a stack with tracing and reliability on; all that changes content or repeats answers is opt-in.

    ```python
    client = ap.standard().wrap(OpenAI())
    client = ap.standard(budget=ap.Limit(usd=5, per="day", by="user"), cache=3600, pii=True).wrap(OpenAI())
    ```

    Each option takes a layer as it shall be, `True` for the layer with its defaults, and `None` or `False` to leave
    it out; some take what the layer is mostly given. `stack.replace`, `.without` and `.insert` change the rest.

    Args:
        deadline: seconds for a whole call, retries and fallbacks included, and for a stream's first content. A
            stream that has begun may go on: pass `ap.Deadline(…, streams=True)` by `stack.replace` to bound it.

        retry: or how many attempts, 1 and more. With it the SDK's own retries are off.

        breaker: a `CircuitBreaker`.

        timeout: or seconds for one attempt, of which a plain synchronous function knows no end. By default only
            streams that send nothing for 60 seconds are ended.

        budget: a `TokenBudget`, or its limits.

        cache: a `Cache` of exact repetitions, or seconds for which an answer is repeated.

        semantic: a `SemanticCache` of similar questions.

        pii: a `ScrubPII`, which keeps personal data from the provider and puts it back into replies.

        injection: an `InjectionGuard`, or its mode: `"flag"` or `"block"`.

        router: a `Router` or `Cascade`.

        fallback: a `Fallback`, or its targets: model names, `ap.target(…)`, functions.

        store: where layers keep what processes share; see `Stack`.

    Returns:
        The stack, in the recommended order.

    Raises:
        ConfigError: an option of another kind, or out of its layer's range.
    """
    from agentprod.budget.limit import Limit
    from agentprod.budget.token_budget import TokenBudget
    from agentprod.caching.exact import Cache
    from agentprod.caching.semantic import SemanticCache
    from agentprod.reliability.circuit_breaker import CircuitBreaker
    from agentprod.reliability.fallback import Fallback
    from agentprod.reliability.retry import Retry
    from agentprod.reliability.timeout import Deadline
    from agentprod.safety.injection_guard import InjectionGuard
    from agentprod.safety.scrub_pii import ScrubPII
    from agentprod.telemetry.tracer import Tracer

    number = (int, float, timedelta)
    layers = (
        Tracer(),
        _layer("deadline", deadline, None, number, Deadline),
        _layer("pii", pii, ScrubPII),
        _layer("injection", injection, InjectionGuard, (str,), lambda mode: InjectionGuard(mode=mode)),
        _layer("budget", budget, None, (Limit, list, tuple), lambda given: TokenBudget(*_listed(given))),
        _layer("cache", cache, Cache, number, lambda ttl: Cache(ttl=ttl)),
        _layer("semantic", semantic, SemanticCache),
        _layer("router", router, None),
        _layer("fallback", fallback, None, (str, list, tuple), lambda given: Fallback(*_listed(given))),
        _layer("retry", retry, Retry, (int,), lambda attempts: Retry(attempts=attempts)),
        _layer("breaker", breaker, CircuitBreaker),
        _layer("timeout", timeout, lambda: StreamTimeout(idle=_IDLE), number, Timeout),
    )
    return Stack(*(layer for layer in layers if layer is not None), store=store)


_HINTS = {
    "budget": '; a limit is written ap.Limit(usd=5, per="day")',
    "pii": "; to choose what is found, give ap.ScrubPII(entities=[…])",
    "router": "; models to choose from are written ap.Router([…])",
}
"""What people write first, and what they want."""


def _layer(
    option: str,
    given: Any,
    default: Callable[[], Any] | None,
    kinds: tuple[type, ...] = (),
    make: Callable[[Any], Any] | None = None,
) -> Any:
    """Return the layer that an option stands for; `None` when it is left out."""
    if given is None or given is False:
        return None
    if given is True and default is not None:
        return default()
    if make is not None and isinstance(given, kinds) and not isinstance(given, bool):
        return make(given)
    if not isinstance(given, type) and (hasattr(given, "handle") or (callable(given) and not kinds)):
        return given
    wanted = ["a layer", *(["True"] if default else []), *(kind.__name__ for kind in kinds), "None"]
    raise ConfigError(
        f"standard({option}=) takes {', '.join(wanted)}, not {type(given).__name__}{_HINTS.get(option, '')}"
    )


def _listed(given: Any) -> Sequence[Any]:
    return given if isinstance(given, list | tuple) else (given,)
