"""The line below a notebook cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentprod.telemetry import footer, sinks
from agentprod.telemetry.calls import AttemptRecord
from agentprod.usage import Usage
from tests.telemetry.records import cached_call, call_record, failed_call, rejected_call


def test_the_line() -> None:
    """The line tells calls, retries, hits, tokens, cost and p95."""
    retried = (AttemptRecord(outcome="failed"), AttemptRecord())
    records = [
        call_record(attempts=retried, usage=Usage(3000, 500), cost="0.002", duration=1.8),
        call_record(usage=Usage(500, 100), cost="0.0001", duration=1.8),
        cached_call(),
    ]
    assert footer.format_footer(records) == "3 calls · 1 retry · 1 cache hit · 4.1 k tokens · $0.0021 · p95 1.8 s"


def test_what_there_is_nothing_of_is_left_out() -> None:
    """A line has no zeros; an unknown cost is n/a; no calls are no line."""
    assert footer.format_footer([]) == ""
    assert footer.format_footer([rejected_call()]) == "1 call · 1 rejected · $0"
    text = footer.format_footer([failed_call(), failed_call(), call_record(cost_usd=None, usage=Usage(0, 1))])
    assert text == "3 calls · 2 errors · 1 token · n/a · p95 990 ms"


@pytest.fixture
def shell() -> Any:
    interactiveshell = pytest.importorskip("IPython.core.interactiveshell", reason="needs agentprod[notebook]")
    made = interactiveshell.InteractiveShell()
    yield made
    footer.unload_ipython_extension(made)
    if hasattr(made, "history_manager"):
        made.history_manager.end_session()


def test_a_cell_that_calls_gets_its_line(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In IPython each cell that made calls is followed by one line, others by none, until unloaded."""
    shell.push({"publish": sinks.publish, "call": call_record})
    footer.load_ipython_extension(shell)
    footer.load_ipython_extension(shell)
    shell.run_cell("publish(call()); publish(call())")
    assert capsys.readouterr().out == "2 calls · 240 tokens · $0.0020 · p95 990 ms\n"
    shell.run_cell("1 + 1;")
    assert "call" not in capsys.readouterr().out
    shell.run_cell("publish(call())")
    assert capsys.readouterr().out.startswith("1 call · ")
    footer.unload_ipython_extension(shell)
    footer.unload_ipython_extension(shell)
    shell.run_cell("publish(call())")
    assert capsys.readouterr().out == ""
    assert not sinks.wanted()


def test_a_cell_never_breaks_on_it(dropped: Callable[[str], int]) -> None:
    """What goes wrong while the line is made or shown is dropped and counted."""

    def fail(line: str) -> None:
        raise OSError("closed")

    line = footer.CellFooter(show=fail)
    line._calls.append(call_record())
    line.post_run_cell()
    assert dropped("footer") == 1
    line.detach(None)
