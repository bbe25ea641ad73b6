"""Time limits: of one attempt, and of the whole call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agentprod.call import NO_LIMITS, Call, CallNext
from agentprod.context import seconds as _seconds
from agentprod.errors import ConfigError
from agentprod.lateness import late
from agentprod.layer import Layer, Place
from agentprod.reply import Reply

__all__ = ["Deadline", "Timeout"]


GRACE = 0.05
"""Seconds by which the edge, which ends its own waits and names the cause, comes before this layer."""


class Deadline(Layer):
    """Bounds the whole call: retries, waits and fallbacks included.

    The deadline reaches the SDK as `timeout=`, bounds every wait of the layers inside, and ends a
    dribbling answer: in async calls by cancelling the wait, in sync calls by shutting the socket down.
    A plain synchronous function cannot be stopped; there it bounds the waits around the attempts,
    unless `Timeout(thread=True)` stands inside.

    Streams: bounded until their first content; their whole life only with `streams=True`.

    Args:
        seconds: time for the call, more than 0; a number or a `timedelta`. Of several deadlines the
            earliest holds.

        streams: let the deadline end streams after their first content, too.

    Raises:
        DeadlineExceeded: in a call that took longer; its cause is the last real error, if any.
    """

    other_traffic = True

    def __init__(self, seconds: float | timedelta, *, streams: bool = False) -> None:
        self.seconds: float = _seconds(seconds, "Deadline seconds")
        if streams not in (True, False):
            raise ConfigError(f"Deadline streams must be True or False, not {streams!r}")
        self.streams = streams

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Run the rest of the call under the deadline."""
        runtime = call.runtime
        when = runtime.now() + self.seconds
        if call.deadline is not None and call.deadline < when:
            when = call.deadline
        inner = call.replace(deadline=when)
        if self.streams and call.streaming:
            inner.limits = call.limits.until(when)
        if runtime.kind == "sync":  # a thread cannot be stopped: the edge and every wait look at the deadline
            return await call_next(inner)
        alarm = runtime.alarm()
        alarm.enter(when + GRACE)
        try:
            return await call_next(inner)
        except Exception:
            raise  # the call's own, whatever a layer made of being cancelled
        except BaseException as error:
            if not alarm.claims(error):
                raise
        finally:
            alarm.close()
        errors = [attempt.error for attempt in call.ledger.attempts if isinstance(attempt.error, Exception)]
        raise late("deadline", call.target, call.limits, _tried(call)) from (errors[-1] if errors else None)

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        return {"seconds": self.seconds, **({"streams": True} if self.streams else {})}


class Timeout(Layer):
    """Bounds one attempt. Stands inside `Retry`, which may then try again.

    Streams: `attempt` and `first_token` bound the wait for the first content, `idle` every wait after
    it; a ping counts as life. A stream that goes on for hours is no timeout.

    Args:
        attempt: seconds for one attempt.

        first_token: seconds until a stream's first content.

        idle: seconds between two events of a stream.

        thread: run plain synchronous functions on a thread, so that the wait for them can end. The
            function itself cannot be stopped: it runs on, holding one of 64 threads.

    Raises:
        ConfigError: no limit given, one out of range, or a plain synchronous function without `thread`.
        CallTimeout: in an attempt that took longer; the SDK's timeout error is its cause.
    """

    other_traffic = True

    def __init__(
        self,
        attempt: float | timedelta | None = None,
        *,
        first_token: float | timedelta | None = None,
        idle: float | timedelta | None = None,
        thread: bool = False,
    ) -> None:
        if attempt is None and first_token is None and idle is None:
            raise ConfigError("Timeout needs a limit: Timeout(30), Timeout(first_token=10) or Timeout(idle=60)")
        self.attempt: float | None = None if attempt is None else _seconds(attempt, "Timeout attempt")
        self.first_token: float | None = None if first_token is None else _seconds(first_token, "Timeout first_token")
        self.idle: float | None = None if idle is None else _seconds(idle, "Timeout idle")
        if thread not in (True, False):
            raise ConfigError(f"Timeout thread must be True or False, not {thread!r}")
        self.thread = thread
        self._limits = NO_LIMITS.tightened(self.attempt, self.first_token, self.idle, thread)

    def attach(self, place: Place) -> None:
        """Refuse plain synchronous functions, which cannot be stopped, without `thread=True`."""
        if place.function is not None and place.kind == "sync" and not place.streams and not self.thread:
            raise ConfigError(
                f"Timeout cannot end {place.function}, a synchronous function: write Timeout(…, thread=True) to run "
                "it on a thread (which then runs on in the background), or make the function async"
            )

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Hand the limits to the edge, which enforces them on every wait."""
        limits = self._limits  # as they are where no other layer has set any
        if call.limits is not NO_LIMITS:
            limits = call.limits.tightened(self.attempt, self.first_token, self.idle, self.thread)
        return await call_next(call.replace(limits=limits))

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        found = {"attempt": self.attempt, "first_token": self.first_token, "idle": self.idle}
        return {k: v for k, v in found.items() if v is not None} | ({"thread": True} if self.thread else {})


def _tried(call: Call) -> str:
    count = len(call.ledger.attempts)
    return f"after {count} attempt{'s' if count != 1 else ''}"
