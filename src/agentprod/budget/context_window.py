"""Keep a conversation within its model's context window, without breaking what belongs together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agentprod.budget.booking import asked_output
from agentprod.budget.context_edits import clamp_text
from agentprod.budget.context_reduction import FULL, STAGES, Reduction, fixed_tokens
from agentprod.budget.model_names import plain_name
from agentprod.budget.summary import Summaries, Summarize, with_summary
from agentprod.budget.token_factors import TokenFactors
from agentprod.budget.tokens import unit_counter
from agentprod.budget.units import history_key
from agentprod.call import Call, CallNext
from agentprod.capabilities import capabilities
from agentprod.errors import ConfigError
from agentprod.layer import Layer, Place
from agentprod.reply import End, Reply

__all__ = ["ContextWindow"]

_RESERVE = 4096
_SUMMARY_ROOM = 600
_MARGIN = 0.02
_LEAST_FACTOR = 0.8
"""Servers that report only what was not cached look as if everything fitted; ours is seldom so much too high."""
_UNCOUNTED = 64
_CHANGED = 0.03
_MOST_MODELS = 1000


class ContextWindow(Layer):
    """Shortens conversations that no longer fit their model, in OpenAI's chat and Responses and in Anthropic's form.

    Nothing is done below 90 % of the room; then enough is taken away to come down to about 70 %, and the same is taken
    away from the growing conversation until it is full again, so that the provider's prompt cache goes on working.
    A tool call and its results are one: they stay or go together. Always kept are system prompts, tools, the last ask
    of the user, and calls that have no result yet; what is left begins with an ask. Only if that alone does not fit
    are the longest texts in it clamped, answers of the model last of all. Reasoning and the arguments of calls are
    never changed; calls of which they take half of the room are told to the model as a text of the user's, with
    their results and without their reasoning. What is left over the room then, such as a system prompt longer than
    the window, is sent as it is, and the provider refuses it.

    Sizes are counted as `ap.count_tokens` counts, and corrected by what the provider reports.

    Args:
        max_tokens: the window, input and output together; the model's own when `None`. A model nobody knows has none.

        reserve: tokens kept free for the answer; what the request allows for it when `None`, or 4,096.

        reduce: what may be done, in this order: `"duplicates"` (clear tool results that came again later),
            `"redundancy"` (blank runs, base64, sentences said twice, but not in code or JSON), `"tool_results"` (clear
            old ones, but for three), `"clamp"` (head and tail of a text that takes a quarter of the room), `"drop"`
            (the oldest turns).

        summarize: a model's name at the same place, asked through the layers inside, so that budgets, retries and
            limits hold for it, too; or a function from text to text. What was dropped is summed up once and the
            summary stands in its place. When that fails, the call goes on without.

        pin: `(message) -> bool`, for messages of yours that must stay.

    Raises:
        ConfigError: an option out of range.
    """

    needs_usage = True

    def __init__(
        self,
        *,
        max_tokens: int | None = None,
        reserve: int | None = None,
        reduce: Sequence[str] = STAGES,
        summarize: Summarize | None = None,
        pin: Callable[[Any], bool] | None = None,
    ) -> None:
        for name, value, least in (("max_tokens", max_tokens, 1), ("reserve", reserve, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ConfigError(f"ContextWindow {name} must be a whole number of tokens from {least}, not {value!r}")
        if max_tokens is not None and reserve is not None and reserve >= max_tokens:
            raise ConfigError(f"ContextWindow reserve ({reserve}) leaves nothing of max_tokens ({max_tokens})")
        if isinstance(reduce, str) or not reduce or any(stage not in STAGES for stage in reduce):
            raise ConfigError(f"ContextWindow reduce takes some of {', '.join(map(repr, STAGES))}, not {reduce!r}")
        if pin is not None and not callable(pin):
            raise ConfigError("ContextWindow pin takes a function (message) -> bool")
        self.max_tokens = max_tokens
        self.reserve = reserve
        self.reduce: tuple[str, ...] = tuple(reduce)
        self._summaries = None if summarize is None else Summaries(summarize)
        self._pin = pin
        self._factors = TokenFactors()
        self._used: dict[str, float] = {}

    def attach(self, place: Place) -> None:
        """Refuse an asynchronous function of summaries where calls are synchronous."""
        if self._summaries is not None and self._summaries.kind == "async" and place.kind == "sync":
            raise ConfigError("ContextWindow summarize= is an async function; a synchronous client needs a plain one")

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Shorten what does not fit, and learn from what the provider counted."""
        key = history_key(call.request)
        room = self._room(call) if key is not None else None
        if key is None or room is None:
            return await call_next(call)
        reduction = self._measured(call, key, room)
        counted = reduction.total
        if counted > room * FULL:
            call, counted = await self._shortened(call, call_next, key, room, reduction)
        reply = await call_next(call)
        self._learn(call, reply, counted)
        return reply

    def _room(self, call: Call) -> int | None:
        known = capabilities(call.target.model)
        window = self.max_tokens or known.input_tokens
        if window is None:
            return None
        reserve = self.reserve
        if reserve is None:
            reserve = asked_output(call.request) or min(_RESERVE, known.output_tokens or _RESERVE)
            # A request may allow an answer longer than the window; what is left for its input is then half of it.
            reserve = min(reserve, window // 2)
        return max(1, int((window - reserve) * (1 - _MARGIN)))

    def _measured(self, call: Call, key: str, room: int) -> Reduction:
        model = call.target.model or ""
        factor = self._factor(model)
        count_plain = unit_counter(model)
        count = count_plain if factor == 1.0 else lambda item: round(factor * count_plain(item) + 0.5)
        fixed = int(fixed_tokens(call) * factor)
        items, spare = call.request[key], self._summary_room(room)
        return Reduction(items, call.operation, fixed=fixed, room=room, count=count, wanted=self._pin, spare=spare)

    def _summary_room(self, room: int) -> int:
        """Return the tokens that are left free for a summary."""
        return 0 if self._summaries is None else min(_SUMMARY_ROOM, room // 4)

    def _factor(self, model: str) -> float:
        """Return what was learned of a model, changed only where it matters: each change moves what is cut away."""
        name = plain_name(model)
        used, learned = self._used.get(name, 1.0), max(self._factors.factor(name), _LEAST_FACTOR)
        if abs(learned / used - 1) > _CHANGED:
            if len(self._used) >= _MOST_MODELS:
                self._used.clear()
            self._used[name] = used = learned
        return used

    async def _shortened(
        self, call: Call, call_next: CallNext, key: str, room: int, reduction: Reduction
    ) -> tuple[Call, int]:
        """Return the call as it may be sent, and its tokens."""
        before, many = reduction.total, len(call.request[key])
        reduction.run(self.reduce)
        items, after = reduction.items, reduction.total
        if self._summaries is not None and reduction.dropped and reduction.total + self._summary_room(room) <= room:
            summary = await self._summaries.of(reduction.dropped, call, call_next)
            if summary is not None:
                characters = (room - reduction.total) * 2  # few texts have less than two for each token
                items = with_summary(items, clamp_text(summary, characters), call.operation)
                after = reduction.tokens_with(items)
                reduction.done.append("summary")
        if not reduction.done:
            call.ledger.note("ContextWindow", "too_long", tokens=before, room=room)
            return call, before
        call.ledger.note(
            "ContextWindow",
            "reduced",
            by=reduction.done,
            tokens_before=before,
            tokens_after=after,
            room=room,
            messages_dropped=many - len(reduction.items),
        )
        return call.replace(request={**call.request, key: items}), after

    def _learn(self, call: Call, reply: Reply, counted: int) -> None:
        """Take the provider's own count as the measure for the next conversations with this model."""
        model = plain_name(call.target.model or "")
        asked = call.target.model
        # What was counted has the factor in it that was known then.
        unscaled = round(counted / self._used.get(model, 1.0))

        def ended(end: End) -> None:
            attempt = end.attempt
            if end.outcome != "complete" or attempt is None or attempt.model != asked or unscaled < _UNCOUNTED:
                return
            usage = attempt.usage
            if usage is not None and not usage.estimated:
                self._factors.learn(model, unscaled, usage.input_tokens)

        reply.on_end(ended)

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        given = {"max_tokens": self.max_tokens, "reserve": self.reserve}
        found: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if self.reduce != STAGES:
            found["reduce"] = self.reduce
        if self._summaries is not None:
            found["summarize"] = True
        return found
