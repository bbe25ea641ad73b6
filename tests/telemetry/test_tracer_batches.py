"""Where spans wait for a batch anyway, they are described on a thread, a few at a time."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import openai
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import agentprod as ap
from agentprod import Tracer
from agentprod.telemetry.later import later
from agentprod.testing import Provider
from tests.telemetry.tracing import HELLO, MODEL, openai_client, running


@pytest.fixture(scope="module", name="served")
def serve() -> Iterator[Provider]:
    """A scripted provider."""
    with running() as provider:
        yield provider


class Seen(SpanProcessor):
    """Remembers on which threads spans started and ended."""

    def __init__(self) -> None:
        self.threads: list[tuple[str, str]] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Remember."""
        self.threads.append(("start", threading.current_thread().name))

    def on_end(self, span: ReadableSpan) -> None:
        """Remember."""
        self.threads.append(("end", threading.current_thread().name))


class Batches:
    """A provider with a batch processor, its meter, and one client that is traced by it."""

    def __init__(self, served: Provider, *layers: Any, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        tracer = Tracer(tracer_provider=self.provider, meter_provider=self.meters)
        self.client: openai.OpenAI = ap.Stack(tracer, *layers, **options).wrap(openai_client(served))

    def ask(self, **more: Any) -> Any:
        """Make one call."""
        return self.client.chat.completions.create(model=MODEL, messages=HELLO, **more)

    def spans(self) -> list[ReadableSpan]:
        """Return what was exported so far, flushing as an application does."""
        assert self.provider.force_flush()
        return list(self.exporter.get_finished_spans())

    def count(self) -> int:
        """Return the calls that metrics have counted, read as an exporter does."""
        data: Any = self.reader.get_metrics_data()
        metrics = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        (points,) = [metric.data.data_points for metric in metrics if metric.name == "gen_ai.client.operation.duration"]
        return sum(int(point.count) for point in points)

    def close(self) -> None:
        """Shut the providers down."""
        self.provider.shutdown()
        self.meters.shutdown()


@pytest.fixture
def batches(served: Provider) -> Iterator[Batches]:
    """One of each test."""
    made = Batches(served)
    yield made
    made.close()


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each call that the thread described could wait; what metrics count is no matter here."""
    taken: list[bool] = []
    submit = type(later).submit

    def note(self: Any, job: Any, *, can_wait: bool = False) -> bool:
        if not isinstance(job, partial):
            taken.append(can_wait)
        return submit(self, job, can_wait=can_wait)

    monkeypatch.setattr(type(later), "submit", note)
    return taken


def test_a_flush_brings_all_spans_of_calls_that_have_ended(batches: Batches, waiting: list[bool]) -> None:
    """An application that flushes its provider finds every call, with the times at which it began and ended."""
    for _ in range(3):
        batches.ask()
    assert waiting == [True] * 3
    spans = batches.spans()
    operations = [span for span in spans if span.name == f"chat {MODEL}"]
    assert len(operations) == 3
    assert len(spans) == 6
    ends = [span.end_time or 0 for span in operations]
    assert all(span.attributes and "gen_ai.usage.input_tokens" in span.attributes for span in operations)
    # Each had ended before the next began, however late it was described.
    assert all(ends[number] <= (operations[number + 1].start_time or 0) for number in range(2))


def test_shutting_down_loses_nothing(served: Provider) -> None:
    """Spans that wait are ended before the provider is shut down."""
    batches = Batches(served)
    batches.ask()
    batches.close()
    assert len(batches.exporter.get_finished_spans()) == 2


def test_a_script_that_just_ends_loses_nothing() -> None:
    """Calls right before the end of a process are exported, though nobody flushes."""
    script = """
import agentprod as ap
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
tracing = TracerProvider()
tracing.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\\n")))
ask = ap.Stack(ap.Tracer(tracer_provider=tracing))(lambda: "x")
ask()
ask()
"""
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, env=environment, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.split().count("agentprod.attempt") == 2
    assert len(done.stdout.splitlines()) == 4


def test_whoever_collects_metrics_gets_the_calls_whose_spans_wait(batches: Batches) -> None:
    """A scrape right after a call counts it."""
    for number in range(1, 4):
        batches.ask()
        assert batches.count() == number


def test_spans_do_not_wait_for_others_for_long(batches: Batches) -> None:
    """One call alone is described within a fraction of a second, also when nobody flushes."""
    ended = threading.Event()
    batches.provider.add_span_processor(_Telling(ended))
    batches.ask()
    assert ended.wait(5)


class _Telling(BatchSpanProcessor):
    """Tells when it is handed a span."""

    def __init__(self, ended: threading.Event) -> None:
        super().__init__(InMemorySpanExporter())
        self._ended = ended

    def on_end(self, span: ReadableSpan) -> None:
        """Tell."""
        self._ended.set()
        super().on_end(span)


@pytest.mark.parametrize("kind", ["simple", "own", "subclass"])
def test_other_processors_see_spans_as_they_end(served: Provider, kind: str, waiting: list[bool]) -> None:
    """What looks at spans itself finds them ended once the call has returned, and is told on the caller's thread."""
    batches, seen = Batches(served), Seen()
    batches.ask()
    processors: dict[str, Any] = {
        "simple": lambda: SimpleSpanProcessor(InMemorySpanExporter()),
        "own": lambda: seen,
        "subclass": lambda: _Telling(threading.Event()),
    }
    batches.provider.add_span_processor(processors[kind]())
    waiting.clear()
    batches.ask()
    assert waiting == []
    assert kind != "own" or seen.threads == [(event, "MainThread") for event in ("start", "start", "end", "end")]
    batches.close()


def test_a_provider_whose_processors_are_not_known_is_not_made_to_wait(served: Provider, waiting: list[bool]) -> None:
    """Where the SDK keeps its processors otherwise, spans end with their calls."""
    batches = Batches(served)
    chain: Any = batches.provider._active_span_processor
    batches.ask()
    waiting.clear()
    chain._span_processors = list(chain._span_processors)
    batches.ask()
    assert waiting == []
    batches.close()


def test_who_listens_is_told_at_once(batches: Batches, waiting: list[bool]) -> None:
    """A monitor and a block that records know a call when it returns, with what its reply said of itself."""
    monitor = ap.Monitor()
    with ap.record() as calls:
        batches.ask()
    assert waiting == []
    assert calls[0].served_model is not None
    assert monitor.summary().calls == 1
    monitor.close()


def test_a_call_is_priced_once_for_all_who_tell_of_it(served: Provider) -> None:
    """Span, metrics and record show one price, asked for once."""
    asked: list[str] = []

    def price(provider: str, model: str | None, usage: ap.Usage) -> Decimal:
        asked.append(provider)
        return Decimal("0.5")

    batches = Batches(served, prices=price)
    with ap.record() as calls:
        batches.ask()
    (operation,) = [span for span in batches.spans() if span.name == f"chat {MODEL}"]
    assert operation.attributes
    assert (calls.cost, operation.attributes["agentprod.cost.usd"], asked) == (Decimal("0.5"), 0.5, ["openai"])
    assert calls[0].usage is not None
    batches.close()


def test_a_failure_is_described_at_once(served: Provider, waiting: list[bool]) -> None:
    """An error is not kept, with all its frames, beyond the call that raised it."""

    @Tracer(tracer_provider=(provider := TracerProvider(shutdown_on_exit=False)))
    def fail() -> None:
        raise ValueError("no")

    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    with pytest.raises(ValueError, match="no"):
        fail()
    assert waiting == []
    provider.shutdown()


def test_a_request_that_its_caller_changes_after_the_call_is_shown_as_it_was_sent(batches: Batches) -> None:
    """Many applications go on with the same dict."""
    body: dict[str, Any] = {"model": MODEL, "messages": HELLO, "temperature": 0.5}
    batches.client.post("/chat/completions", body=body, cast_to=dict[str, Any])
    body["temperature"] = 1.5
    body.update(dict.fromkeys(("top_p", "seed", "n"), 1))
    (operation,) = [span for span in batches.spans() if span.name == f"chat {MODEL}"]
    assert operation.attributes
    assert operation.attributes["gen_ai.request.temperature"] == 0.5
    assert "gen_ai.request.seed" not in operation.attributes


def test_a_price_of_the_application_is_asked_in_the_context_of_the_call(served: Provider) -> None:
    """What it looks up by a context variable is that of the caller, on whichever thread it is asked."""
    tenant = contextvars.ContextVar("tenant", default="nobody")
    prices = {"nobody": Decimal(1), "acme": Decimal(2)}
    batches = Batches(served, prices=lambda provider, model, usage: prices[tenant.get()])
    tenant.set("acme")
    batches.ask()
    (operation,) = [span for span in batches.spans() if span.name == f"chat {MODEL}"]
    assert operation.attributes
    assert operation.attributes["agentprod.cost.usd"] == 2.0
    batches.close()


def test_operations_within_others_are_counted_once(served: Provider) -> None:
    """A traced function around a traced client shows the counts of the call on one span, whoever is described first."""
    batches = Batches(served)

    @Tracer(tracer_provider=batches.provider)
    def outer() -> Any:
        return batches.ask()

    outer()
    billed = [span for span in batches.spans() if "gen_ai.usage.input_tokens" in (span.attributes or {})]
    assert len(billed) == 1
    batches.close()


def test_many_threads_lose_no_call(batches: Batches) -> None:
    """Whoever asks while others are described, every call has its spans and is counted."""
    threads = [threading.Thread(target=lambda: [batches.ask() for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(batches.spans()) == 80
    assert batches.count() == 40
