"""What users may say about when to retry, when to stop, and how long to wait: their own and tenacity's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agentprod.errors import ConfigError
from agentprod.faults import Fault

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["Condition", "make_condition", "strategy_wait", "wants_stop"]

Condition = Callable[[Exception, Fault], bool]


def make_condition(item: Any, layer: str = "Retry") -> Condition:
    """Read one entry of `on=`.

    Args:
        item: the entry.

        layer: class name of the layer it was given to, for errors.

    Raises:
        ConfigError: it is neither an exception type, a `Fault`, a predicate, nor one of tenacity's `retry_*`.
    """
    if isinstance(item, type) and issubclass(item, Exception):
        return lambda error, fault: isinstance(error, item)
    if isinstance(item, Fault) and item not in _NEVER:
        return lambda error, fault: fault is item
    if isinstance(item, Fault) or (isinstance(item, type) and issubclass(item, BaseException)):
        raise ConfigError(
            f"{layer} never repeats {item.value if isinstance(item, Fault) else item.__name__}: "
            "another try cannot help against a used-up quota, a refusal of a layer, or a cancellation"
        )
    if _is_tenacity(item, "retry_base"):
        return lambda error, fault: bool(item(_state(1, error, None)))
    if callable(item) and not isinstance(item, type):
        return lambda error, fault: bool(item(error))
    raise ConfigError(
        f"{layer} on= takes exception types, ap.Fault members, predicates (exception) -> bool and tenacity's "
        f"retry_* objects, not {item!r}"
    )


_NEVER = frozenset({Fault.QUOTA, Fault.REJECTED, Fault.CANCELLED})


def _is_tenacity(item: Any, base: str) -> bool:
    return any(cls.__name__ == base and cls.__module__.startswith("tenacity") for cls in type(item).__mro__)


def strategy_wait(wait: Any, number: int, error: Exception, call: Call) -> float:
    """Ask one of tenacity's `wait_*` objects, or a plain callable `(attempt number) -> seconds`."""
    if _is_tenacity(wait, "wait_base"):
        return float(wait(_state(number, error, call)))
    return float(wait(number))


def wants_stop(stop: Any, number: int, error: Exception, call: Call, wait: float) -> bool:
    """Ask one of tenacity's `stop_*` objects, before a wait of `wait` seconds."""
    return bool(stop(_state(number, error, call, wait)))


def _state(number: int, error: Exception, call: Call | None, wait: float = 0.0) -> Any:
    """Return the `RetryCallState` that tenacity's strategies read."""
    import tenacity

    state = tenacity.RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    state.attempt_number = number
    state.upcoming_sleep = wait
    state.set_exception((type(error), error, error.__traceback__))
    if call is not None:
        state.start_time = call.ledger.started
        state.outcome_timestamp = call.runtime.now()
        state.idle_for = sum(attempt.backoff for attempt in call.ledger.attempts)
    return state
