"""Spans of other instrumentations, scrubbed on their way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import agentprod as ap
from agentprod.telemetry.redacting import redacting

MAIL = "ann@example.com"


def scrub(text: str) -> str:
    return ap.scrub(text).text


def test_texts_are_scrubbed_on_a_copy() -> None:
    """Attributes, events and the status go out without personal data; another exporter sees the span as it was."""
    clean, raw = InMemorySpanExporter(), InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(redacting(clean, scrub)))
    provider.add_span_processor(SimpleSpanProcessor(raw))
    tracer = provider.get_tracer("someone")
    with pytest.raises(ValueError, match="ann"), tracer.start_as_current_span("chat", kind=SpanKind.CLIENT) as span:
        span.set_attributes({"input": f"I am {MAIL}", "list": [MAIL, "b"], "tokens": 7, "ok": True})
        raise ValueError(f"no {MAIL}")
    (found,), (seen,) = clean.get_finished_spans(), raw.get_finished_spans()
    assert MAIL not in found.to_json()
    attributes: Any = found.attributes
    assert attributes["tokens"] == 7
    assert attributes["ok"] is True
    assert "[EMAIL" in str(attributes["input"]).replace("<", "[")
    assert (found.name, found.kind, found.status.status_code) == ("chat", SpanKind.CLIENT, StatusCode.ERROR)
    assert found.context == seen.context
    assert (found.start_time, found.end_time) == (seen.start_time, seen.end_time)
    assert MAIL in seen.to_json()
    assert provider.force_flush()
    provider.shutdown()


def test_what_cannot_be_scrubbed_is_dropped(dropped: Callable[[str], int]) -> None:
    """A scrub that fails lets nothing through, and neither do bytes."""

    def broken(text: str) -> str:
        raise RuntimeError

    clean = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(redacting(clean, broken)))
    provider.get_tracer("someone").start_span("x", attributes={"input": MAIL, "blob": MAIL.encode()}).end()
    (found,) = clean.get_finished_spans()
    blob = (found.attributes or {})["blob"]  # older SDKs make text of bytes before any processor sees them
    assert dict(found.attributes or {}) == {"input": "[dropped]", "blob": blob}
    assert (blob, dropped("capture")) in (("[bytes]", 1), ("[dropped]", 2))
    provider.shutdown()


def test_something_that_is_no_exporter() -> None:
    """A processor, which is easily mistaken for one, is refused."""
    with pytest.raises(ap.ConfigError, match="takes a SpanExporter, not SimpleSpanProcessor"):
        redacting(SimpleSpanProcessor(InMemorySpanExporter()), scrub)  # type: ignore[arg-type]
