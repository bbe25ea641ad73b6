"""Message text of a call for spans and events, always through `Capture`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import set_span_in_context

from agentprod.dialects.messages import input_messages, output_messages, system_instructions, tool_definitions
from agentprod.telemetry import attributes as name
from agentprod.telemetry.capture import Capture

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from agentprod.call import Call
    from agentprod.reply import Reply
    from agentprod.telemetry.stream_watch import KeptEvents

__all__ = ["Content", "emit_event"]

_SCRUBBER = "ScrubPII"


class Content:
    """The text that one call may have recorded.

    With `ScrubPII` in the stack only what it published is used, as it is: where it published nothing, nothing is
    recorded. Without it everything goes through `scrub`.

    Args:
        call: the call as it entered.

        scrub: takes personal data out of a text; without one, nothing is recorded.
    """

    __slots__ = ("_call", "_capture", "_errors", "_request", "_scrubbed")

    def __init__(self, call: Call, scrub: Callable[[str], str] | None) -> None:
        self._call = call
        self._scrubbed = _SCRUBBER in call.ledger.layers
        self._errors = Capture(scrub or _refuse)
        self._capture = Capture(str) if self._scrubbed else self._errors
        self._request: dict[str, Any] | None = None

    def see(self, call: Call) -> None:
        """Take the request as the innermost layer reached has it, now: once the caller has it back, it may change."""
        if self._request is None:
            request = call.safe_request if self._scrubbed else self._call.request
            if request is not None:
                self._request = _parts(request)

    def facts(self, reply: Reply | None, kept: KeptEvents | None) -> dict[str, str]:
        """Return messages, instructions, answer and tools as JSON text by attribute.

        Args:
            reply: the reply, if there was one.

            kept: what came of its stream; `None` for a whole reply.
        """
        if self._request is None and reply is None and not self._scrubbed:
            self.see(self._call)
        found: dict[str, Any] = dict(self._request or {})
        if reply is not None:
            answer = output_messages(self._body(reply, kept))
            if answer:
                found[name.OUTPUT_MESSAGES] = answer
        made = {key: self._capture.messages(messages) for key, messages in found.items()}
        return {key: text for key, text in made.items() if text is not None}

    def error(self, error: BaseException) -> str | None:
        """Return the message of an exception, which often quotes the prompt."""
        return self._errors.error(error)

    def _body(self, reply: Reply, kept: KeptEvents | None) -> Any:
        if self._scrubbed:
            return reply.safe() if callable(reply.safe) else reply.safe
        if kept is None:
            return reply.body
        return reply.dialect.join(kept.events)


def emit_event(span: Span, facts: Mapping[str, Any], content: Mapping[str, str]) -> None:
    """Emit the event of the logs signal that carries content.

    Args:
        span: the operation's; the event belongs to it.

        facts: attributes of the operation.

        content: what `Content.facts` returned; events carry it as structured values instead of JSON text.
    """
    from opentelemetry._logs import LogRecord, SeverityNumber, get_logger

    structured = {key: json.loads(text) for key, text in content.items()}
    record = LogRecord(
        timestamp=time.time_ns(),
        context=set_span_in_context(span),
        severity_number=SeverityNumber.INFO,
        event_name=name.CONTENT_EVENT,
        attributes={**facts, **structured},
    )
    get_logger(name.SCOPE).emit(record)


def _parts(request: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        name.SYSTEM_INSTRUCTIONS: system_instructions(request),
        name.INPUT_MESSAGES: input_messages(request),
        name.TOOL_DEFINITIONS: tool_definitions(request),
    }
    return {key: parts for key, parts in found.items() if parts}


def _refuse(text: str) -> str:
    raise LookupError("nothing scrubs this text")
