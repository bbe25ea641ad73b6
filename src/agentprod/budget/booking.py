"""What an attempt may cost at most before it is sent, and what it did cost."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from agentprod.budget import prices
from agentprod.budget.limit import nano_usd
from agentprod.budget.model_names import plain_name
from agentprod.budget.token_factors import TokenFactors
from agentprod.budget.tokens import count_request, count_tokens, measure
from agentprod.capabilities import capabilities
from agentprod.errors import BudgetExceeded
from agentprod.faults import Fault, classify
from agentprod.usage import Usage

if TYPE_CHECKING:
    from agentprod.call import Call, Target
    from agentprod.ledger import Attempt

__all__ = ["OPENAI", "Booking", "Meter", "OnUnknown", "Used", "asked_output"]

OnUnknown = Literal["upper_bound", "refuse", "tokens_only", "free"]

OPENAI = ("openai", "azure", "azure.ai.openai")
"""Providers whose requests may say all that OpenAI's do."""

_MAX_TOKENS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_DEARER_TIERS = ("priority", "fast")
_UNBILLED = frozenset(
    {
        Fault.BAD_REQUEST,
        Fault.CONTEXT_OVERFLOW,
        Fault.CONTENT_POLICY,
        Fault.AUTH,
        Fault.QUOTA,
        Fault.CONFLICT,
        Fault.RATE_LIMIT,
        Fault.REJECTED,
    }
)
"""Faults with which no provider bills anything: it refused before a model read the request."""

_log = logging.getLogger("agentprod")


@dataclass(frozen=True, slots=True)
class Booking:
    """What an attempt may use at most. `floor_*` is its input alone: what counts as used if nobody ever settles."""

    estimate: int
    """Input tokens, without any margin."""
    input_tokens: int
    output_tokens: int
    """Of all choices together."""
    nano_usd: int
    floor_nano_usd: int
    unscaled: int
    """Input tokens before the factor that is learned."""


_NOTHING = Booking(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Used:
    """What an attempt used."""

    tokens: int
    nano_usd: int


class Meter:
    """Counts attempts in tokens and nano-dollars.

    Args:
        margin: part added to the input estimate, 0 or more.

        output_reserve: output tokens booked where the request names no most.

        on_unknown: what a model without a price costs.

        on_uncertain: `"keep"` the input's cost of an attempt that failed after it was sent, or `"refund"` it.

        money, tokens: whether anybody wants to know.
    """

    def __init__(
        self,
        *,
        margin: float,
        output_reserve: int,
        on_unknown: OnUnknown,
        on_uncertain: str,
        money: bool = True,
        tokens: bool = True,
    ) -> None:
        self._margin = 1.0 + margin
        self._output_reserve = output_reserve
        self._on_unknown = on_unknown
        self._keeps = on_uncertain == "keep"
        self._money = money
        self._tokens = tokens or money
        self._factors = TokenFactors()

    def before(self, call: Call) -> Booking:
        """Return the upper bound of an attempt.

        Raises:
            BudgetExceeded: its model has no price, and such models are refused.
        """
        if not self._tokens:
            return _NOTHING
        request, target = call.request, call.target
        unscaled, counted = self._count(call)
        read = math.ceil(counted * self._margin)
        written = self._output(call)
        tier = request.get("service_tier")
        tier = "fast" if request.get("speed") == "fast" else tier if tier in _DEARER_TIERS else None
        nano = self._upper(call, target, read, written, tier)
        floor = self._upper(call, target, counted, 0, tier)
        return Booking(counted, read, written, nano, min(floor, nano), unscaled)

    def after(
        self, call: Call, booking: Booking, attempt: Attempt, text: Callable[[], str] | None, hidden: str = ""
    ) -> Used | None:
        """Return what an attempt used; `None` when nothing of it is billed.

        Args:
            call: the call as it was sent.

            booking: what was booked for it.

            attempt: the attempt, ended.

            text: reads what came back, where that is known.

            hidden: what came back besides the text, of a stream: tool arguments, reasoning.
        """
        if attempt.number == 0:  # refused by another gate: it never was
            return None
        if attempt.outcome == "failed" and self._unbilled(call, attempt):
            return None
        if not self._tokens:
            return Used(0, 0) if attempt.outcome == "ok" or self._keeps else None
        usage = attempt.usage
        if usage is None and attempt.outcome == "ok":
            usage = self._counted(call, booking, text)
        elif usage is not None and attempt.outcome == "ok" and not usage.estimated and booking.unscaled:
            self._factors.learn(plain_name(attempt.model or ""), booking.unscaled, usage.input_tokens)
        elif usage is not None and usage.estimated and hidden:
            more = count_tokens(hidden, attempt.model or "")
            usage = replace(usage, output_tokens=usage.output_tokens + more)
        if usage is None:
            if not self._keeps:
                return None
            usage = Usage(input_tokens=booking.estimate, estimated=True)
        return Used(usage.total_tokens, self.price(call, attempt.target, usage))

    def price(self, call: Call, target: Target, usage: Usage) -> int:
        """Return the cost in nano-dollars by the stack's prices; an unknown model costs what `on_unknown` says."""
        if not self._money:
            return 0
        pricer = call.ledger.environment.pricer
        usd = pricer(target.provider, target.model, usage) if pricer is not None else None
        if usd is not None:
            return nano_usd(usd)
        # A note rather than a flag: what is flagged is kept out of caches.
        if not any(note.event == "price_unknown" for note in call.ledger.notes):
            call.ledger.note("TokenBudget", "price_unknown")
        if self._on_unknown in ("free", "tokens_only"):
            return 0
        return prices.price(target.model or "unknown", usage, provider=target.provider or None).nano_usd

    def _upper(self, call: Call, target: Target, read: int, written: int, tier: str | None) -> int:
        if not self._money:
            return 0
        if self._on_unknown == "refuse":
            self._refuse_unknown(call, target)
        plain = self.price(call, target, Usage(input_tokens=read, output_tokens=written, service_tier=tier))
        lifetime = _cache_lifetime(call)
        if lifetime is None:
            return plain
        hour = read if lifetime == "1h" else 0
        cached = Usage(
            input_tokens=read,
            output_tokens=written,
            cache_write_tokens=read,
            cache_write_1h_tokens=hour,
            service_tier=tier,
        )
        return max(plain, self.price(call, target, cached))

    def _refuse_unknown(self, call: Call, target: Target) -> None:
        pricer = call.ledger.environment.pricer
        if pricer is None or pricer(target.provider, target.model, Usage(input_tokens=1)) is None:
            raise BudgetExceeded(
                f'No price is known for {target}, and TokenBudget(on_unknown="refuse") sends nothing that it cannot '
                "price. Set its price with ap.prices.override.",
                layer="TokenBudget",
                target=str(target),
            )

    def _count(self, call: Call) -> tuple[int, int]:
        """Input tokens before and after the factor that was learned for the model."""
        model = call.target.model or ""
        request = call.request
        if call.operation == "function" and "messages" not in request:
            counted = measure("\n".join(fragment.text for fragment in call.dialect.request_fragments(request)), model)
        else:
            counted = count_request(request, model)
        start = counted.tokens / counted.unscaled if counted.unscaled else 1.0
        return counted.unscaled, round(counted.unscaled * self._factors.factor(plain_name(model), start))

    def _output(self, call: Call) -> int:
        if call.operation == "embeddings":
            return 0
        most = asked_output(call.request) or self._output_reserve
        known = capabilities(call.target.model).output_tokens
        most = most if known is None else min(most, known)
        choices = call.request.get("n")
        return most * choices if isinstance(choices, int) and choices > 1 else most

    def _counted(self, call: Call, booking: Booking, text: Callable[[], str] | None) -> Usage | None:
        """Count a reply whose provider reported nothing; without its text it counts as long as it may have been."""
        written = booking.output_tokens
        if text is not None:
            try:
                written = count_tokens(text(), call.target.model or "")
            except Exception:
                _log.debug("the tokens of a reply could not be counted", exc_info=True)
        return Usage(input_tokens=booking.estimate, output_tokens=written, estimated=True)

    def _unbilled(self, call: Call, attempt: Attempt) -> bool:
        if attempt.ttft is not None:  # a stream that broke: what was read is billed
            return False
        if attempt.fault in _UNBILLED or (attempt.status is not None and attempt.status in _REFUSED):
            return True
        error = attempt.error
        return error is not None and classify(error, call.classify, wall=call.runtime.wall).before_processing


_REFUSED = frozenset(range(400, 500)) - {408}


def asked_output(request: Mapping[str, Any]) -> int | None:
    """Return the most output tokens that a request asks for, for each choice."""
    for name in _MAX_TOKENS:
        most = request.get(name)
        if isinstance(most, int) and not isinstance(most, bool) and most > 0:
            return most
    return None


def _cache_lifetime(call: Call) -> str | None:
    """Return for how long a request's prefix is written to the cache at most; `None` where that costs nothing more."""
    request = call.request
    if call.operation != "messages":
        # OpenAI writes to its cache unasked, and bills it for models whose price says so.
        return "5m" if call.target.provider in OPENAI else None
    marks = list(_marks(request))
    if not marks:
        return None
    return "1h" if any(isinstance(mark, Mapping) and mark.get("ttl") == "1h" for mark in marks) else "5m"


def _marks(request: Mapping[str, Any]) -> Any:
    if request.get("cache_control"):
        yield request["cache_control"]
    holders = [request.get("tools"), request.get("system")]
    messages = request.get("messages")
    given = messages if isinstance(messages, list | tuple) else ()
    holders += [message.get("content") for message in given if isinstance(message, Mapping)]
    for holder in holders:
        for block in holder if isinstance(holder, list | tuple) else ():
            if isinstance(block, Mapping) and block.get("cache_control"):
                yield block["cache_control"]
