"""Metrics of traced calls: counted whether or not anybody collects spans."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import agentprod as ap
from agentprod.telemetry.meters import find_instruments
from agentprod.telemetry.recording import record
from agentprod.telemetry.tracer import Tracer
from agentprod.testing import FakeClock, Provider, behaviours
from tests.telemetry.tracing import HELLO, MODEL, Traces, clean, openai_client, running


class Meters:
    """A meter provider and what it collected."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self._reader])

    def points(self, name: str) -> list[Any]:
        """Return the data points of one instrument."""
        found = self._reader.get_metrics_data()
        if found is None:
            return []
        return [
            point
            for resource in found.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running(behaviours.ok("one two", usage=ap.Usage(100, 7))) as server:
        yield server


def client(provider: Provider, *layers: Any, tracer: Tracer, **options: Any) -> openai.OpenAI:
    return ap.Stack(tracer, *layers, **options).wrap(openai_client(provider))


TRACER_PROVIDERS = [None, TracerProvider(), TracerProvider(sampler=ALWAYS_OFF)]


@pytest.mark.parametrize("spans", TRACER_PROVIDERS, ids=["no spans", "spans", "spans not sampled"])
def test_duration_and_tokens_of_a_call(provider: Provider, meters: Meters, spans: Any) -> None:
    """Duration and both token counts have the conventions' labels, whatever becomes of the span."""
    tracer = Tracer(tracer_provider=spans, meter_provider=meters.provider)
    with clean():
        client(provider, tracer=tracer).chat.completions.create(model=MODEL, messages=HELLO)
    (duration,) = meters.points("gen_ai.client.operation.duration")
    assert duration.count == 1
    assert duration.sum > 0
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": MODEL,
        "server.address": "127.0.0.1",
        "server.port": provider.port,
    }.items() <= dict(duration.attributes).items()
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in meters.points("gen_ai.client.token.usage")}
    assert tokens == {"input": 100, "output": 7}


def test_time_to_the_first_chunk(provider: Provider, meters: Meters) -> None:
    """A stream has it, a whole reply has not."""
    made = client(provider, tracer=Tracer(meter_provider=meters.provider))
    made.chat.completions.create(model=MODEL, messages=HELLO)
    assert not meters.points("gen_ai.client.operation.time_to_first_chunk")
    for _ in made.chat.completions.create(model=MODEL, messages=HELLO, stream=True):
        pass
    (first,) = meters.points("gen_ai.client.operation.time_to_first_chunk")
    assert first.count == 1


def test_attempts_failures_and_cost(provider: Provider, meters: Meters) -> None:
    """Success of calls and of attempts are two figures; money is counted where the price is known."""
    provider.script(["rate_limit", behaviours.ok("x", usage=ap.Usage(100, 7))])
    tracer = Tracer(meter_provider=meters.provider)
    made = client(
        provider, ap.Retry(wait=0, attempts=2), tracer=tracer, prices=lambda provider, model, usage: Decimal("0.25")
    )
    made.chat.completions.create(model=MODEL, messages=HELLO)
    attempts = {point.attributes["outcome"]: point.value for point in meters.points("agentprod.attempts")}
    assert attempts == {"failed": 1, "ok": 1}
    (requests,) = meters.points("agentprod.requests")
    assert (requests.value, requests.attributes["status"]) == (1, "ok")
    assert [point.value for point in meters.points("agentprod.cost")] == [0.25]


def test_an_unknown_price_is_counted_as_such(provider: Provider, meters: Meters) -> None:
    """A call without a price adds to no sum of money, and one to the calls without a price."""
    made = client(provider, tracer=Tracer(meter_provider=meters.provider), prices=lambda provider, model, usage: None)
    made.chat.completions.create(model=MODEL, messages=HELLO)
    assert not meters.points("agentprod.cost")
    assert [point.value for point in meters.points("agentprod.cost.unknown")] == [1]


def test_ten_identical_calls_of_which_nine_are_hits(provider: Provider, meters: Meters) -> None:
    """Viewers bill one call, and the metrics say what nine hits saved."""
    traces = Traces()
    stored: list[Any] = []

    class Remember:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            if stored:
                call.ledger.cache, call.ledger.saved_usage = "hit_exact", ap.Usage(100, 7)
                call.ledger.served = call.target
                return call.reply(stored[0])
            reply = await call_next(call)
            call.ledger.cache = "miss"
            stored.append(reply.body)
            return reply

    tracer = Tracer(tracer_provider=traces.provider, meter_provider=meters.provider)
    made = client(provider, Remember(), tracer=tracer, prices=lambda provider, model, usage: Decimal("0.5"))
    for _ in range(10):
        made.chat.completions.create(model=MODEL, messages=HELLO)
    assert traces.billed() == [100]
    assert [point.value for point in meters.points("agentprod.cost.saved")] == [4.5]
    assert [point.value for point in meters.points("agentprod.cost")] == [0.5]
    statuses = {point.attributes["status"]: point.value for point in meters.points("agentprod.requests")}
    assert statuses == {"ok": 1, "cached": 9}


def test_a_rejection_is_no_failure_of_the_provider(meters: Meters) -> None:
    """A call that was refused has no provider duration, and the status of its own."""

    class Refuse:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            raise ap.RateLimited("no", layer="RateLimit")

    @ap.Stack(Tracer(meter_provider=meters.provider), Refuse())
    def ask(model: str, messages: list[Any]) -> str:
        return "x"

    with pytest.raises(ap.RateLimited):
        ask(MODEL, HELLO)
    assert [point.attributes["status"] for point in meters.points("agentprod.requests")] == ["rejected"]
    assert not meters.points("gen_ai.client.operation.duration")


def test_an_abandoned_stream_is_counted_with_its_estimate(provider: Provider, meters: Meters) -> None:
    """The tokens of a stream left early are in the metrics as soon as they are estimated."""
    traces = Traces()
    tracer = Tracer(tracer_provider=traces.provider, meter_provider=meters.provider)
    with client(provider, tracer=tracer).chat.completions.create(model=MODEL, messages=HELLO, stream=True) as stream:
        next(iter(stream))
    traces.spans()
    assert {point.attributes["gen_ai.token.type"] for point in meters.points("gen_ai.client.token.usage")} == {
        "input",
        "output",
    }


def test_a_record_names_the_span_and_what_the_layers_decided(provider: Provider) -> None:
    """What `ap.record()` keeps can be found among the spans."""
    traces = Traces()

    class Route:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            call.ledger.note("Router", "chose", reason="cost")
            return await call_next(call)

    made = client(provider, Route(), tracer=Tracer(tracer_provider=traces.provider))
    with record() as calls:
        made.chat.completions.create(model=MODEL, messages=HELLO)
    (span,) = traces.operations()
    (kept,) = calls
    assert span.context is not None
    assert kept.span_id == f"{span.context.span_id:016x}"
    assert kept.trace_id == f"{span.context.trace_id:032x}"
    assert kept.route == "cost"


def test_two_tracers_share_the_instruments_of_a_provider(meters: Meters) -> None:
    """One set per provider: label limits hold for all tracers together."""
    assert find_instruments(meters.provider) is find_instruments(meters.provider)


def test_the_global_meter_provider_is_found_when_it_is_set(monkeypatch: pytest.MonkeyPatch, meters: Meters) -> None:
    """Until there is one nothing is counted; one that is set later is found with the next look."""
    clock = FakeClock()
    stack = ap.Stack(Tracer(tracer_provider=Traces().provider), clock=clock)

    @stack
    def ask() -> str:
        return "x"

    ask()
    assert find_instruments(None) is None
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: meters.provider)
    clock.advance(1)
    ask()
    (requests,) = meters.points("agentprod.requests")
    assert requests.value == 1


def test_without_the_metrics_sdk_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the SDK's metrics are not loaded, looking for a provider is not worth its time."""
    import sys

    monkeypatch.delitem(sys.modules, "opentelemetry.sdk.metrics", raising=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: pytest.fail("asked"))
    assert find_instruments(None) is None


@pytest.mark.parametrize("asked", [False, True])
def test_time_between_chunks_when_asked_for(provider: Provider, meters: Meters, asked: bool) -> None:
    """Each wait for the provider is one observation of the histogram, and only for those who ask."""
    tracer = Tracer(tracer_provider=Traces().provider, meter_provider=meters.provider, chunk_gaps=asked)
    for _ in client(provider, tracer=tracer).chat.completions.create(model=MODEL, messages=HELLO, stream=True):
        pass
    points = meters.points("gen_ai.client.operation.time_per_output_chunk")
    if not asked:
        assert not points
        return
    (point,) = points
    assert point.count > 0
    assert point.attributes["gen_ai.request.model"] == MODEL
    assert "chunk_gaps=True" in repr(tracer)
