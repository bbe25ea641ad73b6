"""Stop a run that goes on and on: too many steps, too many tool calls, the same call again and again."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agentprod.budget.repeated_calls import LONGEST_CYCLE, repeats, signature
from agentprod.call import Call, CallNext
from agentprod.errors import BudgetExceeded, ConfigError
from agentprod.identity import seconds
from agentprod.layer import Layer
from agentprod.reply import End, Reply
from agentprod.runs import Run, current_run

if TYPE_CHECKING:
    from agentprod.dialects.base import Dialect

__all__ = ["StepLimit"]

_MOST_NAMED = 10_000
_NOTICE = "This is your last step: answer now with what you have, without calling any tool."


class StepLimit(Layer):
    """Holds the runs of an agent to a number of steps, and ends those that turn in circles.

    A step is one logical model call of the run; a cache hit is one, too, as a loop may well be served from a cache.
    The run is that of `ap.agent(...)`, or the one named by `ap.context(run=...)`. What a run within a run does counts
    for both. When a limit is reached the next model call is refused, before anything is sent, and the run's
    `exit_reason` says which: `"max_steps"`, `"max_tool_calls"`, `"max_seconds"` or `"repeated_call"`.

    Counts are kept in this process; for steps that processes share, use `ap.Limit(calls=..., per="run")`.

    Args:
        max_steps: model calls of one run.

        max_tool_calls: tool calls that models may ask for in one run; the reply that asks for more is the last.

        same_call: how often in a row a model may ask for the same tool calls with the same arguments; a cycle of up to
            four steps that comes back so often counts, too. `None` for any number.

        max_seconds: how long after its first model call a run may make another.

        notice: tell the model when a step is its last by `max_steps`: `True`, or a text of your own.

    Raises:
        ConfigError: an option out of range, or nothing to limit; in a call, nobody named a run.
        BudgetExceeded: in the call after a limit is reached.
    """

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        max_tool_calls: int | None = None,
        same_call: int | None = 3,
        max_seconds: float | timedelta | None = None,
        notice: bool | str = False,
    ) -> None:
        for name, value, least in (
            ("max_steps", max_steps, 1),
            ("max_tool_calls", max_tool_calls, 0),
            ("same_call", same_call, 2),
        ):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ConfigError(f"StepLimit {name} must be a whole number from {least}, or None, not {value!r}")
        if max_steps is None and max_tool_calls is None and same_call is None and max_seconds is None:
            raise ConfigError("StepLimit needs something to limit: StepLimit(max_steps=20)")
        if notice and max_steps is None:
            raise ConfigError("StepLimit notice= tells of the last step, which only max_steps= knows")
        self.max_steps = max_steps
        self.max_tool_calls = max_tool_calls
        self.same_call = same_call
        self.max_seconds: float | None = None if max_seconds is None else seconds(max_seconds, "StepLimit max_seconds")
        self.notice: str | None = _NOTICE if notice is True else notice or None
        self._lock = threading.Lock()
        self._named: OrderedDict[str, _Tally] = OrderedDict()

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Count a step, or refuse it."""
        run = current_run()
        if run is not None and call.context.run != run.id:
            run = None  # a name of the application's own within the run
        now = call.runtime.now()
        with self._lock:
            tallies = self._tallies(call, run, now)
            for tally in tallies:
                found = self._reached(tally, now)
                if found is not None:
                    raise self._refused(call, run, tally, *found)
            for tally in tallies:
                tally.steps += 1
            is_last = self.max_steps is not None and any(tally.steps == self.max_steps for tally in tallies)
        if is_last and self.notice is not None:
            call = call.replace(request=_with_notice(call, self.notice))
            call.ledger.note("StepLimit", "notice")
        reply = await call_next(call)
        self._listen(reply, tallies)
        return reply

    def _tallies(self, call: Call, run: Run | None, now: float) -> list[_Tally]:
        """The tallies a step counts in: its run's first, then those of the runs around it."""
        if run is None:
            name = call.context.run
            if name is None:
                raise ConfigError(
                    'StepLimit counts by run and none is named: write `with ap.agent("name"):` around the loop, or '
                    "`with ap.context(run=…):`"
                )
            tally = self._named.pop(name, None) or self._tally(None, now)
            self._named[name] = tally
            if len(self._named) > _MOST_NAMED:
                self._named.popitem(last=False)
            return [tally]
        found: list[_Tally] = []
        around: Run | None = run
        while around is not None:
            found.append(around.state.setdefault(self, None) or self._tally(around, now))
            around.state[self] = found[-1]
            around = around.parent
        return found

    def _tally(self, run: Run | None, now: float) -> _Tally:
        return _Tally(run, now, (self.same_call or 0) * LONGEST_CYCLE)

    def _reached(self, tally: _Tally, now: float) -> tuple[str, float, float] | None:
        """Return which limit a run has reached, the limit, and what was counted."""
        if self.max_steps is not None and tally.steps >= self.max_steps:
            return "max_steps", self.max_steps, tally.steps
        if self.max_tool_calls is not None and tally.tool_calls > self.max_tool_calls:
            return "max_tool_calls", self.max_tool_calls, tally.tool_calls
        if self.max_seconds is not None and now - tally.started >= self.max_seconds:
            return "max_seconds", self.max_seconds, now - tally.started
        if self.same_call is not None and repeats(tally.asked, self.same_call):
            return "repeated_call", self.same_call, self.same_call
        return None

    def _refused(
        self, call: Call, run: Run | None, tally: _Tally, reason: str, limit: float, spent: float
    ) -> BudgetExceeded:
        for each in (run, tally.run):
            if each is not None:
                each.exit_reason = each.exit_reason or reason
        call.ledger.note("StepLimit", "refused", reason=reason)
        told = {
            "max_steps": f"has made its {limit:g} model calls",
            "max_tool_calls": f"was asked for {spent:g} tool calls, more than the {limit:g} it may make",
            "max_seconds": f"has gone on for {spent:.1f} s, longer than the {limit:g} s it may take",
            "repeated_call": f"asked for the same tool calls {limit:g} times in a row",
        }[reason]
        return BudgetExceeded(
            f"The run {told}, so nothing more is sent ({reason}). End the loop, or raise the limit.",
            limit=limit,
            spent=spent,
            layer="StepLimit",
            target=str(call.target),
        )

    def _listen(self, reply: Reply, tallies: Sequence[_Tally]) -> None:
        dialect = reply.dialect
        events: list[Any] = []
        if reply.streaming:
            reply.on_event(events.append)

        def ended(end: End) -> None:
            if end.outcome != "complete":
                return
            calls = _tool_calls(dialect, dialect.join(events) if reply.streaming else reply.body)
            with self._lock:
                for tally in tallies:
                    tally.tool_calls += len(calls)
                # Whoever asks for the same again and again is one run, not those around it.
                tallies[0].asked.append(signature(calls))

        reply.on_end(ended)

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        given = {"max_steps": self.max_steps, "max_tool_calls": self.max_tool_calls, "max_seconds": self.max_seconds}
        found: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if self.same_call != 3:
            found["same_call"] = self.same_call
        return found


class _Tally:
    """What one run has done."""

    __slots__ = ("asked", "run", "started", "steps", "tool_calls")

    def __init__(self, run: Run | None, started: float, kept: int) -> None:
        self.run = run
        self.started = started
        self.steps = 0
        self.tool_calls = 0
        self.asked: deque[str | None] = deque(maxlen=kept)
        """Which tool calls each of the last replies asked for; `None` for none."""


def _tool_calls(dialect: Dialect, body: Any) -> list[dict[str, Any]]:
    try:
        return dialect.tool_calls(body)
    except Exception:  # a body of a form of its own holds no tool calls that could be told
        return []


def _with_notice(call: Call, text: str) -> dict[str, Any]:
    request = dict(call.request)
    said = {"role": "system", "content": text}
    if call.operation == "messages":
        system = request.get("system") or []
        system = [{"type": "text", "text": system}] if isinstance(system, str) else list(system)
        request["system"] = [*system, {"type": "text", "text": text}]
    elif call.operation == "responses":
        given = request.get("input") or []
        given = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
        request["input"] = [*given, said]
    elif isinstance(request.get("messages"), list | tuple):
        request["messages"] = [*request["messages"], said]
    return request
