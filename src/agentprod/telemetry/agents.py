"""Spans and metrics of agent runs, their steps, tool calls and circuits, once the process has a `Tracer`."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from agentprod import activities
from agentprod.activities import Activity
from agentprod.runs import Run, Step, ToolCall
from agentprod.telemetry import attributes as name
from agentprod.telemetry.capture import Capture, CaptureMode
from agentprod.telemetry.drops import drops
from agentprod.telemetry.meters import find_instruments
from agentprod.telemetry.sinks import activity_record
from agentprod.telemetry.stream_watch import detach
from agentprod.vitals import hear_circuits

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from agentprod.telemetry.metrics import Instruments

__all__ = ["Source", "trace_activities"]


class Source(Protocol):
    """Says where spans and metrics go: a `Tracer`."""

    capture: CaptureMode
    tracer_provider: TracerProvider | None
    meter_provider: MeterProvider | None
    scrubs: tuple[Callable[[str], str], ...]
    """How the stacks it is in scrub text."""


_latest: Callable[[], Source | None] = lambda: None  # noqa: E731 - replaced by a weak reference
_sources: weakref.WeakSet[Source] = weakref.WeakSet()
_watching = False
_lock = threading.Lock()


def trace_activities(source: Source) -> None:
    """Trace every run and tool call of this process from now on, as the `Tracer` made last does with calls.

    Args:
        source: held weakly; without one that lives, nothing is traced.
    """
    global _latest, _watching  # noqa: PLW0603 - one per process, by intent
    with _lock:
        _latest = weakref.ref(source)
        _sources.add(source)
        if not _watching:
            activities.watch(_watched)
            hear_circuits(_circuit_changed)
            _watching = True


def _watched(activity: Activity) -> Callable[[], object] | None:
    source = _latest()
    if source is None:
        return None
    traced = _Traced(activity, source)
    try:
        traced.start()
    except Exception:
        drops.count("tracer")
    return traced.end


def _circuit_changed(breaker: str, state: str) -> None:
    source = _latest()
    instruments = None if source is None else find_instruments(source.meter_provider)
    if instruments is not None:
        instruments.breaker_changed(breaker, state)


class _Traced:
    """One activity with its span; nothing of it ever raises into the block."""

    __slots__ = ("_activity", "_source", "_span", "_token")

    def __init__(self, activity: Activity, source: Source) -> None:
        self._activity = activity
        self._source = source
        self._span: Span | None = None
        self._token: Token[Any] | None = None

    def start(self) -> None:
        from opentelemetry import trace
        from opentelemetry.context import attach

        provider = self._source.tracer_provider or trace.get_tracer_provider()
        if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
            return
        title, attributes = _identity(self._activity)
        self._span = provider.get_tracer(name.SCOPE).start_span(title, attributes=attributes)
        self._token = attach(trace.set_span_in_context(self._span))

    def end(self) -> None:
        if self._token is not None:
            detach(self._token)
        try:
            if self._span is not None:
                self._describe(self._span)
        except Exception:
            drops.count("tracer")
        try:
            instruments = find_instruments(self._source.meter_provider)
            if instruments is not None:
                _count(self._activity, instruments)
        except Exception:
            drops.count("tracer")

    def _describe(self, span: Span) -> None:
        from opentelemetry.trace.status import Status, StatusCode

        kind = self._activity.error_type
        try:
            span.set_attributes(self._facts())
            if kind is not None:
                span.set_attribute(name.ERROR_TYPE, kind)
                span.set_status(Status(StatusCode.ERROR, kind))
        finally:
            span.end()

    def _facts(self) -> dict[str, Any]:
        activity = self._activity
        if isinstance(activity, Run):
            found = {name.AGENT_LOOPS: activity.model_calls, name.AGENT_TOOL_CALLS: activity.tool_calls}
            told = {name.AGENT_OUTCOME: activity.outcome, name.AGENT_EXIT_REASON: activity.exit_reason}
            return {**found, **{key: value for key, value in told.items() if value is not None}}
        if isinstance(activity, ToolCall) and self._source.capture:
            capture = Capture(_scrub)
            content = {name.TOOL_ARGUMENTS: activity.arguments, name.TOOL_RESULT: activity.result}
            made = {key: capture.value(value) for key, value in content.items() if value is not None}
            return {key: text for key, text in made.items() if text is not None}
        return {}


def _scrub(text: str) -> str:
    """Scrub a text as every stack of the process does: nothing tells which of them a tool's text comes from."""
    scrubs = {scrub for source in list(_sources) for scrub in source.scrubs}
    if not scrubs:
        raise LookupError("nothing scrubs this text")
    for scrub in scrubs:
        text = scrub(text)
    return text


def _identity(activity: Activity) -> tuple[str, dict[str, Any]]:
    """Return the name of an activity's span and what is known of it at its start."""
    if isinstance(activity, Run):
        found = {name.OPERATION: "invoke_agent", name.AGENT_NAME: activity.name, name.RUN_ID: activity.id}
        return f"invoke_agent {activity.name}", found
    if isinstance(activity, ToolCall):
        tool: dict[str, Any] = {
            name.OPERATION: "execute_tool",
            name.TOOL_NAME: activity.name,
            name.TOOL_TYPE: activity.kind,
        }
        if activity.call_id is not None:
            tool[name.TOOL_CALL_ID] = activity.call_id
        if activity.run is not None:
            tool |= {name.AGENT_NAME: activity.run.name, name.TOOL_LOOP: activity.loop}
        return f"execute_tool {activity.name}", tool
    step = {name.STEP_NAME: activity.name}
    if isinstance(activity, Step) and activity.run is not None:
        step[name.AGENT_NAME] = activity.run.name
    return name.STEP_SPAN, step


def _count(activity: Activity, instruments: Instruments) -> None:
    if isinstance(activity, Run):
        instruments.record_run(activity_record(activity))
    elif isinstance(activity, ToolCall):
        instruments.record_tool(activity_record(activity))
    elif isinstance(activity, Step):
        agent = activity.run.name if activity.run is not None else None
        instruments.record_step(agent, activity.name, activity.duration or 0.0)
