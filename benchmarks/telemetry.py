"""What tracing costs: `python benchmarks/telemetry.py` prints ratios measured in one run.

With `--page PAGE` it writes those of a whole call between the markers of a page, too.

Measured against OpenTelemetry's own `start_as_current_span` where nobody collects spans, and where a batch processor
does against a bare `chat.completions.create` of OpenAI's client on `httpx2.MockTransport`: 3.6 kB of prompt, a reply
of 480 characters with counts, parsed by the SDK as always; the exporter throws away. Where they are installed, these
are measured beside it, each in a process of its own and without message text: OpenTelemetry's own
`opentelemetry-instrumentation-genai-openai`, `openinference-instrumentation-openai`, OpenLLMetry's
`opentelemetry-instrumentation-openai`, and `logfire`. How much each exports for a call is said beside.

The goals of 0.12, 0.4 and 0.3 came from 75 µs that a prototype took in a loop of its own, held against 900 µs of a
bare call and 260 and 350 µs that others add inside such calls. Inside a call the same instructions take two to three
times as long, as the client's own fill the processor's caches. So both are shown, and the floor beside them: what
OpenTelemetry's SDK alone takes for two spans and three metrics, made of attributes that are there already.

Behind a batch processor the tracer describes calls on a thread of its own, sixteen at a time. What all threads take
together is one figure; what the caller's own thread takes, by which a call is longer, another. Blocks are of sixteen
calls and end when all of them have been described.

A chunk is timed as the difference of a long and a short stream. What the tracer adds to one is measured on streams
that are read as bytes, where it is not lost in the noise of decoding, and held against a chunk that the SDK decodes.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
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
from page import fill
from timing import Row, blocks, table

import agentprod as ap
from agentprod.telemetry.later import later
from agentprod.telemetry.tracer import Tracer

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

PROMPT = "Tell me about the lighthouse on the cliff. " * 85
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
CHUNKS = 400
"""By which the long stream is longer than the short one."""
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
    """Return an exporter that counts what it throws away."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        spans = attributes = 0

        def export(self, spans: Any) -> Any:
            self.spans += len(spans)
            self.attributes += sum(len(span.attributes) for span in spans)
            return SpanExportResult.SUCCESS

    return Nowhere()


def collecting(exporter: Any = None, **options: Any) -> TracerProvider:
    """Return a provider with a batch processor that exports to nobody."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(**options)
    provider.add_span_processor(BatchSpanProcessor(exporter or nowhere()))
    return provider


def metering() -> MeterProvider:
    """Return a meter provider that collects when asked."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    return MeterProvider([InMemoryMetricReader()])


def stream_pieces(chunks: int) -> list[bytes]:
    """Return the events of a streamed reply of some chunks, with counts."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": f"word{n} "} for n in range(chunks)), {}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "gpt-5-mini"}
    events: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}
        for delta in deltas
    ]
    events.append({**head, "choices": [], "usage": REPLY["usage"]})
    return [*(f"data: {json.dumps(event)}\n\n".encode() for event in events), b"data: [DONE]\n\n"]


WHOLE = json.dumps(REPLY).encode()


def client(chunks: int = CHUNKS + 2, *, at_once: bool = False) -> openai.OpenAI:
    """Return an OpenAI client on a mock transport that answers from memory.

    The chunks of a stream come one by one, as from a network, or all in one read.
    """
    pieces = stream_pieces(chunks)
    if at_once:
        pieces = [b"".join(pieces)]

    def answer(request: httpx2.Request) -> httpx2.Response:
        if b'"stream":true' in request.content.replace(b" ", b""):
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=iter(pieces))
        return httpx2.Response(200, headers={"content-type": "application/json"}, content=WHOLE)

    return openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))


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


TOGETHER = 16
"""Calls of a block: so many are described in one go."""


def described(call: Callable[[], Any], calls: int = TOGETHER) -> Callable[[], Any]:
    """Return what makes a block of calls, and waits until a thread of ours has described them."""

    def several() -> None:
        for _ in range(calls):
            call()
        later.flush(30)

    return several


def per_call(ways: Mapping[str, openai.OpenAI], clock: Callable[[], float] = time.process_time) -> dict[str, float]:
    """Return microseconds that one call takes through each of some clients."""
    work = {name: described(create(made)) for name, made in ways.items()}
    return {name: taken / TOGETHER for name, taken in blocks(work, calls=1, rounds=25, clock=clock).items()}


def read_bytes(made: openai.OpenAI) -> Callable[[], Any]:
    """Return what makes one call and reads its stream without decoding it."""

    def call() -> None:
        with made.chat.completions.with_streaming_response.create(
            model="gpt-5-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        ) as response:
            for _ in response.iter_bytes():
                pass

    return call


def per_chunk(
    read: Callable[[openai.OpenAI], Callable[[], Any]], wraps: Mapping[str, Callable[[openai.OpenAI], openai.OpenAI]]
) -> dict[str, float]:
    """Return microseconds for one chunk of a stream, read through each of the wrapped clients."""
    ways = {(name, length): read(wrap(client(length))) for name, wrap in wraps.items() for length in (2, CHUNKS + 2)}
    work = {f"{name} {length}": described(way, 1) for (name, length), way in ways.items()}
    times = blocks(work, calls=1, rounds=50)
    return {name: (times[f"{name} {CHUNKS + 2}"] - times[f"{name} 2"]) / CHUNKS for name in wraps}


def itself(made: openai.OpenAI) -> openai.OpenAI:
    """Return a client that nothing is put around."""
    return made


def tracer_per_chunk(meters: MeterProvider | None = None) -> float:
    """Return microseconds that a tracer adds to each chunk of a stream."""
    tracer = Tracer(tracer_provider=collecting(), meter_provider=meters)
    times = per_chunk(read_bytes, {"empty": ap.Stack(Empty()).wrap, "traced": ap.Stack(tracer).wrap})
    return times["traced"] - times["empty"]


def imports() -> list[Row]:
    """Return what importing the package takes, in processes of their own whose bytecode is there already."""
    what = {"nothing": "pass", "opentelemetry": "import opentelemetry.trace", "agentprod": "import agentprod"}
    best = dict.fromkeys(what, float("inf"))
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(20):
            for name, code in what.items():
                begun = os.times()
                subprocess.run([sys.executable, "-c", code], env=environment, check=True)
                ended = os.times()
                taken = ended.children_user + ended.children_system - begun.children_user - begun.children_system
                best[name] = min(best[name], taken)
    ratio = (best["agentprod"] - best["nothing"]) / (best["opentelemetry"] - best["nothing"])
    return [("import agentprod, as a multiple of import opentelemetry.trace", ratio, "≤ 2")]


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


def in_a_loop(meters: MeterProvider) -> dict[str, float]:
    """Return microseconds a call of a function that only returns a reply, so that caches hold what is measured."""

    def ask(model: str, messages: Any) -> Any:
        return REPLY

    ways = {
        "empty": ap.Stack(Empty())(ask),
        "floor": ap.Stack(Floor(collecting(), meters))(ask),
        "metrics": ap.Stack(Tracer(tracer_provider=collecting(), meter_provider=meters))(ask),
    }
    work = {name: described(partial(way, "gpt-5-mini", MESSAGES)) for name, way in ways.items()}
    times = blocks(work, calls=20, rounds=15)
    return {name: (time - times["empty"]) / TOGETHER for name, time in times.items()}


def somebody_collects() -> tuple[list[Row], list[tuple[str, float]]]:
    """Return the cost of spans and metrics per call of a real client, and of that what a page tells."""
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
    whole = per_call(ways)
    own = per_call({name: ways[name] for name in ("empty", "floor", "metrics")}, time.thread_time)
    loop = in_a_loop(meters)
    chunk, chunk_traced = per_chunk(stream, {"bare": itself})["bare"], tracer_per_chunk()
    burst = {
        "empty": ap.Stack(Empty()).wrap(client(at_once=True)),
        "spans": ap.Stack(Tracer(tracer_provider=collecting())).wrap(client(at_once=True)),
    }
    bursts = blocks({name: described(read_bytes(way), 4) for name, way in burst.items()}, calls=1, rounds=25)
    meters.shutdown()
    bare = whole["bare"]
    once, sdk = whole["spans"] - whole["empty"], whole["floor"] - whole["empty"]
    callers = own["metrics"] - own["empty"]
    of_many = (bursts["spans"] - bursts["empty"]) / 4 / CHUNKS
    told = [
        ("OpenTelemetry's SDK alone, for as many spans and metrics", sdk / bare),
        ("`Tracer`: all threads together", (whole["metrics"] - whole["empty"]) / bare),
        ("`Tracer`: what the call itself waits for", callers / bare),
    ]
    return [
        ("bare SDK call, µs", bare, ""),
        ("tracer: two spans, as a multiple of it", once / bare, ""),
        ("tracer: two spans and three metrics", (whole["metrics"] - whole["empty"]) / bare, "≤ 0.12"),
        ("OpenTelemetry's SDK alone, for as many spans and metrics", sdk / bare, "(the floor)"),
        ("tracer, as a multiple of that", (whole["metrics"] - whole["empty"]) / sdk, ""),
        ("tracer: what its caller's thread takes of it, as a multiple of the bare call", callers / bare, "≤ 0.12"),
        ("OpenTelemetry's SDK alone, which does all there", (own["floor"] - own["empty"]) / bare, "(the floor)"),
        ("tracer: two spans, messages scrubbed on a thread of its own", (whole["text"] - whole["empty"]) / bare, ""),
        (
            "tracer in a loop of its own, two spans and three metrics, to the bare call",
            loop["metrics"] / bare,
            "≤ 0.12",
        ),
        ("OpenTelemetry's SDK alone in such a loop", loop["floor"] / bare, "(the floor)"),
        ("tracer in a loop, as a multiple of that", loop["metrics"] / loop["floor"], ""),
        ("bare SDK chunk, µs", chunk, ""),
        ("tracer: one chunk in a read of its own, as a multiple of it", chunk_traced / chunk, "≤ 0.01"),
        ("tracer: one of the chunks of one read, its stream's spans included", of_many / chunk, "≤ 0.01"),
    ], told


def peer(name: str) -> tuple[list[Row], float]:
    """Return what another instrumentation costs, and as a multiple of a bare call.

    It patches the SDK for good: in a process of its own.
    """
    made, meters = client(), metering()
    tracer = Tracer(tracer_provider=collecting(), meter_provider=meters)
    ways = {
        "bare": made,
        "empty": ap.Stack(Empty()).wrap(made),
        "floor": ap.Stack(Floor(collecting(), meters)).wrap(made),
        "ours": ap.Stack(tracer).wrap(made),
    }
    times, own = per_call(ways), per_call({name: ways[name] for name in ("empty", "ours")}, time.thread_time)
    loop = in_a_loop(meters)["metrics"]
    our_chunk = tracer_per_chunk(meters)
    ours, floor = ((times[way] - times["empty"]) / times["bare"] for way in ("ours", "floor"))
    callers = (own["ours"] - own["empty"]) / times["bare"]
    exported = nowhere()
    ap.Stack(Tracer(tracer_provider=(provider := collecting(exporter=exported)))).wrap(made).chat.completions.create(
        model="gpt-5-mini", messages=MESSAGES
    )
    provider.force_flush()
    bare = per_call({"x": made})["x"]
    bare_chunk = per_chunk(stream, {"bare": itself})["bare"]
    theirs_exported, flush, wrap = instrument(name)
    wrap(made)
    traced = per_call({"x": made})["x"]
    flush()
    called = theirs_exported.spans
    create(made)()
    flush()
    spans, attributes = theirs_exported.spans - called, theirs_exported.attributes / max(theirs_exported.spans, 1)
    their_chunk = per_chunk(stream, {"traced": wrap})["traced"] - bare_chunk
    theirs = (traced - bare) / bare
    return [
        (f"{name}: spans of a call", spans, ""),
        (f"{name}: attributes of a span", attributes, ""),
        ("tracer: spans of a call", exported.spans, ""),
        ("tracer: attributes of both", exported.attributes, ""),
        (f"{name}: a call, as a multiple of the bare one", theirs, ""),
        ("tracer with metrics: the same", ours, "≤ 0.12"),
        (f"tracer as a multiple of {name}", ours / theirs, GOALS.get(name, "")),
        (f"tracer, what its caller's thread takes, as a multiple of {name}", callers / theirs, GOALS.get(name, "")),
        (
            f"OpenTelemetry's SDK alone, for as many spans and metrics as the tracer, of {name}",
            floor / theirs,
            "(floor)",
        ),
        (f"tracer in a loop of its own, as a multiple of {name}", loop / (traced - bare), GOALS.get(name, "")),
        (f"{name}: one chunk, as a multiple of the bare one", their_chunk / bare_chunk, ""),
        ("tracer with metrics: the same", our_chunk / bare_chunk, "≤ 0.01"),
        (f"{name}: one chunk, as a multiple of the tracer's", their_chunk / max(our_chunk, 1e-2), "≥ 30"),
    ], theirs


def instrument(name: str) -> tuple[Any, Callable[[], Any], Callable[[openai.OpenAI], openai.OpenAI]]:
    """Switch another instrumentation on; return its exporter, how to flush it, and how to instrument one client."""
    module, exporter = importlib.import_module(PEERS[name]), nowhere()
    if name == "Logfire":
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        module.configure(
            send_to_logfire=False, console=False, additional_span_processors=[BatchSpanProcessor(exporter)]
        )

        def wrap(made: openai.OpenAI) -> openai.OpenAI:
            module.instrument_openai(made)
            return made

        return exporter, module.force_flush, wrap
    provider = collecting(exporter=exporter)
    module.OpenAIInstrumentor().instrument(tracer_provider=provider, meter_provider=metering())
    return exporter, provider.force_flush, itself


def unreachable() -> str:
    """Measure calls in a process of its own while nothing listens where its spans go, and how long it takes to end."""
    begun = [sys.executable, __file__, "unreachable"]
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    done = subprocess.run(begun, env=environment, capture_output=True, text=True, check=True)
    added, at = map(float, done.stdout.split())
    rows: list[Row] = [
        ("99th percentile of 1,000 calls, added to that with a collector, ms", added * 1000, "≤ 0.2"),
        ("end of the process, where a batch may take one second, s", time.time() - at, "≤ 3"),
    ]
    return table("A collector that cannot be reached", rows)


def call_nobody() -> None:
    """Print what an unreachable collector adds to calls, in seconds, and the time."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def ask(model: str, messages: Any) -> Any:
        return REPLY

    def slowest(way: Callable[..., Any]) -> float:
        taken = []
        for _ in range(1000):
            begun = time.perf_counter()
            way("gpt-5-mini", MESSAGES)
            taken.append(time.perf_counter() - begun)
        return sorted(taken)[989]

    exporters = {"reached": nowhere(), "unreachable": OTLPSpanExporter("http://127.0.0.1:9/v1/traces")}
    ways = {
        name: ap.Stack(Tracer(tracer_provider=collecting(exporter=exporter)))(ask)
        for name, exporter in exporters.items()
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(7):
        for name, way in ways.items():
            best[name] = min(best[name], slowest(way))
    print(best["unreachable"] - best["reached"], time.time(), flush=True)


def main() -> None:
    """Print all tables, and write a page when one is named."""
    if sys.argv[1:] == ["unreachable"]:
        call_nobody()
        return
    if sys.argv[1:2] == ["peer"]:
        sys.stdout.write(json.dumps(peer(sys.argv[2])))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, help="a page to write the figures of a whole call into")
    options = parser.parse_args()
    print(table("Import", imports()), end="\n\n")
    print(table("Nobody collects spans", nobody_collects()), end="\n\n")
    rows, told = somebody_collects()
    print(table("A batch processor collects them", rows), end="\n\n", flush=True)
    if installed("opentelemetry.exporter.otlp.proto.http"):
        print(unreachable(), end="\n\n", flush=True)
    else:
        print("opentelemetry-exporter-otlp-proto-http is not installed: nothing to find unreachable", end="\n\n")
    for name, module in PEERS.items():
        if not installed(module):
            print(f"{name} is not installed")
            continue
        done = subprocess.run([sys.executable, __file__, "peer", name], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            print(f"{name} could not be measured")
            continue
        rows, theirs = json.loads(done.stdout.splitlines()[-1])
        print(table(name, rows), end="\n\n", flush=True)
        told.append((f"{name}, one span: the call waits for all of it", theirs))
    if options.page is not None:
        lines = ["| | of a bare call |", "|---|---|", *(f"| {what} | {figure:.2f} |" for what, figure in told)]
        fill(options.page, "costs", "\n".join(lines))


def installed(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    main()
