"""The `gen_ai.*` metrics of the OpenTelemetry conventions for generative AI, in two versions.

`"current"` names are those the Python instrumentations of OpenTelemetry emit (1.3b0), `"next"` those that
`open-telemetry/semantic-conventions-genai` has announced since.
"""

from __future__ import annotations

from agentprod.telemetry.metric import Metric

__all__ = [
    "AGENT_BUCKETS",
    "DURATION_BUCKETS",
    "GENAI_METRICS",
    "TOKEN_BUCKETS",
    "WIDE_BUCKETS",
    "WORKFLOW_BUCKETS",
    "genai_operation",
]

DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Bucket borders of durations in seconds, as the conventions ask."""
WIDE_BUCKETS = (0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
"""Borders many dashboards for language models use: coarser below, finer from one second to a minute."""
TOKEN_BUCKETS = tuple(float(4**n) for n in range(14))
AGENT_BUCKETS = tuple(0.1 * 2**n for n in range(13))
WORKFLOW_BUCKETS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
_COUNT_BUCKETS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)

_CALL = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "server.address",
    "server.port",
)
_TOOL = ("gen_ai.operation.name", "gen_ai.tool.name", "error.type")
_AGENT = ("gen_ai.operation.name", "gen_ai.agent.name", "error.type")
_WORKFLOW = ("gen_ai.operation.name", "gen_ai.workflow.name", "error.type")


def genai_operation(operation: str) -> str | None:
    """Return the `gen_ai.operation.name` of a call's operation, `None` for traffic that is no inference."""
    if operation == "embeddings":
        return "embeddings"
    return None if operation == "other" else "chat"


def _tokens(name: str, what: str) -> Metric:
    return Metric(
        f"gen_ai.client.inference.usage.{name}",
        "counter",
        "{token}",
        (*_CALL, "gen_ai.token.modality"),
        f"Number of {what}.",
        what.capitalize(),
        semconv="next",
    )


GENAI_METRICS = (
    Metric(
        "gen_ai.client.operation.duration",
        "histogram",
        "s",
        (*_CALL, "error.type"),
        "Duration of GenAI operations, retries included.",
        "Call duration",
        DURATION_BUCKETS,
        "current",
    ),
    Metric(
        "gen_ai.client.token.usage",
        "histogram",
        "{token}",
        (*_CALL, "gen_ai.token.type"),
        "Number of input and output tokens used.",
        "Tokens per call",
        TOKEN_BUCKETS,
        "current",
    ),
    Metric(
        "gen_ai.client.operation.time_to_first_chunk",
        "histogram",
        "s",
        _CALL,
        "Time from the request to the first chunk of a stream.",
        "Time to first chunk",
        DURATION_BUCKETS,
        "current",
    ),
    Metric(
        "gen_ai.client.operation.time_per_output_chunk",
        "histogram",
        "s",
        _CALL,
        "Time between chunks of a stream.",
        "Time between chunks",
        DURATION_BUCKETS,
        "current",
    ),
    Metric(
        "gen_ai.client.inference.duration",
        "histogram",
        "s",
        (*_CALL, "error.type"),
        "Duration of inference calls, retries included.",
        "Call duration",
        DURATION_BUCKETS,
        "next",
    ),
    Metric(
        "gen_ai.client.inference.time_to_first_chunk",
        "histogram",
        "s",
        _CALL,
        "Time from the request to the first chunk of a stream.",
        "Time to first chunk",
        DURATION_BUCKETS,
        "next",
    ),
    Metric(
        "gen_ai.client.inference.time_per_output_chunk",
        "histogram",
        "s",
        _CALL,
        "Time between chunks of a stream.",
        "Time between chunks",
        DURATION_BUCKETS,
        "next",
    ),
    _tokens("input_tokens", "input tokens"),
    _tokens("output_tokens", "output tokens"),
    _tokens("cache_read.input_tokens", "input tokens read from the provider's cache"),
    _tokens("cache_write.input_tokens", "input tokens written to the provider's cache"),
    _tokens("reasoning.output_tokens", "output tokens spent on reasoning"),
    Metric(
        "gen_ai.client.inference.operation.input_tokens",
        "histogram",
        "{token}",
        _CALL,
        "Number of input tokens per call.",
        "Input tokens per call",
        TOKEN_BUCKETS,
        "next",
    ),
    Metric(
        "gen_ai.client.inference.operation.output_tokens",
        "histogram",
        "{token}",
        _CALL,
        "Number of output tokens per call.",
        "Output tokens per call",
        TOKEN_BUCKETS,
        "next",
    ),
    Metric(
        "gen_ai.execute_tool.duration",
        "histogram",
        "s",
        _TOOL,
        "Duration of tool calls.",
        "Tool duration",
        DURATION_BUCKETS,
    ),
    Metric(
        "gen_ai.invoke_agent.duration",
        "histogram",
        "s",
        _AGENT,
        "Duration of agent runs.",
        "Agent run duration",
        AGENT_BUCKETS,
    ),
    Metric(
        "gen_ai.invoke_agent.inference_calls",
        "histogram",
        "{call}",
        _AGENT,
        "Number of inference calls per agent run.",
        "Inference calls per agent run",
        _COUNT_BUCKETS,
    ),
    Metric(
        "gen_ai.invoke_agent.tool_calls",
        "histogram",
        "{call}",
        _AGENT,
        "Number of tool calls per agent run.",
        "Tool calls per agent run",
        _COUNT_BUCKETS,
    ),
    Metric(
        "gen_ai.invoke_workflow.duration",
        "histogram",
        "s",
        _WORKFLOW,
        "Duration of workflows.",
        "Workflow duration",
        WORKFLOW_BUCKETS,
    ),
)
