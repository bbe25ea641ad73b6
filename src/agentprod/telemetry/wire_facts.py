"""What a span says of a request and of a reply: parameters, ids and finish reasons, never text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agentprod.telemetry import attributes as name
from agentprod.telemetry.genai_metrics import genai_operation
from agentprod.telemetry.identities import leaving, scrub_with

if TYPE_CHECKING:
    from agentprod.call import Call

__all__ = ["identity", "parameters", "response_facts", "server"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST = 256
_LARGEST = 2**63
# As OpenTelemetry's instrumentation of Anthropic writes them.
_STOP_REASONS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_call"}
_OUTPUT_TYPES = {"json_object": "json", "json_schema": "json", "text": "text"}


def identity(call: Call) -> tuple[str, dict[str, Any]]:
    """Return the name of a call's span, `{operation} {model}`, and what a sampler may want to decide by.

    That is operation, provider, model and server; all of it has few distinct values.
    """
    target = call.target
    title, found = _identity(call.operation, target.provider, target.model, target.base_url, target.name)
    return title, found.copy()


@lru_cache(maxsize=256)
def _identity(
    operation: str, provider: str, model: str | None, base_url: str, target: str | None
) -> tuple[str, dict[str, Any]]:
    address, port = server(base_url)
    kind = genai_operation(operation)
    found = {
        name.PROVIDER: provider,
        name.OPERATION: kind,
        name.REQUEST_MODEL: model,
        name.SERVER_ADDRESS: address,
        name.SERVER_PORT: port,
    }
    what = model or (target if operation == "function" else None)
    title = name.OTHER_SPAN if kind is None else f"{kind} {what}" if what else kind
    return title, {key: value for key, value in found.items() if value is not None}


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
        scrub_with(call.ledger.environment.scrub)
        found[name.CONVERSATION] = leaving(call.context.conversation)
    if call.streaming:
        found[name.STREAM] = True
    if call.operation in ("function", "other"):
        return found
    for key, value in call.request.items():
        read = _PARAMETERS.get(key)
        if read is not None:
            read(value, found)
    if name.STOP in found:
        # The one parameter that is text of the caller's own.
        scrub = call.ledger.environment.scrub
        found[name.STOP] = [] if scrub is None else [scrub(text) for text in found[name.STOP]]
    return found


Read = Callable[[Any, dict[str, Any]], None]


def _number(attribute: str, kind: Callable[[Any], Any]) -> Read:
    def read(value: Any, found: dict[str, Any]) -> None:
        # OTLP has 64 bits for an integer: one beyond that would cost a whole batch of spans.
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST:
            found[attribute] = kind(value)

    return read


def _word(attribute: str) -> Read:
    def read(value: Any, found: dict[str, Any]) -> None:
        if isinstance(value, str):
            found[attribute] = value[:_LONGEST]

    return read


def _stop(value: Any, found: dict[str, Any]) -> None:
    stops = [value] if isinstance(value, str) else value
    if isinstance(stops, list | tuple) and stops and all(isinstance(item, str) for item in stops):
        found[name.STOP] = [item[:_LONGEST] for item in stops]


def _choices(value: Any, found: dict[str, Any]) -> None:
    if value != 1:
        _number(name.CHOICES, int)(value, found)


def _format(value: Any, found: dict[str, Any]) -> None:
    wanted = value.get("type") if isinstance(value, Mapping) else None
    if wanted in _OUTPUT_TYPES:
        found[name.OUTPUT_TYPE] = _OUTPUT_TYPES[wanted]


def _config(value: Any, found: dict[str, Any]) -> None:
    """Read what holds an effort, a format, or both: `reasoning`, `text`, `output_config`."""
    if isinstance(value, Mapping):
        _word(name.REASONING_LEVEL)(value.get("effort"), found)
        _format(value.get("format"), found)


def _conversation(value: Any, found: dict[str, Any]) -> None:
    _word(name.CONVERSATION)(value.get("id") if isinstance(value, Mapping) else value, found)


_PARAMETERS: dict[str, Read] = {
    "max_tokens": _number(name.MAX_TOKENS, int),
    "max_completion_tokens": _number(name.MAX_TOKENS, int),
    "max_output_tokens": _number(name.MAX_TOKENS, int),
    "temperature": _number(name.TEMPERATURE, float),
    "top_p": _number(name.TOP_P, float),
    "top_k": _number(name.TOP_K, int),
    "frequency_penalty": _number(name.FREQUENCY_PENALTY, float),
    "presence_penalty": _number(name.PRESENCE_PENALTY, float),
    "seed": _number(name.SEED, int),
    "stop": _stop,
    "stop_sequences": _stop,
    "n": _choices,
    "reasoning_effort": _word(name.REASONING_LEVEL),
    "reasoning": _config,
    "text": _config,
    "output_config": _config,
    "response_format": _format,
    "output_format": _format,
    "previous_response_id": _word(name.PREVIOUS_RESPONSE),
    "conversation": _conversation,
}


def response_facts(pieces: Sequence[Any]) -> dict[str, Any]:
    """Return id, model and finish reasons, as far as these pieces carry them.

    Args:
        pieces: a whole reply alone, or the first and the last events of a stream in their order.
    """
    found: dict[str, Any] = {}
    reasons: dict[int, str] = {}
    for piece in pieces:
        if isinstance(piece, dict):
            _body_facts(piece, found, reasons)
            for key in ("message", "response"):
                if isinstance(piece.get(key), dict):
                    _body_facts(piece[key], found, reasons)
            delta = piece.get("delta")
            if isinstance(delta, dict):
                _stop_reason(delta, reasons)
    if reasons:
        found[name.FINISH_REASONS] = tuple(reasons[index] for index in sorted(reasons))
    return found


_NAMED = (("id", name.RESPONSE_ID), ("model", name.RESPONSE_MODEL))


def _body_facts(body: dict[str, Any], found: dict[str, Any], reasons: dict[int, str]) -> None:
    for key, attribute in _NAMED:
        value = body.get(key)
        if value and isinstance(value, str):
            found.setdefault(attribute, value[:_LONGEST])
    _stop_reason(body, reasons)
    choices = body.get("choices")
    if isinstance(choices, list | tuple):
        for position, choice in enumerate(choices):
            reason = choice.get("finish_reason") if isinstance(choice, dict) else None
            if isinstance(reason, str):
                index = choice.get("index")
                reasons[index if isinstance(index, int) else position] = reason
    if body.get("object") == "response" and isinstance(body.get("status"), str):
        _responses_finish(body, reasons)


def _stop_reason(body: dict[str, Any], reasons: dict[int, str]) -> None:
    reason = body.get("stop_reason")
    if isinstance(reason, str):
        reasons[0] = _STOP_REASONS.get(reason, reason)


def _responses_finish(body: dict[str, Any], reasons: dict[int, str]) -> None:
    status = body["status"]
    if status == "incomplete":
        details = body.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        reasons[0] = "length" if reason == "max_output_tokens" else str(reason or "incomplete")
    elif status == "failed":
        reasons[0] = "error"
    elif status == "completed":
        output = body.get("output")
        items = output if isinstance(output, list | tuple) else ()
        called = any(isinstance(item, dict) and str(item.get("type")).endswith("_call") for item in items)
        reasons[0] = "tool_call" if called else "stop"
