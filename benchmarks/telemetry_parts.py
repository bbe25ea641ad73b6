"""What the parts of telemetry cost beside their peers: `python benchmarks/telemetry_parts.py` prints ratios of one run.

Peers: ddsketch for quantiles, a hand-written `json.dumps` formatter for log lines, `json.dumps` with the OpenTelemetry
SDK's `set_attribute` for captured messages, and SHA-256 with a plain write for the audit file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import tempfile
import time
import tracemalloc
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from ddsketch import DDSketch
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from timing import blocks, table

from agentprod.telemetry.alerts import Alerts
from agentprod.telemetry.audit import AuditWriter, verify
from agentprod.telemetry.calls import AttemptRecord, CallRecord
from agentprod.telemetry.capture import Capture
from agentprod.telemetry.card_html import html_card
from agentprod.telemetry.later import later
from agentprod.telemetry.logs import JsonFormatter, call_fields, log_call, logger
from agentprod.telemetry.metrics import Instruments
from agentprod.telemetry.monitor import Monitor
from agentprod.telemetry.record_ring import Calls
from agentprod.telemetry.rules import default_rules
from agentprod.telemetry.sketch import Sketch
from agentprod.usage import Usage

RNG = random.Random(1)
LATENCIES = [RNG.lognormvariate(0, 1) for _ in range(10_000)]


def record(number: int = 1) -> CallRecord:
    """Return a call with a retry, a cache miss and a price."""
    return CallRecord(
        request_id=f"{number:032x}",
        started=1_700_000_000.0 + number,
        duration=1.234 + number % 7,
        provider="openai",
        model="gpt-5-mini",
        attempts=(
            AttemptRecord(number=1, model="gpt-5-mini", outcome="failed", error_type="429", duration=0.2),
            AttemptRecord(number=2, model="gpt-5-mini", duration=1.0 + number % 7, backoff=0.5),
        ),
        usage=Usage(1000 + number, 200 + number % 50),
        cost_usd=Decimal("0.00123"),
        cost_source="local",
        cache="miss",
        ttft=0.3,
        provider_time=1.2,
        trace_id="a" * 32,
        span_id="b" * 16,
    )


def sketches() -> str:
    """Quantiles against ddsketch."""

    def ours() -> Sketch:
        sketch = Sketch()
        for value in LATENCIES:
            sketch.add(value)
        return sketch

    def theirs() -> DDSketch:
        sketch = DDSketch(0.01)
        for value in LATENCIES:
            sketch.add(value)
        return sketch

    best = blocks({"ours": ours, "ddsketch": theirs}, calls=1, rounds=40)
    ordered = sorted(LATENCIES)
    found = ours()
    worst = max(
        abs((found.quantile(q) or 0) / ordered[int(q * (len(ordered) - 1))] - 1) for q in (0.5, 0.9, 0.95, 0.99, 0.999)
    )
    halves = Sketch(LATENCIES[::2])
    halves.merge(Sketch(LATENCIES[1::2]))
    reading = blocks({"ours": lambda: found.quantiles((0.5, 0.95, 0.99))}, calls=200, rounds=20)
    return table(
        "Quantile sketch",
        [
            ("adding a value, ratio to ddsketch", best["ours"] / best["ddsketch"], "≤ 0.6"),
            ("adding a value, µs", best["ours"] / len(LATENCIES), "(information)"),
            ("largest error at p50 … p99.9, per cent", worst * 100, "≤ 1"),
            ("merged halves equal the whole (1 = yes)", float(halves == found), "1"),
            ("three quantiles, µs", reading["ours"], "(information)"),
        ],
    )


class PlainFormatter(logging.Formatter):
    """The formatter people write themselves."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"ts": self.formatTime(record), "level": record.levelname, "event": record.getMessage()}
        line.update(record.__dict__["fields"])
        return json.dumps(line)


def log_lines() -> str:
    """A call's line against the plain formatter, both to the null device."""
    finished = record()
    null = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - closed with the process
    plain = logging.getLogger("plain")
    plain.propagate = logger.propagate = False
    plain.setLevel(logging.INFO)
    for log, formatter in ((plain, PlainFormatter()), (logger, JsonFormatter())):
        handler = logging.StreamHandler(null)
        handler.setFormatter(formatter)
        log.addHandler(handler)

    def theirs() -> None:
        plain.info("llm.call", extra={"fields": call_fields(finished)})

    logger.setLevel(logging.INFO)
    best = blocks({"ours": lambda: log_call(finished), "plain": theirs}, calls=500, rounds=40)
    logger.setLevel(logging.WARNING)
    off = blocks({"off": lambda: log_call(finished)}, calls=20_000, rounds=10)
    return table(
        "Log line",
        [
            ("a line, ratio to a formatter around json.dumps", best["ours"] / best["plain"], "≤ 1.1"),
            ("a line, µs", best["ours"], "(information)"),
            ("level off, µs", off["off"], "≤ 0.3"),
        ],
    )


def alerting() -> str:
    """Rules, judged and fed."""
    clock = [0.0]
    rules = default_rules()[:1] + default_rules()[2:]
    alerts = Alerts(rules, (), timer=False, now=lambda: clock[0], wall=lambda: clock[0])
    records = [record(number) for number in range(1000)]
    for step in range(720):
        clock[0] = step * 5.0
        for number in range(10):
            alerts.record(records[(step * 10 + number) % 1000])
        alerts.evaluate()

    def judge() -> None:
        clock[0] += 5.0
        for number in range(10):
            alerts.record(records[number])
        alerts.evaluate()

    ten = blocks({"tick": judge}, calls=50, rounds=30)["tick"]
    one = records[0]
    still = Alerts(rules, (), timer=False, now=lambda: 0.0, wall=lambda: 0.0)

    def whole() -> None:
        for _ in range(256):
            still.record(one)

    counted = blocks({"record": whole}, calls=4, rounds=40)["record"] / 256
    backlog = Alerts(rules, (), timer=False, now=lambda: 0.0, wall=lambda: 0.0)

    def put() -> None:
        for _ in range(200):
            backlog.record(one)
        backlog._backlog.clear()

    taken = blocks({"put": put}, calls=4, rounds=60)["put"] / 200
    return table(
        "Alerts, six rules",
        [
            ("a tick of 5 s with ten calls in it, windows full, ms", ten / 1000, "≤ 0.2"),
            ("recording a call, in the caller, µs", taken, "≤ 0.5"),
            ("recording a call and counting it later, µs", counted, "(information)"),
        ],
    )


def captures() -> str:
    """Captured messages against json.dumps, both set on a recording span."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("bench")
    capture = Capture(str)
    rows = []
    for name, words in (("4 kB", 315), ("100 kB", 7800)):
        messages = [{"role": "user", "parts": [{"type": "text", "content": "hello world, " * words}]}]
        span = tracer.start_span("chat")

        def ours(messages: Any = messages, span: Any = span) -> None:
            span.set_attribute("gen_ai.input.messages", capture.messages(messages))

        def theirs(messages: Any = messages, span: Any = span) -> None:
            span.set_attribute("gen_ai.input.messages", json.dumps(messages))

        best = blocks({"ours": ours, "dumps": theirs}, calls=100, rounds=40)
        rows.append((f"capturing {name}, ratio to json.dumps and set_attribute", best["ours"] / best["dumps"], "≤ 1.3"))
        span.end()
    return table("Capture of messages, scrubbed already", rows)


def figures() -> str:
    """Monitor, ring, instruments and card."""
    monitor = Monitor()
    records = [record(number) for number in range(1000)]

    def watch() -> None:
        for each in records:
            monitor.record(each)

    best = blocks({"monitor": watch}, calls=1, rounds=40)
    tracemalloc.start()
    calls = Calls()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(1000):
        calls.append(record(number))
    ring = tracemalloc.get_traced_memory()[0] - before
    fresh = Monitor(by=("user",))
    for number in range(10_000):
        fresh.record(records[number % 1000])
    early = tracemalloc.get_traced_memory()[0]
    for number in range(90_000):
        fresh.record(records[number % 1000])
    late = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    card = html_card(list(calls))
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    instruments = Instruments(meter_provider=provider)

    def export() -> None:
        for each in records[:100]:
            instruments.record(each)
        later.flush(30)

    exported = blocks({"on": export}, calls=1, rounds=20)["on"] / 100
    unused = Instruments()
    idle = blocks({"off": lambda: unused.record(records[0])}, calls=10_000, rounds=10)["off"]
    return table(
        "Monitor, ring, metrics, card",
        [
            ("ring of 1,000 calls, MB", ring / 1e6, "≤ 2"),
            ("monitor, growth from 10,000 to 100,000 calls, MB", (late - early) / 1e6, "within ± 1"),
            ("monitor, recording a call, µs", best["monitor"] / 1000, "(information)"),
            ("metrics with an SDK, recording a call, µs", exported, "(information)"),
            ("metrics without an SDK, µs", idle, "(information)"),
            ("card of 1,000 calls, kB", len(card.encode()) / 1e3, "< 50"),
        ],
    )


def junk() -> str:
    """Metrics of callers that make names up: 10,000 models and users in 100,000 calls."""
    reader = InMemoryMetricReader()
    instruments = Instruments(meter_provider=MeterProvider([reader], shutdown_on_exit=False))

    def made_up(number: int) -> CallRecord:
        return replace(record(), model=f"model-{number % 10_000}", user=f"user-{number % 10_000}")

    tracemalloc.start()
    sizes = []
    for first, last in ((0, 10_000), (10_000, 100_000)):
        for number in range(first, last):
            instruments.record(made_up(number))
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    data = reader.get_metrics_data()
    assert data is not None
    points = [
        dict(point.attributes or {})
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]
    models = {point["model"] for point in points if "model" in point}
    return table(
        "Metrics of made-up names",
        [
            ("memory after 100,000 calls, MB", sizes[1] / 1e6, "≤ 5"),
            ("growth from 10,000 calls on, MB", (sizes[1] - sizes[0]) / 1e6, "within ± 1"),
            ("values of the label model", len(models), "≤ 101"),
            ("label sets of all metrics", len(points), "(information)"),
        ],
    )


def audit() -> str:
    """The audit file against hashing and writing alone."""
    data = {"model": "gpt-5-mini", "tool": "search", "number": 1, "cost": 0.01}
    count = 2000
    with tempfile.TemporaryDirectory() as folder:
        writer = AuditWriter(Path(folder) / "a.jsonl", fsync="never")
        bare = os.open(Path(folder) / "b.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def ours() -> None:
            for _ in range(count):
                writer.append("tool.call", data)

        def theirs() -> None:
            digest = ""
            for _ in range(count):
                body = json.dumps({"ts": time.time(), "event": "tool.call", "data": data, "prev_hash": digest})
                digest = hashlib.sha256(body.encode()).hexdigest()
                os.write(bare, f'{body[:-1]},"hash":"{digest}"}}\n'.encode())

        best = blocks({"ours": ours, "bare": theirs}, calls=1, rounds=15)
        writer.close()
        os.close(bare)
        begun = time.process_time()
        lines = verify(Path(folder) / "a.jsonl").lines
        checked = lines / (time.process_time() - begun)
    return table(
        "Audit file",
        [
            ("lines per second without fsync, thousands", count / best["ours"] * 1e3, "≥ 50"),
            (
                "a line that processes may share, ratio to hash and write alone",
                best["ours"] / best["bare"],
                "(information)",
            ),
            ("lines checked per second, thousands", checked / 1e3, "(information)"),
        ],
    )


if __name__ == "__main__":
    print("\n\n".join(part() for part in (sketches, log_lines, alerting, captures, figures, junk, audit)))
