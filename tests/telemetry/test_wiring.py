"""One finished call reaches everybody who wants to know: monitor, alerts, log, records, whatever the stack."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

import agentprod as ap
from agentprod.runs import ToolCall
from agentprod.telemetry import identities, sinks
from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.later import later
from tests.telemetry.tracing import HELLO, MODEL, Traces, openai_client, running


@pytest.fixture
def heard() -> Iterator[list[CallRecord]]:
    """Every call of the process."""
    calls: list[CallRecord] = []
    stop = sinks.subscribe(calls.append)
    yield calls
    stop()


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The JSON log, which leaves no trace behind."""
    logger = logging.getLogger("agentprod")
    before = list(logger.handlers), logger.level, logger.propagate
    stream = io.StringIO()
    ap.logs.setup(stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    ap.logs.write_calls(False)
    logger.handlers[:], _, logger.propagate = before
    logger.setLevel(before[1])


def test_all_hear_of_one_call_without_an_sdk(lines: Any) -> None:
    """Monitor, alerts, log and record tell the same of a call in a stack without tracer or SDK."""
    told: list[ap.Alert] = []
    rules = [ap.Rule("calls", ">", 0, window=60)]
    with running() as provider, ap.Monitor() as monitor, ap.Alerts(rules, [told.append], timer=False) as alerts:
        client = ap.Stack().wrap(openai_client(provider))
        with ap.record() as calls:
            reply = client.chat.completions.create(model=MODEL, messages=HELLO)
        alerts.evaluate()
        alerts.close()
    (line,) = [line for line in lines() if line["event"] == "llm.call"]
    (kept,) = calls
    assert line["request_id"] == kept.request_id == ap.meta(reply).request_id
    assert [alert.rule for alert in told] == ["calls"]
    seen = monitor.summary()
    assert (seen.calls, seen.cost, seen.input_tokens) == (1, kept.cost_usd, kept.input_tokens)
    assert line["cost_usd"] == float(kept.cost_usd or 0) > 0


def test_one_id_everywhere(lines: Any, heard: list[CallRecord]) -> None:
    """Span, log line, record and error carry the same request id; the line names the span."""
    traces = Traces()
    with running("error") as provider:
        client = ap.Stack(ap.Tracer(tracer_provider=traces.provider)).wrap(openai_client(provider))
        with pytest.raises(openai.InternalServerError) as caught:
            client.with_options(max_retries=0).chat.completions.create(model=MODEL, messages=HELLO)
    (span,) = traces.operations()
    attributes: Any = span.attributes
    (line,) = lines()
    (record,) = heard
    ids = {attributes["agentprod.request.id"], line["request_id"], record.request_id}
    assert ids == {ap.meta(caught.value).request_id}
    assert span.context is not None
    assert line["span_id"] == f"{span.context.span_id:016x}"
    assert (line["level"], line["status"], line["error_message"]) == ("warning", "error", None)


def test_a_message_is_in_the_log_only_where_text_is_recorded(lines: Any) -> None:
    """An error's message, which may quote the prompt, goes through the capture or nowhere."""
    traces = Traces()

    @ap.Stack(ap.Tracer(capture="span", tracer_provider=traces.provider))
    def ask(model: str, messages: list[Any]) -> str:
        raise ValueError("cannot answer ann@example.com")

    with pytest.raises(ValueError, match="ann"):
        ask(MODEL, HELLO)
    assert later.flush(5)
    assert lines()[0]["error_message"] == "cannot answer [EMAIL]"


def test_a_stream_is_heard_of_once_with_its_tokens(heard: list[CallRecord]) -> None:
    """A stream left early is one record, whose tokens are counted off the caller's time."""
    with running() as provider, ap.Monitor() as monitor:
        client = ap.Stack().wrap(openai_client(provider))
        with client.chat.completions.create(model=MODEL, messages=HELLO, stream=True) as stream:
            next(iter(stream))
        assert monitor.summary().input_tokens > 0
    (record,) = heard
    assert record.usage is not None
    assert record.usage.estimated
    assert record.ttft is not None
    assert record.stream_outcome == "abandoned"


def test_the_span_knows_more_of_a_stream(heard: list[CallRecord]) -> None:
    """With a tracer the record has chunks and the closer outcome, also when the span is described later."""
    traces = Traces()
    with running() as provider:
        client = ap.Stack(ap.Tracer(tracer_provider=traces.provider)).wrap(openai_client(provider))
        stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        next(iter(stream))
        stream.close()
        assert later.flush(5)
    (record,) = heard
    assert (record.stream_outcome, record.chunks > 0, record.served_model) == ("closed", True, MODEL)
    assert record.span_id is not None


def test_async_calls_and_hits(heard: list[CallRecord]) -> None:
    """Async calls and cache hits come too."""

    @ap.Stack(ap.Cache())
    async def ask(model: str, messages: list[Any]) -> str:
        return "x"

    async def twice() -> None:
        await ask(MODEL, HELLO)
        await ask(MODEL, HELLO)

    asyncio.run(twice())
    assert [record.status for record in heard] == ["ok", "cached"]


def test_tools_and_runs_reach_monitor_and_alerts() -> None:
    """Tool success, task completion and escalation are figures of the monitor and metrics of rules."""
    told: list[ap.Alert] = []
    rules = [ap.Rule("tool_success_rate", "<", 0.9), ap.Rule("escalation_rate", ">", 0.4)]
    with ap.Monitor() as monitor, ap.Alerts(rules, [told.append], timer=False) as alerts:
        for number in range(4):
            with ap.agent("support") as run:
                with ToolCall("refund") as tool:
                    if number == 0:
                        tool.fail("Timeout")
                run.finish("escalated" if number % 2 else "completed")
        with ap.agent("support"):
            pass
        alerts.evaluate()
        alerts.close()
    seen = monitor.summary()
    assert (seen.runs, seen.tool_success_rate) == (5, 0.75)
    assert (seen.task_completion_rate, seen.escalation_rate) == (0.5, 0.5)
    assert seen.loops_per_run == 0
    assert {alert.rule for alert in told} == {"tool_success_rate", "escalation_rate"}


def test_a_monitor_that_is_gone_listens_no_more() -> None:
    """Nobody needs to close a monitor; one that is closed keeps its figures."""

    @ap.Stack()
    def ask(prompt: str) -> str:
        return "x"

    monitor = ap.Monitor()
    ask("a")
    monitor.close()
    monitor.close()
    ask("b")
    assert monitor.summary().calls == 1
    ap.Monitor()
    gc.collect()
    assert not sinks.wanted()


def test_a_monitor_that_does_not_listen() -> None:
    """With listen=False only what is recorded by hand counts."""
    monitor = ap.Monitor(listen=False)
    assert not sinks.wanted()
    assert monitor.summary().calls == 0
    assert ap.Alerts([], listen=False).firing() == []


def test_logging_of_ones_own(caplog: pytest.LogCaptureFixture) -> None:
    """Who sets up `logging` without us asks for the lines with write_calls, and ends them again."""

    @ap.Stack()
    def ask(prompt: str) -> str:
        return "x"

    with caplog.at_level(logging.INFO, "agentprod"):
        ap.logs.write_calls()
        ap.logs.write_calls()
        ask("a")
        ap.logs.write_calls(False)
        ap.logs.write_calls(False)
        ask("b")
    assert [record.getMessage() for record in caplog.records] == ["llm.call"]


def test_who_asks_is_written_without_personal_data(lines: Any) -> None:
    """A mail address or a phone number as a user's name leaves the process by its kind; plain names stay."""

    @ap.Stack()
    def ask(prompt: str) -> str:
        return "x"

    names = {"user": "ann@example.com", "tenant": "acme", "conversation": "+49 151 23456789"}
    with ap.context(**names, tags={"mail": "bob@example.com", "prompt": "B"}), ap.agent("a") as run:
        ask("hi")
    (line,) = lines()
    assert (line["user"], line["tenant"], line["conversation"]) == ("[EMAIL]", "acme", "[PHONE]")
    assert (line["tags"], line["run"]) == ({"mail": "[EMAIL]", "prompt": "B"}, run.id)


def test_a_name_that_cannot_be_scrubbed_is_dropped(dropped: Callable[[str], int]) -> None:
    """A scrubber that fails lets nothing through; without any, names are as they are."""

    def broken(text: str) -> str:
        raise RuntimeError

    identities.scrub_with(broken)
    assert identities.leaving("ann@example.com") == "[dropped]"
    assert dropped("capture") == 1
    identities.scrub_with(None)
    assert identities.leaving("ann@example.com") == "ann@example.com"


def test_what_a_scrubber_took_out_is_counted(heard: list[CallRecord]) -> None:
    """By kind in the record, as count and kinds on the span, and never a value."""
    traces = Traces()

    @ap.Stack(ap.Tracer(tracer_provider=traces.provider), ap.ScrubPII())
    def ask(model: str, messages: list[Any]) -> str:
        return "x"

    with ap.Monitor() as monitor:
        ask(MODEL, [{"role": "user", "content": "ann@example.com, bob@example.com, +49 151 23456789"}])
    (record,) = heard
    assert sorted(record.pii) == [("input", "EMAIL", 2), ("input", "PHONE", 1)]
    assert monitor.summary().redactions == 3
    assert traces.operation["agentprod.pii.input_count"] == 3
    assert traces.operation["agentprod.pii.types"] == ("EMAIL", "PHONE")
