"""Spans around the agent runs and the tool calls of an application."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from agentprod.errors import ConfigError
from agentprod.telemetry import attributes as name
from agentprod.telemetry.calls import RunRecord, ToolRecord
from agentprod.telemetry.capture import Capture
from agentprod.telemetry.drops import drops
from agentprod.telemetry.meters import find_instruments
from agentprod.telemetry.stream_watch import detach

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from agentprod.telemetry.metrics import Instruments

__all__ = ["AgentSpan", "ToolSpan", "current_run"]

_run: contextvars.ContextVar[AgentSpan | None] = contextvars.ContextVar("agentprod_run", default=None)


def current_run() -> AgentSpan | None:
    """Return the innermost agent run this code is part of."""
    return _run.get()


class _Block:
    """A span around a `with` or `async with` block; nothing of it ever raises into the block."""

    operation: ClassVar[str]

    def __init__(self, what: str, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None) -> None:
        if not isinstance(what, str) or not what:
            raise ConfigError(f"{type(self).__name__} takes a name, a str of at least one character")
        self.name = what
        self.span: Span | None = None
        self._tracers = tracer_provider
        self._meters = meter_provider
        self._started = 0.0
        self._token: Token[Any] | None = None

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        try:
            self._start()
        except Exception:
            drops.count("tracer")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            detach(token)
        try:
            self._end(error if isinstance(error, Exception) else None)
        except Exception:
            drops.count("tracer")

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _start(self) -> None:
        from opentelemetry import trace
        from opentelemetry.context import attach

        provider = self._tracers or trace.get_tracer_provider()
        if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
            return
        attributes = {name.OPERATION: self.operation, **self._identity()}
        self.span = provider.get_tracer(name.SCOPE).start_span(f"{self.operation} {self.name}", attributes=attributes)
        self._token = attach(trace.set_span_in_context(self.span))

    def _end(self, error: Exception | None) -> None:
        span, seconds = self.span, time.monotonic() - self._started
        kind = type(error).__name__ if error is not None else None
        if span is not None:
            span.set_attributes(self._facts())
            if kind is not None:
                from opentelemetry.trace.status import Status, StatusCode

                span.set_attribute(name.ERROR_TYPE, kind)
                span.set_status(Status(StatusCode.ERROR, kind))
            span.end()
        instruments = find_instruments(self._meters)
        if instruments is not None:
            self._count(instruments, seconds, kind)

    def _identity(self) -> dict[str, Any]:
        raise NotImplementedError

    def _facts(self) -> dict[str, Any]:
        return {}

    def _count(self, instruments: Instruments, seconds: float, error_type: str | None) -> None:
        raise NotImplementedError


class AgentSpan(_Block):
    """One run of an agent: its model calls and tool calls hang below.

    ```python
    with AgentSpan("researcher") as run:
        ...
    ```

    Args:
        what: the agent's name, of few distinct values.

        tracer_provider: of the OpenTelemetry SDK; the global one by default.

        meter_provider: of the OpenTelemetry SDK; the global one by default.

    Attributes:
        inference_calls: traced model calls made directly in this run.

        tool_calls: tool calls made directly in this run.

    Raises:
        ConfigError: the name is empty or no text.
    """

    operation = "invoke_agent"

    def __init__(
        self,
        what: str,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        super().__init__(what, tracer_provider, meter_provider)
        self.inference_calls = 0
        self.tool_calls = 0
        self._outer: Token[AgentSpan | None] | None = None

    def _start(self) -> None:
        self._outer = _run.set(self)
        super()._start()

    def _end(self, error: Exception | None) -> None:
        if self._outer is not None:
            detach(self._outer)
        super()._end(error)

    def _identity(self) -> dict[str, Any]:
        return {name.AGENT_NAME: self.name}

    def _facts(self) -> dict[str, Any]:
        return {name.AGENT_LOOPS: self.inference_calls}

    def _count(self, instruments: Instruments, seconds: float, error_type: str | None) -> None:
        instruments.record_run(
            RunRecord(
                agent=self.name,
                duration=seconds,
                inference_calls=self.inference_calls,
                tool_calls=self.tool_calls,
                error_type=error_type,
            )
        )


class ToolSpan(_Block):
    """One call of a tool.

    ```python
    with ToolSpan("search", call_id=call.id) as span:
        span.result(search(...))
    ```

    Args:
        what: the tool's name, of few distinct values.

        call_id: the id the model gave the call.

        kind: `"function"`, `"extension"` or `"datastore"`.

        arguments: what the tool is called with; recorded only with `scrub`.

        scrub: takes personal data out of a text. Arguments and result are recorded when it is given, through it.

        tracer_provider: of the OpenTelemetry SDK; the global one by default.

        meter_provider: of the OpenTelemetry SDK; the global one by default.

    Raises:
        ConfigError: the name is empty or no text.
    """

    operation = "execute_tool"

    def __init__(
        self,
        what: str,
        *,
        call_id: str | None = None,
        kind: str = "function",
        arguments: Any = None,
        scrub: Callable[[str], str] | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        super().__init__(what, tracer_provider, meter_provider)
        self._call_id = call_id
        self._kind = kind
        self._capture = None if scrub is None else Capture(scrub)
        self._content: dict[str, Any] = {} if arguments is None else {name.TOOL_ARGUMENTS: arguments}
        self._run: AgentSpan | None = None

    def result(self, value: Any) -> None:
        """Tell what the tool returned; recorded only when text is."""
        self._content[name.TOOL_RESULT] = value

    def _start(self) -> None:
        self._run = run = current_run()
        if run is not None:
            run.tool_calls += 1
        super()._start()

    def _identity(self) -> dict[str, Any]:
        found = {name.TOOL_NAME: self.name, name.TOOL_TYPE: self._kind}
        if self._call_id is not None:
            found[name.TOOL_CALL_ID] = self._call_id
        run = self._run
        return found if run is None else {**found, name.AGENT_NAME: run.name, name.TOOL_LOOP: run.inference_calls}

    def _facts(self) -> dict[str, Any]:
        if self._capture is None:
            return {}
        made = {key: self._capture.value(value) for key, value in self._content.items()}
        return {key: text for key, text in made.items() if text is not None}

    def _count(self, instruments: Instruments, seconds: float, error_type: str | None) -> None:
        status: Any = "ok" if error_type is None else "error"
        instruments.record_tool(ToolRecord(tool=self.name, status=status, error_type=error_type, duration=seconds))
