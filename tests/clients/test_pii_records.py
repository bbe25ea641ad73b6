"""No value gets into what is kept of calls: the audit file, dead letters, the call log, log lines, card and alerts."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.telemetry.footer import format_footer
from agentprod.telemetry.later import later
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.canaries import CANARIES, EVERYTHING, body_of, leaked
from tests.clients.conftest import Run
from tests.clients.surfaces import SURFACES, Surface, make_client, shut


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log as JSON, down to DEBUG."""
    logger = logging.getLogger("agentprod")
    before = list(logger.handlers), logger.level, logger.propagate
    lines = io.StringIO()
    ap.logs.setup("DEBUG", stream=lines)
    yield lines
    ap.logs.write_calls(False)
    logger.handlers[:], level, logger.propagate = before
    logger.setLevel(level)


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_no_value_gets_into_what_is_kept_of_calls(
    surface: Surface, kind: str, run: Run, provider: Provider, tmp_path: Path, log: io.StringIO
) -> None:
    """One call is answered, one fails with an error that quotes all values: no record of either holds one."""
    answer = b.ok(json.dumps({"name": "[[EMAIL_1]]", "words": "hi"})) if surface.json else b.echo()
    provider.script([answer, b.error(500, message=EVERYTHING)])
    kept = {name: tmp_path / f"{name}.jsonl" for name in ("audit", "dead", "calls")}
    stack = ap.Stack(
        ap.AuditLog(kept["audit"]),
        ap.ScrubPII(strategy={"SECRET": "placeholder"}),
        ap.DeadLetter(kept["dead"]),
        ap.CallLog(kept["calls"], answers=True),
        ap.Retry(attempts=1),
    )
    told: list[ap.Alert] = []
    alerts = ap.Alerts([ap.Rule("error_rate", ">", 0.0)], [told.append], timer=False)

    async def ask() -> None:
        bare = make_client(surface.sdk, kind, provider)
        try:
            with ap.record() as calls:
                wrapped = stack.wrap(bare)
                await surface.ask(wrapped, extra_body=body_of(surface.name))
                with contextlib.suppress(openai.APIError, anthropic.APIError):
                    await surface.ask(wrapped, extra_body=body_of(surface.name))
            assert later.flush(10)
            bundle = calls._repr_mimebundle_()
            shown.append(bundle["text/html"] + bundle["text/plain"] + format_footer(calls))
            shown.append("\n".join(map(repr, calls)))
        finally:
            await shut(bare)

    shown: list[str] = []
    run(ask())
    alerts.evaluate()
    assert later.flush(10)
    stack[ap.AuditLog].close()
    alerts.close()

    files = {name: path.read_text("utf-8") for name, path in kept.items() if path.exists()}
    assert "dead" in files
    assert "EMAIL_1" in files["dead"]
    assert files["audit"].count("llm.call") == 2
    for name, text in {**files, "log": log.getvalue(), "card": shown[0], "records": shown[1]}.items():
        assert leaked(text) == [], name
    assert leaked("\n".join(f"{alert} {alert.text}" for alert in told)) == []
    assert told
    assert log.getvalue()


def test_a_tools_decisions_are_on_record_without_its_arguments(tmp_path: Path) -> None:
    """What the tool guard allowed and denied is in the same file, as digests only."""
    audit = ap.AuditLog(tmp_path / "audit.jsonl")

    def send(to: str, note: str) -> str:
        """Send a note."""
        return f"sent to {to}"

    guard = ap.ToolGuard([send], audit=audit.append)
    arguments = json.dumps({"to": CANARIES["EMAIL"], "note": EVERYTHING})
    calls = [
        {"id": name, "type": "function", "function": {"name": name, "arguments": arguments}}
        for name in ("send", CANARIES["EMAIL"])
    ]
    guard.run({"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": calls}}]})
    audit.close()
    text = (tmp_path / "audit.jsonl").read_text("utf-8")
    assert '"event":"tool.allowed"' in text
    assert '"event":"tool.denied"' in text
    assert leaked(text) == []
