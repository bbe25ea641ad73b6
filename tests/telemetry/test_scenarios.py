"""The sixteen scenarios that telemetry was built to pass, each with the tests that show it.

Those that span several parts are written here; the others stand beside their part, and the table names them.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import agentprod as ap
from agentprod.runs import ToolCall
from agentprod.testing import behaviours
from tests.telemetry.test_tracer_metrics import Meters
from tests.telemetry.tracing import HELLO, Traces, openai_client, parent_id, running, span_id

HERE = Path(__file__).parent

SCENARIOS: dict[int, dict[str, tuple[str, ...]]] = {
    1: {"test_scenarios": ("test_1_an_agent_run_as_a_viewer_sees_it",), "../e2e/phoenix": ("main",)},
    2: {
        "test_tracer_dedupe": ("test_native_tracing_of_anthropic", "test_two_others_around_one_another"),
        "../frameworks/tracing_beside_others": ("main",),
    },
    3: {"test_scenarios": ("test_3_ten_identical_prompts",)},
    4: {
        "test_tracer_streams": (
            "test_every_end_of_a_sync_stream",
            "test_every_end_of_an_async_stream",
            "test_a_stream_that_breaks_is_an_error_with_what_was_delivered",
            "test_an_async_stream_that_is_cancelled",
        )
    },
    5: {
        "test_tracer_context": (
            "test_between_two_chunks_the_caller_has_its_own_context",
            "test_threads_of_a_propagated_executor",
            "test_many_tasks_at_once",
        )
    },
    6: {
        "test_canaries": (
            "test_nothing_leaves_with_an_sdk_client",
            "test_nothing_leaves_with_other_apis",
            "test_nothing_leaves_with_a_function",
            "test_without_capture_not_even_names_leave",
        )
    },
    7: {"test_tracer": ("test_billed_tokens_are_the_sum_over_attempts",)},
    8: {"test_tracer": ("test_counts_of_cached_input",)},
    9: {
        "test_tracer": ("test_an_unknown_price_is_not_zero",),
        "test_tracer_metrics": ("test_an_unknown_price_is_counted_as_such",),
        "test_card": ("test_unknown_cost_is_not_zero",),
    },
    10: {
        "test_metrics": ("test_labels_stay_bounded_whatever_callers_make_up",),
        "../../benchmarks/telemetry_parts": ("junk",),
    },
    11: {"test_prometheus_rules": (), "../e2e/prometheus": ("main",)},
    12: {
        "test_alerts": (
            "test_the_default_rules_each_fire_once_and_recover_once",
            "test_within_the_cooldown_it_keeps_quiet",
            "test_a_hanging_handler_delays_nobody",
        ),
        "test_anomaly": ("test_a_week_of_seasons_and_noise_is_no_anomaly", "test_a_fivefold_hour_is_one"),
    },
    13: {
        "test_scenarios": (
            "test_13_an_exporter_that_hangs_is_not_waited_for",
            "test_13_the_process_ends_though_telemetry_hangs",
        ),
        "../../benchmarks/telemetry": ("unreachable",),
    },
    14: {
        "test_notebook": ("test_the_card", "test_one_row_per_call", "test_top_level_await", "test_many_items"),
        "test_card": ("test_a_thousand_calls_fit", "test_names_cannot_inject_html"),
        "test_scenarios": ("test_14_a_plain_program_prints_nothing",),
    },
    15: {
        "test_audit": ("test_one_flipped_bit_names_its_line",),
        "test_health": ("test_health_asks_the_parts_of_the_process",),
    },
    16: {"test_scenarios": ("test_16_all_of_it_without_an_sdk",)},
}


@pytest.mark.parametrize("number", range(1, 17))
def test_each_scenario_has_its_tests(number: int) -> None:
    """The table names functions that are there."""
    for file, names in SCENARIOS[number].items():
        tree = ast.parse((HERE / f"{file}.py").read_text("utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert not set(names) - defined
        assert names or defined


def test_1_an_agent_run_as_a_viewer_sees_it() -> None:
    """An agent with one tool, a 429 and then an answer: one span of each kind, two attempts, one call's tokens."""
    traces = Traces()
    script = ["rate_limit", behaviours.ok("On its way.", usage=ap.Usage(1000, 100))]
    with running(script) as provider:
        stack = ap.Stack(ap.Tracer(tracer_provider=traces.provider), ap.Retry(wait=0))
        client = stack.wrap(openai_client(provider))
        with ap.agent("support") as run:
            reply = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
            with ToolCall("find_parcel"):
                pass
    (agent,), (tool,), (call,) = (
        traces.named("invoke_agent support"),
        traces.named("execute_tool find_parcel"),
        traces.named("chat gpt-4o-mini"),
    )
    assert parent_id(tool) == parent_id(call) == span_id(agent)
    assert [attempt.get("error.type") for attempt in traces.attempts] == ["429", None]
    assert {parent_id(span) for span in traces.named("agentprod.attempt")} == {span_id(call)}
    attributes: Any = call.attributes
    assert attributes["agentprod.retry.count"] == 1
    assert traces.billed() == [1000]
    assert traces.billed("output_tokens") == [100]
    assert float(run.cost or 0) == pytest.approx(attributes["agentprod.cost.usd"], abs=1e-12)
    assert ap.meta(reply).cost == run.cost


def test_3_ten_identical_prompts() -> None:
    """Through the cache a viewer bills one call, and nine times its cost is counted as saved."""
    traces, meters = Traces(), Meters()
    with running(behaviours.ok("yes", usage=ap.Usage(1000, 100))) as provider, ap.Monitor() as monitor:
        tracer = ap.Tracer(tracer_provider=traces.provider, meter_provider=meters.provider)
        client = ap.Stack(tracer, ap.Cache()).wrap(openai_client(provider))
        for _ in range(10):
            reply = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
        saved = ap.meta(reply).saved
    assert traces.billed() == [1000]
    assert saved is not None
    (point,) = meters.points("agentprod.cost.saved")
    assert point.value == pytest.approx(9 * float(saved))
    assert monitor.summary().saved_by_cache == 9 * saved
    assert monitor.summary().cost == saved


class Hanging(SpanExporter):
    """An exporter whose other side never answers."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> Any:
        """Wait."""
        self.go.wait(60)
        return SpanExportResult.FAILURE


def test_13_an_exporter_that_hangs_is_not_waited_for() -> None:
    """A thousand calls end while the exporter hangs on the first batch, with a queue that is long full."""
    exporter = Hanging()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=64, max_export_batch_size=32))

    @ap.Stack(ap.Tracer(tracer_provider=provider))
    def ask(model: str, messages: list[Any]) -> str:
        return "x"

    try:
        assert [ask("m", HELLO) for _ in range(1000)] == ["x"] * 1000
        assert not exporter.go.is_set()
    finally:
        exporter.go.set()
        provider.shutdown()


def run_program(program: str, *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program with this checkout on its path."""
    environment = {"PYTHONPATH": ":".join(entry for entry in sys.path if entry)}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=timeout, env=environment
    )


def test_13_the_process_ends_though_telemetry_hangs() -> None:
    """Work that hangs on our threads, and a webhook that never answers, hold up the exit for seconds, not for ever."""
    program = """
import threading, agentprod as ap
from agentprod.telemetry.later import later
later.submit(lambda: threading.Event().wait(600))
alerts = ap.Alerts([ap.Rule("calls", ">", 0)], [lambda alert: threading.Event().wait(600)], timer=False)
@ap.Stack()
def ask(prompt): return prompt
ask("x")
alerts.evaluate()
print("done")
"""
    done = run_program(program, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_14_a_plain_program_prints_nothing() -> None:
    """A program that makes calls, good and bad, with records and a monitor, writes nothing by itself."""
    program = """
import agentprod as ap
monitor = ap.Monitor()
@ap.Stack(ap.Tracer(), ap.Retry(attempts=1))
def ask(prompt):
    if prompt == "bad":
        raise ConnectionError
    return prompt
with ap.record() as calls:
    ask("good")
    try:
        ask("bad")
    except ConnectionError:
        pass
assert len(calls) == monitor.summary().calls == 2
"""
    done = run_program(program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_16_all_of_it_without_an_sdk(tmp_path: Path) -> None:
    """Where no OpenTelemetry SDK can be imported, figures, log, card, alerts, audit and health work all the same.

    And nothing heavy is imported for them.
    """
    program = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")):
            raise ImportError(name)

sys.meta_path.insert(0, Missing())
import agentprod as ap
import io
from agentprod.runs import ToolCall

lines, told = io.StringIO(), []
ap.logs.setup(stream=lines)
monitor = ap.Monitor(by=("user",))
alerts = ap.Alerts([ap.Rule("calls", ">", 0)], [told.append], timer=False)

@ap.Stack(ap.Tracer(), ap.AuditLog({str(tmp_path / "audit.jsonl")!r}), ap.Cache())
def ask(model, messages):
    return "x"

with ap.record() as calls, ap.context(user="u1"), ap.agent("a") as run, run.step("s"), ToolCall("t"):
    ask("m", [])
    ask("m", [])
alerts.evaluate()
alerts.close()
assert lines.getvalue().count('"llm.call"') == 2
assert monitor.summary().cached == 1 and monitor.by("user")["u1"].calls == 2
assert "2 calls" in calls._repr_mimebundle_()["text/plain"].replace("<b>", "")
assert [alert.rule for alert in told] == ["calls"]
assert ap.health()["status"] == "ok"
from agentprod.__main__ import main
assert main(["audit", "verify", {str(tmp_path / "audit.jsonl")!r}]) == 0
heavy = {{"openai", "anthropic", "numpy", "pandas", "tiktoken", "IPython", "tqdm", "prometheus_client"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = run_program(program)
    assert (done.returncode, done.stderr) == (0, "")
