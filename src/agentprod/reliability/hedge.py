"""Send a slow call once more, and take whichever answer comes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from agentprod.call import Call, CallNext
from agentprod.context import seconds
from agentprod.errors import ConfigError
from agentprod.layer import Layer, Place
from agentprod.reliability.latencies import Latencies
from agentprod.reliability.race import Race
from agentprod.reliability.retry import Retry
from agentprod.reliability.retry_budget import RetryBudget
from agentprod.reply import Reply

__all__ = ["Hedge"]

LEAST_DELAY = 2.0
"""Seconds before an extra request where `after` does not say otherwise."""


class Hedge(Layer):
    """Sends an extra request when the first has been silent for long, and takes the first answer with content.

    "Hedged requests": Dean and Barroso, "The Tail at Scale", 2013. The loser is cancelled and its connection closed;
    what it may cost, at least its input, stands in the account, estimated. Behind `Balance` the extra request goes to
    another target than the first.

    No extra request is sent while an attempt of this call was told to come less often (429, 503, 529), when the target
    is cooling down or its circuit is open, when the retry budget has no token for it (that of the stack's `Retry`,
    else one of its own), and when it may cost more than `max_cost`. A fault ends the call as it would without `Hedge`;
    it sends nothing sooner. Requests that leave something behind are never sent twice: stored or background responses,
    those that continue one, containers, MCP servers.

    Asynchronous calls only. Streams: the first content wins; nothing is sent after it.

    Args:
        after: seconds of silence before an extra request is sent, 0 to send it at once; `None` for the time within
            which 95 % of the endpoint's last answers began, 2 at least.

        max_extra: most extra requests, at least 1; each after as long again.

        max_cost: USD that one extra request may cost by its input and the most output it allows; a request whose
            price is unknown is not sent then. `None` for no such bound.

    Raises:
        ConfigError: an option out of range, or a synchronous client or function.
    """

    def __init__(
        self,
        *,
        after: float | timedelta | None = None,
        max_extra: int = 1,
        max_cost: float | str | Decimal | None = None,
    ) -> None:
        if isinstance(max_extra, bool) or not isinstance(max_extra, int) or max_extra < 1:
            raise ConfigError(f"Hedge max_extra must be a whole number of at least 1, not {max_extra!r}")
        self.after: float | None = None if after is None else seconds(after, "Hedge after", zero=True)
        self.max_extra = max_extra
        self.max_cost: Decimal | None = None if max_cost is None else _usd(max_cost)
        self._latencies = Latencies()
        self._own_budget = RetryBudget()
        self._budget: RetryBudget | None = self._own_budget

    def attach(self, place: Place) -> None:
        """Refuse synchronous places: two requests at once need an event loop."""
        if place.kind == "sync":
            what = place.function or "a synchronous client"
            raise ConfigError(
                f"Hedge cannot send a second request beside {what}: use the asynchronous client or function"
            )

    def join_stack(self, stack: Any) -> None:
        """Share the budget of the stack's `Retry`: extra requests and retries strain a provider alike."""
        for found in stack:
            if isinstance(found, Retry):
                self._budget = found.budget

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Send, wait, send again, and take what comes first."""
        if not call.dialect.repeatable or _leaves_something(call):
            return await call_next(call)
        now = call.runtime.now
        key = f"{call.target.endpoint} {'stream' if call.streaming else 'whole'}"
        delay = self.after if self.after is not None else max(LEAST_DELAY, self._latencies.p95(key) or 0.0)
        race = Race(call, call_next)
        first = race.legs[0]
        due: float | None = now() + delay
        lost: BaseException | None = None
        try:
            while race.winner is None:
                lost = race.lost
                if lost is not None:
                    break
                await race.wait(due)
                if due is not None and now() >= due and race.winner is None and race.lost is None:
                    again = self._send_extra(call, race, delay) and len(race.legs) <= self.max_extra
                    due = now() + delay if again else None
        except GeneratorExit:  # nothing may be awaited any more
            race.give_up()
            raise
        except BaseException:
            await race.end(None)
            raise
        winner, sent = race.winner, len(race.legs)
        await race.end(winner)
        if winner is None or winner.reply is None:
            assert lost is not None
            try:
                raise lost
            finally:
                del lost  # its traceback leads here
        self._latencies.add(key, now() - first.started)
        if self._budget is not None and self._budget.strained:
            self._budget.succeeded(call.target.endpoint)
        if sent > 1:
            call.ledger.note("Hedge", "won", leg=winner.number, given_up=sent - 1)
            call.ledger.served = winner.reply.target
        return winner.reply

    def _send_extra(self, call: Call, race: Race, delay: float) -> bool:
        reason = self._refusal(call, race)
        there = call
        if reason is None and call.choice is not None:
            there = call.choice.beside(call) or call
        if reason is None and there is call and call.board.refuses(call.target, call.runtime.now()) is not None:
            reason = "resting"
        if reason is None and self._budget is not None and not self._budget.take(call.target.endpoint):
            reason = "budget"
        if reason is not None:
            call.ledger.note("Hedge", "not_sent", reason=reason)
            return False
        call.ledger.note("Hedge", "sent", to=str(there.target), after=delay)
        race.add(there)
        return True

    def _refusal(self, call: Call, race: Race) -> str | None:
        if race.throttled:
            return "throttled"
        if self.max_cost is None:
            return None
        cost = _most_cost(call)
        if cost is None:
            return "price_unknown"
        return "cost" if cost > self.max_cost else None

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        found: dict[str, Any] = {} if self.after is None else {"after": self.after}
        if self.max_extra != 1:
            found["max_extra"] = self.max_extra
        return found if self.max_cost is None else {**found, "max_cost": float(self.max_cost)}


_LEFT = ("background", "previous_response_id", "conversation", "container", "mcp_servers")


def _leaves_something(call: Call) -> bool:
    """Whether the provider keeps something of the request, or does something besides answering."""
    request = call.request
    if call.operation in ("function", "embeddings"):
        return False
    stored = request.get("store")
    if stored or (stored is None and call.operation == "responses") or any(request.get(name) for name in _LEFT):
        return True  # responses are stored unless they say otherwise
    tools = request.get("tools")
    return any(isinstance(tool, Mapping) and tool.get("type") == "mcp" for tool in tools or ())


def _most_cost(call: Call) -> Decimal | None:
    """Return what an extra request costs at most, as far as the request tells; `None` when no price is known."""
    environment, request = call.ledger.environment, call.request
    if environment.estimate is None or environment.pricer is None:
        return None
    usage = environment.estimate(request, call.target.model, "")
    most = next((request[name] for name in _LIMITS if isinstance(request.get(name), int)), 0)
    return environment.pricer(call.target.provider, call.target.model, replace(usage, output_tokens=most))


_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


def _usd(value: float | str | Decimal) -> Decimal:
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        found = Decimal("NaN")
    if isinstance(value, bool) or not found.is_finite() or found <= 0:
        raise ConfigError(f"Hedge max_cost must be USD, more than 0, not {value!r}")
    return found
