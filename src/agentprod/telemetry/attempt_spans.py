"""The span of one attempt: current while it is sent, described once its counts are known."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach
from opentelemetry.trace.status import Status, StatusCode

from agentprod.faults import RETRIED
from agentprod.telemetry import attributes as name
from agentprod.telemetry.drops import drops
from agentprod.telemetry.stream_watch import detach

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from agentprod.ledger import Attempt

__all__ = ["AttemptSpan", "end_span"]


def end_span(span: Span, ended_at: int | None = None) -> None:
    """End a span; what a span processor of the application raises is counted, and never felt by the call.

    Args:
        span: the span.

        ended_at: POSIX time in nanoseconds; now by default.
    """
    try:
        span.end(ended_at)
    except Exception:
        drops.count("tracer")


class AttemptSpan:
    """One attempt's span.

    Args:
        span: the span, just started.

        context: the caller's context with this span current.

        attempt: what it describes.
    """

    __slots__ = ("_ended_at", "_span", "_token", "attempt", "context")

    def __init__(self, span: Span, context: Context, attempt: Attempt) -> None:
        self.attempt = attempt
        self.context = context
        self._span = span
        self._ended_at: int | None = None
        self._token: Token[Context] | None = attach(context)

    def leave(self) -> None:
        """Make the span no longer current: what was sent has been answered."""
        token, self._token = self._token, None
        if token is not None:
            detach(token)

    def stop(self) -> None:
        """Note that the attempt is over; its span ends when it is described."""
        self.leave()
        self._ended_at = time.time_ns()

    def end(self, counts: bool) -> None:
        """Describe the attempt and end its span; never raises.

        Args:
            counts: whether its reply carries token counts.
        """
        try:
            self._span.set_attributes(_facts(self.attempt, counts))
            if self.attempt.outcome == "failed":
                self._span.set_status(Status(StatusCode.ERROR, self.attempt.error_type))
        except Exception:
            drops.count("tracer")
        end_span(self._span, self._ended_at)


_ID = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
"""What a header calls a request is shown when it is an id and not a text."""


def _facts(attempt: Attempt, counts: bool) -> dict[str, Any]:
    # Set at once at the end: OpenTelemetry's SDK takes half as long for them as in two parts.
    found: dict[str, Any] = {
        name.ATTEMPT_NUMBER: attempt.number,
        name.ATTEMPT_PROVIDER: attempt.provider,
        name.ATTEMPT_OUTCOME: attempt.outcome,
    }
    if attempt.model is not None:
        found[name.ATTEMPT_MODEL] = attempt.model
    if attempt.backoff:
        found[name.ATTEMPT_BACKOFF] = attempt.backoff
    if attempt.hedged:
        found[name.ATTEMPT_HEDGED] = True
    if attempt.status is not None:
        found[name.STATUS_CODE] = attempt.status
    if attempt.retry_after is not None:
        found[name.ATTEMPT_RETRY_AFTER] = attempt.retry_after
    request_id = attempt.provider_request_id
    if request_id is not None and _ID.fullmatch(request_id):
        found[name.ATTEMPT_REQUEST_ID] = request_id
    if attempt.fault is not None:
        found[name.ATTEMPT_FAULT] = attempt.fault.value
        found[name.ATTEMPT_RETRYABLE] = attempt.fault in RETRIED
    if attempt.outcome == "failed":
        refused = attempt.status is not None and attempt.status >= 400
        found[name.ERROR_TYPE] = str(attempt.status) if refused else attempt.error_type or "_OTHER"
    usage = attempt.usage if counts else None
    if usage is not None:
        found[name.ATTEMPT_INPUT_TOKENS] = usage.input_tokens
        found[name.ATTEMPT_OUTPUT_TOKENS] = usage.output_tokens
    return found
