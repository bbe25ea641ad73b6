"""What tracing costs: `python benchmarks/telemetry.py` prints ratios measured in one run.

Measured against OpenTelemetry's own `start_as_current_span` where nobody collects spans, and against a bare OpenAI
client on a mock transport where a batch processor does; the exporter throws away. Where they are installed, these are
measured beside it, each in a process of its own and without message text: OpenTelemetry's own
`opentelemetry-instrumentation-genai-openai`, `openinference-instrumentation-openai`, OpenLLMetry's
`opentelemetry-instrumentation-openai`, and `logfire`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

os.environ.update(
    PYDANTIC_DISABLE_PLUGINS="__all__",  # Logfire's would load the SDK with the client
    OPENINFERENCE_HIDE_INPUTS="true",
    OPENINFERENCE_HIDE_OUTPUTS="true",
    TRACELOOP_TRACE_CONTENT="false",
)

import httpx2
import openai
from opentelemetry import trace
from timing import Row, blocks, table

import agentprod as ap
from agentprod.telemetry.later import later
from agentprod.telemetry.tracer import Tracer

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

PROMPT = "Tell me about the lighthouse on the cliff. " * 85
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
CHUNKS = 200
REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-5-mini",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "It is old. " * 40}, "finish_reason": "stop"},
    ],
    "usage": {"prompt_tokens": 800, "completion_tokens": 160, "total_tokens": 960},
}
PEERS = {
    "genai-openai": "opentelemetry.instrumentation.genai.openai",
    "OpenInference": "openinference.instrumentation.openai",
    "OpenLLMetry": "opentelemetry.instrumentation.openai",
    "Logfire": "logfire",
}
GOALS = {"genai-openai": "≤ 0.4", "OpenInference": "≤ 0.3"}


class Empty:
    """A layer that does nothing: what a tracer is compared with, so that only its own cost is left."""

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Pass the call on."""
        return await call_next(call)


# The SDK is imported in functions: the first table is of a process without one.


def nowhere() -> Any:
    """Return an exporter that throws away."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> Any:
            return SpanExportResult.SUCCESS

    return Nowhere()


def collecting(**options: Any) -> TracerProvider:
    """Return a provider with a batch processor that exports to nobody."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(**options)
    provider.add_span_processor(BatchSpanProcessor(nowhere()))
    return provider


def metering() -> MeterProvider:
    """Return a meter provider that collects when asked."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    return MeterProvider([InMemoryMetricReader()])


def stream_pieces() -> list[bytes]:
    """Return the events of a streamed reply of CHUNKS pieces, with counts."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": f"word{n} "} for n in range(CHUNKS)), {}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "gpt-5-mini"}
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}
        for delta in deltas
    ]
    chunks.append({**head, "choices": [], "usage": REPLY["usage"]})
    return [*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n"]


WHOLE = json.dumps(REPLY).encode()
PIECES = stream_pieces()


def answer(request: httpx2.Request) -> httpx2.Response:
    """Answer from memory; the events of a stream come one by one, as from a network."""
    if b'"stream":true' in request.content.replace(b" ", b""):
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=iter(PIECES))
    return httpx2.Response(200, headers={"content-type": "application/json"}, content=WHOLE)


def answer_at_once(request: httpx2.Request) -> httpx2.Response:
    """Stream all events in one read."""
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=b"".join(PIECES))


def client(respond: Callable[[httpx2.Request], httpx2.Response] = answer) -> openai.OpenAI:
    """Return an OpenAI client on a mock transport."""
    return openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(respond)))


def create(made: openai.OpenAI) -> Callable[[], Any]:
    """Return what makes one whole call."""
    return lambda: made.chat.completions.create(model="gpt-5-mini", messages=MESSAGES)


def stream(made: openai.OpenAI) -> Callable[[], Any]:
    """Return what makes one call and reads its stream."""

    def call() -> None:
        for _ in made.chat.completions.create(
            model="gpt-5-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        ):
            pass

    return call


def nobody_collects() -> list[Row]:
    """Return the cost of a tracer where no SDK is set."""
    tracer = trace.get_tracer("benchmark")

    def noop() -> None:
        with tracer.start_as_current_span("x"):
            pass

    def ask() -> None:
        return None

    empty, traced = ap.Stack(Empty())(ask), ap.Stack(Tracer())(ask)
    times = blocks({"no-op span": noop, "empty": empty, "traced": traced}, calls=2000, rounds=15)
    assert "opentelemetry.sdk.trace" not in sys.modules
    noop_time = times["no-op span"]
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    unsampled = ap.Stack(Tracer(tracer_provider=collecting(sampler=ALWAYS_OFF)))(ask)
    with_sdk = blocks({"empty": empty, "unset": traced, "unsampled": unsampled}, calls=2000, rounds=15)
    return [
        ("no-op start_as_current_span, µs", noop_time, ""),
        ("tracer, no SDK, as a multiple of it", (times["traced"] - times["empty"]) / noop_time, "≤ 0.5"),
        ("tracer, an SDK without a provider", (with_sdk["unset"] - with_sdk["empty"]) / noop_time, ""),
        ("tracer, call not sampled", (with_sdk["unsampled"] - with_sdk["empty"]) / noop_time, ""),
    ]


class Floor:
    """A layer that lets OpenTelemetry's SDK make two spans and three metrics like ours, of attributes made beforehand.

    No tracer that uses the SDK can cost less.
    """

    def __init__(self, provider: TracerProvider, meters: MeterProvider) -> None:
        self.tracer, meter = provider.get_tracer("floor"), meters.get_meter("floor")
        self.duration = meter.create_histogram("duration", "s")
        self.tokens = meter.create_histogram("tokens", "{token}")
        asked = {
            "gen_ai.provider.name": "openai",
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-5-mini",
        }
        self.asked: dict[str, Any] = {**asked, "server.address": "api.openai.com", "server.port": 443}
        self.told = {f"attribute.{number}": value for number, value in enumerate((*range(10), *"abcde"))}
        self.tried = {f"attempt.{number}": number for number in range(4)}
        self.labels = {**self.asked, "gen_ai.response.model": "gpt-5-mini"}
        self.sent, self.got = ({**self.labels, "gen_ai.token.type": kind} for kind in ("input", "output"))

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Pass the call on between the starts and the ends of two spans."""
        operation = self.tracer.start_span("chat gpt-5-mini", kind=trace.SpanKind.CLIENT, attributes=self.asked)
        attempt = self.tracer.start_span("attempt", trace.set_span_in_context(operation), attributes=self.tried)
        reply = await call_next(call)
        attempt.set_attributes(self.tried)
        attempt.end()
        operation.set_attributes(self.told)
        operation.end()
        self.duration.record(0.1, self.labels)
        self.tokens.record(800, self.sent)
        self.tokens.record(160, self.got)
        return reply


def somebody_collects() -> list[Row]:
    """Return the cost of spans and metrics per call of a real client."""
    meters = metering()
    made = client()
    ways: dict[str, openai.OpenAI] = {
        "bare": made,
        "empty": ap.Stack(Empty()).wrap(made),
        "floor": ap.Stack(Floor(collecting(), meters)).wrap(made),
        "spans": ap.Stack(Tracer(tracer_provider=collecting())).wrap(made),
        "metrics": ap.Stack(Tracer(tracer_provider=collecting(), meter_provider=meters)).wrap(made),
        "text": ap.Stack(Tracer(tracer_provider=collecting(), capture="span")).wrap(made),
    }
    whole = blocks({name: create(way) for name, way in ways.items()}, calls=8, rounds=40)
    later.flush(30)
    streamed = {name: stream(ways[name]) for name in ("bare", "empty", "spans")}
    streams = blocks(streamed, calls=2, rounds=25)
    fast = client(answer_at_once)
    at_once = {
        "empty": ap.Stack(Empty()).wrap(fast),
        "spans": ap.Stack(Tracer(tracer_provider=collecting())).wrap(fast),
    }
    bursts = blocks({name: stream(way) for name, way in at_once.items()}, calls=2, rounds=25)
    meters.shutdown()
    bare, chunk = whole["bare"], streams["bare"] / CHUNKS
    once, sdk = whole["spans"] - whole["empty"], whole["floor"] - whole["empty"]
    per_chunk = (streams["spans"] - streams["empty"] - once) / CHUNKS
    of_many = (bursts["spans"] - bursts["empty"] - once) / CHUNKS
    return [
        ("bare SDK call, µs", bare, ""),
        ("tracer: two spans, as a multiple of it", once / bare, ""),
        ("tracer: two spans and three metrics", (whole["metrics"] - whole["empty"]) / bare, "≤ 0.12"),
        ("OpenTelemetry's SDK alone, for as many spans and metrics", sdk / bare, "(the floor)"),
        ("tracer, as a multiple of that", (whole["metrics"] - whole["empty"]) / sdk, ""),
        ("tracer: two spans, messages scrubbed on the thread", (whole["text"] - whole["empty"]) / bare, ""),
        ("bare SDK chunk, µs", chunk, ""),
        ("tracer: one chunk in a read of its own, as a multiple of it", per_chunk / chunk, "≤ 0.01"),
        ("tracer: one of the chunks of one read", of_many / chunk, "≤ 0.01"),
    ]


def peer(name: str) -> list[Row]:
    """Return what another instrumentation costs; it patches the SDK for good: in a process of its own."""
    made = client()
    tracer = Tracer(tracer_provider=collecting(), meter_provider=metering())
    ways = {"bare": made, "empty": ap.Stack(Empty()).wrap(made), "ours": ap.Stack(tracer).wrap(made)}
    times = blocks({way: create(which) for way, which in ways.items()}, calls=8, rounds=40)
    streams = blocks({way: stream(which) for way, which in ways.items()}, calls=2, rounds=25)
    later.flush(30)
    ours = (times["ours"] - times["empty"]) / times["bare"]
    our_chunk = (streams["ours"] - streams["empty"] - (times["ours"] - times["empty"])) / streams["bare"]
    bare, s_bare = measure(made)
    instrument(name, made)
    traced, s_traced = measure(made)
    theirs, their_chunk = (traced - bare) / bare, (s_traced - s_bare - (traced - bare)) / s_bare
    return [
        (f"{name}: a call, as a multiple of the bare one", theirs, ""),
        ("tracer with metrics: the same", ours, "≤ 0.12"),
        (f"tracer as a multiple of {name}", ours / theirs, GOALS.get(name, "")),
        (f"{name}: one chunk, as a multiple of the bare one", their_chunk, ""),
        ("tracer with metrics: the same", our_chunk, "≤ 0.01"),
        (f"{name}: one chunk, as a multiple of the tracer's", their_chunk / max(our_chunk, 1e-4), "≥ 30"),
    ]


def instrument(name: str, made: openai.OpenAI) -> None:
    """Switch another instrumentation on."""
    module = importlib.import_module(PEERS[name])
    if name == "Logfire":
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        module.configure(
            send_to_logfire=False, console=False, additional_span_processors=[BatchSpanProcessor(nowhere())]
        )
        module.instrument_openai(made)
    else:
        module.OpenAIInstrumentor().instrument(tracer_provider=collecting(), meter_provider=metering())


def measure(made: openai.OpenAI) -> tuple[float, float]:
    """Return the time of a whole reply and of a stream."""
    return (
        blocks({"x": create(made)}, calls=8, rounds=40)["x"],
        blocks({"x": stream(made)}, calls=2, rounds=25)["x"],
    )


def main() -> None:
    """Print all tables, or one peer's."""
    if len(sys.argv) > 1:
        print(table(sys.argv[1], peer(sys.argv[1])))
        return
    print(table("Nobody collects spans", nobody_collects()), end="\n\n")
    print(table("A batch processor collects them", somebody_collects()), end="\n\n", flush=True)
    for name, module in PEERS.items():
        if installed(module):
            subprocess.run([sys.executable, __file__, name], check=False)
        else:
            print(f"{name} is not installed")


def installed(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    main()
