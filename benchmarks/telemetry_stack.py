"""What telemetry costs a whole stack: `python benchmarks/telemetry_stack.py` prints ratios of one run.

All layers that let a call pass stand around an OpenAI client on a mock transport, with more and more telemetry: none;
spans and metrics in OpenTelemetry's SDK; then also a JSON line, a monitor and the default alert rules, which is all of
it. The audit file, a layer that scrubs what it digests, is told apart. Every prompt is new, so no cache answers. On the
clock, the provider takes 0.8 seconds.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import openai
from telemetry import MESSAGES, TOGETHER, WHOLE, client, collecting, described, metering
from timing import blocks, table

import agentprod as ap
from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.logs import JsonFormatter, log_call, logger
from agentprod.telemetry.sinks import subscribe

WAIT = 0.8
"""Seconds that the slow provider takes."""
Work = Callable[[], object]
numbers = itertools.count()


def layers(folder: Path) -> list[Any]:
    """Return one layer of each kind, telemetry aside; of alternatives, the one more often used."""
    return [
        ap.Deadline(120),
        ap.StepLimit(max_steps=10**9, same_call=None),
        ap.ScrubPII(),
        ap.InjectionGuard(),
        ap.ContentFilter(lambda text: None),
        ap.TokenBudget(ap.Limit(usd=1e6, per="day")),
        ap.Cache(),
        ap.DeadLetter(folder / "dead.jsonl"),
        ap.Fallback("gpt-5"),
        ap.ContextWindow(),
        ap.PromptCache(),
        ap.Retry(),
        ap.Bulkhead(100),
        ap.RateLimit(requests=1e9),
        ap.CircuitBreaker(),
        ap.Timeout(60),
    ]


def create(made: openai.OpenAI) -> Work:
    """Return what makes one call with a prompt of its own."""

    def call() -> object:
        messages: Any = [{"role": "user", "content": f"Question {next(numbers)}. {MESSAGES[0]['content']}"}]
        with ap.context(run="benchmark"):
            return made.chat.completions.create(model="gpt-5-mini", messages=messages)

    return call


def slow() -> openai.OpenAI:
    """Return a client whose provider takes its time."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        until = time.perf_counter() + WAIT
        time.sleep(WAIT - 0.002)
        while time.perf_counter() < until:  # a sleep ends late by more than what is measured here
            pass
        return httpx2.Response(200, headers={"content-type": "application/json"}, content=WHOLE)

    return openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))


def told(work: Work) -> Work:
    """Return work while log, monitor and alerts listen, as they do in a process that has them."""
    monitor, alerts = ap.Monitor(listen=False), ap.Alerts(listen=False)

    def tell(record: CallRecord) -> None:
        log_call(record)
        monitor.record(record)
        alerts.record(record)

    def listened() -> None:
        stop = subscribe(tell)
        try:
            work()
        finally:
            stop()

    return listened


def wall(calls: Mapping[str, Work], rounds: int = 15) -> dict[str, float]:
    """Return seconds on the clock, the median of several calls in turn.

    After so long a wait the processor's caches are cold: a call's own work takes two to three times what it does in
    a loop, with telemetry and without.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - begun)
    return {name: median(times) for name, times in taken.items()}


def measure(folder: Path) -> str:
    """Return the table."""
    tracer = ap.Tracer(tracer_provider=collecting(), meter_provider=metering())
    audit = ap.AuditLog(folder / "audit.jsonl")

    def ways(made: openai.OpenAI, block: Callable[[Work], Work]) -> dict[str, Work]:
        def stacked(*telemetry: Any) -> Work:
            return block(create(ap.Stack(*telemetry, *layers(folder)).wrap(made)))

        return {
            "off": stacked(),
            "traced": stacked(tracer),
            "told": told(stacked(tracer)),
            "on": told(stacked(tracer, audit)),
        }

    made = client()
    cpu = blocks({"bare": described(create(made)), **ways(made, described)}, calls=1, rounds=30)
    cpu = {name: taken / TOGETHER for name, taken in cpu.items()}
    clock = wall(ways(slow(), lambda call: call))
    audit.close()
    bare, off = cpu["bare"], cpu["off"]
    return table(
        "All layers, telemetry on and off",
        [
            ("bare SDK call, µs", bare, "(information)"),
            (f"{len(layers(folder))} layers without telemetry, as a multiple of it", off / bare, "(information)"),
            ("spans and metrics, as a multiple of the bare call", (cpu["traced"] - off) / bare, "(information)"),
            ("log, monitor and alerts, as a multiple of it", (cpu["told"] - cpu["traced"]) / bare, "(information)"),
            ("audit file with digests of scrubbed text", (cpu["on"] - cpu["told"]) / bare, "(information)"),
            ("the stack with spans and metrics, ratio to without", cpu["traced"] / off, "≤ 1.15"),
            ("the stack with all telemetry, ratio to without", cpu["told"] / off, "≤ 1.15"),
            ("the stack with the audit file as well, ratio to without", cpu["on"] / off, "(information)"),
            (
                "a call of 800 ms on the clock, spans and metrics, ratio to none",
                clock["traced"] / clock["off"],
                "≤ 1.001",
            ),
            ("a call of 800 ms on the clock, all telemetry, ratio to none", clock["told"] / clock["off"], "≤ 1.001"),
            ("by which it is longer, ms", (clock["told"] - clock["off"]) * 1000, "(information)"),
            ("the same with the audit file as well", clock["on"] / clock["off"], "(information)"),
        ],
    )


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name, Path(os.devnull).open("w", encoding="utf-8") as null:
        handler = logging.StreamHandler(null)
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        sys.stdout.write(measure(Path(name)) + "\n")
        logger.removeHandler(handler)


if __name__ == "__main__":
    main()
