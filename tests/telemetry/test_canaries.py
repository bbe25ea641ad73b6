"""Twelve kinds of personal data and secrets, put wherever text can be: none leaves the process as telemetry."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import agentprod as ap
from agentprod.runs import ToolCall
from agentprod.telemetry.footer import format_footer
from agentprod.telemetry.later import later
from agentprod.telemetry.record_ring import Calls
from agentprod.testing import Provider, behaviours
from tests.telemetry.tracing import (
    CLAUDE,
    MODEL,
    InMemoryEvents,
    Traces,
    anthropic_client,
    openai_client,
    running,
)

CANARIES = {
    "mail": "ann.lee@corp-mail.com",
    "phone": "+49 151 23456789",
    "Chinese mobile": "13812345678",
    "credit card": "4111 1111 1111 1111",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "US social security number": "078-05-1120",
    "Chinese ID": "11010519491231002X",
    "IP address": "203.0.113.77",
    "MAC address": "00:1B:44:11:3A:B7",
    "API key": "sk-proj-abcdEFGH1234567890abcdEFGH1234567890abcdEFGH",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "password": "hunter2secret",
}
ALL = "; ".join(
    f"{kind} postgres://bob:{text}@db.example.com/x" if kind == "password" else f"{kind} {text}"
    for kind, text in CANARIES.items()
)
MODES = ("none", "span", "event", "both")


class Outlets:
    """Everything by which telemetry leaves the process, as text."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.traces = Traces()
        self.events = InMemoryEvents()
        self.lines, self.debug = io.StringIO(), io.StringIO()
        self.audit = folder / "audit.jsonl"
        self.alerts: list[ap.Alert] = []
        self.posted: list[Any] = []
        self.metrics = InMemoryMetricReader()
        self.meters = MeterProvider([self.metrics], shutdown_on_exit=False)
        self.monitor = ap.Monitor(by=("model", "status"))
        self.calls: Calls | None = None
        monkeypatch.setattr(ap.Webhook, "_post", lambda _, message: self.posted.append(message))
        logger = LoggerProvider()
        logger.add_log_record_processor(SimpleLogRecordProcessor(self.events))
        monkeypatch.setattr(_logs, "get_logger", logger.get_logger)

    def texts(self) -> dict[str, str]:
        """Return what each outlet let through."""
        assert later.flush(10)
        spans = [
            json.dumps(
                [span.name, dict(span.attributes or {}), str(span.status.description), str(span.events)], default=str
            )
            for span in self.traces.spans()
        ]
        events = [
            str((dict(record.log_record.attributes or {}), record.log_record.body))
            for record in self.events.get_finished_logs()
        ]
        assert self.calls is not None
        bundle = self.calls._repr_mimebundle_()
        return {
            "spans": "\n".join(spans),
            "events": "\n".join(events),
            "log": self.lines.getvalue(),
            "debug log": self.debug.getvalue(),
            "audit": self.audit.read_text("utf-8"),
            "alerts": "\n".join(f"{alert} {alert.text}" for alert in self.alerts),
            "webhook": json.dumps(self.posted, ensure_ascii=False),
            "metrics": str(self.metrics.get_metrics_data()),
            "monitor": f"{self.monitor.summary()} {self.monitor.by('model')} {self.monitor.by('status')}",
            "health": json.dumps(ap.health(), ensure_ascii=False),
            "card": bundle["text/html"] + bundle["text/plain"],
            "footer": format_footer(self.calls),
            "records": "\n".join(map(repr, self.calls)),
        }

    def tracer(self, capture: Any) -> ap.Tracer:
        """Return a tracer into these outlets."""
        return ap.Tracer(capture=capture, tracer_provider=self.traces.provider, meter_provider=self.meters)

    def alerting(self) -> ap.Alerts:
        """Return alerts into these outlets; each of the two rules fires."""
        rules = [ap.Rule("calls", ">", 0), ap.Rule("tool_success_rate", "<", 0.9)]
        return ap.Alerts(rules, [self.alerts.append, ap.Webhook("https://hooks.example/x")], timer=False)


@pytest.fixture
def outlets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outlets]:
    """All outlets open, the log down to DEBUG."""
    made = Outlets(tmp_path, monkeypatch)
    logger = logging.getLogger("agentprod")
    before = list(logger.handlers), logger.level, logger.propagate
    ap.logs.setup("DEBUG", stream=made.lines)
    logger.addHandler(logging.StreamHandler(made.debug))
    yield made
    made.monitor.close()
    made.meters.shutdown()
    ap.logs.write_calls(False)
    logger.handlers[:], _, logger.propagate = before
    logger.setLevel(before[1])


def use(client: openai.OpenAI, provider: Provider) -> None:
    """Put the canaries into prompt, system, tool arguments and results, headers, output, chunks and errors."""
    call = {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": json.dumps({"q": ALL})}}
    messages: list[Any] = [
        {"role": "system", "content": f"You know {ALL}"},
        {"role": "user", "content": [{"type": "text", "text": f"I am {ALL}"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps({"found": ALL})},
    ]
    options: dict[str, Any] = {"model": MODEL, "messages": messages, "extra_headers": {"x-note": ALL}, "user": ALL}
    with ap.agent("support"):
        client.chat.completions.create(**options, metadata={"who": CANARIES["mail"]})
        with ToolCall("lookup", call_id="c1", arguments=json.dumps({"q": ALL})) as running:
            running.result = {"found": [ALL]}
        with pytest.raises(RuntimeError), ToolCall("broken", arguments={"q": ALL}):
            raise RuntimeError(f"no such person: {ALL}")
        for chunk in client.chat.completions.create(**options, stream=True):
            assert chunk
        with client.chat.completions.create(**options, stream=True) as stream:
            next(iter(stream))
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**options)
    assert CANARIES["mail"] in str(caught.value)


def leaked(found: dict[str, str]) -> dict[str, list[str]]:
    """Return which canaries each outlet let through, of those that let any."""
    seen = {outlet: [kind for kind, canary in CANARIES.items() if canary in text] for outlet, text in found.items()}
    return {outlet: kinds for outlet, kinds in seen.items() if kinds}


@pytest.mark.parametrize("scrubbing", [False, True], ids=["built-in scrub", "ScrubPII"])
@pytest.mark.parametrize("capture", MODES)
def test_nothing_leaves_with_an_sdk_client(outlets: Outlets, capture: Any, scrubbing: bool) -> None:
    """Under every capture mode no outlet holds any of the twelve, with ScrubPII in the stack or without."""
    headers = {"x-request-id": f"for {ALL}", "x-note": ALL}
    tools = [{"name": "lookup", "arguments": {"q": ALL}}]
    pieces = [ALL[start : start + 7] for start in range(0, len(ALL), 7)]
    script = [
        behaviours.ok(f"You are {ALL}", tool_calls=tools, headers=headers),
        behaviours.ok(chunks=pieces, headers=headers),
        behaviours.ok(chunks=pieces),
        behaviours.error(400, message=f"cannot say {ALL}", headers=headers),
    ]
    layers = [
        outlets.tracer(capture),
        ap.AuditLog(outlets.audit, salt=b"0123456789abcdef"),
        *([ap.ScrubPII(strategy={"SECRET": "redact"})] if scrubbing else []),
    ]
    with running(script) as provider, outlets.alerting() as alerts:
        client = ap.Stack(*layers, ap.Retry(attempts=1), ap.CircuitBreaker()).wrap(openai_client(provider))
        with ap.record() as outlets.calls:
            use(client, provider)
        alerts.evaluate()
        alerts.close()
    found = outlets.texts()
    assert not leaked(found)
    # The outlets were open: the test would otherwise find nothing whatever was written.
    assert found["spans"].count("execute_tool lookup") == 1
    assert ("gen_ai.input.messages" in found["spans"]) == (capture in ("span", "both"))
    assert ("gen_ai.input.messages" in found["events"]) == (capture in ("event", "both"))
    assert found["log"].count('"llm.call"') == 4
    assert found["audit"].count('"llm.call"') == 4
    assert len(outlets.alerts) == len(outlets.posted) == 2
    assert "gen_ai.client.operation.duration" in found["metrics"]
    assert "4 calls" in found["card"].replace("<b>", "").replace("</b>", "")
    if capture in ("span", "both"):
        for word in ("[EMAIL", "[CREDIT_CARD", "[SECRET"):
            assert word in found["spans"].replace("<", "[")


def use_claude(client: Any) -> None:
    """Put the canaries into the parts of Anthropic's wire form."""
    used = {"type": "tool_use", "id": "t1", "name": "lookup", "input": {"q": ALL}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": ALL}]}
    options: dict[str, Any] = {
        "model": CLAUDE,
        "max_tokens": 100,
        "system": [{"type": "text", "text": f"You know {ALL}"}],
        "tools": [{"name": "lookup", "description": f"Finds {ALL}", "input_schema": {"type": "object"}}],
        "metadata": {"user_id": ALL},
        "messages": [
            {"role": "user", "content": f"I am {ALL}"},
            {"role": "assistant", "content": [used]},
            {"role": "user", "content": [result]},
        ],
    }
    client.messages.create(**options)
    for event in client.messages.create(**options, stream=True):
        assert event


async def use_responses(client: Any) -> None:
    """Put the canaries into the parts of OpenAI's Responses, whole, streamed and refused."""
    used = {"type": "function_call", "call_id": "c1", "name": "lookup", "arguments": json.dumps({"q": ALL})}
    result = {"type": "function_call_output", "call_id": "c1", "output": ALL}
    options: dict[str, Any] = {
        "model": MODEL,
        "instructions": f"You know {ALL}",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": ALL}]}, used, result],
        "safety_identifier": ALL,
    }
    await client.responses.create(**options)
    async for event in await client.responses.create(**options, stream=True):
        assert event
    with pytest.raises(openai.InternalServerError):
        await client.responses.create(**options)
    await client.embeddings.create(model="text-embedding-3-small", input=[ALL])


@pytest.mark.parametrize("scrubbing", [False, True], ids=["built-in scrub", "ScrubPII"])
@pytest.mark.parametrize("capture", MODES)
def test_nothing_leaves_with_other_apis(outlets: Outlets, capture: Any, scrubbing: bool) -> None:
    """The same holds for Anthropic, and for Responses and embeddings of an asynchronous client."""
    said = behaviours.ok(f"You are {ALL}", headers={"request-id": f"for {ALL}"})
    failed = behaviours.error(500, message=f"cannot say {ALL}")
    embedded = behaviours.ok("")
    layers = [
        outlets.tracer(capture),
        ap.AuditLog(outlets.audit, salt=b"0123456789abcdef"),
        *([ap.ScrubPII(strategy={"SECRET": "redact"})] if scrubbing else []),
    ]
    stack = ap.Stack(*layers, ap.Retry(attempts=1))

    async def ask(provider: Provider) -> None:
        client = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="k")
        await use_responses(stack.wrap(client))
        await client.close()

    with running([said] * 4 + [failed, embedded]) as provider, outlets.alerting() as alerts:
        with ap.record() as outlets.calls:
            use_claude(stack.wrap(anthropic_client(provider)))
            asyncio.run(ask(provider))
        alerts.evaluate()
        alerts.close()
    found = outlets.texts()
    assert not leaked(found)
    assert found["log"].count('"llm.call"') == found["audit"].count('"llm.call"') == 6
    for outlet, mode in (("spans", "span"), ("events", "event")):
        assert ("gen_ai.system_instructions" in found[outlet]) == (capture in (mode, "both"))


def test_nothing_leaves_with_a_function(outlets: Outlets) -> None:
    """What a function of the application raises is in no outlet, though its text is recorded."""

    @ap.Stack(
        ap.Tracer(capture="both", tracer_provider=outlets.traces.provider),
        ap.AuditLog(outlets.audit),
        ap.Retry(attempts=2, wait=0, on=ValueError),
    )
    def ask(model: str, messages: list[Any]) -> Any:
        raise ValueError(f"rejected: {messages[0]['content']}")

    with ap.record() as outlets.calls, pytest.raises(ValueError, match="rejected"):
        ask(MODEL, [{"role": "user", "content": ALL}])
    found = outlets.texts()
    assert not leaked(found)
    assert "rejected: mail [EMAIL]" in found["spans"]
    assert "rejected: mail [EMAIL]" in found["log"]


def test_without_capture_not_even_names_leave(outlets: Outlets) -> None:
    """With capture off nothing of the text is anywhere, whether a scrubber would know it or not."""
    secret = "The merger with Gerda Huber's bakery"
    tracer = ap.Tracer(capture="none", tracer_provider=outlets.traces.provider)
    with running([behaviours.ok(secret), behaviours.error(400, message=secret)]) as provider:
        client = ap.Stack(tracer, ap.AuditLog(outlets.audit)).wrap(openai_client(provider))
        with ap.record() as outlets.calls:
            client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": secret}])
            with pytest.raises(openai.BadRequestError):
                client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": secret}])
    assert not [outlet for outlet, text in outlets.texts().items() if "Gerda" in text or "merger" in text]


def test_who_asks_and_which_conversation(outlets: Outlets) -> None:
    """Names given with `ap.context` are written with personal data replaced; the records of the process keep them."""

    @ap.Stack(ap.Tracer(tracer_provider=outlets.traces.provider), ap.AuditLog(outlets.audit))
    def ask(model: str, messages: list[Any]) -> str:
        return "x"

    who = {"user": CANARIES["mail"], "conversation": CANARIES["phone"], "tags": {"card": CANARIES["credit card"]}}
    with ap.record() as outlets.calls, ap.context(**who):
        ask(MODEL, [])
    found = outlets.texts()
    assert outlets.calls is not None
    assert outlets.calls[0].user == CANARIES["mail"]
    del found["records"]
    assert not [
        outlet for outlet, text in found.items() for kind in ("mail", "phone", "credit card") if CANARIES[kind] in text
    ]
    assert "[PHONE]" in found["spans"]
