"""What the layers wrote down about a call, as span attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentprod.telemetry import attributes as name

if TYPE_CHECKING:
    from agentprod.ledger import Ledger, Note

__all__ = ["decisions"]

_LONGEST = 128

_PREFIXES = {
    "CircuitBreaker": "agentprod.breaker",
    "Cache": "agentprod.cache",
    "SemanticCache": "agentprod.cache",
    "Router": "agentprod.route",
    "Cascade": "agentprod.route",
    "Fallback": "agentprod.route",
    "Balance": "agentprod.route",
    "TokenBudget": "agentprod.budget",
    "ScrubPII": "agentprod.pii",
    "RateLimit": "agentprod.queue",
    "Bulkhead": "agentprod.queue",
}
"""Under which prefix the notes of a layer stand; those of others stand under their own name."""

_STOP_REASONS = {"attempts": "max_attempts"}


def decisions(ledger: Ledger) -> dict[str, Any]:
    """Return the `agentprod.*` attributes of what the layers decided.

    A note's data become attributes under the prefix of its layer: figures, flags, short words and lists
    of them. Anything longer or of another kind is left out, so that no text gets in by mistake.
    """
    found: dict[str, Any] = {}
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
    prefix = _PREFIXES.get(note.layer) or f"agentprod.{_snake(note.layer)}"
    for key, value in note.data.items():
        kept = _plain(value)
        if kept is not None:
            found[f"{prefix}.{key}"] = kept


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else None
    if isinstance(value, set | frozenset):
        value = sorted(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) and len(item) <= _LONGEST for item in value):
        return list(value)
    try:
        return float(value)  # Decimal, numpy's numbers
    except (TypeError, ValueError):
        return None


def _snake(word: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() and index else char.lower() for index, char in enumerate(word))
