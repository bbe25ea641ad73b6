"""Scrub the spans that other instrumentations made, on their way out of the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentprod.errors import ConfigError
from agentprod.telemetry.capture import Capture
from agentprod.telemetry.drops import drops

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["redacting"]

_LONGEST = 65536


def redacting(exporter: SpanExporter, scrub: Callable[[str], str]) -> SpanExporter:
    """Return an exporter that hands on copies of spans whose texts have gone through a scrub.

    ```python
    scrub = lambda text: ap.scrub(text).text
    provider.add_span_processor(BatchSpanProcessor(redacting(OTLPSpanExporter(), scrub)))
    ```

    Attributes, names and attributes of events, and the description of the status are scrubbed; names of spans, numbers,
    ids and the attributes of the resource stay. The spans themselves are not changed, so other exporters see them as
    they are. A span whose text cannot be scrubbed goes out without it, and is counted as dropped telemetry.

    Args:
        exporter: where the copies go.

        scrub: takes personal data out of a text.

    Raises:
        ConfigError: the exporter is none, or the OpenTelemetry SDK is not installed.
    """
    try:
        from opentelemetry.sdk.trace.export import SpanExporter as Base
    except ImportError as error:
        raise ConfigError('redacting spans needs the SDK: pip install "opentelemetry-sdk"') from error
    if not isinstance(exporter, Base):
        raise ConfigError(f"redacting takes a SpanExporter, not {type(exporter).__name__}")
    capture = Capture(scrub, message_bytes=_LONGEST, span_bytes=2 * _LONGEST)

    class Redacting(Base):
        """Scrubs, then hands on."""

        def export(self, spans: Sequence[ReadableSpan]) -> Any:
            return exporter.export([_copy(span, capture) for span in spans])

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return exporter.force_flush(timeout_millis)

    return Redacting()


def _copy(span: ReadableSpan, capture: Capture) -> ReadableSpan:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Status

    events = [
        Event(_text(event.name, capture), _scrubbed(event.attributes, capture), event.timestamp)
        for event in span.events
    ]
    told = span.status.description
    status = Status(span.status.status_code, _text(told, capture)) if told else span.status
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_scrubbed(span.attributes, capture),
        events=events,
        links=span.links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _scrubbed(attributes: Mapping[str, Any] | None, capture: Capture) -> dict[str, Any]:
    return {key: _value(value, capture) for key, value in (attributes or {}).items()}


def _value(value: Any, capture: Capture) -> Any:
    if isinstance(value, str):
        return _text(value, capture)
    if isinstance(value, bytes):
        drops.count("redacting")
        return "[bytes]"
    if isinstance(value, Sequence):
        return [_value(item, capture) for item in value]
    return value


def _text(text: str, capture: Capture) -> str:
    made = capture.text(text)
    return "[dropped]" if made is None else made
