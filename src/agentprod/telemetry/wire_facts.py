"""What a span says of a request and of a reply: parameters, ids and finish reasons, never text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agentprod.telemetry import attributes as name
from agentprod.telemetry.genai_metrics import genai_operation

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["identity", "parameters", "response_facts", "server", "span_name"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST = 256
_NUMBERS = (
    ("max_tokens", name.MAX_TOKENS, int),
    ("max_completion_tokens", name.MAX_TOKENS, int),
    ("max_output_tokens", name.MAX_TOKENS, int),
    ("temperature", name.TEMPERATURE, float),
    ("top_p", name.TOP_P, float),
    ("top_k", name.TOP_K, int),
    ("frequency_penalty", name.FREQUENCY_PENALTY, float),
    ("presence_penalty", name.PRESENCE_PENALTY, float),
    ("seed", name.SEED, int),
)
# As OpenTelemetry's instrumentation of Anthropic writes them.
_STOP_REASONS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_call"}
_OUTPUT_TYPES = {"json_object": "json", "json_schema": "json", "text": "text"}


def span_name(call: Call) -> str:
    """Return the name of a call's span: `{operation} {model}`, of few distinct values."""
    operation = genai_operation(call.operation)
    if operation is None:
        return name.OTHER_SPAN
    what = call.target.model or (call.target.name if call.operation == "function" else None)
    return f"{operation} {what}" if what else operation


def identity(call: Call) -> dict[str, Any]:
    """Return what a sampler may want to decide by: operation, provider, model and server."""
    target = call.target
    found: dict[str, Any] = {name.PROVIDER: target.provider}
    operation = genai_operation(call.operation)
    if operation is not None:
        found[name.OPERATION] = operation
    if target.model is not None:
        found[name.REQUEST_MODEL] = target.model
    address, port = server(target.base_url)
    if address is not None:
        found[name.SERVER_ADDRESS] = address
        if port is not None:
            found[name.SERVER_PORT] = port
    return found


@lru_cache(maxsize=256)
def server(base_url: str) -> tuple[str | None, int | None]:
    """Return host and port of an address; `(None, None)` for a function, which has none."""
    try:
        parts = urlsplit(base_url)
        return parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None, None


def parameters(call: Call) -> dict[str, Any]:
    """Return the parameters of a request as the conventions name them."""
    found: dict[str, Any] = {}
    if call.context.conversation is not None:
        found[name.CONVERSATION] = call.context.conversation
    if call.streaming:
        found[name.STREAM] = True
    if call.operation in ("function", "other"):
        return found
    request = call.request
    for key, attribute, kind in _NUMBERS:
        value = request.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[attribute] = kind(value)
    stop = request.get("stop_sequences") or request.get("stop")
    if stop:
        stops = [stop] if isinstance(stop, str) else stop
        if isinstance(stops, Sequence) and all(isinstance(item, str) for item in stops):
            found[name.STOP] = [item[:_LONGEST] for item in stops]
    choices = request.get("n")
    if isinstance(choices, int) and choices != 1:
        found[name.CHOICES] = choices
    _reasoning(request, found)
    _output(request, found)
    previous = request.get("previous_response_id")
    if isinstance(previous, str):
        found[name.PREVIOUS_RESPONSE] = previous
    conversation = request.get("conversation")
    if isinstance(conversation, Mapping):
        conversation = conversation.get("id")
    if isinstance(conversation, str):
        found[name.CONVERSATION] = conversation
    return found


def _reasoning(request: Mapping[str, Any], found: dict[str, Any]) -> None:
    level = request.get("reasoning_effort")
    for key in ("reasoning", "output_config"):
        if level is None and isinstance(request.get(key), Mapping):
            level = request[key].get("effort")
    if isinstance(level, str):
        found[name.REASONING_LEVEL] = level


def _output(request: Mapping[str, Any], found: dict[str, Any]) -> None:
    text = request.get("text")
    config = request.get("output_config")
    for wanted in (
        request.get("response_format"),
        text.get("format") if isinstance(text, Mapping) else None,
        request.get("output_format"),
        config.get("format") if isinstance(config, Mapping) else None,
    ):
        if isinstance(wanted, Mapping) and wanted.get("type") in _OUTPUT_TYPES:
            found[name.OUTPUT_TYPE] = _OUTPUT_TYPES[wanted["type"]]


def response_facts(pieces: Sequence[Any]) -> dict[str, Any]:
    """Return id, model and finish reasons, as far as these pieces carry them.

    Args:
        pieces: a whole reply alone, or the first and the last events of a stream in their order.
    """
    found: dict[str, Any] = {}
    reasons: dict[int, str] = {}
    for piece in pieces:
        if not isinstance(piece, Mapping):
            continue
        for body in (piece, piece.get("message"), piece.get("response")):
            if isinstance(body, Mapping):
                _body_facts(body, found, reasons)
        delta = piece.get("delta")
        if isinstance(delta, Mapping):
            _stop_reason(delta, reasons)
    if reasons:
        found[name.FINISH_REASONS] = [reasons[index] for index in sorted(reasons)]
    return found


def _body_facts(body: Mapping[str, Any], found: dict[str, Any], reasons: dict[int, str]) -> None:
    for key, attribute in (("id", name.RESPONSE_ID), ("model", name.RESPONSE_MODEL)):
        if isinstance(body.get(key), str) and body[key]:
            found.setdefault(attribute, body[key])
    _stop_reason(body, reasons)
    choices = body.get("choices")
    if isinstance(choices, list | tuple):
        for position, choice in enumerate(choices):
            reason = choice.get("finish_reason") if isinstance(choice, Mapping) else None
            if isinstance(reason, str):
                index = choice.get("index")
                reasons[index if isinstance(index, int) else position] = reason
    if body.get("object") == "response" and isinstance(body.get("status"), str):
        _responses_finish(body, reasons)


def _stop_reason(body: Mapping[str, Any], reasons: dict[int, str]) -> None:
    reason = body.get("stop_reason")
    if isinstance(reason, str):
        reasons[0] = _STOP_REASONS.get(reason, reason)


def _responses_finish(body: Mapping[str, Any], reasons: dict[int, str]) -> None:
    status = body["status"]
    if status == "incomplete":
        details = body.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, Mapping) else None
        reasons[0] = "length" if reason == "max_output_tokens" else str(reason or "incomplete")
    elif status == "failed":
        reasons[0] = "error"
    elif status == "completed":
        output = body.get("output")
        items = output if isinstance(output, list | tuple) else ()
        called = any(isinstance(item, Mapping) and str(item.get("type")).endswith("_call") for item in items)
        reasons[0] = "tool_call" if called else "stop"
