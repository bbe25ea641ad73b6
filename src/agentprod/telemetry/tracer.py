"""Trace every call: one span for the operation, one for each attempt, usage on exactly one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from agentprod.call import Call, CallNext
from agentprod.errors import ConfigError
from agentprod.layer import Layer
from agentprod.reply import Reply
from agentprod.telemetry.agents import trace_activities
from agentprod.telemetry.attributes import SCOPE, TRACED
from agentprod.telemetry.capture import CaptureMode, capture_mode
from agentprod.telemetry.drops import drops
from agentprod.telemetry.meters import find_instruments

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.metrics import MeterProvider

    from agentprod.telemetry.delivery import Delivery
    from agentprod.telemetry.metrics import Instruments
    from agentprod.telemetry.spans import Operation

__all__ = ["Tracer"]

_SDK = "opentelemetry.sdk.trace"
_LOOK_AGAIN = 0.2
"""Seconds after which a provider that was not there is looked for again; looking costs more than all else."""


class Tracer(Layer):
    """Traces calls with OpenTelemetry: what was asked of whom, every attempt, what the layers decided, tokens, cost.

    One span `chat {model}` covers the whole call, retries and the stream's last chunk included; each
    physical try is a child `agentprod.attempt`, and the spans of the SDK or its HTTP library hang under
    that. Token counts stand on one span only, so that viewers do not bill a call twice; a cache hit or a
    refusal has a span without attempts and without counts.

    Without an OpenTelemetry SDK in the process, or where sampling drops the call, next to nothing is done; one that
    is set up later is found within 0.2 seconds. Nothing here raises into a call; what fails is counted as dropped
    telemetry.

    `ap.agent` runs, their steps and the calls of tools are traced by the `Tracer` made last.

    Args:
        capture: where message text is recorded: `"none"`, on the `"span"`, in an `"event"` of the logs
            signal, or `"both"`. `None` asks `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`, and
            without that variable records none.

        tracer_provider: of the OpenTelemetry SDK; the global one by default.

        meter_provider: of the OpenTelemetry SDK; the global one by default.

        chunk_gaps: measure the time between the chunks of streams (`gen_ai.client.operation.time_per_output_chunk`);
            each chunk then costs about ten microseconds more.

    Raises:
        ConfigError: an option out of range.
    """

    needs_usage = True
    other_traffic = True

    def __init__(
        self,
        *,
        capture: Literal["none", "span", "event", "both"] | None = None,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        chunk_gaps: bool = False,
    ) -> None:
        for option, value, method in (
            ("tracer_provider", tracer_provider, "get_tracer"),
            ("meter_provider", meter_provider, "get_meter"),
        ):
            if value is not None and not callable(getattr(value, method, None)):
                raise ConfigError(f"Tracer {option} must be an OpenTelemetry provider, not {type(value).__name__}")
        if not isinstance(chunk_gaps, bool):
            raise ConfigError(f"Tracer chunk_gaps must be True or False, not {chunk_gaps!r}")
        self.capture: CaptureMode = capture_mode(capture)
        self.tracer_provider = tracer_provider
        self.meter_provider = meter_provider
        self.scrubs: tuple[Callable[[str], str], ...] = ()
        self._chunk_gaps = chunk_gaps
        self._tracer: trace.Tracer | None = None
        self._instruments: Instruments | None = None
        self._operation: type[Operation] | None = None
        self._delivery: Delivery | None = None
        self._idle_until = float("-inf")
        self._look_at = float("-inf")
        trace_activities(self)

    def join_stack(self, stack: Any) -> None:
        """Scrub what tools are called with as the stack scrubs other text."""
        scrub = stack.entry.sync.scrub
        if scrub not in self.scrubs:
            self.scrubs = (*self.scrubs, scrub)

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Trace one call."""
        now = call.ledger.started
        if now < self._idle_until and _SDK not in sys.modules:
            return await call_next(call)
        operation = self._begin(call, now)
        if operation is None:
            return await call_next(call)
        try:
            reply = await call_next(call)
        except BaseException as error:
            operation.failed(error)
            operation.leave(None)
            raise
        operation.leave(reply)
        try:
            operation.returned(reply)
        except Exception:
            drops.count("tracer")
        return reply

    def _begin(self, call: Call, now: float) -> Operation | None:
        """Start the span of a call; `None` when nobody collects it or another `Tracer` outside has one."""
        try:
            if self._tracer is None and self._find_tracer() is None and self._find_instruments() is None:
                self._idle_until = now + _LOOK_AGAIN
                return None
            if self._instruments is None and now >= self._look_at:
                self._look_at = now + _LOOK_AGAIN
                self._find_instruments()
            state = call.state
            if TRACED in state:
                return None
            assert self._operation is not None
            operation = self._operation(
                self._tracer, call, self.capture, self._instruments, self._chunk_gaps, self._delivery
            )
        except Exception:
            drops.count("tracer")
            return None
        state[TRACED] = operation.span.get_span_context()
        if operation.recording:
            call.observe(operation.observe, events=False)
        return operation

    def _find_tracer(self) -> trace.Tracer | None:
        """Return a tracer once somebody collects spans."""
        from opentelemetry import trace

        provider = self.tracer_provider or trace.get_tracer_provider()
        # Until an SDK is set the API hands out a stand-in; asking it for spans would cost more than all else here.
        if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
            return None
        from agentprod.telemetry.dedupe import watch

        self._delivery = watch(provider)
        self._load()
        self._tracer = provider.get_tracer(SCOPE)
        return self._tracer

    def _find_instruments(self) -> Instruments | None:
        """Return the instruments once somebody collects metrics."""
        self._instruments = find_instruments(self.meter_provider)
        if self._instruments is not None:
            self._load()
        return self._instruments

    def _load(self) -> None:
        # Left until here, so that a process that collects nothing does not import OpenTelemetry's tracing for it.
        from agentprod.telemetry.spans import Operation

        self._operation = Operation

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        where = [mode for mode in ("span", "event") if getattr(self.capture, mode)]
        capture = {"capture": "both" if len(where) == 2 else where[0]} if where else {}
        return {**capture, "chunk_gaps": True} if self._chunk_gaps else capture
