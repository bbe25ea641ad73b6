"""Show the token counts of a call on one span only, whoever else traces it.

Viewers add up the counts of all spans, so a call that another instrumentation traces too would be billed
twice. Three kinds are told apart:

* one around us that shares OpenTelemetry's `util-genai`: it takes our figures and shows them;
* any other one around us whose span is current: it reads the counts from what we hand out;
* one below us: a span processor sees whether its span ended with counts.

Of several others around one another the innermost shows the counts; see `duplicates`.

Not seen: an instrumentation around us whose span is not made current while the call runs.
"""

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from opentelemetry.context import create_key, get_value, set_value
from opentelemetry.trace import get_current_span

from agentprod.telemetry import attributes as name
from agentprod.telemetry.delivery import Delivery
from agentprod.telemetry.duplicates import ended, follow, followed, is_inference
from agentprod.telemetry.later import later
from agentprod.usage import Usage

if TYPE_CHECKING:
    from opentelemetry.context import Context

__all__ = ["Below", "Shared", "inference_around", "watch"]

_BELOW = create_key("agentprod-below")
_COUNTS = (name.INPUT_TOKENS, "llm.token_count.prompt", "gen_ai.usage.prompt_tokens")


def inference_around(context: Context) -> bool:
    """Whether the current span is somebody's span of this very model call; its end is looked at."""
    span = get_current_span(context)
    attributes = getattr(span, "attributes", None)
    if not attributes or not is_inference(attributes):
        return False
    follow(span.get_span_context().span_id)
    return True


class Shared:
    """What OpenTelemetry's own instrumentations of one call tell each other, by a key in the context.

    The outermost one has the span; those within find its data in the context, make no span of their own,
    and leave there what they know. Read from `opentelemetry-util-genai` 1.3b0, where this is not settled yet.
    """

    __slots__ = ("_data", "_key", "outer")

    def __init__(self, key: str, data: Any, outer: bool) -> None:
        self._key = key
        self._data = data
        self.outer = outer
        """Whether the data are those of an instrumentation around us, which shows them."""

    @classmethod
    def find(cls, context: Context, operation: str) -> Shared | None:
        """Return the data in a context or new ones; `None` where nobody in the process would look."""
        module = sys.modules.get("opentelemetry.util.genai.invocation")
        if module is None:
            return None
        kind = "Embedding" if operation == "embeddings" else "Inference"
        key = getattr(module, f"CLIENT_{kind.upper()}_CONTEXT_KEY", None)
        made = getattr(module, f"{kind}Data", None)
        if key is None or made is None:
            return None
        found = get_value(key, context)
        return cls(key, found, True) if isinstance(found, made) else cls(key, made(), False)

    def within(self, context: Context) -> Context:
        """Return the context in which others find the data."""
        return context if self.outer else set_value(self._key, self._data, context)

    @property
    def usage(self) -> Usage | None:
        """Counts that an instrumentation within left."""
        if self.outer:
            return None
        counts = [getattr(self._data, theirs, None) for _, theirs in _SHARED]
        if counts[0] is None and counts[1] is None:
            return None
        read, wrote, cached, cache_writes, reasoning = (count or 0 for count in counts)
        return Usage(read, wrote, cached, cache_writes, reasoning_tokens=reasoning)

    def leave(self, usage: Usage) -> None:
        """Leave counts for the instrumentation around us; what it reads itself goes first."""
        for ours, theirs in _SHARED:
            count = getattr(usage, ours)
            if hasattr(self._data, theirs) and (count or ours in ("input_tokens", "output_tokens")):
                setattr(self._data, theirs, count)


_SHARED = (
    ("input_tokens", "usage_input_tokens"),
    ("output_tokens", "usage_output_tokens"),
    ("cache_read_tokens", "usage_cache_read_input_tokens"),
    ("cache_write_tokens", "usage_cache_write_input_tokens"),
    ("reasoning_tokens", "usage_reasoning_output_tokens"),
)


class Below:
    """What became of the spans that others made within one operation."""

    __slots__ = ("_around", "_ids", "counted")

    def __init__(self, context: Context) -> None:
        around = get_value(_BELOW, context)
        self._around = around if isinstance(around, Below) else None
        self._ids: list[int] | None = []
        self.counted = False
        """Whether one of them ended with token counts."""

    @property
    def nested(self) -> bool:
        """Whether this is within another operation, which will ask what became of it."""
        return self._around is not None

    def within(self, context: Context) -> Context:
        """Return the context in which spans count as within."""
        return set_value(_BELOW, self, context)

    def started(self, span_id: int) -> None:
        """Follow a span, unless the operation is over."""
        if self._ids is not None:
            self._ids.append(span_id)
            _open[span_id] = self

    def count(self) -> None:
        """Note that a span within shows counts; an operation around sees that too."""
        below: Below | None = self
        while below is not None:
            below.counted = True
            below = below._around

    def close(self) -> None:
        """Stop following spans, also those that never end."""
        ids, self._ids = self._ids, None
        for span_id in ids or ():
            _open.pop(span_id, None)


_open: dict[int, Below] = {}
_watched: weakref.WeakKeyDictionary[Any, Delivery | None] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def watch(provider: Any) -> Delivery | None:
    """Watch the spans of a provider of the OpenTelemetry SDK, once; of another kind of provider none are seen.

    Returns:
        How the provider hands its spans on, where that is known.
    """
    add = getattr(provider, "add_span_processor", None)
    sdk = sys.modules.get("opentelemetry.sdk.trace")
    if not callable(add) or sdk is None:
        return None
    with _lock:
        if provider in _watched:
            return _watched[provider]
        chain, made = getattr(provider, "_active_span_processor", None), _processor(sdk.SpanProcessor)
        if _put_first(chain, made, sdk):
            delivery = Delivery(chain, made)
        else:
            add(made)
            delivery = None
        _watched[provider] = delivery
        return delivery


def _put_first(chain: Any, processor: Any, sdk: Any) -> bool:
    """Put a processor before the exporters, so that what still waits is ended before they flush or shut down.

    The SDK only lets one be added last; where its chain is not what it was in 1.45, that must do.
    """
    known = getattr(sdk, "SynchronousMultiSpanProcessor", None)
    if known is None or type(chain) is not known or not isinstance(getattr(chain, "_span_processors", None), tuple):
        return False
    with chain._lock:
        chain._span_processors = (processor, *chain._span_processors)
    return True


def _processor(base: Any) -> Any:
    # The SDK's own class: it calls methods that another object would not have, and raises into the user's call.
    class Processor(base):  # type: ignore[misc]
        """Sees which spans within an operation end with token counts, and ends the spans that wait when asked to."""

        def on_start(self, span: Any, parent_context: Context | None = None) -> None:
            if span.name != name.ATTEMPT_SPAN:
                below = get_value(_BELOW, parent_context)
                if isinstance(below, Below):
                    below.started(span.context.span_id)

        def on_end(self, span: Any) -> None:
            span_id = span.context.span_id
            below = _open.pop(span_id, None)
            if below is None and not followed(span_id):
                return  # nearly all spans of a process, ours among them
            counts = any(key in span.attributes for key in _COUNTS)
            if ended(span, counts=counts, below=below is not None) and below is not None:
                below.count()

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return later.flush(timeout_millis / 1000)

        def shutdown(self) -> None:
            later.flush()

    return Processor()
