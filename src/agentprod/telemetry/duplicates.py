"""Show the token counts once where several other instrumentations trace the same call, one around the other.

Each of them reads the counts from the same reply, and viewers would bill them all. Only calls that pass an operation
of ours are looked at; of the spans of one call the innermost keeps its counts. What is exported is changed, on a copy.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from agentprod.telemetry import attributes as name

__all__ = ["ended", "follow", "followed", "is_inference"]

_INFERENCE = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
_OPENINFERENCE = frozenset({"LLM", "EMBEDDING"})
_BILLED = ("gen_ai.usage.", "llm.token_count.", "llm.usage.", "llm.cost.")
_MOST = 4096

# Spans of calls under way, and whether a span within each has shown the counts; the oldest go first, for a span of
# another provider never ends here.
_chains: OrderedDict[int, bool] = OrderedDict()
_lock = threading.RLock()


def is_inference(attributes: Mapping[str, Any]) -> bool:
    """Whether these are the attributes of a span of a model call."""
    return attributes.get(name.OPERATION) in _INFERENCE or attributes.get("openinference.span.kind") in _OPENINFERENCE


def follow(span_id: int, *, counted: bool = False) -> None:
    """Look at the end of a span that is of the same call.

    Args:
        span_id: the span's.

        counted: whether a span within it has shown the counts.
    """
    with _lock:
        _chains[span_id] = _chains.get(span_id, False) or counted
        if len(_chains) > _MOST:
            _chains.popitem(last=False)


def followed(span_id: int) -> bool:
    """Whether the end of a span is looked at."""
    return span_id in _chains


def ended(span: Any, *, counts: bool, below: bool) -> bool:
    """Take the counts off a span that ends, when one within it has shown them.

    Args:
        span: what exporters are about to get.

        counts: whether it has any.

        below: whether it is below an operation of ours.

    Returns:
        Whether the counts are on this span.
    """
    with _lock:
        known = below or span.context.span_id in _chains
        within = _chains.pop(span.context.span_id, False)
    if not known or not is_inference(span.attributes or {}):
        return counts
    if counts and within:
        span._attributes = {key: value for key, value in span.attributes.items() if not key.startswith(_BILLED)}
    if span.parent is not None and not span.parent.is_remote:
        follow(span.parent.span_id, counted=counts or within)
    return counts and not within
