"""Runs of an agent: what its model calls and its tool calls add up to, and how it ended."""

from __future__ import annotations

import contextvars
import threading
from contextlib import ExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args

from agentprod.activities import Activity
from agentprod.context import context
from agentprod.errors import ConfigError
from agentprod.ids import new_id
from agentprod.listeners import listening
from agentprod.usage import Usage

if TYPE_CHECKING:
    from contextvars import Token

    from agentprod.call import Call
    from agentprod.ledger import Ledger

__all__ = ["Outcome", "Run", "Step", "ToolCall", "agent", "current_run"]

Outcome = Literal["completed", "failed", "escalated", "cancelled"]

_run: contextvars.ContextVar[Run | None] = contextvars.ContextVar("agentprod_run", default=None)


def current_run() -> Run | None:
    """Return the innermost run this code is part of."""
    return _run.get()


class Run(Activity):
    """One run of an agent, as `with ap.agent("researcher") as run:` yields it.

    Calls that start in the block count for it, also in tasks and in threads that `ap.propagate` carries the context
    into; a run within this one is part of it, but its model and tool calls are its own. Money is USD.

    Attributes:
        name: the agent's.

        id: names the run in records, logs and spans; `ap.context(run=)` within the block.

        parent: the run around this one, or `None`.

        model_calls: how many model calls this run has made itself: its loops.

        tool_calls: how many tools it has called itself.

        failed_tool_calls: how many of those raised.

        outcome: `"completed"`, `"failed"`, `"escalated"` or `"cancelled"`; see `finish`.

        exit_reason: why it ended: what `finish` was told, what a limit wrote here, or `"returned"`, `"error"`,
            `"cancelled"`.

        error_type: class of the exception that ended it.

        state: what layers keep for the run; use keys of your own type.

    Args:
        name: of few distinct values; it becomes a label of metrics.

        id: of your own, such as that of a task; a new one by default.

    Raises:
        ConfigError: the name is empty or no text.
    """

    def __init__(self, name: str, *, id: str | None = None) -> None:
        super().__init__(name)
        self.id: str = id or new_id()
        self.parent: Run | None = None
        self.model_calls: int = 0
        self.tool_calls: int = 0
        self.failed_tool_calls: int = 0
        self.outcome: Outcome | None = None
        self.exit_reason: str | None = None
        self.state: dict[Any, Any] = {}
        self._cost = Decimal(0)
        self._unpriced = 0
        self._usage = Usage()
        self._unread: list[Ledger] = []
        # Re-entrant: garbage collection may end a call in the middle of counting another.
        self._lock = threading.RLock()
        self._outer: Token[Run | None] | None = None
        self._inherited: ExitStack | None = None

    def finish(self, outcome: Outcome, *, reason: str | None = None) -> None:
        """Say how the run ended, as only the application knows: whether the task was done, or a human took over.

        Args:
            outcome: `"completed"`, `"failed"`, `"escalated"` (handed to a human) or `"cancelled"`.

            reason: a short word of few distinct values; never message text.

        Raises:
            ConfigError: no such outcome.
        """
        if outcome not in get_args(Outcome):
            raise ConfigError(f"a run's outcome is one of {', '.join(get_args(Outcome))}, not {outcome!r}")
        self.outcome = outcome
        self.exit_reason = reason or self.exit_reason

    def step(self, name: str) -> Step:
        """Return a block that is timed as one step of the run, such as `"plan"` or `"answer"`."""
        return Step(name)

    @property
    def cost(self) -> Decimal | None:
        """USD of all calls so far, those of runs within included; `None` when the price of one is unknown."""
        self._read()
        return None if self._unpriced else self._cost

    @property
    def usage(self) -> Usage:
        """Tokens of all calls so far, those of runs within included."""
        self._read()
        return self._usage

    def _begin(self) -> None:
        if self._inherited is not None:
            raise ConfigError("a run is over when its block ends; make another one with ap.agent(...)")
        self.parent = current_run()
        self._inherited = ExitStack()
        self._inherited.enter_context(context(run=self.id))
        self._inherited.enter_context(listening(self._heard))
        self._outer = _run.set(self)

    def _end(self, error: BaseException | None) -> None:
        if self._outer is not None:
            _reset(self._outer)
        if self._inherited is not None:
            self._inherited.close()
        if error is None:
            self.exit_reason = self.exit_reason or "returned"
        elif isinstance(error, Exception):
            self.outcome = self.outcome or "failed"
            self.exit_reason = self.exit_reason or "error"
        else:
            self.outcome = self.outcome or "cancelled"
            self.exit_reason = self.exit_reason or "cancelled"

    def _heard(self, call: Call) -> None:
        """Count a call that has ended."""
        ledger = call.ledger
        is_model_call = call.operation not in ("other", "function") and _innermost(ledger) is self
        with self._lock:
            self.model_calls += is_model_call
            if not ledger.attempts:
                return
            self._unread.append(ledger)
        # Counting the tokens of a stream takes time that is not the caller's; the rest is cheap, and lets go of calls.
        if not any(attempt.uncounted is not None for attempt in ledger.attempts):
            self._read()

    def _read(self) -> None:
        with self._lock:
            unread, self._unread = self._unread, []
        for ledger in unread:
            cost, usage = ledger.cost, ledger.usage
            with self._lock:
                if cost is not None:
                    self._cost += cost
                elif usage is not None:
                    self._unpriced += 1
                if usage is not None:
                    self._usage += usage

    def _tool_began(self) -> int:
        with self._lock:
            self.tool_calls += 1
            return self.model_calls

    def _tool_failed(self) -> None:
        with self._lock:
            self.failed_tool_calls += 1

    def __repr__(self) -> str:
        return (
            f"Run({self.name!r}, model_calls={self.model_calls}, tool_calls={self.tool_calls}, "
            f"cost={self.cost}, outcome={self.outcome!r}, exit_reason={self.exit_reason!r})"
        )


agent = Run
"""Opens a run: `with ap.agent("researcher") as run:`, or `async with`."""


class Step(Activity):
    """One step of a run, timed; see `Run.step`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.run: Run | None = None

    def _begin(self) -> None:
        self.run = current_run()

    def _end(self, error: BaseException | None) -> None:
        pass


class ToolCall(Activity):
    """One call of a tool: what wraps a tool opens this around it.

    ```python
    with ToolCall("search", call_id=call.id, arguments=arguments) as running:
        running.result = search(**arguments)
    ```

    Attributes:
        run: the run it is part of, or `None`.

        loop: how many model calls that run had made before it.

        arguments: what the tool is called with.

        result: what it returned. Both are recorded only where message text is, scrubbed.

    Args:
        name: the tool's, of few distinct values.

        call_id: the id the model gave the call.

        kind: `"function"`, `"extension"` or `"datastore"`.

        arguments: what the tool is called with, as the model wrote it.
    """

    def __init__(self, name: str, *, call_id: str | None = None, kind: str = "function", arguments: Any = None) -> None:
        super().__init__(name)
        self.call_id = call_id
        self.kind: str = kind
        self.arguments = arguments
        self.result: Any = None
        self.run: Run | None = None
        self.loop = 0

    def fail(self, error_type: str) -> None:
        """Say that the tool failed though nothing was raised, such as when its error goes back to the model.

        Args:
            error_type: class of the exception or a short word; never a message.
        """
        self.error_type = error_type

    def _begin(self) -> None:
        self.run = current_run()
        if self.run is not None:
            self.loop = self.run._tool_began()

    def _end(self, error: BaseException | None) -> None:
        if self.run is not None and self.error_type is not None:
            self.run._tool_failed()


def _innermost(ledger: Ledger) -> Run | None:
    for listener in reversed(ledger.listeners):
        owner = getattr(listener, "__self__", None)
        if isinstance(owner, Run):
            return owner
    return None


def _reset(token: Token[Any]) -> None:
    try:
        token.var.reset(token)
    except ValueError:  # the block ended in another context, which never saw the run
        pass
