"""Token counts stand on one span, whoever else traces the call."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from opentelemetry import context as otel
from opentelemetry.trace import Span

import agentprod as ap
from agentprod.telemetry import dedupe, duplicates
from agentprod.telemetry.tracer import Tracer
from agentprod.testing import Provider, behaviours
from tests.telemetry.tracing import (
    CLAUDE,
    HELLO,
    MODEL,
    Traces,
    anthropic_client,
    clean,
    needs_native_spans,
    openai_client,
    running,
)

USAGE = ap.Usage(input_tokens=1105, output_tokens=7)
KEY = "opentelemetry.genai.client.inference.context"


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running(behaviours.ok("one two three", usage=USAGE)) as server:
        yield server


def client(provider: Provider, traces: Traces) -> openai.OpenAI:
    stack = ap.Stack(Tracer(tracer_provider=traces.provider))
    return stack.wrap(openai_client(provider))


def instrumented(traces: Traces, attributes: dict[str, Any], count: str = "gen_ai.usage.input_tokens") -> Any:
    """Return what makes a model call as an instrumented client would: a span of its own, with counts."""

    def call() -> str:
        with traces.provider.get_tracer("someone").start_as_current_span("chat x", attributes=attributes) as span:
            span.set_attribute(count, 1105)
        return "x"

    return call


def answer(text: str) -> dict[str, Any]:
    """Return a completion with counts."""
    usage = {"prompt_tokens": 1105, "completion_tokens": 7, "total_tokens": 1112}
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}], "usage": usage}


@needs_native_spans
@pytest.mark.parametrize("streaming", [False, True])
def test_native_tracing_of_anthropic(provider: Provider, traces: Traces, streaming: bool) -> None:
    """With the SDK's own spans on, the viewer bills the call once."""
    stack = ap.Stack(Tracer(tracer_provider=traces.provider))
    claude = stack.wrap(anthropic_client(provider, traces))
    reply: Any = claude.messages.create(model=CLAUDE, max_tokens=9, messages=HELLO, stream=streaming)
    for _ in reply if streaming else ():
        pass
    assert len(traces.named("anthropic.messages.create")) == 1
    assert traces.billed() == [1105]
    assert traces.operation["gen_ai.usage.input_tokens"] == 1105


@pytest.mark.parametrize("count", ["gen_ai.usage.input_tokens", "llm.token_count.prompt"])
def test_an_instrumented_call_within_shows_the_counts(traces: Traces, count: str) -> None:
    """Where a span below the attempt has the counts, the operation keeps them under its own names only."""
    call = instrumented(traces, {}, count)

    @ap.Stack(Tracer(tracer_provider=traces.provider))
    def complete(model: str, messages: list[Any]) -> Any:
        return answer(call())

    complete(MODEL, HELLO)
    assert traces.billed() == [1105]
    assert traces.operation["agentprod.usage.input_tokens"] == 1105
    assert "gen_ai.usage.input_tokens" not in traces.operation


def test_counts_within_are_seen_by_every_operation_around(traces: Traces) -> None:
    """Two traced functions around one instrumented call: both leave the counts to it."""
    call = instrumented(traces, {})
    stack = ap.Stack(Tracer(tracer_provider=traces.provider))

    @stack
    def inner(model: str, messages: list[Any]) -> Any:
        return answer(call())

    @stack
    def outer(model: str, messages: list[Any]) -> Any:
        return inner(model, messages)

    outer(MODEL, HELLO)
    assert traces.billed() == [1105]


def test_a_traced_call_within_a_traced_call(provider: Provider, traces: Traces) -> None:
    """The innermost of two operations that know the counts shows them."""
    made = client(provider, traces)

    @ap.Stack(Tracer(tracer_provider=traces.provider))
    def complete(model: str, messages: list[Any]) -> Any:
        return made.chat.completions.create(model=model, messages=messages)

    complete(MODEL, HELLO)
    assert len(traces.operations()) == 2
    assert traces.billed() == [1105]


def test_a_layer_s_own_model_call_does_not_hide_the_counts(traces: Traces) -> None:
    """An embedding or a judge that a layer asks is another call: both are billed."""
    call = instrumented(traces, {})

    class Judge:
        async def handle(self, call_: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            call()
            return await call_next(call_)

    @ap.Stack(Tracer(tracer_provider=traces.provider), Judge())
    def complete(model: str, messages: list[Any]) -> Any:
        return answer("x")

    complete(MODEL, HELLO)
    assert traces.billed() == [1105, 1105]


def test_a_span_within_that_never_ends_is_forgotten(traces: Traces) -> None:
    """A foreign span left open is not followed beyond the call."""
    left: list[Span] = []
    before = set(dedupe._open)

    @Tracer(tracer_provider=traces.provider)
    def ask() -> str:
        left.append(traces.provider.get_tracer("someone").start_span("chat"))
        return "x"

    ask()
    assert set(dedupe._open) <= before
    left[0].set_attribute("gen_ai.usage.input_tokens", 3)
    left[0].end()


OUTER = [
    {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"},
    {"openinference.span.kind": "LLM"},
]


@pytest.mark.parametrize("attributes", OUTER, ids=["conventions", "openinference"])
def test_an_instrumentation_around_reads_whole_replies(
    provider: Provider, traces: Traces, attributes: dict[str, Any]
) -> None:
    """A current inference span around the call shows the counts of a whole reply; ours does not."""
    with traces.provider.get_tracer("someone").start_as_current_span("chat", attributes=attributes) as span:
        reply = client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO)
        assert reply.usage is not None
        span.set_attribute("gen_ai.usage.input_tokens", reply.usage.prompt_tokens)
    assert traces.billed() == [1105]
    assert traces.operation["agentprod.usage.input_tokens"] == 1105


def read(stream: Any) -> None:
    for _ in stream:
        pass


def leave(stream: Any) -> None:
    next(iter(stream))
    stream.close()


def drop(stream: Any) -> None:
    del stream
    gc.collect()


@pytest.mark.parametrize(
    ("asked", "way", "ours"),
    [(True, read, False), (False, read, True), (True, leave, True), (True, drop, True)],
    ids=["counts asked for", "counts not asked for", "left early", "never read"],
)
def test_an_instrumentation_around_a_stream(
    provider: Provider, traces: Traces, asked: bool, way: Callable[[Any], None], ours: bool
) -> None:
    """Around a stream the other span shows the counts only when the caller could read them."""
    options: Any = {"stream_options": {"include_usage": True}} if asked else {}
    with traces.provider.get_tracer("someone").start_as_current_span("chat", attributes=OUTER[0]):
        stream = client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO, stream=True, **options)
        way(stream)
        del stream
        gc.collect()
    assert len(traces.billed()) == (1 if ours else 0)
    assert "agentprod.usage.input_tokens" in traces.operation


def test_an_error_around_leaves_the_counts_with_us(provider: Provider, traces: Traces) -> None:
    """What was billed before a failure is shown by us: the caller, and who traces it, got an exception."""

    class Reject:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            reply = await call_next(call)
            await reply.discard()
            raise ap.Blocked("no", layer="Reject")

    stack = ap.Stack(Tracer(tracer_provider=traces.provider), Reject())
    made = stack.wrap(openai_client(provider))
    with (
        traces.provider.get_tracer("someone").start_as_current_span("chat", attributes=OUTER[0]),
        pytest.raises(ap.Blocked),
    ):
        made.chat.completions.create(model=MODEL, messages=HELLO)
    assert traces.billed() == [1105]
    assert traces.operation["agentprod.outcome"] == "error"


def test_an_agent_s_span_around_is_no_inference(provider: Provider, traces: Traces) -> None:
    """Spans of agents, tools and workflows have no counts of their own to show."""
    attributes = {"gen_ai.operation.name": "invoke_agent"}
    with traces.provider.get_tracer("someone").start_as_current_span("invoke_agent", attributes=attributes):
        client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO)
    assert traces.billed() == [1105]


@dataclass
class InferenceData:
    """The fields of `opentelemetry-util-genai` 1.3b0 that carry counts."""

    usage_input_tokens: int | None = None
    usage_output_tokens: int | None = None
    usage_cache_read_input_tokens: int | None = None
    usage_cache_write_input_tokens: int | None = None
    usage_reasoning_output_tokens: int | None = None


@pytest.fixture
def util_genai(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the loaded package: only its two names are read."""
    module = types.ModuleType("opentelemetry.util.genai.invocation")
    module.CLIENT_INFERENCE_CONTEXT_KEY = KEY  # type: ignore[attr-defined]
    module.InferenceData = InferenceData  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.usefixtures("util_genai")
@pytest.mark.parametrize("streaming", [False, True])
def test_an_official_instrumentation_around_gets_the_counts(
    provider: Provider, traces: Traces, streaming: bool
) -> None:
    """It is handed what we know, also of streams whose counts the caller never sees."""
    data = InferenceData()
    token = otel.attach(otel.set_value(KEY, data))
    reply: Any = client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO, stream=streaming)
    for _ in reply if streaming else ():
        pass
    otel.detach(token)
    assert not traces.billed()
    assert (data.usage_input_tokens, data.usage_output_tokens) == (1105, 7)
    assert data.usage_cache_read_input_tokens is None


@pytest.mark.usefixtures("util_genai")
def test_an_official_instrumentation_around_gets_estimates_at_once(provider: Provider, traces: Traces) -> None:
    """Of a stream cut short it is handed the estimate before it ends itself."""
    data = InferenceData()
    token = otel.attach(otel.set_value(KEY, data))
    with clean():
        stream = client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        leave(stream)
    otel.detach(token)
    assert data.usage_input_tokens
    assert data.usage_output_tokens is not None


@pytest.mark.usefixtures("util_genai")
def test_an_official_instrumentation_within_leaves_its_counts_here(traces: Traces) -> None:
    """It makes no span of its own, so what it read is shown by us, once."""

    @ap.Stack(Tracer(tracer_provider=traces.provider))
    def complete(model: str, messages: list[Any]) -> str:
        data = otel.get_value(KEY)
        assert isinstance(data, InferenceData)
        data.usage_input_tokens, data.usage_output_tokens, data.usage_cache_read_input_tokens = 1105, 7, 1000
        return "x"

    complete(MODEL, HELLO)
    assert traces.billed() == [1105]
    assert traces.operation["gen_ai.usage.cache_read.input_tokens"] == 1000


@pytest.mark.usefixtures("util_genai")
def test_a_plain_function_does_not_silence_the_calls_it_makes(traces: Traces) -> None:
    """An agent's function makes many calls; each keeps its own span."""
    seen: list[Any] = []

    @Tracer(tracer_provider=traces.provider)
    def ask() -> str:
        seen.append(otel.get_value(KEY))
        return "x"

    ask()
    assert seen == [None]


@pytest.mark.usefixtures("util_genai")
def test_an_official_instrumentation_within_that_read_nothing(traces: Traces) -> None:
    """Without counts on either side none are shown."""

    @ap.Stack(Tracer(tracer_provider=traces.provider))
    def complete(model: str, messages: list[Any]) -> str:
        return "x"

    complete(MODEL, HELLO)
    assert not traces.billed()
    assert "agentprod.usage.input_tokens" not in traces.operation


def test_a_provider_that_takes_no_processors(traces: Traces) -> None:
    """A tracer provider of another make is used as it is."""

    class Plain:
        def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
            return traces.provider.get_tracer("agentprod")

    @Tracer(tracer_provider=Plain())  # type: ignore[arg-type]
    def ask() -> str:
        return "x"

    ask()
    assert len(traces.operations()) == 1


LLM: dict[str, Any] = {"openinference.span.kind": "LLM"}
CHAT: dict[str, Any] = {"gen_ai.operation.name": "chat"}


@pytest.mark.parametrize("within", [False, True])
def test_two_others_around_one_another(provider: Provider, traces: Traces, within: bool) -> None:
    """Of two instrumentations that trace the same call the inner one shows the counts, around us or below."""
    tracer = traces.provider.get_tracer("someone")

    def traced(call: Callable[[], Any]) -> Any:
        with tracer.start_as_current_span("outer", attributes=LLM) as outer:
            with tracer.start_as_current_span("inner", attributes=CHAT) as inner:
                reply = call()
                inner.set_attribute("gen_ai.usage.input_tokens", 1105)
            outer.set_attributes({"llm.token_count.prompt": 1105, "llm.model_name": MODEL})
        return reply

    @ap.Stack(Tracer(tracer_provider=traces.provider))
    def complete(model: str, messages: list[Any]) -> Any:
        return traced(lambda: answer("x"))

    with clean():
        if within:
            complete(MODEL, HELLO)
        else:
            made = client(provider, traces)
            traced(lambda: made.chat.completions.create(model=MODEL, messages=HELLO))
    (outer,), (inner,) = traces.named("outer"), traces.named("inner")
    assert traces.billed() == [1105]
    assert "gen_ai.usage.input_tokens" in (inner.attributes or {})
    assert dict(outer.attributes or {}) == {**LLM, "llm.model_name": MODEL}


def test_spans_of_calls_that_are_not_ours_stay_as_they_are(provider: Provider, traces: Traces) -> None:
    """Two instrumentations of a call that passes no stack are left alone, and so is an agent around a model call."""
    tracer = traces.provider.get_tracer("someone")
    counts = {"gen_ai.usage.input_tokens": 5}
    made = client(provider, traces)
    span, agent = tracer.start_as_current_span, {"gen_ai.operation.name": "invoke_agent", **counts}
    with span("outer", attributes=CHAT | counts), span("inner", attributes=CHAT | counts):
        pass
    with span("agent", attributes=agent), span("model", attributes=CHAT):
        made.chat.completions.create(model=MODEL, messages=HELLO)
    for name in ("outer", "inner", "agent"):
        (found,) = traces.named(name)
        assert (found.attributes or {})["gen_ai.usage.input_tokens"] == 5


def test_what_never_ends_is_forgotten() -> None:
    """Spans whose end is never seen do not pile up."""
    for number in range(5000):
        duplicates.follow(number)
    assert len(duplicates._chains) <= 4096
    duplicates._chains.clear()
