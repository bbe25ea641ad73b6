"""What every way into a stack does around a call: open its account, close it, tell who asked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from agentprod.board import Board
from agentprod.call import NO_LIMITS, Call, Handler, Limits, Target
from agentprod.context import Context, current_context
from agentprod.faults import Classify, Fault
from agentprod.ledger import Ledger, Pricer
from agentprod.meta import attach, remember
from agentprod.record import listeners
from agentprod.reply import End, Reply
from agentprod.runtime.clock import Clock
from agentprod.runtime.runtime import AsyncRuntime, Runtime, SyncRuntime

if TYPE_CHECKING:
    from agentprod.dialects.base import Dialect

__all__ = ["Entry"]

_log = logging.getLogger("agentprod")


class Entry:
    """One stack as its ways in see it.

    Args:
        handler: the composed layers, down to the inner edge.

        layers: their names, outermost first.

        clock: where time comes from.

        board: what is known of targets.

        pricer: prices attempts, or `None`.

        stack_id: tells helper calls of this stack's layers from others.

        needs_usage: whether any layer needs token counts of streams.

        own_retries: whether the stack retries, so that the SDK must not.
    """

    __slots__ = (
        "_async",
        "_sync",
        "board",
        "bound",
        "buffer",
        "classify",
        "handler",
        "layers",
        "needs_usage",
        "own_retries",
        "pricer",
        "stack_id",
    )

    def __init__(
        self,
        handler: Handler,
        *,
        layers: tuple[str, ...],
        clock: Clock,
        board: Board,
        pricer: Pricer | None,
        stack_id: int,
        needs_usage: bool,
        own_retries: bool,
        classify: Classify | None = None,
        buffer: bool = False,
        bound: Context | None = None,
    ) -> None:
        self.handler = handler
        self.layers = layers
        self.board = board
        self.pricer = pricer
        self.stack_id = stack_id
        self.needs_usage = needs_usage
        self.own_retries = own_retries
        self.buffer = buffer
        self.classify = classify
        self.bound = bound
        self._sync: Runtime = SyncRuntime(clock)
        self._async: Runtime = AsyncRuntime(clock)

    def bind(self, context: Context) -> Entry:
        """Return this entry speaking for `context` as well."""
        new = Entry.__new__(Entry)
        for name in Entry.__slots__:
            setattr(new, name, getattr(self, name))
        new.bound = context if self.bound is None else context.over(self.bound)
        return new

    def call(
        self,
        *,
        kind: str,
        operation: str,
        streaming: bool,
        dialect: Dialect,
        target: Target,
        request: Any,
        origin: Any = None,
    ) -> Call:
        """Open the account of one call, with the context in force now."""
        runtime = self._sync if kind == "sync" else self._async
        now = runtime.now()
        ledger = Ledger(now)
        ledger.layers = self.layers
        ledger.pricer = self.pricer
        ledger.classify = self.classify
        context = current_context()
        if self.bound is not None:
            context = self.bound.over(context)
        deadline, limits = None, NO_LIMITS
        if context.deadline is not None:
            left = context.time_left()
            deadline = now + (left if left is not None else 0.0)
            limits = Limits(stream_until=deadline)
        ledger.context = context
        ledger.listeners = listeners()
        return Call(
            operation,
            streaming,
            dialect,
            target,
            request,
            context,
            deadline,
            ledger,
            runtime,
            self.board,
            {"agentprod.stack": self.stack_id},
            limits,
            (),
            (),
            None,
            origin,
        )

    async def run(self, call: Call) -> Reply:
        """Send a call through the onion; its reply is open, its hooks have not run."""
        try:
            return await self.handler(call)
        except BaseException as error:
            self.failed(call, error)
            raise

    async def left(self, call: Call, reply: Reply) -> None:
        """Close the account of a whole reply, or arrange for it at the end of a stream."""
        if reply.stream is None:
            await reply.finish("complete")
            self.close(call, "complete")
        else:
            reply.on_end(_Closing(self, call))

    def close(self, call: Call, outcome: str, error: BaseException | None = None) -> None:
        """Write down how the call ended and tell those who listen."""
        ledger = call.ledger
        ledger.duration = call.runtime.now() - ledger.started
        ledger.outcome = outcome
        ledger.error = error
        remember(ledger)
        if error is None:
            for attempt in ledger.attempts:
                attempt.error = None  # a traceback would keep every frame of a failed attempt alive
        for listener in ledger.listeners:
            try:
                listener(call)
            except Exception:
                _log.exception("a listener at the end of a call failed; the call itself is not affected")

    def failed(self, call: Call, error: BaseException) -> None:
        """Close the account of a call that raised, and leave it on the error."""
        self.close(call, "failed" if isinstance(error, Exception) else "abandoned", error)
        attach(error, call.ledger)
        attempts = call.ledger.attempts
        if len(attempts) > 1 and isinstance(error, Exception):
            tried = ", ".join(_told(attempt.fault, attempt.status) for attempt in attempts)
            error.add_note(
                f"agentprod: {len(attempts)} attempts in {call.ledger.duration:.2f} s ({tried}); "
                f"call {call.ledger.id}; ap.meta(error) tells more"
            )


class _Closing:
    """The outermost end hook of a stream."""

    __slots__ = ("_call", "_entry")

    def __init__(self, entry: Entry, call: Call) -> None:
        self._entry = entry
        self._call = call

    def __call__(self, end: End) -> None:
        self._entry.close(self._call, end.outcome, end.error)
        if end.error is not None:
            attach(end.error, self._call.ledger)


def _told(fault: Fault | None, status: int | None) -> str:
    if fault is None:
        return "ok"
    return f"{fault.value} {status}" if status is not None else fault.value
