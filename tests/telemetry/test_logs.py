"""One log line per call."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.errors import ConfigError
from agentprod.telemetry import logs
from agentprod.telemetry.calls import AttemptRecord
from agentprod.telemetry.capture import ScrubbedText
from agentprod.usage import Usage
from tests.telemetry.records import cached_call, call_record, failed_call


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the logger as it was."""
    logger = logging.getLogger("agentprod")
    before = (list(logger.handlers), logger.level, logger.propagate)
    yield
    logs.write_calls(False)
    logger.handlers[:], logger.level, logger.propagate = before
    logger.setLevel(before[1])


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_call_is_one_line_with_its_figures(stream: io.StringIO) -> None:
    """The line of a call has the documented fields and no others."""
    logs.setup("INFO", stream=stream)
    record = call_record(
        attempts=(AttemptRecord(number=1, outcome="failed"), AttemptRecord(number=2)),
        usage=Usage(100, 20, cache_read_tokens=64, cache_write_tokens=8),
        duration=1.23456,
        ttft=0.2,
        provider_time=1.0,
        cost="0.00125",
        cache="miss",
        similarity=0.71,
        route="cost",
        breaker="closed",
        budget_left=Decimal("3.5"),
        pii=(("input", "EMAIL", 2), ("output", "PHONE", 1)),
        stream_outcome="completed",
        trace_id="t" * 32,
        span_id="s" * 16,
    )
    logs.log_call(record)
    (line,) = lines(stream)
    assert isinstance(line.pop("ts"), str)
    assert line == {
        "level": "info",
        "logger": "agentprod",
        "event": "llm.call",
        "request_id": "01890000000000000000000000000001",
        "trace_id": "t" * 32,
        "span_id": "s" * 16,
        "operation": "chat",
        "provider": "openai",
        "model": "gpt-5-mini",
        "status": "ok",
        "error_type": None,
        "error_message": None,
        "attempts": 2,
        "input_tokens": 100,
        "output_tokens": 20,
        "cache_read_tokens": 64,
        "cache_write_tokens": 8,
        "ttft_ms": 200.0,
        "duration_ms": 1234.56,
        "provider_ms": 1000.0,
        "cost_usd": 0.00125,
        "cost_source": "local",
        "cache": "miss",
        "similarity": 0.71,
        "route": "cost",
        "breaker": "closed",
        "budget_left": 3.5,
        "pii_count": 3,
        "stream_outcome": "completed",
    }


def test_what_is_unknown_is_null(stream: io.StringIO) -> None:
    """Neither unknown tokens nor an unknown cost are written as 0."""
    logs.setup(stream=stream)
    logs.log_call(failed_call(error_message=ScrubbedText("quota of [EMAIL_1] is used up")))
    (line,) = lines(stream)
    assert (line["level"], line["status"], line["error_type"]) == ("warning", "error", "500")
    assert line["error_message"] == "quota of [EMAIL_1] is used up"
    assert [line[name] for name in ("cost_usd", "input_tokens", "ttft_ms", "budget_left")] == [None] * 4
    assert "user" not in line


def test_labels_are_there_when_they_were_asked_for(stream: io.StringIO) -> None:
    """User, tenant and tags stand in the line when the record has them, Chinese as it is."""
    logs.setup(stream=stream)
    logs.log_call(cached_call(user="王伟", tenant="acme", tags={"prompt": "B"}))
    (line,) = lines(stream)
    assert (line["user"], line["tenant"], line["tags"], line["cost_usd"]) == ("王伟", "acme", {"prompt": "B"}, 0)
    assert "王伟" in stream.getvalue()


def test_setup_again_replaces(stream: io.StringIO) -> None:
    """Calling setup twice, as notebooks do, does not double the lines; other handlers stay."""
    theirs = logging.NullHandler()
    logging.getLogger("agentprod").addHandler(theirs)
    logs.setup(stream=io.StringIO())
    handler = logs.setup("warning", stream=stream)
    logs.log_call(call_record())
    logs.log_call(failed_call())
    assert len(lines(stream)) == 1
    assert theirs in logging.getLogger("agentprod").handlers
    assert handler in logging.getLogger("agentprod").handlers


def test_a_handler_of_the_root_gets_no_second_line(stream: io.StringIO) -> None:
    """After setup lines go where setup said, not to the root logger as well."""
    root = logging.StreamHandler(second := io.StringIO())
    logging.getLogger().addHandler(root)
    try:
        logs.setup(stream=stream)
        logs.log_call(call_record())
    finally:
        logging.getLogger().removeHandler(root)
    assert len(lines(stream)) == 1
    assert second.getvalue() == ""


def test_text_for_people(stream: io.StringIO) -> None:
    """Without json a line reads name=value; what could break or forge a line is quoted."""
    logs.setup(json=False, stream=stream)
    logs.log_call(call_record(model='a "b"\nINFO fake', user=""))
    (line,) = stream.getvalue().splitlines()
    assert " INFO llm.call request_id=0189" in line
    assert 'model="a \\"b\\"\\nINFO fake"' in line
    assert 'user=""' in line
    assert "error_type" not in line


def test_other_events_and_exceptions(stream: io.StringIO) -> None:
    """Any other line of ours, with arguments and an exception, is one JSON object or a readable text."""
    logs.setup(stream=stream)
    logger = logging.getLogger("agentprod.alerts")
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed %s", "twice", extra={"rule": "p95", "odd": {1, 2}.__class__})
    (line,) = lines(stream)
    assert (line["event"], line["rule"], line["logger"]) == ("failed twice", "p95", "agentprod.alerts")
    assert "ValueError: no" in str(line["exception"])
    logs.setup(json=False, stream=(text := io.StringIO()))
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed twice")
    assert "ERROR failed twice" in text.getvalue()
    assert text.getvalue().rstrip().endswith("ValueError: no")


@given(st.text(), st.floats(min_value=0, max_value=4e9))
def test_every_line_is_one_line_of_json(text: str, created: float) -> None:
    """Whatever stands in a field, the line parses, and its time is UTC with milliseconds."""
    record = logging.LogRecord("agentprod", logging.INFO, "", 0, "llm.call", None, None)
    record.created = created
    record.model = text
    line = logs.JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["model"] == text
    stamp = json.loads(line)["ts"]
    assert len(stamp) == 24
    assert stamp[-5] == "."
    assert stamp[-1] == "Z"


def test_timestamps_are_right() -> None:
    """The date is written once a second and still right for lines in any order."""
    found = []
    for created in (1_700_000_000.25, 1_700_000_001.0, 1_700_000_000.999):
        record = logging.LogRecord("agentprod", logging.INFO, "", 0, "x", None, None)
        record.created = created
        found.append(json.loads(logs.JsonFormatter().format(record))["ts"])
    assert found == ["2023-11-14T22:13:20.250Z", "2023-11-14T22:13:21.000Z", "2023-11-14T22:13:20.999Z"]


def test_by_default_nothing_is_printed() -> None:
    """A program that never calls setup sees no line, not even a failed call's."""
    script = (
        "from agentprod.telemetry.logs import log_call\n"
        "from tests.telemetry.records import failed_call\n"
        "log_call(failed_call())\n"
    )
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.stdout == done.stderr == ""


@pytest.mark.parametrize("json_lines", [True, False])
def test_half_of_a_pair_does_not_break_the_log(json_lines: bool) -> None:
    """A lone surrogate in a name, which UTF-8 cannot hold, is replaced."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    logs.setup(json=json_lines, stream=stream)
    logs.log_call(call_record(model="a\ud83dz", user="王"))
    stream.flush()
    assert "a?z" in raw.getvalue().decode()
    assert "王" in raw.getvalue().decode()


def test_an_unknown_level_is_named() -> None:
    """A level that does not exist raises, with those that do."""
    with pytest.raises(ConfigError, match="no log level 'LOUD': use one of CRITICAL"):
        logs.setup("LOUD")
    with pytest.raises(ConfigError, match="a name or a whole number, not float"):
        logs.setup(1.5)  # type: ignore[arg-type]


def test_a_level_may_be_a_number(stream: io.StringIO) -> None:
    """The numbers of `logging` are taken too."""
    logs.setup(logging.WARNING, stream=stream)
    logs.log_call(call_record())
    assert stream.getvalue() == ""


def test_nothing_raises_into_the_caller(stream: io.StringIO, dropped: Callable[[str], int]) -> None:
    """A record that cannot be written is dropped and counted."""
    logs.setup(stream=stream)
    logs.log_call(call_record(usage="many"))
    assert dropped("log") == 1
