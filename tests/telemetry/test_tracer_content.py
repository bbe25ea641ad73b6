"""Message text: recorded only when asked for, only scrubbed, never in the caller's way."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import openai
import pytest
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import agentprod as ap
from agentprod.telemetry.drops import drops
from agentprod.telemetry.later import Later, later
from agentprod.telemetry.tracer import Tracer
from agentprod.testing import Provider, behaviours
from tests.telemetry.tracing import (
    CLAUDE,
    HELLO,
    MODEL,
    InMemoryEvents,
    Traces,
    anthropic_client,
    clean,
    openai_client,
    running,
    span_id,
)

EMAIL = "alice.smith@corp-example.io"
ASK: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": f"I am {EMAIL}, who are you?"},
]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "mail", "parameters": {"type": "object"}}}]
CONTENT = ("gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions")


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running(behaviours.ok(f"Hello {EMAIL}!", chunks=6)) as server:
        yield server


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> InMemoryEvents:
    exporter = InMemoryEvents()
    logs = LoggerProvider()
    logs.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    monkeypatch.setattr(_logs, "get_logger", logs.get_logger)
    return exporter


def client(provider: Provider, traces: Traces, *layers: Any, capture: Any = "span") -> openai.OpenAI:
    stack = ap.Stack(Tracer(tracer_provider=traces.provider, capture=capture), *layers)
    return stack.wrap(openai_client(provider))


def told(traces: Traces) -> str:
    """Return everything that was exported."""
    return str([(span.name, span.attributes, span.status.description, span.events) for span in traces.spans()])


def test_no_text_unless_asked_for(provider: Provider, traces: Traces) -> None:
    """By default no text is on any span: not the prompt, not the answer, not a provider's message."""
    made = client(provider, traces, capture=None)
    made.chat.completions.create(model=MODEL, messages=ASK, tools=TOOLS)
    provider.script(behaviours.error(400, message=f"bad prompt of {EMAIL}"))
    with pytest.raises(openai.BadRequestError):
        made.chat.completions.create(model=MODEL, messages=ASK)
    seen = told(traces)
    assert "Be brief" not in seen
    assert "Hello" not in seen
    assert "bad prompt" not in seen
    assert "parameters" not in seen


@pytest.mark.parametrize("streaming", [False, True])
def test_text_on_the_span_is_scrubbed(provider: Provider, traces: Traces, streaming: bool) -> None:
    """Messages, tools and answer are recorded in the conventions' form, personal data named instead of shown."""
    with clean():
        reply: Any = client(provider, traces).chat.completions.create(
            model=MODEL, messages=ASK, tools=TOOLS, stream=streaming
        )
        for _ in reply if streaming else ():
            pass
    seen = traces.operation
    assert json.loads(seen["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "I am [EMAIL], who are you?"}]},
    ]
    assert json.loads(seen["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Hello [EMAIL]!"}], "finish_reason": "stop"}
    ]
    assert json.loads(seen["gen_ai.tool.definitions"]) == [
        {"type": "function", "name": "mail", "parameters": {"type": "object"}}
    ]
    assert EMAIL not in told(traces)


@pytest.mark.parametrize("streaming", [False, True])
def test_text_of_anthropic(provider: Provider, traces: Traces, streaming: bool) -> None:
    """Instructions outside the messages have an attribute of their own."""
    stack = ap.Stack(Tracer(tracer_provider=traces.provider, capture="span"))
    claude = stack.wrap(anthropic_client(provider))
    reply: Any = claude.messages.create(
        model=CLAUDE, max_tokens=9, system="Be brief.", messages=ASK[1:], stream=streaming
    )
    for _ in reply if streaming else ():
        pass
    seen = traces.operation
    assert json.loads(seen["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    assert json.loads(seen["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Hello [EMAIL]!"}], "finish_reason": "stop"}
    ]
    assert EMAIL not in told(traces)


def test_what_a_cut_stream_delivered_is_recorded(provider: Provider, traces: Traces) -> None:
    """The answer of a stream left early is as much as came."""
    stream = client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    stream.close()
    (answer,) = json.loads(traces.operation["gen_ai.output.messages"])
    assert answer["parts"][0]["content"].startswith("Hello")
    assert "finish_reason" not in answer


def test_messages_changed_after_the_call_are_recorded_as_they_were(provider: Provider, traces: Traces) -> None:
    """A history that grows while the stream is read is not recorded with what came later."""
    history = [*HELLO]
    stream = client(provider, traces).chat.completions.create(model=MODEL, messages=history, stream=True)
    history.append({"role": "user", "content": "later"})
    for _ in stream:
        pass
    assert "later" not in traces.operation["gen_ai.input.messages"]


def test_text_in_an_event(provider: Provider, traces: Traces, events: InMemoryEvents) -> None:
    """In event mode the span has no text; the event has it as structured values and belongs to the span."""
    client(provider, traces, capture="event").chat.completions.create(model=MODEL, messages=ASK)
    (span,) = traces.operations()
    (event,) = [item.log_record for item in events.get_finished_logs()]
    attributes: dict[str, Any] = dict(event.attributes or {})
    assert not set(CONTENT) & set(traces.operation)
    assert event.event_name == "gen_ai.client.inference.operation.details"
    assert event.span_id == span_id(span)
    assert attributes["gen_ai.request.model"] == MODEL
    assert attributes["gen_ai.usage.output_tokens"] > 0
    assert attributes["gen_ai.output.messages"][0]["parts"][0]["content"] == "Hello [EMAIL]!"
    assert EMAIL not in str(attributes)


def test_both_places(provider: Provider, traces: Traces, events: InMemoryEvents) -> None:
    """`"both"` records on the span and in the event."""
    client(provider, traces, capture="both").chat.completions.create(model=MODEL, messages=ASK)
    assert "gen_ai.input.messages" in traces.operation
    assert len(events.get_finished_logs()) == 1


def test_an_exception_s_message_is_scrubbed(provider: Provider, traces: Traces) -> None:
    """The status tells what the provider said, without personal data; the caller's exception is untouched."""
    provider.script(behaviours.error(400, message=f"no answer for {EMAIL}"))
    with pytest.raises(openai.BadRequestError, match=EMAIL):
        client(provider, traces).chat.completions.create(model=MODEL, messages=ASK)
    (span,) = traces.operations()
    assert "no answer for [EMAIL]" in str(span.status.description)
    assert "gen_ai.input.messages" in traces.operation
    assert EMAIL not in told(traces)


class Scrubber:
    """Publishes a scrubbed view as `ScrubPII` does, and is known by its name."""

    publish = True

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        def hide(text: str, part: ap.Part) -> str:
            return text.replace("secret", "[[X_1]]")

        scrubbed = call.map_text(hide)
        if self.publish:
            scrubbed = scrubbed.replace(safe_request=scrubbed.request)
        reply = await call_next(scrubbed)
        if self.publish and not reply.streaming:
            reply.safe = reply.body
        return reply


class ScrubPII(Scrubber):
    """The layer's name tells that the stack scrubs."""


class SilentScrubPII(Scrubber):
    publish = False


SilentScrubPII.__name__ = "ScrubPII"


def test_with_a_scrubber_in_the_stack_its_view_is_recorded(provider: Provider, traces: Traces) -> None:
    """What `ScrubPII` published is recorded as it is: a view of its own reading, not scrubbed twice."""
    provider.script(behaviours.echo())
    messages: Any = [{"role": "user", "content": "the secret of bob@corp.io"}]
    client(provider, traces, ScrubPII()).chat.completions.create(model=MODEL, messages=messages)
    seen = traces.operation
    assert "the [[X_1]] of bob@corp.io" in seen["gen_ai.input.messages"]
    assert "the [[X_1]] of bob@corp.io" in seen["gen_ai.output.messages"]


def test_with_a_scrubber_that_published_nothing_no_text_is_recorded(provider: Provider, traces: Traces) -> None:
    """There is no second way around a scrubber."""
    client(provider, traces, SilentScrubPII()).chat.completions.create(model=MODEL, messages=ASK)
    assert not set(CONTENT) & set(traces.operation)


def test_a_refusal_before_the_scrubber_records_nothing(traces: Traces) -> None:
    """Where the scrubber was not reached, nothing of the request is recorded."""

    class Refuse:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            raise ap.Blocked("no", layer="Refuse")

    @ap.Stack(Tracer(tracer_provider=traces.provider, capture="span"), Refuse(), ScrubPII(), check="off")
    def ask(question: str) -> str:
        return question

    with pytest.raises(ap.Blocked):
        ask("secret")
    assert "secret" not in told(traces)


def test_a_refusal_without_a_scrubber_records_the_scrubbed_request(traces: Traces) -> None:
    """A call that never reached the provider is recorded too."""

    class Refuse:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            raise ap.Blocked("no", layer="Refuse")

    @ap.Stack(Tracer(tracer_provider=traces.provider, capture="span"), Refuse())
    def ask(question: str) -> str:
        return question

    with pytest.raises(ap.Blocked):
        ask(f"from {EMAIL}")
    assert "from [EMAIL]" in traces.operation["gen_ai.input.messages"]


def test_functions_arguments_and_value(traces: Traces) -> None:
    """A plain function's texts are the question and the answer."""

    @Tracer(tracer_provider=traces.provider, capture="span")
    def ask(question: str) -> str:
        return f"answer to {EMAIL}"

    ask(f"from {EMAIL}")
    assert json.loads(traces.operation["gen_ai.input.messages"])[0]["parts"][0]["content"] == "from [EMAIL]"
    assert json.loads(traces.operation["gen_ai.output.messages"])[0]["parts"][0]["content"] == "answer to [EMAIL]"


def test_a_scrub_that_fails_drops_the_text_and_counts_it(
    provider: Provider, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing unscrubbed is recorded when the scrub breaks; the call and its span are fine."""
    import agentprod.safety.pii.detectors as detectors

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(detectors, "find_spans", broken)
    before = drops.snapshot().get("capture", 0)
    reply = client(provider, traces).chat.completions.create(model=MODEL, messages=ASK)
    assert reply.choices
    assert not set(CONTENT) & set(traces.operation)
    assert traces.operation["agentprod.outcome"] == "ok"
    assert drops.snapshot()["capture"] > before


def test_the_environment_asks_for_text(provider: Provider, traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the option the variable of the OpenTelemetry instrumentations decides; the option wins."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    client(provider, traces, capture="none").chat.completions.create(model=MODEL, messages=ASK)
    assert "gen_ai.input.messages" not in traces.operation
    client(provider, traces, capture=None).chat.completions.create(model=MODEL, messages=ASK)
    assert "gen_ai.input.messages" in (traces.operations()[1].attributes or {})


def test_a_full_queue_does_the_work_at_once(
    provider: Provider, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When too much waits for the thread, the span still ends."""
    monkeypatch.setattr(Later, "submit", lambda self, job, can_wait: False)
    client(provider, traces).chat.completions.create(model=MODEL, messages=ASK)
    assert "gen_ai.input.messages" in traces.operation


@pytest.mark.parametrize("end", ["force_flush", "shutdown"])
def test_flushing_the_tracer_provider_waits_for_the_text(provider: Provider, end: str) -> None:
    """A script that ends its provider right after a call loses nothing, also behind a batch processor."""
    exporter = InMemorySpanExporter()
    tracing = TracerProvider()
    tracing.add_span_processor(BatchSpanProcessor(exporter))
    stack = ap.Stack(Tracer(tracer_provider=tracing, capture="span"))
    stack.wrap(openai_client(provider)).chat.completions.create(model=MODEL, messages=ASK)
    getattr(tracing, end)()
    assert [span.name for span in exporter.get_finished_spans()] == ["agentprod.attempt", f"chat {MODEL}"]
    tracing.shutdown()


def test_jobs_run_in_order_and_their_failures_are_counted() -> None:
    """The thread outlives a job that raises."""
    done: list[int] = []
    queue = Later(capacity=2)
    before = drops.snapshot().get("later", 0)
    assert queue.submit(lambda: 1 / 0)
    assert queue.flush(5)
    assert queue.submit(lambda: done.append(1))
    assert queue.flush(5)
    assert done == [1]
    assert drops.snapshot()["later"] == before + 1


def test_a_job_that_can_wait_is_done_soon_however_long_the_thread_had_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While it looks by itself, and when it has to be woken."""
    monkeypatch.setattr("agentprod.telemetry.later._LOOKS", 1)
    monkeypatch.setattr("agentprod.telemetry.later._PATIENCE", 0.01)
    import threading

    queue = Later()
    for _ in range(3):
        done = threading.Event()
        assert queue.submit(done.set, can_wait=True)
        assert done.wait(5)
        assert queue.flush(5)
        while not queue._asleep:
            assert not threading.Event().wait(0.005)


def test_pressing_late_stops_nothing() -> None:
    """Who presses for a job that is done already leaves the thread waiting for the next one."""
    done: list[int] = []
    queue = Later()
    assert queue.submit(lambda: None)
    assert queue.flush(5)
    with queue._changed:
        queue._pressing = True
        queue._changed.notify_all()
    for number in range(2):
        assert queue.submit(partial(done.append, number))
        assert queue.flush(5)
    assert done == [0, 1]


def test_jobs_from_many_threads_are_all_done() -> None:
    """Whatever comes while the thread is about to wait, it goes on."""
    import threading

    done: list[int] = []
    queue = Later(capacity=10_000)

    def hand_in(first: int) -> None:
        for number in range(first, first + 100):
            assert queue.submit(partial(done.append, number), can_wait=number % 2 == 0) or number % 2 == 0

    threads = [threading.Thread(target=hand_in, args=(first,)) for first in range(0, 400, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.flush(10)
    assert len([number for number in done if number % 2]) == 200


def test_no_more_than_sixteen_jobs_wait_that_can() -> None:
    """Who comes faster than the thread can follow does such work itself."""
    import threading

    gate, queue = threading.Event(), Later()
    assert queue.submit(lambda: gate.wait(5))
    taken = 0
    while queue.submit(lambda: None, can_wait=True):
        taken += 1
    assert taken in (15, 16)
    assert queue.submit(lambda: None)
    gate.set()
    assert queue.flush(5)


def test_no_more_jobs_wait_than_may() -> None:
    """Beyond the capacity a job is refused, not queued."""
    import threading

    gate, queue = threading.Event(), Later(capacity=1)
    assert queue.submit(lambda: gate.wait(5))
    while queue.submit(lambda: None):
        pass
    assert not queue.flush(0)
    gate.set()
    assert queue.flush(5)


def test_nothing_of_a_call_is_kept_after_its_span(traces: Traces) -> None:
    """The thread lets go of what it recorded."""
    import weakref

    class Value(str):
        __slots__ = ("__weakref__",)

    @Tracer(tracer_provider=traces.provider, capture="span")
    def ask(question: str) -> str:
        return "x"

    value = Value("hello")
    ask(value)
    assert later.flush(5)
    kept = weakref.ref(value)
    del value
    traces.spans()
    ap.last()
    ask("another")
    assert later.flush(5)
    gc.collect()
    assert kept() is None
