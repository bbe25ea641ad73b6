"""An agent run, seen by a real Phoenix: `nox -s e2e_phoenix`, or by hand in an environment with `arize-phoenix`.

Starts Phoenix on this machine, sends it an agent run with a tool and a call that met a 429, and ten calls of which nine
are cache hits; then asks Phoenix what it has. Exits with 1 when a span is missing or a call is billed otherwise than
once. Phoenix needs an environment of its own, named by its Python as the first argument; this script runs in ours,
with `opentelemetry-exporter-otlp-proto-http`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import agentprod as ap
from agentprod.runs import ToolCall
from agentprod.testing import Provider, behaviours

MODEL = "gpt-4o-mini"  # a model whose price Phoenix knows
USAGE = ap.Usage(input_tokens=1000, output_tokens=100)
QUESTION: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
PATIENCE = 60.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def phoenix(python: str) -> Iterator[str]:
    """Run Phoenix with a fresh database; yield its address."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_WORKING_DIR": folder,
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
            "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
        }
        environment.pop("PYTHONPATH", None)
        with Path(folder, "log").open("w") as log:
            command = [python, "-m", "phoenix.server.main", "serve"]
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            if not wait(lambda: answers(f"{address}/healthz"), 180):
                print(Path(folder, "log").read_text()[-2000:])
                raise SystemExit("Phoenix did not start")
            yield address
        finally:
            server.terminate()
            server.wait(30)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def wait(condition: Any, patience: float = PATIENCE) -> bool:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.5)
    return False


def fetch(url: str, data: dict[str, Any] | None = None) -> Any:
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.loads(reply.read())


def send(address: str, project: str, make: Any) -> None:
    """Trace what `make` does into a project of its own."""
    provider = TracerProvider(resource=Resource.create({"openinference.project.name": project}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{address}/v1/traces")))
    make(ap.Tracer(tracer_provider=provider))
    provider.force_flush()
    provider.shutdown()


def agent_run(tracer: ap.Tracer) -> None:
    import openai

    script = ["rate_limit", behaviours.ok("It is on its way.", usage=USAGE)]
    with Provider(script) as server, openai.OpenAI(base_url=server.openai_url, api_key="k") as bare:
        client = ap.Stack(tracer, ap.Retry(wait=0)).wrap(bare)
        with ap.agent("support") as run:
            client.chat.completions.create(model=MODEL, messages=QUESTION)
            with ToolCall("find_parcel", call_id="call_1"):
                pass
            run.finish("completed")


def ten_calls(tracer: ap.Tracer) -> None:
    import openai

    script = behaviours.ok("It is on its way.", usage=USAGE)
    with Provider(script) as server, openai.OpenAI(base_url=server.openai_url, api_key="k") as bare:
        client = ap.Stack(tracer, ap.Cache()).wrap(bare)
        for _ in range(10):
            client.chat.completions.create(model=MODEL, messages=QUESTION)


def spans(address: str, project: str) -> list[dict[str, Any]]:
    try:
        return list(fetch(f"{address}/v1/projects/{project}/spans?limit=100")["data"])
    except OSError:
        return []


def totals(address: str, project: str) -> dict[str, Any]:
    query = "{projects{edges{node{name tokenCountTotal costSummary{total{tokens cost}}}}}}"
    found = fetch(f"{address}/graphql", {"query": query})["data"]["projects"]["edges"]
    return next((edge["node"] for edge in found if edge["node"]["name"] == project), {})


def check(what: str, found: Any, expected: Any) -> bool:
    good = bool(found == expected)
    print(f"{'ok   ' if good else 'WRONG'} {what}: {found}" + ("" if good else f", expected {expected}"))
    return good


def main() -> int:
    python = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    begun = time.monotonic()
    with phoenix(python) as address:
        print(f"Phoenix answers after {time.monotonic() - begun:.0f} s")
        send(address, "agent", agent_run)
        send(address, "cache", ten_calls)
        wait(lambda: len(spans(address, "agent")) >= 5 and len(spans(address, "cache")) >= 11)
        wait(lambda: totals(address, "agent").get("tokenCountTotal"))
        found, kinds = spans(address, "agent"), Counter()
        for span in found:
            kinds[span["name"] if span["name"] == "agentprod.attempt" else span["span_kind"]] += 1
        good = [check("kinds", dict(kinds), {"AGENT": 1, "LLM": 1, "TOOL": 1, "agentprod.attempt": 2})]
        attempts = sorted(
            (span for span in found if span["name"] == "agentprod.attempt"), key=lambda span: span["start_time"]
        )
        good.append(check("attempts", [span["status_code"] for span in attempts], ["ERROR", "UNSET"]))
        good.append(check("error.type", flat(attempts[0]).get("error.type"), "429"))
        llm = next(span for span in found if span["span_kind"] == "LLM")
        good.append(check("retries", flat(llm).get("agentprod.retry.count"), 1))
        one, ten = totals(address, "agent"), totals(address, "cache")
        good.append(check("tokens of a call", one.get("tokenCountTotal"), 1100))
        good.append(check("tokens of ten calls, nine of them hits", ten.get("tokenCountTotal"), 1100))
        # 0.15 and 0.60 USD per million tokens, openai.com/api/pricing; Phoenix reckons by a table of its own.
        cost, costs = one["costSummary"]["total"]["cost"], ten["costSummary"]["total"]["cost"]
        good.append(check("cost of a call to 1e-9", abs(cost - (1000 * 0.15 + 100 * 0.60) / 1e6) < 1e-9, True))
        good.append(check("cost of ten, nine of them hits", abs(costs - cost) < 1e-9, True))
    return 0 if all(good) else 1


def flat(span: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes with dotted names, whichever way Phoenix nests them."""
    found: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else key, inner)
        else:
            found[prefix] = value

    walk("", span["attributes"])
    return found


if __name__ == "__main__":
    sys.exit(main())
