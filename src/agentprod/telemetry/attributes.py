"""Names of span attributes, in one place because those of the conventions still change.

The `gen_ai.*` names are those of `open-telemetry/semantic-conventions-genai` as the OpenTelemetry
instrumentations emit them (1.3b0); where a name was changed lately and viewers still read the old one,
both are set. The `agentprod.*` names are ours: nothing in the conventions speaks of attempts, caches,
breakers, routes or budgets. None of them ever holds message text.
"""

from __future__ import annotations

__all__: list[str] = []

SCOPE = "agentprod"
"""Name of the tracer and of the meter."""

TRACED = "agentprod.traced"
"""Key in `call.state` of the `SpanContext` of the call's span, for whoever writes its ids elsewhere."""

FACTS = "agentprod.facts"
"""Key in `call.state` of what the call's span says, for whoever describes the call elsewhere."""

BILL = "agentprod.bill"
"""Key in `call.state` of the call's usage and its cost, for whoever describes the call elsewhere: priced once."""

LATER = "agentprod.later"
"""Key in `call.state` of a call whose span is described on another thread."""

MESSAGE = "agentprod.message"
"""Key in `call.state` of the scrubbed message of the call's error, where message text is recorded."""

ATTEMPT_SPAN = "agentprod.attempt"
OTHER_SPAN = "agentprod.request"
"""Traffic that carries no model call, such as files and batches."""

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"
STATUS_CODE = "http.response.status_code"

CONVERSATION = "gen_ai.conversation.id"
OUTPUT_TYPE = "gen_ai.output.type"
MAX_TOKENS = "gen_ai.request.max_tokens"
TEMPERATURE = "gen_ai.request.temperature"
TOP_P = "gen_ai.request.top_p"
TOP_K = "gen_ai.request.top_k"
STOP = "gen_ai.request.stop_sequences"
FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
CHOICES = "gen_ai.request.choice.count"
SEED = "gen_ai.request.seed"
STREAM = "gen_ai.request.stream"
REASONING_LEVEL = "gen_ai.request.reasoning.level"
PREVIOUS_RESPONSE = "gen_ai.request.previous_response.id"

RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"

INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens"
CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
"""The old name of the one above."""
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"

SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
CONTENT_EVENT = "gen_ai.client.inference.operation.details"

AGENT_NAME = "gen_ai.agent.name"
TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"

AGENT_LOOPS = "agentprod.agent.loops"
"""Model calls of an agent run."""
AGENT_TOOL_CALLS = "agentprod.agent.tool_calls"
AGENT_OUTCOME = "agentprod.agent.outcome"
"""`"completed" "failed" "escalated" "cancelled"`, as the application recorded it."""
AGENT_EXIT_REASON = "agentprod.agent.exit_reason"
RUN_ID = "agentprod.run.id"
"""The same as `run` in logs and records."""
STEP_SPAN = "agentprod.step"
STEP_NAME = "agentprod.step.name"
TOOL_LOOP = "agentprod.tool.loop_index"
"""How many model calls the run had made when it called the tool."""

REQUEST_ID = "agentprod.request.id"
LAYERS = "agentprod.layers"
OUTCOME = "agentprod.outcome"
"""`"ok" "error" "cached" "rejected" "cancelled"`."""
PROVIDER_TIME = "agentprod.provider_time_s"
OVERHEAD = "agentprod.overhead_s"

ATTEMPT_COUNT = "agentprod.attempt.count"
ATTEMPT_NUMBER = "agentprod.attempt.number"
ATTEMPT_MODEL = "agentprod.attempt.model"
ATTEMPT_PROVIDER = "agentprod.attempt.provider"
ATTEMPT_OUTCOME = "agentprod.attempt.outcome"
ATTEMPT_FAULT = "agentprod.attempt.fault"
ATTEMPT_RETRYABLE = "agentprod.attempt.retryable"
ATTEMPT_BACKOFF = "agentprod.attempt.backoff_s"
ATTEMPT_RETRY_AFTER = "agentprod.attempt.retry_after_s"
ATTEMPT_HEDGED = "agentprod.attempt.hedged"
ATTEMPT_INPUT_TOKENS = "agentprod.attempt.input_tokens"
ATTEMPT_OUTPUT_TOKENS = "agentprod.attempt.output_tokens"
ATTEMPT_REQUEST_ID = "agentprod.attempt.provider_request_id"

RETRY_COUNT = "agentprod.retry.count"
RETRY_WAIT = "agentprod.retry.wait_s"
RETRY_EXHAUSTED = "agentprod.retry.exhausted"
RETRY_STOP_REASON = "agentprod.retry.stop_reason"

CACHE_OUTCOME = "agentprod.cache.outcome"
CACHE_SIMILARITY = "agentprod.cache.similarity"
CACHE_SAVED_USD = "agentprod.cache.saved_usd"
CACHE_SAVED_TOKENS = "agentprod.cache.saved_tokens"

QUEUE_WAIT = "agentprod.queue.wait_s"

PII_COUNT = "agentprod.pii.input_count"
PII_TYPES = "agentprod.pii.types"
"""Kinds that were replaced, such as `EMAIL`; never a value."""

ROUTE_REQUESTED = "agentprod.route.requested_model"
ROUTE_SELECTED = "agentprod.route.selected_model"

COST_USD = "agentprod.cost.usd"
COST_SOURCE = "agentprod.cost.source"
PRICE_VERSION = "agentprod.cost.price_version"
"""The day of the list prices, or what a pricer of the application calls its `version`."""

USAGE_INPUT = "agentprod.usage.input_tokens"
USAGE_OUTPUT = "agentprod.usage.output_tokens"
USAGE_CACHE_READ = "agentprod.usage.cache_read_tokens"
USAGE_CACHE_WRITE = "agentprod.usage.cache_write_tokens"
USAGE_ESTIMATED = "agentprod.usage.estimated"

STREAM_OUTCOME = "agentprod.stream.outcome"
STREAM_CHUNKS = "agentprod.stream.chunks"
STREAM_MAX_GAP = "agentprod.stream.max_gap_s"
STREAM_SPEED = "agentprod.stream.output_tokens_per_s"
