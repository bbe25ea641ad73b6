"""What a budget does to a call that does not fit, before it gives up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentprod.budget.booking import OPENAI, asked_output
from agentprod.budget.context_reduction import reduced
from agentprod.errors import ConfigError
from agentprod.spending_cap import cap_spending
from agentprod.usage import Usage

if TYPE_CHECKING:
    from agentprod.budget.booking import Booking, Meter
    from agentprod.budget.refusal import Refusal
    from agentprod.call import Call

__all__ = ["ACTIONS", "ROUTERS", "Actions", "ask_router", "check_actions"]

ACTIONS = ("raise", "warn", "downgrade", "shorten", "trim", "queue")

ROUTERS = ("Router", "Cascade")
"""Layers that choose a model within what a call may cost."""

_MOST_ASKED = 6
_SHORTEST = 64
"""An answer of fewer tokens is of no use."""


def check_actions(option: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the actions of an option in their order.

    Raises:
        ConfigError: one of them is not known.
    """
    actions = (given,) if isinstance(given, str) else tuple(given)
    if not actions or any(action not in ACTIONS for action in actions):
        raise ConfigError(
            f"TokenBudget {option} takes {', '.join(map(repr, ACTIONS))}, or several of them, not {given!r}"
        )
    if "warn" in actions and option == "on_exceeded" and len(actions) > 1:
        raise ConfigError('TokenBudget on_exceeded="warn" lets every call pass, so no other action can stand beside it')
    return actions


class Actions:
    """Changes calls so that they fit what is left.

    Args:
        meter: prices attempts.

        models: to ask instead, the dearest first.
    """

    def __init__(self, meter: Meter, models: tuple[str, ...]) -> None:
        self._meter = meter
        self._models = models

    def apply(self, action: str, call: Call, refusal: Refusal) -> Call | None:
        """Return the call as it may fit, or `None` where this action does not help.

        Args:
            action: `"downgrade"`, `"shorten"` or `"trim"`.

            call: as this layer passed it on.

            refusal: why it was refused; of calls no action here saves any.
        """
        booking = refusal.booking
        if booking is None or refusal.bound.dimension == "calls" or refusal.left <= 0:
            return None
        if action == "downgrade":
            return self._downgrade(call, refusal)
        if action == "shorten":
            return self._shorten(call, refusal, booking)
        return self._trim(call, refusal, booking)

    def _downgrade(self, call: Call, refusal: Refusal) -> Call | None:
        """Ask the dearest of the models that fits."""
        asked = refusal.call.target.model
        later = self._models[self._models.index(asked) + 1 :] if asked in self._models else self._models
        for model in later:
            if model == asked:
                continue
            booking = self._meter.before(refusal.call.with_model(model))
            if _needed(booking, refusal) <= refusal.left:
                return call.with_model(model)
        return None

    def _shorten(self, call: Call, refusal: Refusal, booking: Booking) -> Call | None:
        """Lower the most tokens the answer may have."""
        sent = refusal.call
        choices = sent.request.get("n")
        choices = choices if isinstance(choices, int) and choices > 0 else 1
        if refusal.bound.dimension == "tokens":
            affordable = refusal.left - booking.input_tokens
        else:
            affordable = self._affordable(refusal, booking.input_tokens, of="output")
        most = min(affordable, booking.output_tokens) // choices
        if most < _SHORTEST or most * choices >= booking.output_tokens:
            return None
        request = _with_output(sent, call.request, most)
        return None if request is None else call.replace(request=request)

    def _trim(self, call: Call, refusal: Refusal, booking: Booking) -> Call | None:
        """Drop old parts of the history."""
        if refusal.bound.dimension == "tokens":
            affordable = refusal.left - booking.output_tokens
        else:
            affordable = self._affordable(refusal, booking.output_tokens, of="input")
        if affordable <= 0:
            return None
        # As much smaller as the booking, with its margin, must become.
        part = affordable / max(1, booking.input_tokens)
        request = reduced(call, part)
        return None if request is None else call.replace(request=request)

    def _affordable(self, refusal: Refusal, given: int, *, of: str) -> int:
        """How many tokens of one direction the money left buys, besides those given of the other one."""
        call, target = refusal.call, refusal.call.target

        def price(tokens: int) -> int:
            read, written = (given, tokens) if of == "output" else (tokens, given)
            return self._meter.price(call, target, Usage(input_tokens=read, output_tokens=written))

        # Prices have steps, at long contexts, so the answer is sought rather than divided.
        low, high = 0, 1
        if price(0) > refusal.left:
            return 0
        while price(high) <= refusal.left and high < 1 << 30:
            low, high = high, high * 2
        while high - low > max(1, low // 1000):
            middle = (low + high) // 2
            low, high = (middle, high) if price(middle) <= refusal.left else (low, middle)
        return low


def ask_router(call: Call, refusal: Refusal, asked_before: int) -> Call | None:
    """Let a router inside choose a model that costs less; `None` where there is none, or it has none.

    A router reckons with the answer it expects, a budget with the longest one, so it may have to be asked again.

    Args:
        call: as this layer passed it on.

        refusal: why it was refused.

        asked_before: how often the router was asked for this call.
    """
    if refusal.bound.dimension != "usd" or refusal.left <= 0 or asked_before >= _MOST_ASKED:
        return None
    if not any(layer in ROUTERS for layer in call.ledger.layers):
        return None
    cap_spending(call, refusal.bound.shown(refusal.left) / 4**asked_before)
    return call


def _needed(booking: Booking, refusal: Refusal) -> int:
    if refusal.bound.dimension == "usd":
        return booking.nano_usd
    return booking.input_tokens + booking.output_tokens


def _with_output(sent: Call, request: Any, most: int) -> dict[str, Any] | None:
    """Return the request with a maximum of output tokens, under the name its wire format has for it."""
    if sent.operation == "responses":
        return {**request, "max_output_tokens": most}
    if sent.operation == "messages":
        thinking = request.get("thinking")
        if isinstance(thinking, dict) and isinstance(thinking.get("budget_tokens"), int):
            if thinking["budget_tokens"] >= most:
                return None  # the answer must be longer than its thinking
        return {**request, "max_tokens": most}
    if sent.operation == "chat":
        named = "max_tokens" if "max_tokens" in request else "max_completion_tokens"
        if named not in request and sent.target.provider not in OPENAI:
            named = "max_tokens"
        return {**request, named: most}
    return {**request, "max_tokens": most} if asked_output(request) is not None else None
