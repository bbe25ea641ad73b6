"""What every way into a stack does around a call: open its account, close it, tell who asked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agentprod import draining, listeners
from agentprod.call import Call, Handler
from agentprod.draining import blocking, tasks
from agentprod.faults import Fault
from agentprod.identity import Context
from agentprod.ledger import Environment
from agentprod.meta import add_note, attach, remember
from agentprod.opening import opening
from agentprod.reply import End, Reply

if TYPE_CHECKING:
    from agentprod.dialects.base import Dialect

__all__ = ["Entry"]

_log = logging.getLogger("agentprod")


class Entry:
    """One stack as its ways in see it.

    Args:
        handler: the composed layers, down to the inner edge.

        other: the same for traffic that is no model call: only the layers that act on it.

        sync, asynchronous: what its calls of either mode have in common.

        needs_usage: whether any layer needs token counts of streams.

        bound: whom every call speaks for, besides the context variables.
    """

    __slots__ = (
        "asynchronous",
        "bound",
        "handler",
        "needs_usage",
        "open_async",
        "open_sync",
        "other",
        "stack_id",
        "sync",
    )

    def __init__(
        self,
        handler: Handler,
        other: Handler,
        *,
        sync: Environment,
        asynchronous: Environment,
        needs_usage: bool,
        bound: Context | None = None,
    ) -> None:
        self.handler = handler
        self.other = other
        self.sync = sync
        self.asynchronous = asynchronous
        self.stack_id = sync.stack_id
        self.needs_usage = needs_usage
        self.bound = bound
        self.open_sync = opening(sync, bound)
        """Opens the account of one synchronous call, with the context in force around it."""
        self.open_async = opening(asynchronous, bound)

    def bind(self, context: Context) -> Entry:
        """Return this entry speaking for `context` as well."""
        return Entry(
            self.handler,
            self.other,
            sync=self.sync,
            asynchronous=self.asynchronous,
            needs_usage=self.needs_usage,
            bound=context if self.bound is None else context.over(self.bound),
        )

    def handler_for(self, dialect: Dialect) -> Handler:
        """Return the handler of calls in a dialect, for `carry`."""
        return self.other if dialect.operation == "other" else self.handler

    async def carry(self, handler: Handler, call: Call) -> Reply:
        """Send a call through the onion and close its account, or arrange for it at the end of a stream."""
        try:
            # Counted first, asked then: drain() sees the call, or the call sees drain().
            if call.home.kind == "sync":
                blocking.append(None)
            else:
                tasks[call.ledger] = draining.task_reference()
            if draining.begun:
                raise draining.shutting_down(call)
            reply = await handler(call)
            whole = reply.stream is None
            if whole and reply.hooks:
                await reply.finish("complete")
        except BaseException as error:
            for stream in call.ledger.streams:
                if stream.closed:
                    continue
                # A layer raised and let go of an open stream.
                if isinstance(error, GeneratorExit):  # nothing may be awaited any more
                    stream.drop()
                else:
                    await stream.close("discarded")
            self.failed(call, error)
            raise
        if whole:
            self.close(call, "complete")
        else:
            for stream in call.ledger.streams:
                if stream is not reply.stream and not stream.closed:  # a layer let go of it without discarding it
                    await stream.close("discarded")
            call.ledger.streams = ()
            reply.on_end(_Closing(self, call))
        return reply

    def close(self, call: Call, outcome: str, error: BaseException | None = None) -> None:
        """Write down how the call ended and tell those who listen."""
        ledger = call.ledger
        if call.home.kind != "sync":
            tasks.pop(ledger, None)
        elif blocking:  # none in a child that was forked meanwhile
            blocking.pop()
        if draining.begun:
            draining.left()
        ledger.duration = call.runtime.now() - ledger.started
        ledger.outcome = outcome
        remember(ledger)
        if error is not None:
            ledger.error = error
        if ledger.listeners or listeners.everywhere:
            self._tell(call)
        if error is not None or len(ledger.attempts) > 1:
            # Tracebacks would keep every frame of a failure alive, and the error leads back here.
            ledger.error = None
            for attempt in ledger.attempts:
                attempt.error = None

    def _tell(self, call: Call) -> None:
        for listener in (*listeners.everywhere, *call.ledger.listeners):
            try:
                listener(call)
            except Exception:
                _log.exception("a listener at the end of a call failed; the call itself is not affected")

    def failed(self, call: Call, error: BaseException) -> None:
        """Close the account of a call that raised, and leave it on the error."""
        error = getattr(error, "carried", error)
        self.close(call, "failed" if isinstance(error, Exception) else "abandoned", error)
        attach(error, call.ledger)
        attempts = call.ledger.attempts
        if len(attempts) > 1 and isinstance(error, Exception):
            tried = ", ".join(_told(attempt.fault, attempt.status) for attempt in attempts)
            add_note(
                error,
                f"agentprod: {len(attempts)} attempts in {call.ledger.duration:.2f} s ({tried}); "
                f"call {call.ledger.id}; ap.meta(error) tells more",
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
