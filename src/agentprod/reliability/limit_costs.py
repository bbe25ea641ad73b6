"""What a call costs of a rate limit: before it is sent, and once it is known."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from agentprod.faults import Fault, classify

if TYPE_CHECKING:
    from agentprod.call import Call
    from agentprod.ledger import Attempt
    from agentprod.usage import Usage

__all__ = ["Costs"]

_FIRST_GUESS = 1000.0
_MOST = 1024
_MAX_TOKENS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_UNREAD = frozenset({Fault.BAD_REQUEST, Fault.CONTEXT_OVERFLOW, Fault.AUTH, Fault.QUOTA, Fault.CONFLICT})
"""Faults with which a provider refuses a request before a model reads it: a request, but no tokens."""

_log = logging.getLogger("agentprod")


class Costs:
    """Counts calls in the units of a limit's dimensions.

    Tokens are estimated before the call: the request's by the stack's estimator, the answer's by what answers of the
    same endpoint were like, near the 95th percentile, and never more than the request allows.

    Args:
        dimensions: names of the dimensions.
    """

    def __init__(self, dimensions: Sequence[str]) -> None:
        self._dimensions = tuple(dimensions)
        self._lock = threading.Lock()
        self._outputs: OrderedDict[str, float] = OrderedDict()

    def before(self, call: Call, is_limited: Callable[[str], bool]) -> tuple[float, ...]:
        """Return what to book for a call. Tokens are counted only where they are limited."""
        wants_tokens = any(name != "requests" and is_limited(name) for name in self._dimensions)
        if not wants_tokens or call.operation == "other":
            return self._units(1.0, 0.0, 0.0)
        return self._units(1.0, self._input(call), self._output(call))

    def after(self, call: Call, attempts: Sequence[Attempt], booked: Sequence[float]) -> tuple[float, ...]:
        """Return what was used: nothing without attempts, what was booked where nobody knows."""
        used = [0.0] * len(self._dimensions)
        for attempt in attempts:
            for index, units in enumerate(self._of(call, attempt, booked)):
                used[index] += units
        return tuple(used)

    def _of(self, call: Call, attempt: Attempt, booked: Sequence[float]) -> Sequence[float]:
        if attempt.outcome == "failed" and attempt.error is not None:
            failure = classify(attempt.error, call.classify, wall=call.runtime.wall)
            if failure.before_processing or failure.fault is Fault.REJECTED:
                return self._units(0.0, 0.0, 0.0)
            if failure.fault in _UNREAD:
                return self._units(1.0, 0.0, 0.0)
        if not any(booked[index] for index, name in enumerate(self._dimensions) if name != "requests"):
            return booked
        usage = attempt.usage
        if usage is None:
            return booked
        if attempt.outcome == "ok" and not usage.estimated:
            self._learn(attempt.endpoint, usage)
        cached = usage.cache_read_tokens if attempt.provider == "anthropic" else 0
        return self._units(1.0, float(usage.input_tokens - cached), float(usage.output_tokens))

    def _units(self, requests: float, read: float, written: float) -> tuple[float, ...]:
        units = {"requests": requests, "tokens": read + written, "input_tokens": read, "output_tokens": written}
        return tuple(units[name] for name in self._dimensions)

    def _input(self, call: Call) -> float:
        estimate = call.ledger.environment.estimate
        if estimate is not None:
            try:
                return float(estimate(call.request, call.target.model, "").input_tokens)
            except Exception:
                _log.debug("the tokens of a request could not be estimated", exc_info=True)
        return len(str(call.request)) / 4  # four characters a token, as the providers' own rule of thumb says

    def _output(self, call: Call) -> float:
        if call.operation == "embeddings":
            return 0.0
        guess = self._outputs.get(call.target.endpoint, _FIRST_GUESS)
        for name in _MAX_TOKENS:
            most = call.request.get(name)
            if isinstance(most, int) and not isinstance(most, bool) and most > 0:
                guess = min(guess, float(most))
        return guess

    def _learn(self, endpoint: str, usage: Usage) -> None:
        """Move the guess up fast and down slowly: it comes to rest where one answer in twenty is longer."""
        with self._lock:
            old = self._outputs.get(endpoint)
            new = float(usage.output_tokens)
            if old is not None:
                new = old + (0.95 if new > old else 0.05) * (new - old)
            self._outputs[endpoint] = new
            self._outputs.move_to_end(endpoint)
            if len(self._outputs) > _MOST:
                self._outputs.popitem(last=False)
