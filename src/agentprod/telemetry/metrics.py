"""Finished calls as OpenTelemetry metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.context import get_current

from agentprod.errors import ConfigError
from agentprod.telemetry.calls import CallRecord, RunRecord, ToolRecord
from agentprod.telemetry.drops import drops
from agentprod.telemetry.forks import renew_after_fork
from agentprod.telemetry.genai_metrics import DURATION_BUCKETS, genai_operation
from agentprod.telemetry.labels import LabelCap, LabelSets
from agentprod.telemetry.later import later
from agentprod.telemetry.metric import Metric
from agentprod.telemetry.metric_names import BREAKER_STATES, METRICS, OVERFLOW, Semconv
from agentprod.telemetry.modalities import modalities
from agentprod.telemetry.sums import Sums

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

    from agentprod.telemetry.finished import CountedCall

__all__ = ["Instruments"]

_Count = Callable[..., object]
"""Adds a value to an instrument under labels it knows."""

_UNNAMED = "unknown"
_COUNTER_SETS = 200
_MOST_KNOWN = 256
"""Destinations whose labels are kept; those of others are looked up anew."""
_NAMED = ("agent", "breaker", "budget", "pii", "provider", "reason", "rule", "server", "step", "tool", "workflow")


class Instruments:
    """The instruments of `METRICS`, fed with finished calls.

    They are made with the first call after a meter provider exists; without one, recording does nothing. Labels are
    closed: no ids, users or text, at most `max_models` model names, and per instrument a fixed number of label sets.
    So the size of a scrape is bounded, whatever names callers make up.

    Calls are counted on a thread soon after they end, and before anything is collected.

    Args:
        meter_provider: where the instruments live; the global provider by default.

        semconv: which version of the `gen_ai.*` names to emit: `"current"`, `"next"` or `"both"`.

        duration_buckets: borders of all duration histograms in seconds.

        max_models: how many model names keep their own label.

        max_histograms: how many label sets (of model, provider, error type …) of one histogram keep their values; each
            is 17 lines, about 5 kB, of a scrape. Raise it to see the latencies of more than a handful of models apart.

    Raises:
        ConfigError: an option is out of range.
    """

    def __init__(
        self,
        *,
        meter_provider: MeterProvider | None = None,
        semconv: Semconv = "current",
        duration_buckets: Sequence[float] = DURATION_BUCKETS,
        max_models: int = 100,
        max_histograms: int = 10,
    ) -> None:
        if semconv not in ("current", "next", "both"):
            raise ConfigError(f"semconv is 'current', 'next' or 'both', got {semconv!r}")
        if list(duration_buckets) != sorted(set(duration_buckets)) or not duration_buckets or duration_buckets[0] <= 0:
            raise ConfigError("duration_buckets are seconds above 0, each larger than the one before")
        if max_models < 1 or max_histograms < 1:
            raise ConfigError(f"max_models and max_histograms are at least 1, got {max_models} and {max_histograms}")
        self._given = meter_provider
        self._semconv = semconv
        self._buckets = tuple(duration_buckets)
        self._max_histograms = max_histograms
        self._models = LabelCap(max_models)
        self._names = {label: LabelCap(max_models) for label in _NAMED}
        self._lock = threading.RLock()
        self._made: dict[str, LabelSets[_Count]] = {}
        self._known: dict[tuple[Any, ...], _Names] = {}
        self._observes = False
        renew_after_fork(self)

    def record(self, record: CallRecord | CountedCall) -> None:
        """Count one finished call, soon; never raises."""
        try:
            if self._made or self.make():
                count = partial(self._record, record, get_current())  # an exemplar shows the span that is current now
                if later.current or not later.submit(count, can_wait=True):
                    count()
        except Exception:
            drops.count("metrics")

    def record_tool(self, record: ToolRecord) -> None:
        """Count one finished tool call; never raises."""
        try:
            if self._made or self.make():
                tool = self._name("tool", record.tool)
                self._emit("agentprod.tool.calls", 1, tool, record.status)
                self._emit("gen_ai.execute_tool.duration", record.duration, "execute_tool", tool, record.error_type)
        except Exception:
            drops.count("metrics")

    def record_run(self, record: RunRecord) -> None:
        """Count one finished agent run; never raises."""
        try:
            if self._made or self.make():
                labels = ("invoke_agent", self._name("agent", record.agent), record.error_type)
                self._emit("gen_ai.invoke_agent.duration", record.duration, *labels)
                self._emit("gen_ai.invoke_agent.inference_calls", record.inference_calls, *labels)
                self._emit("gen_ai.invoke_agent.tool_calls", record.tool_calls, *labels)
                self._emit("agentprod.agent.runs", 1, labels[1], record.outcome or _UNNAMED)
        except Exception:
            drops.count("metrics")

    def record_step(self, agent: str | None, step: str, seconds: float) -> None:
        """Record how long one step of a run took; never raises."""
        try:
            if self._made or self.make():
                labels = (self._name("agent", agent), self._name("step", step))
                self._emit("agentprod.agent.step.duration", seconds, *labels)
        except Exception:
            drops.count("metrics")

    def breaker_changed(self, breaker: str, state: str) -> None:
        """Count a circuit breaker's new state: `"closed"`, `"open"` or `"half_open"`; never raises."""
        try:
            if self._made or self.make():
                name = self._name("breaker", breaker)
                self._emit("agentprod.breaker.state", BREAKER_STATES[state], name)
                self._emit("agentprod.breaker.transitions", 1, name, state)
        except Exception:
            drops.count("metrics")

    def alert_fired(self, rule: str) -> None:
        """Count one alert by the name of its rule; never raises."""
        try:
            if self._made or self.make():
                self._emit("agentprod.alerts.fired", 1, self._name("rule", rule))
        except Exception:
            drops.count("metrics")

    @contextmanager
    def workflow(self, name: str) -> Iterator[None]:
        """Count a workflow as running for as long as the block lasts, then its duration."""
        start = time.monotonic()
        self._workflow(name, 1)
        error: str | None = None
        try:
            yield
        except Exception as raised:
            error = type(raised).__name__
            raise
        finally:
            self._workflow(name, -1)
            try:
                if self._made:
                    labels = ("invoke_workflow", self._name("workflow", name), error)
                    self._emit("gen_ai.invoke_workflow.duration", time.monotonic() - start, *labels)
            except Exception:
                drops.count("metrics")

    def chunk_gaps(self, record: CallRecord) -> Callable[[float], None] | None:
        """Return a function that counts the seconds between two chunks of a stream, `None` when nobody collects.

        One record costs about 10 µs, so this is for those who ask for it.

        Args:
            record: a record with operation, provider, model and server; its other fields are not read.
        """
        if not (self._made or self.make()) or genai_operation(record.operation) is None:
            return None
        labels = self._names_of(record).genai
        names = [f"gen_ai.client.{family}.time_per_output_chunk" for family in ("operation", "inference")]
        bound = [self._made[name].get(*labels) for name in names if name in self._made]

        def count(seconds: float) -> None:
            try:
                for add in bound:
                    add(seconds)
            except Exception:
                drops.count("metrics")

        return count

    def after_fork(self) -> None:
        """Take a new lock in a forked child."""
        self._lock = threading.RLock()

    def _record(self, record: CallRecord | CountedCall, context: Context) -> None:
        try:
            self._count(record, context)
        except Exception:
            drops.count("metrics")

    def _count(self, record: CallRecord | CountedCall, context: Context) -> None:
        names, emit = self._names_of(record), self._emit
        model, provider = names.model, names.provider
        emit("agentprod.requests", 1, model, provider, record.status)
        for attempt in record.attempts:
            tried = model if attempt.model in (None, record.model) else self._model(attempt.model, record)
            outcome = "abandoned" if attempt.outcome == "open" else attempt.outcome
            emit("agentprod.attempts", 1, tried, outcome, _error(attempt.error_type))
            if attempt.backoff > 0:
                emit("agentprod.retry.delay", attempt.backoff, tried)
        if record.cost_usd is not None:
            if record.cost_usd:
                emit("agentprod.cost", float(record.cost_usd), model, provider)
        elif record.usage is not None or (record.status == "ok" and record.operation != "other"):
            emit("agentprod.cost.unknown", 1, model, provider)
        if record.saved_usd is not None and record.saved_usd > Decimal(0):
            emit("agentprod.cost.saved", float(record.saved_usd), model, provider)
        if record.cache is not None:
            emit("agentprod.cache.requests", 1, record.cache)
            if record.similarity is not None:
                emit("agentprod.cache.similarity", record.similarity, record.cache)
        if record.route is not None:
            asked = self._model(record.requested_model or record.model, record)
            emit("agentprod.route.decisions", 1, asked, model, self._name("reason", record.route))
        if record.budget is not None and record.budget_used is not None:
            emit("agentprod.budget.used_ratio", record.budget_used, self._name("budget", record.budget))
        for direction, kind, count in record.pii:
            emit("agentprod.pii.redactions", count, self._name("pii", kind), direction)
        if record.status != "rejected" and genai_operation(record.operation) is not None:
            if self._semconv != "next":
                self._record_current(record, names.genai, context)
            if self._semconv != "current":
                self._record_next(record, names.genai, context)

    def _record_current(self, record: CallRecord | CountedCall, labels: _GenAI, context: Context) -> None:
        measure, error = self._measure, _error(record.error_type) if record.status == "error" else None
        measure("gen_ai.client.operation.duration", record.duration, context, *labels, error)
        if record.ttft is not None:
            measure("gen_ai.client.operation.time_to_first_chunk", record.ttft, context, *labels)
        if record.input_tokens:
            measure("gen_ai.client.token.usage", record.input_tokens, context, *labels, "input")
        if record.output_tokens:
            measure("gen_ai.client.token.usage", record.output_tokens, context, *labels, "output")

    def _record_next(self, record: CallRecord | CountedCall, labels: _GenAI, context: Context) -> None:
        measure, error = self._measure, _error(record.error_type) if record.status == "error" else None
        measure("gen_ai.client.inference.duration", record.duration, context, *labels, error)
        if record.ttft is not None:
            measure("gen_ai.client.inference.time_to_first_chunk", record.ttft, context, *labels)
        if record.usage is None:
            return
        for kind, count in (("input", record.input_tokens), ("output", record.output_tokens)):
            if count:
                measure(f"gen_ai.client.inference.operation.{kind}_tokens", count, context, *labels)
        for name, modality, count in modalities(record.usage):
            self._emit(f"gen_ai.client.inference.usage.{name}", count, *labels, modality)

    def _names_of(self, record: CallRecord | CountedCall) -> _Names:
        """Return the labels of whom a call went to: looked up once, for most calls go to the same few."""
        address, port, served = record.server_address, record.server_port, record.served_model
        key = (record.operation, record.provider, record.model, served, address, port)
        found = self._known.get(key)
        if found is None:
            provider, model = self._name("provider", record.provider), self._model(record.model, record)
            genai = (
                genai_operation(record.operation),
                provider,
                model,
                None if served is None else self._model(served, record),
                None if address is None else self._name("server", address),
                None if address is None else port,
            )
            found = _Names(provider, model, genai)
            # A name that has not proved real may get a label of its own later.
            if not record.failed and len(self._known) < _MOST_KNOWN:
                self._known[key] = found
        return found

    def _model(self, model: str | None, record: CallRecord | CountedCall) -> str:
        return _UNNAMED if model is None else self._models(model, proven=not record.failed)

    def _name(self, label: str, value: str | None) -> str:
        return _UNNAMED if value is None else self._names[label](value)

    def _workflow(self, name: str, change: int) -> None:
        try:
            if self._made or self.make():
                self._emit("agentprod.workflow.active", change, self._name("workflow", name))
        except Exception:
            drops.count("metrics")

    def _emit(self, name: str, value: float, *labels: str | int | None) -> None:
        found = self._made.get(name)
        if found is not None:
            found.get(*labels)(value)

    def _measure(self, name: str, value: float, context: Context, *labels: str | int | None) -> None:
        """Record in a histogram what happened in a context."""
        self._made[name].get(*labels)(value, context=context)

    def make(self) -> bool:
        """Make the instruments unless they are there; return whether a meter provider is."""
        from opentelemetry.metrics import NoOpMeterProvider, get_meter_provider

        provider = self._given or get_meter_provider()
        # Until an SDK is set the API hands out a private stand-in, for which attributes would be built in vain.
        if isinstance(provider, NoOpMeterProvider) or type(provider).__name__ == "_ProxyMeterProvider":
            return False
        with self._lock:
            if not self._made:
                meter = provider.get_meter("agentprod")
                wanted = ("always", "current", "next") if self._semconv == "both" else ("always", self._semconv)
                self._made = {m.name: self._instrument(meter, m) for m in METRICS.values() if m.semconv in wanted}
        return True

    def _instrument(self, meter: Meter, metric: Metric) -> LabelSets[_Count]:
        limit = self._max_histograms if metric.kind == "histogram" else _COUNTER_SETS
        return LabelSets(metric.labels, overflow=OVERFLOW, limit=limit, bind=self._binding(meter, metric))

    def _binding(self, meter: Meter, metric: Metric) -> Callable[[dict[str, str | int]], _Count]:
        """Make an instrument, and return what makes of labels a function that counts under them."""
        about: dict[str, Any] = {"unit": metric.unit, "description": metric.help}
        if metric.kind == "counter":
            sums = Sums()
            meter.create_observable_counter(metric.name, callbacks=[self._flushed(sums)], **about)
            return sums.adder
        if metric.kind == "updown":
            counter = meter.create_up_down_counter(metric.name, **about)
            return lambda labels: partial(counter.add, attributes=labels)
        if metric.kind == "gauge":
            values = Sums()
            meter.create_observable_gauge(metric.name, callbacks=[self._flushed(values)], **about)
            return values.setter
        if metric.kind == "observed":
            meter.create_observable_counter(metric.name, callbacks=[_observe_drops], **about)
            return lambda _: _nothing
        borders = self._buckets if metric.buckets is DURATION_BUCKETS else metric.buckets
        made = meter.create_histogram(metric.name, explicit_bucket_boundaries_advisory=borders, **about)
        return lambda labels: partial(made.record, attributes=labels)

    def _flushed(self, sums: Sums) -> Callable[[CallbackOptions], list[Observation]]:
        """Return what observes sums once all calls are counted; histograms are collected after all that is observed."""
        first, self._observes = not self._observes, True

        def observe(options: CallbackOptions) -> list[Observation]:
            if first:
                later.flush()
            return sums.observe(options)

        return observe


_GenAI = tuple[str | int | None, ...]


class _Names(NamedTuple):
    """Labels of a provider, its model and its server."""

    provider: str
    model: str
    genai: _GenAI


def _nothing(*_: object) -> None:
    """Stand in for the method of an instrument that is observed, not fed."""


def _observe_drops(_: CallbackOptions) -> list[Observation]:
    from opentelemetry.metrics import Observation

    return [Observation(count, {"reason": reason}) for reason, count in drops.snapshot().items()]


def _error(error_type: str | None) -> str | None:
    # The conventions want a low-cardinality word here; a sentence would be a message in disguise.
    if error_type is None or (len(error_type) <= 64 and " " not in error_type):
        return error_type
    return "_OTHER"
