"""The layer that writes every call into the audit file."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import agentprod as ap
from agentprod.__main__ import main
from agentprod.telemetry import audit
from tests.callers import MODES, Caller, Script
from tests.telemetry.tracing import HELLO, MODEL, Traces, openai_client, running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def events(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the lines after the first, which opens the file."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert audit.verify(path)
    return [(line["event"], line["data"]) for line in lines[1:]]


@pytest.mark.parametrize("mode", MODES)
def test_every_kind_of_call_is_one_line(mode: str, path: Path) -> None:
    """Sync, async and streamed calls are in the file when they have ended, good or bad, with the id of the call."""
    caller = Caller(mode)
    fn = caller.decorate(ap.Stack(ap.AuditLog(path, fsync="never")), Script("fine", ValueError("secret text")))
    good, bad = caller.ask(fn), caller.ask(fn)
    assert good.meta is not None
    assert bad.meta is not None
    (first, one), (second, two) = events(path)
    assert (first, second) == ("llm.call", "llm.call")
    assert (one["request_id"], one["status"]) == (good.meta.request_id, "ok")
    assert (two["request_id"], two["status"], two["error_type"]) == (bad.meta.request_id, "error", "ValueError")
    assert "secret" not in path.read_text("utf-8")
    assert "fine" not in path.read_text("utf-8")


def test_the_line_is_there_before_the_caller_has_the_reply(path: Path) -> None:
    """With tokens, money and the span's ids."""
    traces = Traces()
    with running() as provider:
        stack = ap.Stack(ap.Tracer(tracer_provider=traces.provider), ap.AuditLog(path))
        stack.wrap(openai_client(provider)).chat.completions.create(model=MODEL, messages=HELLO)
        ((_, line),) = events(path)
    (span,) = traces.operations()
    assert span.context is not None
    assert (line["span_id"], line["attempts"]) == (f"{span.context.span_id:016x}", 1)
    assert line["input_tokens"] > 0
    assert line["cost_usd"] > 0


def test_hits_and_refusals_are_in_it(path: Path) -> None:
    """A cache hit is a line with no attempt, a refusal one with the error's class."""

    @ap.Stack(ap.AuditLog(path), ap.Cache(), ap.CircuitBreaker())
    def ask(prompt: str) -> str:
        return "x"

    ask("a")
    ask("a")
    with ap.context(cache="only"), pytest.raises(ap.CacheMiss):
        ask("b")
    found = [(line["status"], line["attempts"], line["cache"]) for _, line in events(path)]
    assert found == [("ok", 1, "miss"), ("cached", 0, "hit_exact"), ("rejected", 0, None)]


def test_text_is_digested_only_behind_a_scrubber(path: Path) -> None:
    """With ScrubPII the placeholders of request and reply are digested; nothing of the text is in the file."""
    log = ap.AuditLog(path)

    @ap.Stack(log, ap.ScrubPII())
    def ask(model: str, messages: list[Any]) -> dict[str, Any]:
        text = messages[0]["content"]
        assert "ann@example.com" not in text
        return {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}}],
        }

    answer = ask(MODEL, [{"role": "user", "content": "I am ann@example.com"}])
    assert "ann@example.com" in str(answer)
    ((_, line),) = events(path)
    assert set(line["content"]) == {"request", "reply"}
    assert "ann@" not in path.read_text("utf-8")
    # What was digested is the scrubbed text, so the raw one cannot be guessed from the file.
    assert line["content"]["reply"]["digest"] != log._writer.digest("I am ann@example.com")


def test_without_a_scrubber_a_salt_of_ones_own_is_needed(path: Path, tmp_path: Path) -> None:
    """A digest of raw text is written only where the salt is not in the file."""

    @ap.Stack(ap.AuditLog(path))
    def ask(prompt: str) -> str:
        return "x"

    secret = ap.AuditLog(tmp_path / "salted.jsonl", salt=b"0123456789abcdef")
    ask("a")
    ap.Stack(secret)(ask)("a")
    ((_, plain),) = [line for line in events(path) if line[1].get("content")] or [("", {"content": None})]
    assert plain["content"] is None
    ((_, salted),) = events(secret.path)
    assert salted["content"]["reply"] == {"digest": secret._writer.digest("x"), "length": 1}


def test_a_file_that_cannot_be_written_does_not_stop_calls(
    path: Path, dropped: Callable[[str], int], caplog: pytest.LogCaptureFixture
) -> None:
    """By default the call goes on, and the loss is logged and counted."""
    log = ap.AuditLog(path)
    path.mkdir()

    @ap.Stack(log)
    def ask(prompt: str) -> str:
        return "x"

    assert ask("a") == "x"
    assert dropped("audit") == 1
    assert "is not in the audit file" in caplog.text


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_call_may_be_refused_where_it_cannot_be_written_down(mode: str, path: Path) -> None:
    """With on_error="block" each call is announced first, and refused when that fails: the provider is never asked."""
    caller, script = Caller(mode), Script("fine")
    log = ap.AuditLog(path, on_error="block")
    fn = caller.decorate(ap.Stack(log), script)
    assert caller.ask(fn).value == "fine"
    found = events(path)
    assert [event for event, _ in found] == ["llm.asked", "llm.call"]
    assert found[0][1]["request_id"] == found[1][1]["request_id"]
    log.close()
    path.unlink()
    path.mkdir()
    told = caller.ask(fn)
    assert isinstance(told.error, ap.Blocked)
    assert "the call is refused" in str(told.error)
    assert script.calls == 1


def test_a_cancelled_call_is_written_down(path: Path) -> None:
    """A task that is cancelled while the provider works leaves its line."""

    @ap.Stack(ap.AuditLog(path))
    async def ask(prompt: str) -> str:
        await asyncio.sleep(60)
        return "x"

    async def cancel() -> None:
        task = asyncio.create_task(ask("a"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    ((_, line),) = events(path)
    assert line["attempts"] == 1


def test_lines_of_ones_own_join_the_chain(path: Path) -> None:
    """A human's decision stands in the same chain, its text as a digest."""
    with_log = ap.AuditLog(path)
    with_log.append("refund.approved", {"by": "u1", "usd": 20}, reason="the parcel was lost")
    ((event, data),) = events(path)
    assert (event, data["by"]) == ("refund.approved", "u1")
    assert data["content"]["reason"]["length"] == 19
    assert repr(with_log) == "AuditLog(path='audit.jsonl')"
    assert repr(ap.AuditLog(path, on_error="block")) == "AuditLog(path='audit.jsonl', on_error='block')"


def test_bad_options(tmp_path: Path) -> None:
    """An unknown way to fail and a folder that is not there are refused at once."""
    with pytest.raises(ap.ConfigError, match='"drop" or "block"'):
        ap.AuditLog(tmp_path / "a", on_error="stop")  # type: ignore[arg-type]
    with pytest.raises(ap.ConfigError, match="folder"):
        ap.AuditLog(tmp_path / "no" / "a")


def test_the_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m agentprod audit verify` tells a sound file from one in which a byte was changed."""
    ap.AuditLog(path).append("a")
    done = subprocess.run(
        [sys.executable, "-m", "agentprod", "audit", "verify", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": ":".join(entry for entry in sys.path if entry)},
    )
    assert (done.returncode, done.stdout) == (0, f"{path}: 2 lines, all sound\n")
    path.write_bytes(path.read_bytes().replace(b'"event":"a"', b'"event":"b"'))
    assert main(["audit", "verify", str(path)]) == 1
    assert "line 2 is broken" in capsys.readouterr().out


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    """A command that is not there is answered with those that are."""
    assert main([]) == main(["nothing"]) == 2
    assert "usage: python -m agentprod {audit" in capsys.readouterr().err


def test_help_tells_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Who asks for help gets each command with what it does, on stdout, and status 0."""
    assert main(["--help"]) == main(["-h"]) == 0
    told = capsys.readouterr()
    assert "audit   check an audit file" in told.out
    assert told.err == ""
