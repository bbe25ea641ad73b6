"""Finished calls as OpenTelemetry metrics."""

from __future__ import annotations

import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from agentprod.errors import ConfigError
from agentprod.telemetry.calls import AttemptRecord, RunRecord, ToolRecord
from agentprod.telemetry.drops import drops
from agentprod.telemetry.genai_metrics import WIDE_BUCKETS
from agentprod.telemetry.later import later
from agentprod.telemetry.metric_names import METRICS
from agentprod.telemetry.metrics import Instruments
from agentprod.usage import Usage
from tests.telemetry.records import cached_call, call_record, failed_call, rejected_call


def points(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    if data is None:
        return {}
    return {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def values(found: list[Any]) -> dict[tuple[Any, ...], Any]:
    """Return value, or sum for histograms, by the label values in label order."""
    return {
        tuple(value for _, value in sorted(point.attributes.items())): getattr(point, "value", None)
        if hasattr(point, "value")
        else point.sum
        for point in found
    }


def test_a_call_with_a_retry(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """One call of two attempts is one request, two attempts, one wait, one duration, two token counts and its cost."""
    attempts = (
        AttemptRecord(number=1, model="gpt-5-mini", outcome="failed", error_type="429", status_code=429),
        AttemptRecord(number=2, model="gpt-5-mini", backoff=0.5),
    )
    Instruments(meter_provider=provider).record(call_record(attempts=attempts, cost="0.01", duration=1.5))
    found = points(reader)
    assert values(found["agentprod.requests"]) == {("gpt-5-mini", "openai", "ok"): 1}
    assert values(found["agentprod.attempts"]) == {("429", "gpt-5-mini", "failed"): 1, ("gpt-5-mini", "ok"): 1}
    assert values(found["agentprod.retry.delay"]) == {("gpt-5-mini",): 0.5}
    assert values(found["agentprod.cost"]) == {("gpt-5-mini", "openai"): 0.01}
    assert values(found["gen_ai.client.operation.duration"]) == {("chat", "openai", "gpt-5-mini"): 1.5}
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in found["gen_ai.client.token.usage"]}
    assert tokens == {"input": 100, "output": 20}
    assert "agentprod.cost.unknown" not in found
    assert not any(name.startswith("gen_ai.client.inference") for name in found)


def test_a_hit_and_a_refusal(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """A hit counts as cached with what it saved and no tokens; a refusal has no duration."""
    instruments = Instruments(meter_provider=provider)
    instruments.record(cached_call(cache="hit_semantic", similarity=0.97))
    instruments.record(rejected_call())
    found = points(reader)
    assert values(found["agentprod.requests"]) == {
        ("gpt-5-mini", "openai", "cached"): 1,
        ("gpt-5-mini", "openai", "rejected"): 1,
    }
    assert values(found["agentprod.cache.requests"]) == {("hit_semantic",): 1}
    assert values(found["agentprod.cache.similarity"]) == {("hit_semantic",): 0.97}
    assert values(found["agentprod.cost.saved"]) == {("gpt-5-mini", "openai"): 0.001}
    assert sum(point.count for point in found["gen_ai.client.operation.duration"]) == 1
    assert "gen_ai.client.token.usage" not in found
    assert "agentprod.cost" not in found


def test_an_unknown_price_is_counted_not_guessed(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """A call of unknown cost adds nothing to the cost and one to those without a price."""
    Instruments(meter_provider=provider).record(call_record(cost_usd=None, cost_source="unknown"))
    found = points(reader)
    assert values(found["agentprod.cost.unknown"]) == {("gpt-5-mini", "openai"): 1}
    assert "agentprod.cost" not in found


def test_what_layers_decided(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """Routing, budget and redactions are counted under closed labels."""
    record = call_record(
        requested_model="gpt-5",
        route="cost",
        saved_usd=Decimal("0.5"),
        budget="daily",
        budget_used=0.8,
        pii=(("input", "EMAIL", 2), ("output", "PHONE", 1)),
    )
    instruments = Instruments(meter_provider=provider)
    instruments.record(record)
    instruments.breaker_changed("openai", "open")
    instruments.breaker_changed("openai", "half_open")
    instruments.alert_fired("error_rate")
    found = points(reader)
    assert values(found["agentprod.route.decisions"]) == {("gpt-5", "cost", "gpt-5-mini"): 1}
    assert values(found["agentprod.budget.used_ratio"]) == {("daily",): 0.8}
    assert values(found["agentprod.pii.redactions"]) == {("input", "EMAIL"): 2, ("output", "PHONE"): 1}
    assert values(found["agentprod.breaker.state"]) == {("openai",): 2}
    assert values(found["agentprod.breaker.transitions"]) == {("openai", "open"): 1, ("openai", "half_open"): 1}
    assert values(found["agentprod.alerts.fired"]) == {("error_rate",): 1}


def test_streams_tools_and_runs(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """First chunks, gaps, tool calls and agent runs have their own instruments."""
    instruments = Instruments(meter_provider=provider)
    record = call_record(ttft=0.25, served_model="gpt-5-mini-2026", server_address="api.openai.com", server_port=443)
    instruments.record(record)
    gap = instruments.chunk_gaps(record)
    assert gap is not None
    gap(0.01)
    gap(0.03)
    instruments.record_tool(ToolRecord(tool="search", status="error", error_type="TimeoutError", duration=2.0))
    instruments.record_run(RunRecord(agent="planner", duration=9.0, inference_calls=4, tool_calls=3))
    found = points(reader)
    (first,) = found["gen_ai.client.operation.time_to_first_chunk"]
    assert first.sum == 0.25
    assert first.attributes["gen_ai.response.model"] == "gpt-5-mini-2026"
    assert (first.attributes["server.address"], first.attributes["server.port"]) == ("api.openai.com", 443)
    (gaps,) = found["gen_ai.client.operation.time_per_output_chunk"]
    assert (gaps.count, gaps.sum) == (2, pytest.approx(0.04))
    assert values(found["agentprod.tool.calls"]) == {("error", "search"): 1}
    assert values(found["gen_ai.execute_tool.duration"]) == {("TimeoutError", "execute_tool", "search"): 2.0}
    assert values(found["gen_ai.invoke_agent.duration"]) == {("planner", "invoke_agent"): 9.0}
    assert values(found["gen_ai.invoke_agent.inference_calls"]) == {("planner", "invoke_agent"): 4}
    assert values(found["gen_ai.invoke_agent.tool_calls"]) == {("planner", "invoke_agent"): 3}


def test_a_workflow_counts_while_it_runs(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """Inside the block one workflow is active; afterwards none, and its duration is there, with its error's class."""
    instruments = Instruments(meter_provider=provider)
    with pytest.raises(KeyError), instruments.workflow("import"):
        assert values(points(reader)["agentprod.workflow.active"]) == {("import",): 1}
        raise KeyError("x")
    found = points(reader)
    assert values(found["agentprod.workflow.active"]) == {("import",): 0}
    (duration,) = found["gen_ai.invoke_workflow.duration"]
    assert duration.attributes["error.type"] == "KeyError"
    with instruments.workflow("import"):
        pass
    assert len(points(reader)["gen_ai.invoke_workflow.duration"]) == 2


def test_the_next_names(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """With `semconv="next"` the announced names come, tokens as counters by modality, and none of the current ones."""
    usage = Usage(
        input_tokens=100,
        output_tokens=40,
        cache_read_tokens=30,
        cache_write_tokens=10,
        reasoning_tokens=16,
        input_audio_tokens=20,
        output_audio_tokens=8,
    )
    instruments = Instruments(meter_provider=provider, semconv="next")
    instruments.record(call_record(usage=usage, ttft=0.1))
    instruments.record(call_record())
    found = points(reader)

    def split(name: str) -> dict[str, int]:
        return {point.attributes["gen_ai.token.modality"]: point.value for point in found[name]}

    assert split("gen_ai.client.inference.usage.input_tokens") == {"text": 80, "audio": 20, "unknown": 100}
    assert split("gen_ai.client.inference.usage.output_tokens") == {"text": 32, "audio": 8, "unknown": 20}
    assert split("gen_ai.client.inference.usage.cache_read.input_tokens") == {"unknown": 30}
    assert split("gen_ai.client.inference.usage.cache_write.input_tokens") == {"unknown": 10}
    assert split("gen_ai.client.inference.usage.reasoning.output_tokens") == {"text": 16}
    assert sum(point.sum for point in found["gen_ai.client.inference.operation.input_tokens"]) == 200
    assert "gen_ai.client.inference.duration" in found
    assert "gen_ai.client.inference.time_to_first_chunk" in found
    assert not any(name.startswith(("gen_ai.client.operation", "gen_ai.client.token")) for name in found)


def test_both_names(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """With `semconv="both"` a dashboard of either version has its data."""
    instruments = Instruments(meter_provider=provider, semconv="both")
    instruments.record(call_record())
    gap = instruments.chunk_gaps(call_record())
    assert gap is not None
    gap(0.1)
    found = points(reader)
    for family in ("operation", "inference"):
        assert f"gen_ai.client.{family}.duration" in found
        assert f"gen_ai.client.{family}.time_per_output_chunk" in found


def test_other_traffic_is_no_inference(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """File uploads and the like count as requests, not as GenAI operations; embeddings keep their name."""
    instruments = Instruments(meter_provider=provider)
    instruments.record(call_record(operation="other", usage=None, cost_usd=None))
    assert instruments.chunk_gaps(call_record(operation="other")) is None
    instruments.record(call_record(operation="embeddings", model=None, provider=None))
    found = points(reader)
    assert sum(point.value for point in found["agentprod.requests"]) == 2
    (duration,) = found["gen_ai.client.operation.duration"]
    assert duration.attributes["gen_ai.operation.name"] == "embeddings"
    assert duration.attributes["gen_ai.request.model"] == duration.attributes["gen_ai.provider.name"] == "unknown"


@pytest.mark.parametrize(
    ("error", "label"), [("429", "429"), ("the server said: hello", "_OTHER"), ("x" * 65, "_OTHER")]
)
def test_an_error_type_is_a_word(provider: MeterProvider, reader: InMemoryMetricReader, error: str, label: str) -> None:
    """A sentence never becomes a label, for it would be a message in disguise."""
    Instruments(meter_provider=provider).record(failed_call(error_type=error))
    (duration,) = points(reader)["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == label


def test_own_bucket_borders(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """Whoever wants other borders for durations gives them."""
    Instruments(meter_provider=provider, duration_buckets=WIDE_BUCKETS).record(call_record())
    (duration,) = points(reader)["gen_ai.client.operation.duration"]
    assert duration.explicit_bounds == WIDE_BUCKETS


def test_drops_are_exported(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """What telemetry dropped is a metric like others."""
    instruments = Instruments(meter_provider=provider)
    instruments.record(call_record())
    drops.count("test_metrics")
    assert values(points(reader)["agentprod.telemetry.dropped"])[("test_metrics",)] >= 1


@pytest.mark.parametrize("chosen", [None, NoOpMeterProvider()])
def test_without_an_sdk_nothing_is_made(chosen: Any) -> None:
    """Where nobody collects metrics, recording makes no instrument and no attribute."""
    instruments = Instruments(meter_provider=chosen)
    instruments.record(call_record())
    instruments.record_tool(ToolRecord(tool="search"))
    instruments.record_run(RunRecord(agent="a"))
    instruments.breaker_changed("b", "open")
    instruments.alert_fired("r")
    with instruments.workflow("w"):
        pass
    assert instruments.chunk_gaps(call_record()) is None
    assert instruments._made == {}


def test_an_sdk_that_comes_later_is_found() -> None:
    """Instruments made before the application sets its meter provider work once it has."""
    script = """
from opentelemetry import metrics
from agentprod.telemetry.metrics import Instruments
from tests.telemetry.records import call_record
instruments = Instruments()
instruments.record(call_record())
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
instruments.record(call_record())
(scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
found = {metric.name: metric for metric in scope.metrics}
assert found["agentprod.requests"].data.data_points[0].value == 1
"""
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=60)


def test_nothing_raises_into_the_caller(provider: MeterProvider, dropped: Callable[[str], int]) -> None:
    """Whatever is wrong with a record or an instrument is dropped and counted."""
    instruments = Instruments(meter_provider=provider)
    instruments.record(call_record(pii=((),)))
    instruments.record_tool(None)  # type: ignore[arg-type]
    instruments.record_run(None)  # type: ignore[arg-type]
    instruments.breaker_changed("openai", "ajar")
    instruments.alert_fired([])  # type: ignore[arg-type]
    assert later.flush(5)
    assert dropped("metrics") == 5
    with instruments.workflow([]):  # type: ignore[arg-type]
        pass
    assert dropped("metrics") == 8
    gap = instruments.chunk_gaps(call_record())
    assert gap is not None
    gap("long")  # type: ignore[arg-type]
    assert dropped("metrics") == 9


def test_a_count_of_nothing_is_not_recorded(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """A reply without output tokens has no output in the histogram of tokens."""
    Instruments(meter_provider=provider).record(call_record(usage=Usage(100, 0)))
    (tokens,) = points(reader)["gen_ai.client.token.usage"]
    assert tokens.attributes["gen_ai.token.type"] == "input"


def test_instruments_are_made_once(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """Threads that record their first call at once share one set of instruments, also in a forked child."""
    instruments = Instruments(meter_provider=provider)
    instruments._lock.acquire()
    threads = [threading.Thread(target=instruments.record, args=(call_record(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    instruments._lock.release()
    for thread in threads:
        thread.join()
    assert later.flush(5)
    instruments._lock.acquire()
    instruments.after_fork()
    instruments.record(call_record())
    assert values(points(reader)["agentprod.requests"]) == {("gpt-5-mini", "openai", "ok"): 5}


def test_what_waits_is_counted_before_somebody_collects(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    """Calls are counted on a thread; whoever collects gets all of them, in sums and in histograms."""
    instruments = Instruments(meter_provider=provider)
    for count in (1, 15, 16, 17, 100):
        before = sum(values(points(reader).get("agentprod.requests", [])).values())
        for _ in range(count):
            instruments.record(call_record())
        found = points(reader)
        assert values(found["agentprod.requests"]) == {("gpt-5-mini", "openai", "ok"): before + count}
        assert found["gen_ai.client.operation.duration"][0].count == before + count


def test_a_full_queue_of_later_work_loses_no_count(
    provider: MeterProvider, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no thread takes a call, it is counted at once."""
    monkeypatch.setattr(later, "submit", lambda job, can_wait: False)
    instruments = Instruments(meter_provider=provider)
    instruments.record(call_record())
    assert values(points(reader)["agentprod.requests"]) == {("gpt-5-mini", "openai", "ok"): 1}


def test_an_exemplar_shows_the_span_around_the_call() -> None:
    """Which span is current is asked when the call ends, not when it is counted."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    instruments = Instruments(meter_provider=provider)
    with TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("around") as span:
        instruments.record(call_record())
    (point,) = points(reader)["gen_ai.client.operation.duration"]
    assert [each.span_id for each in point.exemplars] == [span.get_span_context().span_id]
    provider.shutdown()


def plain_junk(number: int) -> dict[str, Any]:
    return {"server_address": "api.openai.com", "server_port": 443}


def varied_junk(number: int) -> dict[str, Any]:
    return {
        "provider": f"provider-{number % 50}",
        "server_address": f"host-{number}.example.com",
        "requested_model": f"asked-{number}",
        "route": f"reason-{number}",
        "error_type": None if number % 4 < 2 else f"error_{number}",
        "budget": f"budget-{number}",
        "budget_used": 0.5,
    }


@pytest.mark.parametrize("junk", [plain_junk, varied_junk])
def test_labels_stay_bounded_whatever_callers_make_up(junk: Callable[[int], dict[str, Any]]) -> None:
    """With 10,000 junk models and users: at most 101 model names, below 5 MB of memory, a scrape below 300 kB."""
    prometheus = pytest.importorskip("opentelemetry.exporter.prometheus", reason="needs agentprod[prometheus]")
    client = pytest.importorskip("prometheus_client")
    provider = MeterProvider([prometheus.PrometheusMetricReader()], shutdown_on_exit=False)
    instruments = Instruments(meter_provider=provider)
    makers = [call_record, cached_call, failed_call, rejected_call]
    records = []
    for number in range(10_000):
        model = f"junk-model-{number}"
        attempts = (AttemptRecord(model=model, outcome="ok" if number % 4 < 2 else "failed"),)
        made = {"model": model, "served_model": f"{model}-2026", "user": f"user-{number}", "ttft": 0.2}
        records.append(makers[number % 4](**made, attempts=attempts, **junk(number)))
    try:
        tracemalloc.start()
        for record in records:
            instruments.record(record)
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        text = client.generate_latest().decode()
    finally:
        provider.shutdown()
    assert used < 5_000_000
    assert len(text) < 300_000
    lines = [line for line in text.splitlines() if line.startswith("agentprod_requests_total")]
    models = {line.partition('model="')[2].partition('"')[0] for line in lines}
    assert 20 < len(models) <= 101
    assert "user-" not in text


def test_the_prometheus_names_are_those_of_the_exporter() -> None:
    """Rules and dashboards use the very names and labels that OpenTelemetry's exporter writes."""
    prometheus = pytest.importorskip("opentelemetry.exporter.prometheus", reason="needs agentprod[prometheus]")
    client = pytest.importorskip("prometheus_client")
    provider = MeterProvider([prometheus.PrometheusMetricReader()], shutdown_on_exit=False)
    instruments = Instruments(meter_provider=provider, semconv="both")
    try:
        usage = Usage(10, 10, cache_read_tokens=2, cache_write_tokens=2, reasoning_tokens=3)
        retried = (AttemptRecord(outcome="failed", error_type="429"), AttemptRecord(backoff=1.0))
        full = call_record(
            usage=usage,
            attempts=retried,
            ttft=0.1,
            cache="hit_semantic",
            similarity=0.9,
            saved_usd=Decimal(1),
            route="cost",
            budget="b",
            budget_used=0.5,
            pii=(("input", "EMAIL", 1),),
        )
        instruments.record(full)
        instruments.record(call_record(cost_usd=None))
        gap = instruments.chunk_gaps(full)
        assert gap is not None
        gap(0.1)
        instruments.record_tool(ToolRecord(tool="t"))
        instruments.record_run(RunRecord(agent="a"))
        instruments.record_step("a", "plan", 0.1)
        instruments.breaker_changed("b", "open")
        instruments.alert_fired("r")
        drops.count("test_metrics")
        with instruments.workflow("w"):
            text = client.generate_latest().decode()
        with instruments.workflow("w"):
            text = client.generate_latest().decode()
    finally:
        provider.shutdown()
    families = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    kinds = {"counter": "counter", "observed": "counter", "histogram": "histogram", "gauge": "gauge", "updown": "gauge"}
    assert {metric.prometheus: kinds[metric.kind] for metric in METRICS.values()}.items() <= families.items()
    assert 'gen_ai_request_model="gpt-5-mini"' in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"semconv": "old"}, "'current', 'next' or 'both'"),
        ({"duration_buckets": ()}, "each larger than the one before"),
        ({"duration_buckets": (2.0, 1.0)}, "each larger than the one before"),
        ({"duration_buckets": (0.0, 1.0)}, "seconds above 0"),
        ({"max_models": 0}, "at least 1, got 0 and 10"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    """What cannot work raises when the instruments are made."""
    with pytest.raises(ConfigError, match=message):
        Instruments(**options)
