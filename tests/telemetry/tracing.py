"""What the tests of the tracer share: spans in memory, and a wait for what ends on other threads."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import openai
import pytest
from opentelemetry.sdk._logs import export as log_export
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_current_span

from agentprod.telemetry.drops import drops
from agentprod.telemetry.later import later
from agentprod.testing import Provider

MODEL = "gpt-5-mini"
CLAUDE = "claude-opus-4-5"
HELLO: list[Any] = [{"role": "user", "content": "Tell me a story about a lighthouse."}]


# The second is its name before 1.39.
InMemoryEvents: Any = getattr(log_export, "InMemoryLogRecordExporter", None) or log_export.InMemoryLogExporter

_opened: list[Any] = []
_native = "open_telemetry" in inspect.signature(anthropic.Anthropic).parameters
needs_native_spans = pytest.mark.skipif(not _native, reason="this anthropic makes no spans of its own")


@contextmanager
def running(script: Any = None) -> Iterator[Provider]:
    """Run a scripted provider, and close the clients that were made for it."""
    with Provider(script) as provider:
        yield provider
        while _opened:
            _opened.pop().close()


def openai_client(provider: Provider) -> openai.OpenAI:
    """Return a client of the provider."""
    client = openai.OpenAI(base_url=provider.openai_url, api_key="k")
    _opened.append(client)
    return client


def anthropic_client(provider: Provider, traces: Traces | None = None) -> anthropic.Anthropic:
    """Return a client of the provider, whose own spans go to `traces` where it makes any."""
    native: Any = {"open_telemetry": {"tracer_provider": traces.provider}} if _native and traces else {}
    client = anthropic.Anthropic(base_url=provider.anthropic_url, api_key="k", **native)
    _opened.append(client)
    return client


class Traces:
    """A tracer provider, what it exported, and how many of its spans are open."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self._exporter = InMemorySpanExporter()
        self._counter = _Counter()
        self.provider.add_span_processor(self._counter)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def open(self) -> int:
        """How many spans have not ended."""
        return self._counter.open

    def spans(self) -> list[ReadableSpan]:
        """Return the spans that have ended, waiting for what ends on threads of ours."""
        if any(thread.name == "agentprod-settle" for thread in threading.enumerate()):
            self._counter.wait()
        assert later.flush(5)
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of one name."""
        return [span for span in self.spans() if span.name == name]

    def operations(self) -> list[ReadableSpan]:
        """Return the spans of operations: those of ours that are no attempts."""
        return [span for span in self.spans() if _scope(span) == "agentprod" and span.name != "agentprod.attempt"]

    @property
    def operation(self) -> dict[str, Any]:
        """Attributes of the only operation."""
        (span,) = self.operations()
        return dict(span.attributes or {})

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Attributes of all attempts, in their order."""
        found = [dict(span.attributes or {}) for span in self.named("agentprod.attempt")]
        return sorted(found, key=lambda attributes: attributes["agentprod.attempt.number"])

    def billed(self, token: str = "input_tokens") -> list[int]:
        """Return what viewers would bill, span by span."""
        old = {"input_tokens": "llm.token_count.prompt", "output_tokens": "llm.token_count.completion"}[token]
        found: list[int] = []
        for span in self.spans():
            attributes: dict[str, Any] = dict(span.attributes or {})
            found += [attributes[key] for key in (f"gen_ai.usage.{token}", old) if key in attributes]
        return found


class _Counter(SpanProcessor):
    def __init__(self) -> None:
        self.open = 0
        self._changed = threading.Condition()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        with self._changed:
            self.open += 1

    def on_end(self, span: ReadableSpan) -> None:
        with self._changed:
            self.open -= 1
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until all spans have ended, for a moment at most: a test may leave one open."""
        with self._changed:
            self._changed.wait_for(lambda: not self.open, 1)


def _scope(span: ReadableSpan) -> str:
    return span.instrumentation_scope.name if span.instrumentation_scope else ""


@contextmanager
def clean() -> Iterator[None]:
    """Fail when the block leaks a span into its context, drops telemetry or logs a failed detach."""
    complaints: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("opentelemetry", "agentprod")]
    for logger in loggers:
        logger.addHandler(handler)
    dropped = drops.snapshot()
    before = get_current_span()
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
    assert get_current_span() is before
    assert drops.snapshot() == dropped
    assert not complaints, complaints


def parent_id(span: ReadableSpan) -> int | None:
    """Return the id of a span's parent."""
    return span.parent.span_id if span.parent else None


def span_id(span: ReadableSpan) -> int:
    """Return a span's own id."""
    context = span.context
    assert context is not None
    return context.span_id
