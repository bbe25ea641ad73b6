"""The inner edge: one physical attempt, with its gates, observers and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentprod.dialects.function import FUNCTION
from agentprod.errors import DeadlineExceeded
from agentprod.faults import Fault, classify
from agentprod.lateness import late
from agentprod.ledger import begin_attempt
from agentprod.reply import Reply
from agentprod.stream import notify

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from agentprod.call import Call, Gate
    from agentprod.ledger import Attempt
    from agentprod.reply import End

__all__ = ["answer", "send_attempt"]


async def answer(sent: Reply | Awaitable[Reply]) -> Reply:
    """Return what an edge's `send` answers, which it may do at once."""
    return sent if isinstance(sent, Reply) else await sent


async def send_attempt(call: Call) -> Reply:
    """Send a call to its target's edge, once: the innermost handler of every stack."""
    ledger, target, now = call.ledger, call.target, call.runtime.now
    started = now()
    if call.deadline is not None and started >= call.deadline:
        raise late("deadline", target, call.limits, "before an attempt could start") from _last_error(ledger.attempts)
    admitted = await _admit(call) if call.gates else None
    attempts = ledger.attempts
    attempt = begin_attempt(len(attempts) + 1, target, started, ledger.backoff)
    attempts.append(attempt)
    ledger.backoff = 0.0
    observers = call.observers
    if observers:
        for observer in observers:
            notify(observer, "attempt_start", attempt, call)
    try:
        send = target.edge.send  # a function's edge holds it as a value: looked up so, it costs half
        sent = send(call, attempt)
        reply = sent if isinstance(sent, Reply) else await sent
    except BaseException as error:
        if isinstance(error, DeadlineExceeded) and error.__cause__ is None:
            error.__cause__ = _last_error(attempts)
        _failed(call, attempt, error)
        if admitted:
            await _settle(admitted, attempt)
        raise
    reply.attempt = attempt
    ledger.served = target
    if reply.stream is None:
        attempt.duration = now() - started
        attempt.outcome = "ok"
        if reply.dialect is not FUNCTION:  # what a plain function returns holds no counts, and is not to be kept
            attempt.unread = reply.accounts or (reply.dialect, reply.load, reply.native)
        if observers:
            for observer in observers:
                notify(observer, "attempt_end", attempt, None)
    else:
        ledger.streams = (*ledger.streams, reply.stream)
        ledger.first_content = opened = now()
        attempt.ttft = opened - started
        call.board.observe(target, attempt.ttft)
    if admitted:
        reply.on_settle(_Settlement(admitted, attempt))
    return reply


def _last_error(attempts: list[Attempt]) -> BaseException | None:
    return next((attempt.error for attempt in reversed(attempts) if isinstance(attempt.error, Exception)), None)


def _failed(call: Call, attempt: Attempt, error: BaseException) -> None:
    error = getattr(error, "carried", error)
    failure = classify(error, call.classify, wall=call.runtime.wall)
    attempt.duration = call.runtime.now() - attempt.started
    attempt.outcome = "abandoned" if failure.fault is Fault.CANCELLED else "failed"
    attempt.fault, attempt.status, attempt.retry_after = failure.fault, failure.status, failure.retry_after
    attempt.error_type = type(error).__name__
    attempt.error = error
    if failure.fault is Fault.RATE_LIMIT and failure.retry_after is not None:
        call.board.cool(call.target, call.runtime.now() + failure.retry_after)
    for observer in call.observers:
        notify(observer, "attempt_end", attempt, error)


class _Settlement:
    """The settle hooks of one attempt's gates."""

    __slots__ = ("_admitted", "_attempt")

    def __init__(self, admitted: list[tuple[Gate, Any]], attempt: Attempt) -> None:
        self._admitted = admitted
        self._attempt = attempt

    async def __call__(self, end: End) -> None:
        await _settle(self._admitted, self._attempt)


async def _admit(call: Call) -> list[tuple[Gate, Any]]:
    admitted: list[tuple[Gate, Any]] = []
    for gate in call.gates:
        try:
            admitted.append((gate, await gate[0](call)))
        except BaseException:
            # What the gates before it hold is given back: an attempt that never was.
            never = begin_attempt(0, call.target, call.runtime.now())
            never.outcome = "abandoned"
            await _settle(admitted, never)
            raise
    return admitted


async def _settle(admitted: list[tuple[Gate, Any]], attempt: Attempt) -> None:
    for (_, settle), token in reversed(admitted):
        await settle(token, attempt)
