"""Parts of an application's telemetry that fail: the call does not feel it, and its own error comes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import get_current_span

import agentprod as ap
from agentprod.telemetry.tracer import Tracer
from tests.telemetry.tracing import HELLO, MODEL, Traces


class Broken(SpanProcessor):
    """A processor of the application that raises at one of its hooks."""

    def __init__(self, hook: str) -> None:
        self._hook = hook

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Raise, if so asked."""
        if self._hook == "on_start":
            raise RuntimeError("the processor")

    def on_end(self, span: Any) -> None:
        """Raise, if so asked."""
        if self._hook == "on_end":
            raise RuntimeError("the processor")


@pytest.fixture(params=["on_start", "on_end"])
def tracer(request: pytest.FixtureRequest) -> Tracer:
    """A tracer into a broken processor."""
    traces = Traces()
    traces.provider.add_span_processor(Broken(request.param))
    return Tracer(tracer_provider=traces.provider)


def test_a_good_call_stays_good(tracer: Tracer, dropped: Callable[[str], int]) -> None:
    """The answer comes, no span stays current, and the loss is counted."""

    @tracer
    def ask(model: str, messages: list[Any]) -> str:
        return "x"

    before = get_current_span()
    assert ask(MODEL, HELLO) == "x"
    assert get_current_span() is before
    assert dropped("tracer") >= 1


def test_a_failing_call_fails_with_its_own_error(tracer: Tracer) -> None:
    """The caller gets what the provider raised, not what the processor did; retries go on as ever."""
    tries: list[str] = []

    @ap.Stack(tracer, ap.Retry(attempts=2, wait=0, on=KeyError, budget=None))
    def ask(model: str, messages: list[Any]) -> str:
        tries.append(model)
        raise KeyError("mine")

    before = get_current_span()
    with pytest.raises(KeyError, match="mine"):
        ask(MODEL, HELLO)
    assert len(tries) == 2
    assert get_current_span() is before


def test_a_stream_is_read_to_its_end(tracer: Tracer) -> None:
    """Every chunk arrives, and the consumer's context is its own."""

    @tracer
    def ask(model: str, messages: list[Any]) -> Iterator[str]:
        yield "a"
        yield "b"

    before = get_current_span()
    assert list(ask(MODEL, HELLO)) == ["a", "b"]
    assert get_current_span() is before


def test_runs_and_tools_go_on(tracer: Tracer) -> None:
    """An agent's run, its steps and its tools do their work, and a tool's own error comes through."""

    @ap.tool
    def look(name: str) -> str:
        if name == "bad":
            raise LookupError(name)
        return name

    before = get_current_span()
    with ap.agent("a") as run, run.step("s"):
        assert look("good") == "good"
        with pytest.raises(LookupError, match="bad"):
            look("bad")
    assert run.tool_calls == 2
    assert tracer.tracer_provider is not None  # it lives until here, or nothing would be traced
    assert get_current_span() is before
