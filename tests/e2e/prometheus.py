"""Rules and dashboard in a real Prometheus: `nox -s e2e_prometheus`.

Serves the metrics of made-up traffic from this process, lets Prometheus scrape it and judge the exported rules, and
asks it for every expression of the Grafana dashboard. Exits with 1 when an alert does not fire in time or does not
clear, or a panel has no data. The program is taken from `AGENTPROD_PROMETHEUS` (a folder), from the path, or from
Debian's package, which is unpacked and not installed; where none of these is there, it says so and exits with 0.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider

import agentprod as ap
from agentprod.telemetry.calls import AttemptRecord, CallRecord, RunRecord, ToolRecord
from agentprod.telemetry.drops import drops
from agentprod.telemetry.health import wsgi_app
from agentprod.telemetry.metrics import Instruments
from agentprod.telemetry.prometheus_rules import rule_file

HOLD = 2.0
"""Seconds the error rate must be too high before the alert fires."""
EVALUATION = 1.0
RULES = [
    ap.Rule("error_rate", ">", 0.10, window=15, min_count=20, for_=HOLD, severity="critical", clear_at=0.05),
    ap.Rule("cache_hit_rate", "<", 0.30, window=15, min_count=20),
    ap.Rule("escalation_rate", ">", 0.9, window=15),
]


def find_programs(folder: Path) -> Path | None:
    """Return the folder with `prometheus` and `promtool`; `None`, with the reason printed, where there is none."""
    given = os.environ.get("AGENTPROD_PROMETHEUS")
    if given:
        return Path(given)
    script = Path(__file__).parents[2] / "scripts" / "find_prometheus.py"
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"skipped: {done.stderr.strip().splitlines()[-1]}")
        return None
    return Path(done.stdout.strip())


class Traffic:
    """Calls, tools and runs of an application, some of them bad."""

    def __init__(self, instruments: Instruments) -> None:
        self.instruments = instruments
        self.error_share = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._count = 0

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            self._count += 1
            fails = self._count % 100 < self.error_share * 100
            made = call(fails, self._count)
            self.instruments.record(made)
            gap = self.instruments.chunk_gaps(made)
            if gap is not None:
                gap(0.02)
            if self._count % 5 == 0:
                self.instruments.record_tool(ToolRecord(tool="search", duration=0.1))
                run = RunRecord(agent="a", duration=2.0, inference_calls=3, tool_calls=1, outcome="completed")
                self.instruments.record_run(run)
                self.instruments.record_step("a", "plan", 0.5)
                self.instruments.breaker_changed("openai", "open" if self._count % 10 else "closed")
                self.instruments.alert_fired("p95")
                drops.count("capture")
                with self.instruments.workflow("daily"):
                    pass


def call(fails: bool, number: int) -> CallRecord:
    failed = AttemptRecord(number=1, model="gpt-5-mini", outcome="failed", error_type="429", duration=0.2)
    again = AttemptRecord(number=2, model="gpt-5-mini", duration=0.8, backoff=0.4)
    return CallRecord(
        request_id=str(number),
        started=0.0,
        duration=1.2,
        provider="openai",
        model="gpt-5-mini",
        requested_model="gpt-5",
        route="cost",
        status="error" if fails else "ok",
        error_type="APIError" if fails else None,
        attempts=(failed,) if fails else (failed, again),
        usage=None if fails else ap.Usage(1000, 100, cache_read_tokens=64, reasoning_tokens=8),
        cost_usd=None if fails or number % 7 == 0 else Decimal("0.001"),
        saved_usd=Decimal("0.0005"),
        cache="hit_semantic" if number % 2 else "miss",
        similarity=0.9,
        budget="daily",
        budget_used=0.4,
        pii=(("input", "EMAIL", 1),),
        streaming=True,
        ttft=0.3,
        chunks=10,
        server_address="api.openai.com",
        server_port=443,
    )


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def metrics_server() -> Iterator[int]:
    """Serve `/metrics` of this process."""
    with make_server("127.0.0.1", 0, wsgi_app(), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextmanager
def prometheus(programs: Path, folder: Path, target: int) -> Iterator[str]:
    """Run Prometheus on the metrics and the rules; yield its address."""
    (folder / "rules.yml").write_text(rule_file(RULES, interval=EVALUATION))
    subprocess.run([programs / "promtool", "check", "rules", folder / "rules.yml"], check=True)
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        "rule_files: [rules.yml]\n"
        f"scrape_configs: [{{job_name: agentprod, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
    )
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    command = [programs / "prometheus", f"--config.file={folder / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def fetch(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return json.loads(reply.read())["data"]
    except OSError:
        return {}


def firing(address: str) -> set[str]:
    """Return the names of the alerts that fire."""
    found = fetch(f"{address}/api/v1/alerts").get("alerts", ())
    return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}


def value(address: str, query: str) -> list[Any]:
    found = fetch(f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}").get("result", [])
    return [each for each in found if each["value"][1] != "NaN"]


def wait(condition: Callable[[], Any], patience: float) -> float | None:
    """Return the seconds until the condition held."""
    begun = time.monotonic()
    while time.monotonic() - begun < patience:
        if condition():
            return time.monotonic() - begun
        time.sleep(0.1)
    return None


def panels() -> list[tuple[str, str]]:
    """Return titles and expressions of the dashboard, with a window that fits a short run."""
    board = ap.Monitor(listen=False).to_grafana()
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "10s").replace("$__interval", "10s"))
        for panel in board["panels"]
        for target in panel["targets"]
    ]


def check(what: str, good: bool, told: str = "") -> bool:
    print(f"{'ok   ' if good else 'WRONG'} {what}{': ' if told else ''}{told}")
    return good


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = find_programs(folder)
        if programs is None:
            return 0
        provider = MeterProvider([PrometheusMetricReader()])
        traffic = Traffic(Instruments(meter_provider=provider))
        with traffic, metrics_server() as port, prometheus(programs, folder, port) as address:
            scraped = wait(lambda: value(address, "agentprod_requests_total"), 30)
            good = [check("Prometheus scrapes", scraped is not None)]
            time.sleep(10)
            good.append(check("no alert while all is well", not firing(address), str(firing(address) or "")))
            good.append(judge(address, traffic))
            empty = [title for title, query in panels() if not value(address, query)]
            good.append(check(f"{len(panels())} expressions of the dashboard have data", not empty, ", ".join(empty)))
        provider.shutdown()
    return 0 if all(good) else 1


def judge(address: str, traffic: Traffic) -> bool:
    """Let 15 % of the calls fail, then none, and watch the alert."""
    calls = "increase(agentprod_requests_total{}[15s])"
    failed = calls.replace("{}", '{status=~"error|rejected"}')
    rate = f"sum({failed}) / sum({calls})"
    traffic.error_share = 0.15

    def above() -> bool:
        return any(float(each["value"][1]) > 0.10 for each in value(address, rate))

    crossed = wait(above, 60)
    fired = wait(lambda: "AgentprodErrorRate" in firing(address), 60)
    limit = HOLD + 2 * EVALUATION + 1  # one more second for the scrape that is not judged yet
    good = crossed is not None and fired is not None and fired <= limit
    good = check("the alert fires in time", good, f"{fired or 0:.1f} s after the rate was too high, {limit} s allowed")
    traffic.error_share = 0.0
    cleared = wait(lambda: "AgentprodErrorRate" not in firing(address), 90)
    low = [float(each["value"][1]) for each in value(address, rate)]
    return check("it clears below clear_at", cleared is not None and max(low, default=0) <= 0.06, f"at {low}") and good


if __name__ == "__main__":
    sys.exit(main())
