"""Every exported metric as data; instruments, alert rules and dashboards all read this table."""

from __future__ import annotations

from typing import Literal

from agentprod.telemetry.genai_metrics import DURATION_BUCKETS, GENAI_METRICS
from agentprod.telemetry.labels import OTHER
from agentprod.telemetry.metric import Metric

__all__ = ["BREAKER_STATES", "METRICS", "OVERFLOW", "Semconv"]

Semconv = Literal["current", "next", "both"]

BREAKER_STATES = {"closed": 0, "disabled": 0, "open": 1, "forced_open": 1, "half_open": 2}
_SIMILARITY_BUCKETS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99, 1.0)

_OPEN = (
    "model",
    "from",
    "to",
    "reason",
    "breaker",
    "budget",
    "agent",
    "step",
    "tool",
    "type",
    "workflow",
    "rule",
    "provider",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.agent.name",
    "gen_ai.tool.name",
    "gen_ai.workflow.name",
)
OVERFLOW = {**dict.fromkeys(_OPEN, OTHER), "error.type": "_OTHER", "server.address": None, "server.port": None}
"""What labels whose values come from outside become when an instrument has too many label sets."""

_OWN_METRICS = (
    Metric(
        "agentprod.requests",
        "counter",
        "{request}",
        ("model", "provider", "status"),
        "Finished calls by status: ok, error, cached or rejected.",
        "Calls",
    ),
    Metric(
        "agentprod.attempts",
        "counter",
        "{attempt}",
        ("model", "outcome", "error.type"),
        "Physical tries at providers; a call has none, one or many.",
        "Attempts",
    ),
    Metric(
        "agentprod.retry.delay",
        "histogram",
        "s",
        ("model",),
        "Time waited before a retry.",
        "Wait before retries",
        DURATION_BUCKETS,
    ),
    Metric(
        "agentprod.breaker.state",
        "gauge",
        "1",
        ("breaker",),
        "State of a circuit breaker: 0 closed, 1 open, 2 half open.",
        "Circuit breakers",
    ),
    Metric(
        "agentprod.breaker.transitions",
        "counter",
        "{transition}",
        ("breaker", "to"),
        "Changes of a circuit breaker's state.",
        "Circuit breaker changes",
    ),
    Metric(
        "agentprod.cache.requests",
        "counter",
        "{request}",
        ("outcome",),
        "Calls that met the cache, by outcome.",
        "Cache look-ups",
    ),
    Metric(
        "agentprod.cache.similarity",
        "histogram",
        "1",
        ("outcome",),
        "Similarity of the best semantic candidate, on misses too.",
        "Semantic similarity",
        _SIMILARITY_BUCKETS,
    ),
    Metric(
        "agentprod.cost",
        "counter",
        "{USD}",
        ("model", "provider"),
        "Money spent, where the price is known.",
        "Cost (USD)",
    ),
    Metric(
        "agentprod.cost.saved",
        "counter",
        "{USD}",
        ("model", "provider"),
        "Money that cache hits and routing saved.",
        "Saved (USD)",
    ),
    Metric(
        "agentprod.cost.unknown",
        "counter",
        "{request}",
        ("model", "provider"),
        "Calls whose cost is not known.",
        "Calls without a price",
    ),
    Metric(
        "agentprod.budget.used_ratio",
        "gauge",
        "1",
        ("budget",),
        "Used share of a budget; above 1 it is overdrawn.",
        "Budget used",
    ),
    Metric(
        "agentprod.route.decisions",
        "counter",
        "{decision}",
        ("from", "to", "reason"),
        "Calls that were routed from one model to another.",
        "Routing decisions",
    ),
    Metric(
        "agentprod.pii.redactions",
        "counter",
        "{redaction}",
        ("type", "direction"),
        "Personal data taken out of requests and replies.",
        "Redactions",
    ),
    Metric(
        "agentprod.workflow.active",
        "updown",
        "{workflow}",
        ("workflow",),
        "Workflows that run now.",
        "Workflows running",
    ),
    Metric(
        "agentprod.tool.calls",
        "counter",
        "{call}",
        ("tool", "status"),
        "Finished tool calls by status.",
        "Tool calls",
    ),
    Metric(
        "agentprod.agent.runs",
        "counter",
        "{run}",
        ("agent", "outcome"),
        "Finished agent runs by outcome: completed, failed, escalated, cancelled, or unknown.",
        "Agent runs",
    ),
    Metric(
        "agentprod.agent.step.duration",
        "histogram",
        "s",
        ("agent", "step"),
        "Time one step of an agent run took.",
        "Steps of agent runs",
        DURATION_BUCKETS,
    ),
    Metric(
        "agentprod.telemetry.dropped",
        "observed",
        "{item}",
        ("reason",),
        "Telemetry dropped so that no call was disturbed.",
        "Telemetry dropped",
    ),
    Metric(
        "agentprod.alerts.fired",
        "counter",
        "{alert}",
        ("rule",),
        "Alerts fired in this process.",
        "Alerts fired",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*GENAI_METRICS, *_OWN_METRICS)}
