"""What the layers wrote down about a call, as span attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentprod.telemetry import attributes as name

if TYPE_CHECKING:
    from agentprod.ledger import Ledger, Note

__all__ = ["decisions"]

_LONGEST = 128
_LARGEST = 2**63
"""Integers of OTLP have 64 bits; one beyond that would cost a whole batch of spans."""

_TOPICS = {
    "CircuitBreaker": "breaker",
    "Cache": "cache",
    "SemanticCache": "cache",
    "Router": "route",
    "Cascade": "route",
    "Fallback": "route",
    "Balance": "route",
    "TokenBudget": "budget",
    "ScrubPII": "pii",
    "RateLimit": "queue",
    "Bulkhead": "queue",
}
"""What the notes of a layer are about; those of others are about the layer, under its own name."""

_KEYS = {
    "breaker": {"name", "state", "rejected"},
    "cache": {"similarity", "threshold", "age_s", "saved_usd", "saved_tokens"},
    "route": {"requested_model", "selected_model", "policy", "reason", "score", "fallback_index"},
    "budget": {"name", "remaining_usd", "remaining_tokens", "used_ratio", "action"},
    "pii": {"input_count", "output_count", "types", "action"},
    "queue": {"wait_s"},
}
"""Keys whose meaning does not depend on the event: each has one attribute."""

_SECONDS = {"age": "age_s", "wait": "wait_s"}

_STOP_REASONS = {"attempts": "max_attempts"}


def decisions(ledger: Ledger) -> dict[str, Any]:
    """Return the `agentprod.*` attributes of what the layers decided.

    A note's data become `agentprod.{topic}.{key}`, or `agentprod.{topic}.{event}.{key}` where only the event gives a
    key its meaning; a note without data becomes `agentprod.{topic}.{event}: true`. Values are figures, flags, short
    words and lists of them. Anything longer or of another kind is left out, so that no text gets in by mistake.
    """
    found: dict[str, Any] = {}
    if not ledger.notes and ledger.cache is None and "Retry" not in ledger.layers:
        return found
    if "Retry" in ledger.layers:
        _retries(ledger, found)
    for note in ledger.notes:
        if note.layer != "Retry":
            _add(note, found)
    if ledger.cache is not None:
        found[name.CACHE_OUTCOME] = ledger.cache
    if ledger.similarity is not None:
        found[name.CACHE_SIMILARITY] = float(ledger.similarity)
    if ledger.saved_usage is not None:
        found[name.CACHE_SAVED_TOKENS] = ledger.saved_usage.total_tokens
    saved = ledger.saved
    if saved is not None:
        found[name.CACHE_SAVED_USD] = float(saved)
    return found


def _retries(ledger: Ledger, found: dict[str, Any]) -> None:
    count, wait = 0, 0.0
    for note in ledger.notes:
        if note.layer != "Retry":
            continue
        if note.event == "retry":
            count += 1
            wait += note.data.get("wait", 0.0)
        elif note.event == "stop":
            reason = str(note.data.get("reason"))
            found[name.RETRY_STOP_REASON] = _STOP_REASONS.get(reason, reason)
            found[name.RETRY_EXHAUSTED] = reason == "attempts"
    found[name.RETRY_COUNT] = count
    if wait:
        found[name.RETRY_WAIT] = wait


def _add(note: Note, found: dict[str, Any]) -> None:
    topic = _TOPICS.get(note.layer) or _snake(note.layer)
    if note.layer == "ScrubPII" and note.event == "scrubbed":
        found[name.PII_COUNT] = sum(count for count in note.data.values() if isinstance(count, int))
        found[name.PII_TYPES] = sorted(note.data)
        return
    if not note.data:
        found[f"agentprod.{topic}.{note.event}"] = True
    for key, value in note.data.items():
        kept = _plain(value)
        if kept is None:
            continue
        key = _SECONDS.get(key, key)
        if key not in _KEYS.get(topic, ()):
            key = f"{note.event}.{key}"
        attribute = f"agentprod.{topic}.{key}"
        # Every attempt may queue; what counts is the wait of the call.
        found[attribute] = kept + found.get(attribute, 0.0) if attribute == name.QUEUE_WAIT else kept


def _plain(value: Any) -> Any:
    if isinstance(value, int):
        return value if -_LARGEST <= value < _LARGEST else None
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else None
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, list | tuple):
        short = all(isinstance(item, str) and len(item) <= _LONGEST for item in value)
        return list(value) if short else None
    try:
        return float(value)  # Decimal, numpy's numbers
    except (TypeError, ValueError, OverflowError):
        return None


def _snake(word: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() and index else char.lower() for index, char in enumerate(word))
